#!/usr/bin/env python3
# Removes from a tree what an archive form cannot represent: sockets and holes; for cpio also attributes,
# fractions of seconds, times out of range, and hard links of symbolic links.
# Arguments: TREE FORM. FORM is cpio or tar.
import os, stat, sys
root, form = sys.argv[1].encode(), sys.argv[2]
def visit(path):
    s = os.lstat(path)
    if stat.S_ISSOCK(s.st_mode): os.unlink(path); return
    if form == 'cpio' and stat.S_ISLNK(s.st_mode) and s.st_nlink > 1:
        target = os.readlink(path); os.unlink(path); os.symlink(target, path)
    if stat.S_ISDIR(s.st_mode):
        for name in os.listdir(path): visit(path + b'/' + name)
    if stat.S_ISREG(s.st_mode) and s.st_nlink == 1 and s.st_blocks * 512 < s.st_size:
        mode = stat.S_IMODE(s.st_mode); data = open(path, 'rb').read()
        with open(path, 'r+b') as f: f.write(data)
    if form == 'cpio':
        for name in os.listxattr(path, follow_symlinks=False): os.removexattr(path, name, follow_symlinks=False)
    ns = s.st_mtime_ns
    if form == 'cpio': ns = min(max(ns // 10**9, 0), 2**32 - 1) * 10**9
    os.utime(path, ns=(ns, ns), follow_symlinks=False)
wide = root + b'/wide'
for name in sorted(os.listdir(wide))[2000:]: os.unlink(wide + b'/' + name)
visit(root)
