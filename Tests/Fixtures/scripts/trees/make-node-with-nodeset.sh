#!/bin/bash
# Makes a management node with xCAT's tables, three nodes that boot the image, and a nodeset that records
# its calls.
# Arguments: FOLDER IMAGE
set -eu
cd "$1"; mkdir -p xcat root/sbin img/rootimg "tftp/xcat/osimage/$2" install
sql() { sqlite3 "xcat/$1.sqlite" "$2"; }
sql site "CREATE TABLE site (key TEXT, value TEXT, comments TEXT, disable TEXT);
  INSERT INTO site VALUES ('tftpdir', '$1/tftp', NULL, NULL), ('installdir', '$1/install', NULL, NULL)"
sql nodelist "CREATE TABLE nodelist (node TEXT, groups TEXT, disable TEXT);
  INSERT INTO nodelist VALUES ('n1', 'all', NULL), ('n2', 'all', NULL), ('n3', 'all', NULL), ('x', 'all', NULL)"
sql nodetype "CREATE TABLE nodetype (node TEXT, provmethod TEXT, disable TEXT);
  INSERT INTO nodetype VALUES ('n1', '$2', NULL), ('n2', '$2', NULL), ('n3', '$2', NULL)"
install -m 755 "${BASH_SOURCE%/*}/../fakes/nodeset" root/sbin
echo 1 >img/rootimg/f; echo k1 >img/kernel; echo r1 >img/initrd-stateless.gz
