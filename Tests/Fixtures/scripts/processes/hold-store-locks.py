#!/usr/bin/env python3
# Holds all locks of a store, and its index, for ten minutes. Runs in the store's folder "locks".
# Arguments: MARK, a file that is made when the locks are held
import fcntl, os, sqlite3, sys, time
files = [open(name, "r+") for name in os.listdir(".")]
for file in files: fcntl.flock(file, fcntl.LOCK_EX)
index = sqlite3.connect("../index.sqlite", isolation_level=None)
index.execute("BEGIN EXCLUSIVE")
open(sys.argv[1], "w").close()
time.sleep(600)
