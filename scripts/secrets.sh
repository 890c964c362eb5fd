#!/usr/bin/env bash
# What `imgstore secrets` finds in root trees: secrets.sh BINARY [TREE...]
# Without a tree, in a minimal Debian tree, which scripts/small-tree.sh makes. docs/secrets.md has the list of ours.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(realpath "$1"); shift
if [ $# = 0 ]; then
  mkdir -p .build
  scripts/small-tree.sh .build/small-tree
  set -- .build/small-tree
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export IMGSTORE_STORE=$work/store IMGSTORE_XCAT_DIR=$work/xcat
mkdir "$work/xcat"
number=0
for tree in "$@"; do
  tree=$(realpath "$tree")
  number=$((number + 1))
  echo "== $tree: $(find "$tree" -xdev | wc -l) entries"
  # An image of a root tree and nothing else.
  "$binary" define -q "tree$number" provmethod=netboot "rootimgdir=$work/$number" >/dev/null
  mkdir "$work/$number"
  ln -s "$tree" "$work/$number/rootimg"
  "$binary" secrets -q "tree$number"
done
