#!/usr/bin/env python3
# Prints "path<TAB>package" for every existing file that dpkg-query -L lists. Folders on the way are
# resolved inside the tree.
# Arguments: ROOT-TREE
import os, subprocess, sys
root = os.path.realpath(sys.argv[1]); admin = '--admindir=' + root + '/var/lib/dpkg'
names = subprocess.run(['dpkg-query', admin, '-W', '-f', '${binary:Package}\n'], capture_output=True, text=True, check=True).stdout.split()
for name in names:
    for line in subprocess.run(['dpkg-query', admin, '-L', name], capture_output=True, text=True, check=True).stdout.splitlines():
        if not line.startswith('/') or ' diverted ' in line: continue
        path = os.path.join(os.path.realpath(root + os.path.dirname(line)), os.path.basename(line))
        if os.path.islink(path) or os.path.isfile(path): print(os.path.relpath(path, root) + '\t' + name)
