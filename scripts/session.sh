#!/usr/bin/env bash
# The session that the README shows, on a small tree that is made here: session.sh BINARY
# Prints the commands and what they print; scripts/session-svg.py draws it.
set -euo pipefail
imgstore=$(realpath "$1")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/imgstore-session.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
export IMGSTORE_STORE=$work/store IMGSTORE_ROOT=$work/root IMGSTORE_CONFIG_DIR=$work/config TZ=UTC COLUMNS=80 NO_COLOR=1
tree=$work/root/srv/images/compute
packages() {
  mkdir -p "$tree/var/lib/dpkg"
  printf 'Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\nPackage: slurmd\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\n' \
    "$1" "$2" >"$tree/var/lib/dpkg/status"
}
mkdir -p "$tree/etc/slurm" "$tree/usr/bin" "$tree/usr/sbin"
head -c 3000000 /dev/urandom >"$tree/usr/bin/openssl"
head -c 2000000 /dev/urandom >"$tree/usr/sbin/slurmd"
printf 'ClusterName=alpha\nSlurmctldHost=mn1\n' >"$tree/etc/slurm/slurm.conf"
mkdir -p "$tree/var/lib/dpkg/info"
printf '/usr/bin/openssl\n' >"$tree/var/lib/dpkg/info/openssl.list"
printf '/usr/sbin/slurmd\n/etc/slurm/slurm.conf\n' >"$tree/var/lib/dpkg/info/slurmd.list"
packages 3.0.17-1 22.05.8-4
type() {
  printf '$ imgstore %s\n' "$1"
  local words
  eval "words=($1)"
  "$imgstore" "${words[@]}" 2>&1 </dev/null | sed -E "s#$work/root##g; s#$work/##g" | awk 'NF' || true
}
"$imgstore" init -q
type 'snapshot /srv/images/compute --tag golden'
printf '# apt upgrade, in a chroot …\n'
head -c 3100000 /dev/urandom >"$tree/usr/bin/openssl"
head -c 2100000 /dev/urandom >"$tree/usr/sbin/slurmd"
printf 'ClusterName=alpha\nSlurmctldHost=localhost\n' >"$tree/etc/slurm/slurm.conf"
packages 3.0.19-1 23.11.4-1
type 'diff --packages'
type 'diff compute -p -- etc/slurm'
type 'revert compute@golden:etc/slurm'
type 'revert compute@golden'
type 'log compute'
