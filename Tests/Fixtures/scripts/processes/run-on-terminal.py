#!/usr/bin/env python3
# Runs a program on a pseudo terminal and prints everything that it writes there.
# Arguments: PROGRAM [ARGUMENT...]
import os, pty, sys
pid, end = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
text = b''
try:
  while part := os.read(end, 65536): text += part
except OSError: pass
os.waitpid(pid, 0); sys.stdout.buffer.write(text)
