#!/bin/bash
# Runs gc and forget while other processes take snapshots, export, restore and import. IMGSTORE_STORE
# and IMGSTORE_ROOT name the node.
# Arguments: PROGRAM TREE OUTPUT-FOLDER BUNDLE. The collectors end with the other commands.
set -eu
program=$1; tree=$2; out=$3; bundle=$4
mkdir -p "$IMGSTORE_ROOT/install"
# Each group is a loop of one process after the other.
(for i in $(seq 12); do
  seq $((i % 4 * 1000)) 30000 >"$tree/w"
  "$program" snapshot img -q >/dev/null
done) & snapshots=$!
(for i in $(seq 8); do
  "$program" restore img "$out/r$i" -q >/dev/null
  "$program" export img "$out/e$i.tgz" -q >/dev/null 2>"$out/e$i.err" || cat "$out/e$i.err" >&2
done) & exports=$!
(for i in $(seq 5); do "$program" import "$bundle" --force -q >/dev/null; done) & imports=$!
(while [ -e "$out/go" ]; do
  "$program" forget --all --keep-last 2 -q >/dev/null
  "$program" gc -q >/dev/null
done) & collectors=$!
wait $snapshots; wait $exports; wait $imports; rm "$out/go"; wait $collectors
