#!/usr/bin/env python3
# Converts the database of make-rpm-database.sh to the other formats of rpm.
# Arguments: FOLDER. Writes FOLDER/ndb, FOLDER/bdb, FOLDER/bdb-big-endian and FOLDER/old.
import os, sqlite3, struct, subprocess, sys, zlib
root = sys.argv[1]
rows = sqlite3.connect(root + '/root/var/lib/rpm/rpmdb.sqlite').execute('SELECT hnum, blob FROM Packages').fetchall()
for form in ('ndb', 'bdb', 'bdb-big-endian', 'old'): os.makedirs(f'{root}/{form}/var/lib/rpm')
# Berkeley DB in both byte orders, and with small pages: longer chains
for form, order, extra in (('bdb', '<', ''), ('bdb-big-endian', '>', 'db_lorder=4321\n'), ('old', '<', 'db_pagesize=512\n')):
    text = f'VERSION=3\nformat=bytevalue\ntype=hash\n{extra}HEADER=END\n'
    for key, value in [(0, struct.pack(order + 'I', len(rows)))] + rows:
        text += f" {struct.pack(order + 'I', key).hex()}\n {value.hex()}\n"
    subprocess.run(['db5.3_load', f'{root}/{form}/var/lib/rpm/Packages'], input=text + 'DATA=END\n', text=True, check=True)
# ndb, with a free slot and a gap between blobs
slots, blobs, block = b'', b'', 256
for number, value in rows:
    slots += struct.pack('<4sIII', b'Slot', 0, 0, 0)
    count = (16 + len(value) + 12 + 15) // 16
    body = struct.pack('<4sIII', b'BlbS', number, 1, len(value)) + value
    body += bytes(count * 16 - len(body) - 12)
    slots += struct.pack('<4sIII', b'Slot', number, block, count)
    blobs += body + struct.pack('<II4s', zlib.adler32(body), len(value), b'BlbE') + bytes(48)
    block += count + 3
head = struct.pack('<4sIIIIIII', b'RpmP', 0, 1, 1, len(rows) + 1, 0, 0, 0)
page = head + slots
page += struct.pack('<4sIII', b'Slot', 0, 0, 0) * ((4096 - len(page)) // 16)
open(root + '/ndb/var/lib/rpm/Packages.db', 'wb').write(page + blobs)
