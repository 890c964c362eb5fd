#!/usr/bin/env python3
# Flips one bit of a file and keeps its times.
# Arguments: FILE NUMBER. NUMBER is taken modulo the number of bits.
import os, sys

path, number = sys.argv[1], int(sys.argv[2])
stat = os.stat(path)
data = bytearray(open(path, "rb").read())
number %= 8 * len(data)
data[number // 8] ^= 1 << number % 8
open(path, "wb").write(data)
os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
