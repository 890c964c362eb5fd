#!/usr/bin/env python3
# Makes a tree of 180 files whose contents compress differently, always the same ones.
# Arguments: TREE
import os, random, sys

r = random.Random(7)
words = [bytes(r.choice(b'etaoinshrdlucmfwyp') for _ in range(r.randint(2, 9))) for _ in range(3000)]
for i in range(180):
    d = f'{sys.argv[1]}/usr/lib/d{i % 13}'
    os.makedirs(d, exist_ok=True)
    size = int(2500 * 1.025 ** i) if i % 7 else 30
    noise = [b''] if i % 5 else [r.randbytes(6) for _ in range(500)]
    data = b' '.join(r.choice(words) + r.choice(noise) for _ in range(size // 6 + 1))
    with open(f'{d}/file-{i}.dat', 'wb') as f: f.write(data[:size])
    os.utime(f'{d}/file-{i}.dat', (1700000000 + i * 37, 1700000000 + i * 37))
os.chdir(sys.argv[1])
os.link('usr/lib/d1/file-1.dat', 'usr/lib/hard')
os.symlink('usr/lib', 'soft')
open('empty', 'w').close()
for folder, folders, files in os.walk('.'):
    for name in ['.'] + folders + files:
        if not name.endswith('.dat') and name != 'hard':
            os.utime(os.path.join(folder, name), (1700000000, 1700000000), follow_symlinks=False)
