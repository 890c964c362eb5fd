#!/bin/bash
# Makes a root tree with links, manual pages and 3 MB of noise to pack, and the postscripts of the node.
# Arguments: IMAGE-FOLDER
set -eu
cd "$1"; mkdir -p rootimg/{etc,usr/share/man/man1,usr/bin,usr/share/zoneinfo/Europe,opt}
printf 'root:x:1:::::::\nbin:*:2:::::::\n' > rootimg/etc/shadow; chmod 600 rootimg/etc/shadow
echo page > rootimg/usr/share/man/man1/a.1; echo zone > rootimg/usr/share/zoneinfo/Europe/Berlin
seq 1 200000 > rootimg/usr/bin/numbers; head -c 3000000 /dev/urandom > rootimg/usr/bin/noise
ln rootimg/usr/bin/numbers rootimg/usr/bin/same; ln -s numbers rootimg/usr/bin/link
mkdir -p ../install/postscripts/lib; echo post > ../install/postscripts/xcatdsklspost
echo lib > ../install/postscripts/lib/x; chmod 755 ../install/postscripts/xcatdsklspost
