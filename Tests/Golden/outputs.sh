#!/usr/bin/env bash
# The SHA-256 of all that a program makes of a store, a line each: outputs.sh BINARY STORE FOLDER
# Snapshots carry the times that outputs have, so that the same store gives the same bytes. Compressed outputs also
# depend on the libraries that compress: their names are first.
set -euo pipefail
imgstore=$(realpath "$1") out=$3
export IMGSTORE_STORE=$2 IMGSTORE_ROOT=$out/root IMGSTORE_CONFIG_DIR=$out/config TZ=UTC
mkdir -p "$out/root"
dpkg-query -W -f '# ${Package} ${Version}\n' zlib1g libdeflate0 libzstd1 liblzma5 2>/dev/null | sed 's/:[a-z0-9]* / /'
sum() { printf '%s  %s\n' "$(sha256sum | cut -d' ' -f1)" "$1"; }
for ref in compute@1 compute@3; do
  for form in cpio tar squashfs; do
    for codec in gzip zstd xz; do
      "$imgstore" pack "$ref" -m "$form" -c "$codec" -q -o "$out/packed"
      [ "$form" = squashfs ] || case $codec in
        gzip) gzip -dc "$out/packed" ;; zstd) zstd -qdc "$out/packed" ;; xz) xz -dc "$out/packed" ;;
      esac | sum "$ref $form, unpacked from $codec"
      sum "$ref $form compressed by $codec" <"$out/packed"
      rm "$out/packed"
    done
  done
  "$imgstore" show "$ref" --json | sum "$ref show"
  "$imgstore" ls -R "$ref" --json | sum "$ref ls"
done
for ref in compute@3 chroot@1; do
  "$imgstore" export "$ref" --to "$out/bundle" -q 2>/dev/null
  gzip -dc "$out/bundle" | sum "$ref bundle, unpacked"
  sum "$ref bundle compressed" <"$out/bundle"
  rm "$out/bundle"
done
"$imgstore" diff compute@1 compute@3 --json | sum "diff"
"$imgstore" log compute --json | sum "log"
# With one thread, the objects of a pack have one order.
"$(dirname "$0")/make-node.sh" "$out/node"
export IMGSTORE_STORE=$out/node/store IMGSTORE_ROOT=$out/node/root
"$imgstore" define compute provmethod=netboot rootimgdir=/install/netboot/os1/x86_64/compute -q
taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')" "$imgstore" snapshot compute -q
sum "pack compressed by zstd" < <(cat "$out"/node/store/packs/*)
