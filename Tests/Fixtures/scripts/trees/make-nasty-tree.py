#!/usr/bin/env python3
# Fills a folder with one of everything that Linux allows: names, sizes, modes, links, devices, holes,
# times, attributes, depth. As root also devices, owners, capabilities and trusted attributes.
# Arguments: TREE NUMBER. NUMBER is how many entries the widest folder has.
import os, socket, stat, struct, sys, errno
root = sys.argv[1].encode()
os.makedirs(root, exist_ok=True)
os.chdir(root)
is_root = os.geteuid() == 0
def put(name, data=b'x', mode=0o644):
    with open(name, 'wb') as f: f.write(data)
    os.chmod(name, mode)
def times(name, ns): os.utime(name, ns=(ns, ns), follow_symlinks=False)
# names
put('naïve'.encode()); put('nai\u0308ve'.encode(), b'decomposed'); put('na\u00efve2'.encode())
put(b'invalid \xff\xfe utf-8'); put(b'new\nline'); put(b'tab\tback\\slash'); put(b' blank ')
put(b'-dash'); put(b'n' * 255); put(b'\x01\x1b[31m'); put(b'*?[]'); put(b"quote'\"")
# sizes around every limit
for n in (0, 1, 4095, 4096, 65535, 65536, 65537, 262144, 1048575, 1048576, 1048577, 5000001):
    put(b'size-%d' % n, (b'%08d' % n) * (n // 8) + b'.' * (n % 8))
put(b'random', os.urandom(3000000))
put(b'zeros', bytes(3000000))
# modes
put(b'mode-0000', b'secret', 0); put(b'setuid', b'#!', 0o4755); put(b'setgid', b'#!', 0o2755)
os.mkdir(b'sticky'); os.chmod(b'sticky', 0o1777)
os.mkdir(b'closed'); put(b'closed/inside'); os.chmod(b'closed', 0o0 if is_root else 0o500)
os.mkdir(b'empty')
# links
os.symlink(b'naive', b'symlink'); os.symlink(b'/absolute/nowhere', b'dangling'); os.symlink(b'x' * 4000, b'long-link')
os.symlink(b'\xff', b'invalid-target')
os.mkdir(b'web'); os.mkdir(b'web2')
for group in range(5):
    put(b'web/g%d-0' % group, b'group %d' % group)
    for i in range(1, 40):
        os.link(b'web/g%d-0' % group, b'web%s/g%d-%d' % (b'2' if i % 2 else b'', group, i))
os.symlink(b'target', b'web/linked-symlink'); os.link(b'web/linked-symlink', b'web2/linked-symlink', follow_symlinks=False)
# other kinds
os.mkfifo(b'fifo'); os.link(b'fifo', b'web/fifo-link')
s = socket.socket(socket.AF_UNIX); s.bind(b'socket'); s.close()
if is_root:
    os.mknod(b'null', 0o666 | stat.S_IFCHR, os.makedev(1, 3)); os.mknod(b'loop', 0o660 | stat.S_IFBLK, os.makedev(7, 200))
    put(b'owned'); os.chown(b'owned', 4242, 31337); os.chown(b'symlink', 99, 98, follow_symlinks=False)
    put(b'huge-owner'); os.chown(b'huge-owner', 4000000000, 4000000001)
# sparse
def sparse(name, size, data):
    with open(name, 'wb') as f:
        f.truncate(size)
        for off, d in data: f.seek(off); f.write(d)
sparse(b'sparse', 50000000, [(0, b'begin'), (20000000, b'middle' * 1000), (49999990, b'end')])
sparse(b'all-hole', 10000000, []); sparse(b'hole-end', 1000000, [(0, b'data')]); sparse(b'small-hole', 8192, [(4096, b'z')])
sparse(b'data-zero', 300000, [(0, bytes(150000))])
# times
put(b'time-1901'); put(b'time-1970'); put(b'time-2106'); put(b'time-2262'); put(b'time-ns')
times(b'time-1901', -2147483647 * 10**9); times(b'time-1970', -1); times(b'time-2106', 4294967297 * 10**9 + 5)
times(b'time-2262', 9000000000 * 10**9); times(b'time-ns', 1234567890123456789)
times(b'symlink', 1000000001); times(b'fifo', 999999999)
# attributes
def xattr(name, key, value):
    try: os.setxattr(name, key, value, follow_symlinks=False)
    except OSError as e:
        if e.errno not in (errno.ENOTSUP, errno.EPERM): raise
put(b'xattr'); xattr(b'xattr', b'user.simple', b'value'); xattr(b'xattr', b'user.binary', bytes(range(256)))
xattr(b'xattr', b'user.empty', b''); os.mkdir(b'xattr-dir'); xattr(b'xattr-dir', b'user.dir', b'd')
put(b'capable', b'#!', 0o755)
if is_root:
    xattr(b'capable', b'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 13, 0, 0, 0))
    xattr(b'xattr', b'trusted.secret', b't'); xattr(b'xattr', b'security.selinux', b'system_u:object_r:bin_t:s0\0')
    xattr(b'symlink', b'trusted.link', b'l')
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', t, p, i) for t, p, i in ((1, 6, 0xffffffff), (2, 4, 1000), (4, 4, 0xffffffff), (16, 6, 0xffffffff), (32, 4, 0xffffffff)))
put(b'acl'); xattr(b'acl', b'system.posix_acl_access', acl)
os.mkdir(b'acl-dir'); xattr(b'acl-dir', b'system.posix_acl_default', acl)
# depth 200
here = os.open(b'.', os.O_RDONLY)
for i in range(200):
    os.mkdir(b'd%03d' % i, dir_fd=here); new = os.open(b'd%03d' % i, os.O_RDONLY, dir_fd=here); os.close(here); here = new
with open(os.open(b'bottom', os.O_WRONLY | os.O_CREAT, dir_fd=here), 'wb') as f: f.write(b'deep')
os.close(here)
# many entries
os.mkdir(b'wide')
for i in range(int(sys.argv[2])):
    fd = os.open(b'wide/%05d' % i, os.O_WRONLY | os.O_CREAT); os.write(fd, b'%d' % (i % 1000)); os.close(fd)
