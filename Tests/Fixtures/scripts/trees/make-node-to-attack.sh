#!/bin/bash
# Makes a management node with files of the site, and files around it that an escape would change.
# Arguments: FOLDER
set -eu
cd "$1"; mkdir -p root/install/postscripts root/etc/cron.d root/opt/xcat/lib outside
echo secret >root/etc/shadow; echo sentinel >outside/sentinel; echo s >root/sentinel
echo theirs >root/install/postscripts/syslog; cd root/install
mkdir -p rhels9/x86_64 custom/netboot/rh kits/site netboot/rhels9/x86_64/other
for file in rhels9/x86_64/a.rpm custom/netboot/rh/site.pkglist kits/site/kit.conf \
  netboot/rhels9/x86_64/other/kernel; do echo theirs >$file; done
