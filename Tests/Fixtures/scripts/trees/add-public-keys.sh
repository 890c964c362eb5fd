#!/bin/bash
# Adds public keys, certificates, locked passwords and samples to a root tree: none of them is a secret.
# Arguments: ROOT-TREE
set -eu
cd "$1"; mkdir -p root/.ssh etc/ssh etc/pki/tls/private usr/bin usr/share/doc/a etc/default var/log
echo 'ssh-ed25519 AAAA key' > root/.ssh/id_ed25519.pub; cp root/.ssh/id_ed25519.pub root/.ssh/authorized_keys
echo 'ssh-rsa AAAA host' > etc/ssh/ssh_host_rsa_key.pub; : > etc/munge.key
printf -- '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n' > etc/pki/tls/private/a.crt
printf 'root:!!:1::::::\nbin:*:1::::::\na::1::::::\nb:!*:1::::::\nc:!:1::::::\n' > etc/shadow
printf 'root:x:0:0::/root:/bin/sh\n' > etc/passwd
printf 'The hash begins with $6$ and is long; -----BEGIN RSA PRIVATE KEY----- begins a key\n' > usr/share/doc/a/README
printf 'password = "$PASSWORD"\npasswd: files sss\nPASS_MAX_DAYS 90\n#password=secret1\n' > etc/default/a
printf '\177ELF -----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END RSA PRIVATE KEY-----\n' > usr/bin/openssl
printf 'begin = "-----BEGIN PRIVATE KEY-----"\nend = "-----END PRIVATE KEY-----"\n' > usr/bin/tool
