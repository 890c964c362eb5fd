#!/bin/bash
# Makes a management node with the program under the names imgexport and imgimport, and an scp that
# copies to and from the folder "remote".
# Arguments: FOLDER PROGRAM NODE-ARCHIVE [empty]. With "empty", the node has no tables.
set -eu
cd "$1"; mkdir -p bin here remote root/etc root/install root/tmpdir
ln -s "$2" bin/imgexport; ln -s "$2" bin/imgimport
if [ -z "${4-}" ]; then
  tar xzf "$3"; mv etc-xcat root/etc/xcat; rm -rf root/install; mv install root/install
else
  mkdir root/etc/xcat
fi
install -m 755 "${BASH_SOURCE%/*}/../fakes/scp" bin
