#!/usr/bin/env bash
# A store with what a store may have, for tests that later programs read it: make-store.sh BINARY FOLDER
# (Tests/Golden/store-0.1.tar.gz was made so by imgstore 0.1.0; a new format gets a new file next to it.)
set -euo pipefail
imgstore=$(realpath "$1") folder=$2
"$(dirname "$0")/make-node.sh" "$folder"
export IMGSTORE_STORE=$folder/store IMGSTORE_ROOT=$folder/root IMGSTORE_CONFIG_DIR=$folder/config TZ=UTC
image=/install/netboot/os1/x86_64/compute
"$imgstore" define compute imagetype=linux osname=Linux provmethod=netboot osvers=os1 osarch=x86_64 profile=compute \
  rootimgdir=$image pkglist=/install/custom/compute.pkglist -q
"$imgstore" snapshot compute -m "first" --tag golden -q
echo "192.0.2.1 node1" >>"$folder/root$image/rootimg/etc/hosts"
rm "$folder/root$image/rootimg/var/log/messages"
"$imgstore" pack compute -q
"$imgstore" snapshot compute -m "second" --recipes -q
"$imgstore" pin compute@3 -m "in production" -q
"$imgstore" revert compute@golden -q
"$imgstore" add chroot /srv/chroot --exclude '*.log' -q
"$imgstore" snapshot chroot -m "a directory" -q
"$imgstore" gc -q
