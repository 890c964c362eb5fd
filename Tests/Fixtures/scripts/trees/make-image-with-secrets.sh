#!/bin/bash
# Adds a kernel, a package list, and RAM disks with a secret in them to a node of make-node-to-pack.sh.
# Runs in the staging root.
set -eu
mkdir -p install/custom; echo bash > install/custom/p.pkglist; echo kernel > img/kernel
mkdir early main; echo microcode > early/ucode; (cd early; echo ucode | cpio -o -H newc --quiet) > img/initrd-stateless.gz
mkdir main/etc; printf 'root:$6$s$ramdiskmarkerAB12cdEF34ghIJ56klMN78:1::::::\n' > main/etc/shadow
echo init > main/init; (cd main; find . | sort | cpio -o -H newc --quiet) | gzip -n >> img/initrd-stateless.gz
cp img/initrd-stateless.gz img/initrd-statelite.gz; rm -r early main
