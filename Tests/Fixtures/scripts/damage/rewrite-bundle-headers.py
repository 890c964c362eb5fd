#!/usr/bin/env python3
# Copies a bundle with a hostile tar header.
# Arguments: BUNDLE COPY HEADER. HEADER is KEY=VALUE for a pax header of the kernel, "year" for a
# modification time that is too large, or "many" for 300 pax headers.
import sys, tarfile, io
source, target, header = sys.argv[1:]
old = tarfile.open(source)
new = tarfile.open(target, 'w:gz', format=tarfile.PAX_FORMAT)
for m in old:
    if m.name.endswith('kernel') and '=' in header: m.pax_headers = dict([header.split('=')])
    if header == 'year': m.mtime = 67768036191000000
    new.addfile(m, old.extractfile(m) if m.isfile() else None)
if header == 'many':
    m = tarfile.TarInfo('x'); m.type = tarfile.XHDTYPE; m.size = 512
    for i in range(300): new.fileobj.write(m.tobuf(tarfile.USTAR_FORMAT) + b'512 k%03d=' % i + b'v' * 502 + b'\n')
new.close()
