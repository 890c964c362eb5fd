#!/bin/bash
# Makes an image whose tree has entries of every kind, boot files and a package list.
# Arguments: INSTALL-FOLDER
set -eu
mkdir -p "$1/img/rootimg/etc" "$1/img/rootimg/dev" "$1/img/rootimg/empty"; cd "$1/img"
echo kernel >kernel; echo initrd >initrd-stateless.gz; echo packed >rootimg.cpio.gz; echo bash >../p.pkglist
cd rootimg; echo motd >etc/motd; ln etc/motd etc/twin; ln -s motd etc/link
chmod 4755 etc/twin; mkfifo etc/fifo; head -c 300000 /dev/urandom >large
truncate -s 100M hole; touch -d '1960-01-01 00:00:00.5' etc/link -h
setfattr -n user.label -v x large || true
mknod dev/null c 1 3 || true
