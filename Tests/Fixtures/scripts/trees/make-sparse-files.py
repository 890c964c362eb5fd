#!/usr/bin/env python3
# Makes a folder of sparse files: holes at the start, at the end, and many of them.
# Arguments: FOLDER
import os, sys
os.makedirs(sys.argv[1]); os.chdir(sys.argv[1])
def sparse(name, size, *parts):
    with open(name, 'wb') as f:
        f.truncate(size)
        for offset, text in parts: f.seek(offset); f.write(text)
    os.utime(name, (1e9, 1e9))
sparse('hole', 5 << 20)
sparse('end', 5 << 20, ((5 << 20) - 4096, b'e' * 4096))
sparse('start', 1 << 20, (0, b's' * 4096))
sparse('many', 64 << 20, *((i << 20, bytes([i + 1]) * 4096) for i in range(60)))
sparse('odd', (1 << 20) + 12345, (65536, b'o' * 4096))
sparse('name-' + 'n' * 150, 1 << 20, (131072, b'x' * 8192))
open('plain', 'w').write('after the sparse ones\n')
os.utime('plain', (1e9, 1e9)); os.utime('.', (1e9, 1e9))
