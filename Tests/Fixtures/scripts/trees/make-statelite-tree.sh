#!/bin/bash
# Adds files for statelite, and the rc.statelite of xCAT, to a node of make-node-to-pack.sh.
# Runs in the staging root.
set -eu
cd img/rootimg; mkdir -p var/lib/deep root etc/sub
echo ntp > etc/ntp.conf; chmod 640 etc/ntp.conf; echo rc > root/.bashrc; echo v > var/lib/v
echo fstab > etc/fstab; printf 'p_x86_64 / tmpfs rw 0 1\nproc /proc proc rw 0 0\n' > etc/fstab
echo real > etc/real; ln -s real etc/pointer; ln -s ../run/none etc/dangling; ln etc/ntp.conf etc/sub/hard
echo x > tmp/dracut.log; echo m > etc/mtab; cd ../..
mkdir -p opt/xcat/share/xcat/netboot/add-on/statelite
echo '#!rc' > opt/xcat/share/xcat/netboot/add-on/statelite/rc.statelite
