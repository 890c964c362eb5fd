#!/usr/bin/env python3
# Sets each inode number of a cpio archive to 0 and each link count to 1, as imgstore does for entries without
# hard links.
# Arguments: ARCHIVE
import sys; data = bytearray(open(sys.argv[1], 'rb').read()); at = 0
while True:
    size, name = int(data[at+54:at+62], 16), int(data[at+94:at+102], 16)
    if data[at+110:at+110+name] == b'TRAILER!!!\0': break
    data[at+6:at+14] = b'%08X' % 0
    data[at+38:at+46] = b'%08X' % 1
    at += (110 + name + 3) // 4 * 4 + (size + 3) // 4 * 4
open(sys.argv[1], 'wb').write(data)
