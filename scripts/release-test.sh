#!/usr/bin/env bash
# Packs a small tree in every form with the release, whose libraries are the static ones, and unpacks it
# with the usual tools: release-test.sh BINARY. The tests proper run the other build.
set -euo pipefail
imgstore=$(realpath "$1")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/imgstore-release.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
export IMGSTORE_STORE=$work/store IMGSTORE_ROOT=$work/mn
tree=$work/mn/img/rootimg
mkdir -p "$tree/data"
seq 300000 >"$tree/data/text"
head -c 3000000 /dev/urandom >"$tree/data/noise"
"$imgstore" define v provmethod=netboot rootimgdir=/img osvers=x osarch=x86_64 profile=p >/dev/null
for method in cpio tar squashfs; do
  for codec in gzip xz zstd; do
    "$imgstore" pack v --nosyncfiles -m "$method" -c "$codec" -q >/dev/null
    packed=$(ls -t "$work"/mn/img/rootimg.* | head -1)
    rm -rf "$work/out"
    mkdir "$work/out"
    case $method in
      cpio) "$codec" -dc <"$packed" | (cd "$work/out" && cpio --quiet -idm --no-absolute-filenames) ;;
      tar) "$codec" -dc <"$packed" | tar x -C "$work/out" ;;
      squashfs) unsquashfs -q -n -no-xattrs -f -d "$work/out" "$packed" >/dev/null ;;
    esac
    diff -r "$tree/data" "$work/out/data"
    rm "$packed"
  done
done
echo "the release packs cpio, tar and squashfs with gzip, xz and zstd"
