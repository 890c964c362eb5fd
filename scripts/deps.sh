#!/usr/bin/env bash
# Installs the Debian packages that are missing: C libraries to build with, and the tools that tests
# compare against. Says what it does; does nothing, and needs no root, when nothing is missing.
#   deps.sh           what build and tests need
#   deps.sh --bench   also the peers that the benchmarks run
set -euo pipefail

packages=(zlib1g-dev libdeflate-dev libzstd-dev liblzma-dev libbz2-dev libssl-dev libsqlite3-dev libexpat1-dev libcrypt-dev libre2-dev libpcre2-dev)
packages+=(pkg-config openssl cpio libarchive-tools busybox pax xz-utils zstd pigz)
packages+=(rsync attr acl libcap2-bin sqlite3 python3 python3-jsonschema perl debootstrap git)
packages+=(squashfs-tools rpm db5.3-util patch strace xfsprogs btrfs-progs zsh fish mandoc)
[ "${1:-}" = --bench ] && packages+=(restic borgbackup)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0

echo "installing from Debian's archive: ${missing[*]}"
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
"${sudo[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
