#!/bin/bash
# Makes a tree once, and a squashfs image of it with mksquashfs.
# Arguments: FOLDER OPTIONS. Writes FOLDER/rootimg and FOLDER/image. OPTIONS are those of mksquashfs, in
# one argument.
set -eu
cd "$1"; [ -d rootimg ] || { mkdir -p rootimg/a/b rootimg/many; seq 1 300000 > rootimg/a/large
head -c 300000 /dev/urandom > rootimg/a/noise; for i in $(seq 1 400); do echo "$i" > rootimg/many/$i; done
truncate -s 3M rootimg/a/holes; echo x >> rootimg/a/holes; : > rootimg/a/empty; ln rootimg/a/large rootimg/a/b/same
ln -s ../large rootimg/a/b/soft; mkfifo rootimg/a/fifo; chmod 4755 rootimg/many/1
setfattr -n user.x -v value rootimg/many/2 2>/dev/null || true; }
rm -f image; mksquashfs rootimg image -noappend -quiet -no-progress $2 >/dev/null
