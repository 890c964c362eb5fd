#!/usr/bin/env python3
# Makes 300 files with extended attributes: equal values, long values, and one name for each file.
# Arguments: TREE
import os, sys
os.chdir(sys.argv[1])
for i in range(300):
    open('f%d' % i, 'w').close()
    os.setxattr('f%d' % i, 'user.long', b'long value ' * 100)
    os.setxattr('f%d' % i, 'trusted.own%d' % i, b'%d' % i)
    os.setxattr('f%d' % i, 'user.same-short', b'short')
    os.setxattr('f%d' % i, 'security.empty', b'')
