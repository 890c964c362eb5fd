#!/usr/bin/env python3
# Prints how two trees differ in times, hard-link groups and holes. rsync does not compare the last two.
# Arguments: TREE TREE PRECISION. With "seconds", times are compared to the second, and holes not at all;
# with "exact", everything is.
import os, sys
seconds = sys.argv[3] == 'seconds'
def facts(root):
    root = root.encode(); links = {}; out = {}
    for top, dirs, files in os.walk(root):
        for name in dirs + files:
            path = os.path.join(top, name); s = os.lstat(path); rel = os.path.relpath(path, root)
            out[rel] = ('time', s.st_mtime_ns // 10**9 if seconds else s.st_mtime_ns)
            if s.st_nlink > 1 and not os.path.isdir(path) or (s.st_nlink > 1 and os.path.islink(path)):
                links.setdefault((s.st_dev, s.st_ino), []).append(rel)
            if (s.st_mode & 0o170000) == 0o100000 and s.st_size and not seconds:
                try: fd = os.open(path, os.O_RDONLY)
                except PermissionError: continue
                holes = []; at = 0
                while at < s.st_size:
                    hole = os.lseek(fd, at, os.SEEK_HOLE)
                    if hole >= s.st_size: break
                    try: at = os.lseek(fd, hole, os.SEEK_DATA)
                    except OSError: at = s.st_size
                    holes.append((hole, at))
                os.close(fd); out[rel] += ('holes', tuple(holes))
    for group in links.values():
        for rel in group: out[rel] += ('links', tuple(sorted(group)))
    return out
a, b = facts(sys.argv[1]), facts(sys.argv[2])
for rel in sorted(set(a) | set(b)):
    if a.get(rel) != b.get(rel): print(rel, str(a.get(rel))[:300], str(b.get(rel))[:300])
