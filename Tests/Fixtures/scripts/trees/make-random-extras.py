#!/usr/bin/env python3
# Makes two random folders, x and y, of files and links to export as extras.
# Arguments: FOLDER SEED
import os, random, sys
r = random.Random(int(sys.argv[2])); os.chdir(sys.argv[1])
names = ['a', 'b c', '.dot', 'ü', 'x.sh', 'install', '-n', 'long' * 40]
def fill(path, depth):
    os.makedirs(path, exist_ok=True)
    for name in r.sample(names, r.randint(0, 4)):
        full = os.path.join(path, name); kind = r.random()
        if kind < .5: open(full, 'wb').write(r.randbytes(r.randint(0, 3000))); os.chmod(full, r.choice([0o644, 0o755, 0o600]))
        elif kind < .65 and depth: os.symlink(r.choice(['../' * r.randint(0, depth) + 'other', 'sub/x', './a']), full)
        elif kind < .7: open(full, 'wb').truncate(r.randint(1, 9 << 20))
        elif depth < 3: fill(full, depth + 1)
for top in ('x', 'y'): fill(top, 0)
