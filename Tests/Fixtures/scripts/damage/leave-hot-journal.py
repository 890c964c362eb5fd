#!/usr/bin/env python3
# Copies a database of rpm in the middle of a transaction, together with its rollback journal.
# Arguments: DATABASE ROOT-TREE
import os, shutil, sqlite3, sys
source, to = sys.argv[1:]
os.makedirs(to + '/usr/share/rpm'); shutil.copy(source, to + '/db')
db = sqlite3.connect(to + '/db'); db.execute('PRAGMA journal_mode = DELETE')
db.execute('PRAGMA cache_size = 1'); db.execute('UPDATE Packages SET blob = zeroblob(length(blob) + 9000)')
for suffix in ('', '-journal'): shutil.copy(to + '/db' + suffix, to + '/usr/share/rpm/rpmdb.sqlite' + suffix)
db.rollback()
