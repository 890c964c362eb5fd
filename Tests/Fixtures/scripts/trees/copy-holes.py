#!/usr/bin/env python3
# Gives the files of a copied tree exactly the holes of the original. cp guesses at them.
# Arguments: ORIGINAL COPY
import os, sys
a, b = (x.encode() for x in sys.argv[1:3])
for top, dirs, files in os.walk(a):
    for name in files:
        path = os.path.join(top, name); s = os.lstat(path)
        if (s.st_mode & 0o170000) != 0o100000 or not s.st_size or s.st_nlink > 1: continue
        try: fd = os.open(path, os.O_RDONLY)
        except PermissionError: continue
        if os.lseek(fd, 0, os.SEEK_HOLE) < s.st_size:
            copy = os.path.join(b, os.path.relpath(path, a)); to = os.open(copy, os.O_WRONLY)
            os.ftruncate(to, 0); os.ftruncate(to, s.st_size); at = 0
            while True:
                try: at = os.lseek(fd, at, os.SEEK_DATA)
                except OSError: break
                end = os.lseek(fd, at, os.SEEK_HOLE)
                while at < end:
                    data = os.pread(fd, min(end - at, 1 << 20), at); os.pwrite(to, data, at); at += len(data)
            os.fsync(to); os.close(to); os.utime(copy, ns=(s.st_atime_ns, s.st_mtime_ns))
        os.close(fd)
