#!/usr/bin/env python3
# Compresses FOLDER/plain with four levels and all strategies of zlib, as raw deflate streams.
# Arguments: FOLDER. Writes the streams to FOLDER/0 to FOLDER/19.
import sys, zlib
plain = open(sys.argv[1] + '/plain', 'rb').read()
n = 0
for level in (0, 1, 6, 9):
  for strategy in range(5):
    c = zlib.compressobj(level, 8, -15, 9, strategy)
    open('%s/%d' % (sys.argv[1], n), 'wb').write(c.compress(plain) + c.flush()); n += 1
