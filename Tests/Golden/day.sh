#!/usr/bin/env bash
# A typical day at the command line, as a person sees it at 80 columns: day.sh BINARY FOLDER
# What changes from run to run or with the libraries (ids, times, sizes, the folder) is replaced by a word.
set -uo pipefail
imgstore=$(realpath "$1") folder=$2
"$(dirname "$0")/make-node.sh" "$folder" || exit 1
export IMGSTORE_STORE=$folder/store IMGSTORE_ROOT=$folder/root IMGSTORE_CONFIG_DIR=$folder/config TZ=UTC COLUMNS=80
image=$folder/root/install/netboot/os1/x86_64/compute
cd "$folder" || exit 1
# With one thread, a store has the same frames each time.
taskset -cp "$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')" $$ >/dev/null
day() {
  printf '$ imgstore %s\n' "$*"
  "$imgstore" "$@" 2>&1 </dev/null
  local status=$?
  [ $status = 0 ] || echo "[exit $status]"
}
{
  day images
  day define compute imagetype=linux osname=Linux provmethod=netboot osvers=os1 osarch=x86_64 profile=compute \
    rootimgdir=/install/netboot/os1/x86_64/compute pkglist=/install/custom/compute.pkglist
  day add /srv/chroot --exclude '*.log'
  day images
  day snapshot compute -m "as installed" --tag golden
  day snapshot --all --if-changed
  echo "192.0.2.1 node1" >>"$image/rootimg/etc/hosts"
  rm -r "$image/rootimg/var/log"
  mkdir -p "$image/rootimg/opt/new" && echo new >"$image/rootimg/opt/new/file"
  echo other >"$image/kernel"
  day status compute
  day diff compute
  day diff compute -p -- etc/hosts
  day diff compute --packages
  day snapshot compute -m "after the update"
  day log compute
  day show compute@1
  day ls compute@1 etc
  day cat compute@1:etc/hosts
  day find compute --name hosts
  day grep localhost compute etc
  day blame compute etc/hosts
  day revert compute@golden:etc/hosts -n
  day revert compute@golden:etc/hosts
  day revert compute@golden -n
  day revert compute@golden
  day undo compute
  day log compute
  day tag compute@2 tested
  day tags
  day pin compute@2 -m "in production"
  day pack compute
  day export compute
  day import compute@6.tgz -f compute2 -n
  day import compute@6.tgz -f compute2
  day undo compute2
  day copy compute@1 login
  day diff compute@1 login
  day restore compute@1:etc ./etc-of-yesterday
  day forget compute --keep-last 2 -n
  day forget compute --keep-last 2
  day remove compute@2
  day gc -n
  day gc
  day du
  day stats
  day verify --deep
  day status nobody
  day revert compute@77
  day snapshot compute --tag golden
  day frobnicate
  day log --nothing
} | sed -E \
  -e "s#$folder#FOLDER#g" -e 's/20[0-9]{2}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2})?/TIME/g' \
  -e 's/\b[0-9a-f]{64}\b/WHOLE-ID/g' -e 's/\b[0-9a-f]{12}\b/ID/g' -e 's/host [^ ,]+, user [^ ,]+/host HOST, user USER/' \
  -e 's/\b[0-9]+(\.[0-9]+)? kB/N kB/g' -e 's/[0-9.]+ times\)/N times)/' -e 's/\b[0-9]+\.[0-9]+ s\b/SECONDS s/g' -e 's/[ \t]+$//'
