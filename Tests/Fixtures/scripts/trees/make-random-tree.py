#!/usr/bin/env python3
# Makes a tree whose properties, in every respect that squashfs supports, depend on the seed.
# Arguments: TREE SEED
import os, random, sys, stat
r = random.Random(int(sys.argv[2])); os.chdir(sys.argv[1]); is_root = os.geteuid() == 0
dirs = ['.']; files = []
def name():
    return r.choice('abcdefgh') * r.choice((1, 2, 3, 60)) + str(r.randrange(10**6))
def data():
    size = r.choice((0, 1, 100, 4095, 4096, 4097, 10000, 70000, 131072, 131073, 300000, 1100000))
    kind = r.randrange(4)
    if kind == 0: return bytes(size)
    if kind == 1: return r.randbytes(size)
    if kind == 2: return (b'text %d\n' % r.randrange(5)) * (size // 7)
    block = r.randbytes(1000); return (block + bytes(r.choice((0, 5000, 200000))) + block) * (size // 100000 + 1)
for i in range(r.randrange(50, 600)):
    path = r.choice(dirs) + '/' + name()
    if os.path.lexists(path): continue
    kind = r.randrange(14)
    if kind < 3: os.mkdir(path); dirs.append(path)
    elif kind == 3: os.symlink('t' * r.randrange(1, 500), path)
    elif kind == 4: os.mkfifo(path)
    elif kind == 5 and is_root:
        os.mknod(path, r.choice((stat.S_IFCHR, stat.S_IFBLK)) | 0o600, os.makedev(r.randrange(4096), r.randrange(2**20)))
    elif kind == 6 and files: os.link(r.choice(files), path, follow_symlinks=False); files.append(path)
    elif kind == 7:
        with open(path, 'wb') as f: f.truncate(r.randrange(1, 3000000)); f.seek(r.randrange(1, 2000000)); f.write(b'data')
        files.append(path)
    else:
        with open(path, 'wb') as f: f.write(data())
        files.append(path)
    if not os.path.islink(path):
        if r.randrange(4) == 0:
            try: os.setxattr(path, 'user.n%d' % r.randrange(3), b'v' * r.choice((0, 1, 50, 300)))
            except OSError: pass
        os.chmod(path, r.randrange(0o10000) | (0o700 if os.path.isdir(path) else 0))
    if is_root and r.randrange(3) == 0: os.lchown(path, r.randrange(70000), r.choice((0, 5, 4 * 10**9)))
for path in files + dirs: os.utime(path, (0, r.randrange(2**32)), follow_symlinks=False)
