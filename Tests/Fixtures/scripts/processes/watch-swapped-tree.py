#!/usr/bin/env python3
# Reads a root tree again and again while `revert --swap` exchanges it, and prints MIXED if one pass sees
# files of both trees. Each pass opens the path once and reads everything below that folder. An old tree
# loses its files after the exchange: a pass counts only if the path still leads to the same folder.
# Arguments: TREE STOP-FILE. Ends when STOP-FILE exists; prints how often each tree was seen.
import os, sys, time
path, stop = sys.argv[1], sys.argv[2]
seen = {}; looks = 0
while not os.path.exists(stop):
    top = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    before = os.fstat(top)
    words = set(); names = set()
    try:
        for sub in ('.', 'd'):
            folder = os.open(sub, os.O_RDONLY | os.O_DIRECTORY, dir_fd=top)
            for name in os.listdir(folder):
                if name in ('etc', 'd'): continue
                names.add(name)
                f = os.open(name, os.O_RDONLY, dir_fd=folder)
                words.add(os.read(f, 9)); os.close(f)
            os.close(folder)
        want = {b'one\n': 120, b'two\n': 121}
        bad = len(words) != 1 or want[list(words)[0]] != len(names)
    except FileNotFoundError:
        bad = True
    now = os.stat(path)
    if not bad:
        seen[list(words)[0]] = seen.get(list(words)[0], 0) + 1
    elif (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino):
        print('MIXED', words, len(names)); break
    os.close(top); looks += 1
print(sorted(seen.items()), looks)
