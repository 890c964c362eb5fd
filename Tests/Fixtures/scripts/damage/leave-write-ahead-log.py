#!/usr/bin/env python3
# Copies a database of rpm together with its write-ahead log, which has more packages, and an uncommitted
# deletion.
# Arguments: DATABASE ROOT-TREE
import os, shutil, sqlite3, sys
source, to = sys.argv[1:]
os.makedirs(to + '/var/lib/rpm'); shutil.copy(source, to + '/db')
db = sqlite3.connect(to + '/db'); db.execute('PRAGMA journal_mode = WAL')
db.execute('CREATE TABLE filler (x)'); db.commit()
db.execute('INSERT INTO Packages (blob) SELECT blob FROM Packages'); db.commit()
# Not committed: must not be seen.
db.execute('PRAGMA cache_size = 1'); db.execute('DELETE FROM Packages')
for suffix in ('', '-wal'): shutil.copy(to + '/db' + suffix, to + '/var/lib/rpm/rpmdb.sqlite' + suffix)
db.rollback()
