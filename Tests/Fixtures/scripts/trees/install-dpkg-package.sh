#!/bin/bash
# Builds a package and lets dpkg install it into a root tree.
# Arguments: ROOT-TREE NAME VERSION TEXT. TEXT is the content of the package's configuration file.
set -eu
b=$(mktemp -d); trap 'rm -rf "$b"' EXIT; mkdir -p $b/p/DEBIAN $b/p/etc $b/p/usr/share/$2
printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: x <x@x>\nDescription: d\n' "$2" "$3" >$b/p/DEBIAN/control
printf '/etc/%s.conf\n' "$2" >$b/p/DEBIAN/conffiles
printf '%s\n' "$4" >$b/p/etc/$2.conf; printf '%s\n' "$3" >$b/p/usr/share/$2/data; echo same >$b/p/usr/share/$2/same
dpkg-deb --root-owner-group -b $b/p $b/p.deb >/dev/null
dpkg --root="$1" --force-script-chrootless,confold,not-root --log=/dev/null -i $b/p.deb >/dev/null 2>&1
