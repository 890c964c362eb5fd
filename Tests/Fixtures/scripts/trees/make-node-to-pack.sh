#!/bin/bash
# Makes a management node with postscripts and the root tree of an image to pack.
# Arguments: FOLDER
set -eu
mkdir -p "$1"/root/img/rootimg/{etc,usr/bin,usr/share/zoneinfo/Europe,opt,tmp} "$1/root/etc/xcat"
cd "$1/root"; mkdir -p install/postscripts/lib
echo post > install/postscripts/xcatdsklspost; echo lib > install/postscripts/lib/x
chmod 755 install/postscripts/xcatdsklspost
cd img/rootimg
printf 'root:x:1:::::::\nbin:*:2:::::::\n' > etc/shadow; chmod 640 etc/shadow
seq 1 20000 > usr/bin/numbers; echo zone > usr/share/zoneinfo/Europe/Berlin
