#!/usr/bin/env python3
# Adds 1 to each inode number of a cpio archive. GNU cpio numbers inodes from 0, imgstore from 1, because
# some readers treat 0 as no inode.
# Arguments: ARCHIVE
import sys; data = bytearray(open(sys.argv[1], 'rb').read()); at = 0
while True:
    size, name = int(data[at+54:at+62], 16), int(data[at+94:at+102], 16)
    if data[at+110:at+110+name] == b'TRAILER!!!\0': break
    data[at+6:at+14] = b'%08X' % (int(data[at+6:at+14], 16) + 1)
    at += (110 + name + 3) // 4 * 4 + (size + 3) // 4 * 4
open(sys.argv[1], 'wb').write(data)
