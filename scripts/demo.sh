#!/usr/bin/env bash
# The main job on a real tree, step by step, with times and sizes: demo.sh BINARY
# Everything happens in one temporary folder, which goes away at the end. No network, no root needed.
set -euo pipefail
imgstore=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/imgstore-demo.XXXXXX")
cleanup() { chmod -R u+rwX "$work" 2>/dev/null || true; rm -rf --one-file-system "$work"; }
trap cleanup EXIT
export IMGSTORE_STORE=$work/store IMGSTORE_ROOT=$work/mn
bold=$(tput bold 2>/dev/null || true) plain=$(tput sgr0 2>/dev/null || true)

say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
# do_ COMMAND...: prints the command as a person would type it, runs it, and says how long it took
do_() {
  printf '$ imgstore %s\n' "$*"
  local start end
  start=$(date +%s%N); "$imgstore" "$@" | awk -v n="${lines:-14}" 'NR <= n { print "  " $0 }'; end=$(date +%s%N)
  printf '  (%d.%02d s)\n' $(((end - start) / 1000000000)) $(((end - start) / 10000000 % 100))
}
image=/install/netboot/demo12/x86_64/compute
live=$IMGSTORE_ROOT$image

say "A management node in $work, with a root tree made of this machine's own files"
mkdir -p "$live" "$IMGSTORE_ROOT/install/custom"
"$here/sample-tree.sh" "$live/rootimg" 400
echo "bash" >"$IMGSTORE_ROOT/install/custom/compute.pkglist"
# Any large file will do for a kernel.
cp "$(find "$live/rootimg" -type f -readable -printf '%s\t%p\n' | sort -rn | awk -F'\t' 'NR == 1 { print $2 }')" "$live/kernel"
gzip -c "$live/kernel" >"$live/initrd-stateless.gz"
tar cf - -C "$live/rootimg" etc 2>/dev/null | gzip >"$live/rootimg.tar.gz"

say "1. Define the image (with xCAT on the machine, its own tables say this)"
do_ define compute provmethod=netboot osvers=demo12 osarch=x86_64 profile=compute \
  "rootimgdir=$image" pkglist=/install/custom/compute.pkglist

say "2. The first snapshot reads everything …"
do_ snapshot compute -m "as installed" --tag golden
printf '  the store has %s\n' "$(du -sh "$work/store" | cut -f1)"

say "3. … and the next one only looks"
do_ snapshot compute

say "4. An update goes wrong"
find "$live/rootimg/usr" -type f | LC_ALL=C sort | awk 'NR <= 30' | tr '\n' '\0' | xargs -0 rm -f
mkdir -p "$live/rootimg/opt/broken"; cp -r "$live/rootimg/etc" "$live/rootimg/opt/broken/"
rm -f "$live/rootimg/etc/resolv.conf" "$live/kernel"
echo "nameserver 192.0.2.1" >"$live/rootimg/etc/resolv.conf"; echo "not a kernel" >"$live/kernel"
"$imgstore" define compute netdrivers=e1000 >/dev/null

say "5. What has changed?"
lines=6 do_ diff compute@golden
"$imgstore" diff compute@golden | tail -1 | sed 's/^/  /'

say "6. Go back: what was live is kept first, only what differs is written, and the result is proved"
do_ revert compute@golden
do_ log compute

say "7. Hand it to another site, as the bundle that stock xCAT reads"
(cd "$work" && do_ export compute "$work/compute.tgz")
tar tzf "$work/compute.tgz" | sed 's/^/  /'

say "8. Take the bundle in under another profile"
do_ import "$work/compute.tgz" -f compute2
do_ images

say "9. Is everything there, and is it what it was?"
do_ verify --deep
printf '  the store has %s\n' "$(du -sh "$work/store" | cut -f1)"

say "Done. Everything was in $work, and is gone now."
