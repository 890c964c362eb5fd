#!/usr/bin/env bash
# Builds Examples/ListSnapshots, and runs it on a small store that imgstore makes: example.sh
set -euo pipefail
cd "$(dirname "$0")/.."
swift build -c release --product imgstore
imgstore=$PWD/.build/release/imgstore
package=Examples/ListSnapshots
swift build --package-path "$package" -c debug
work=$(mktemp -d "${TMPDIR:-/var/tmp}/imgstore-example.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT

export IMGSTORE_STORE=$work/store IMGSTORE_ROOT=$work
mkdir -p "$work/tree/etc"
echo one >"$work/tree/etc/motd"
"$imgstore" snapshot -q /tree -m first --tag golden >/dev/null
echo two >"$work/tree/etc/motd"
echo new >"$work/tree/etc/issue"
"$imgstore" snapshot -q tree -m second >/dev/null

expect() {
  [ "$2" = "$1" ] || { printf 'example: expected\n%s\nbut the program printed\n%s\n' "$1" "$2" >&2; exit 1; }
}
program=$package/.build/debug/ListSnapshots
expect $'tree@2  second\ntree@1  first  [golden]' "$("$program" "$work/store")"
expect $'changed /tree/etc\nadded   /tree/etc/issue\nchanged /tree/etc/motd' "$("$program" "$work/store" tree@1 tree@2)"
echo "the example lists and compares snapshots"
