#!/usr/bin/env bash
# A minimal Debian root tree, about 150 MB and 7,000 entries, to test on: small-tree.sh FOLDER
# Made once, by debootstrap where that can run, else of this machine's own files (and says so).
set -euo pipefail
to=$1
[ -d "$to" ] && exit 0
mkdir -p "$(dirname "$to")"
exec 9>"$to.lock"; flock 9   # tests run in parallel
[ -d "$to" ] && exit 0
work=$to.making; rm -rf --one-file-system "$work"; mkdir -p "$work"
by_debootstrap() {
  [ "$(id -u)" = 0 ] || return 1
  command -v debootstrap >/dev/null || return 1
  # The archive's address is this machine's own, from either form of apt's source lists.
  local uri suite
  uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' | grep -v security | head -1)
  suite=$(. /etc/os-release; echo "${VERSION_CODENAME:-stable}")
  [ -n "$uri" ] || return 1
  timeout 300 debootstrap --variant=minbase --include=libcap2-bin,attr "$suite" "$work" "$uri" >"$to.log" 2>&1
}
if ! by_debootstrap; then
  echo "small tree: no debootstrap here; made of this machine's own files" >&2
  rm -rf --one-file-system "$work"; mkdir -p "$work"
  "$(dirname "$0")/sample-tree.sh" "$work" 150 >&2
fi
mv "$work" "$to"
