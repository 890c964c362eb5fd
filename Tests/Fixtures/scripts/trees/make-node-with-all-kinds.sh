#!/bin/bash
# Makes a management node whose image has an entry of every kind, boot files and a package database.
# Arguments: FOLDER
set -eu
cd "$1"; mkdir -p documents root/etc/xcat root/install/img/rootimg/{etc/ssh,var/lib/dpkg} root/install/postscripts
echo post >root/install/postscripts/xcatdsklspost; cd root/install/img/rootimg
echo hello >etc/motd; printf '\377\000' >etc/bytes; ln -s motd etc/link; ln etc/motd etc/hard; mkfifo etc/pipe
printf 'root:$6$salt$hash:1:::::::\n' >etc/shadow; echo ntp >etc/ntp.conf; echo 'KEY' >etc/ssh/ssh_host_rsa_key
printf 'Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n' >var/lib/dpkg/status
truncate -s 1M etc/sparse; setfattr -n user.note -v text etc/motd || true
[ "$(id -u)" != 0 ] || mknod etc/null c 1 3
seq 1 50000 >numbers; echo kernel >../kernel
cd ..; : >init; echo init | cpio -o -H newc --quiet | gzip >initrd-stateless.gz; rm init; cd rootimg
echo bash >../pkglist
