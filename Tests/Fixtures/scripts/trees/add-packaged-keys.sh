#!/bin/bash
# Adds private keys to a root tree: two unchanged files of a package, and a changed one.
# Arguments: ROOT-TREE
set -eu
cd "$1"; mkdir -p usr/lib/python3/test opt var/lib/dpkg/info
printf -- '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n' > usr/lib/python3/test/key.pem
cp usr/lib/python3/test/key.pem usr/lib/python3/test/changed.pem; cp usr/lib/python3/test/key.pem opt/key.pem
printf 'Package: python3\nStatus: install ok installed\nVersion: 3\nArchitecture: all\n' > var/lib/dpkg/status
printf '/usr/lib/python3/test/key.pem\n/usr/lib/python3/test/changed.pem\n/opt/key.pem\n' > var/lib/dpkg/info/python3.list
md5sum usr/lib/python3/test/*.pem opt/key.pem > var/lib/dpkg/info/python3.md5sums
echo more >> usr/lib/python3/test/changed.pem
