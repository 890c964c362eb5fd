#!/bin/bash
# Adds xCAT's dracut scripts of two distributions, and a tree that uses them, to a node of
# make-node-to-pack.sh. Runs in the staging root.
set -eu
mkdir -p opt/xcat/share/xcat/netboot/{rhels9/dracut_033,rh/dracut_033}
echo nine > opt/xcat/share/xcat/netboot/rhels9/dracut_033/install.netboot
echo any > opt/xcat/share/xcat/netboot/rh/dracut_033/install.netboot
cd img/rootimg; mkdir -p usr/lib/dracut/modules.d/97xcat usr/share/dracut
echo statelite > usr/lib/dracut/modules.d/97xcat/install; chmod 750 usr/lib/dracut/modules.d/97xcat/install
echo original > etc/rc.sysinit.backup; echo changed > etc/rc.sysinit
