#!/bin/bash
# Makes a good key, and files that are not exactly one plain Ed25519 key.
# Arguments: FOLDER
set -eu
cd "$1"
openssl genpkey -algorithm ed25519 -out good; openssl pkey -in good -pubout -out good.pub
openssl genpkey -algorithm ed448 -out ed448; openssl genpkey -algorithm x25519 -out x25519
openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:1024 -out rsa 2>/dev/null
openssl pkey -in good -aes256 -passout pass:x -out locked
cat good good >two; head -c 80 good >cut; : >empty; sed 's/M/m/' good >bent
sed 's/$/=/' good >padded; openssl pkey -in good -outform DER -out der
for f in ed448 x25519 rsa; do openssl pkey -in $f -pubout -out $f.pub; done
