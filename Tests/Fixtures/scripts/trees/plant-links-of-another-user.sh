#!/bin/bash
# Makes links, as user 65534, where the tests write output: to a file, to folders, and to nothing.
# Arguments: FOLDER, which has the folders "sticky" and "foreign"
set -eu
cd "$1"; echo ORIG >victim; mkdir etcx empty; echo keep >etcx/hosts
setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '
  for place in sticky foreign; do
    ln -s ../victim $place/file; ln -s ../etcx $place/folder; ln -s ../empty $place/empty
    ln -s ../missing $place/missing
  done'
