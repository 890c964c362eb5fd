#!/usr/bin/env python3
# Looks up each of 100,000 names in a mounted folder, and names that it does not have. A lookup uses the
# index of the directory; listing does not.
# Arguments: FOLDER
import os, sys
names = set(os.listdir(sys.argv[1])); assert len(names) == 100000
for i in range(100000):
    name = '%d-%s' % (i, 'x' * (i % 40)); assert name in names; os.stat(sys.argv[1] + '/' + name)
for name in ('', '0', '99999', 'y', '5000', '5000--'):
    assert not name or not os.path.exists(sys.argv[1] + '/' + name)
