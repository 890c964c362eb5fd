#!/bin/bash
# Makes an image with entries of most kinds, boot files and lists.
# Arguments: FOLDER ROOT-TREE
set -eu
mkdir -p "$1/root/etc/xcat" "$2/etc" "$2/old" "$2/both/deep" "$1/root/install/lists"
cd "$2"; for i in 1 2 3 4 5 6; do echo stays $i >both/f$i; done; echo one >etc/motd
echo gone >old/file; ln -s old link; ln both/f1 both/deep/linked; chmod 4711 both/f2
head -c 300000 /dev/urandom >large; mkfifo pipe; echo x >mode; echo t >time
echo kernel1 >../kernel; echo list1 >../../lists/exlist; echo bash >../../lists/pkglist
echo initrd >../initrd-stateless.gz; echo packed >../rootimg.cpio.gz; touch -d 2001-01-01 both/f3 time
