#!/bin/bash
# Adds a synclist with every form of line, and its files, to a node of make-node-to-pack.sh.
# Runs in the staging root.
set -eu
mkdir -p sync/dir/sub sync/more; cd sync
echo hosts > hosts; chmod 600 hosts; echo a > dir/a; echo b > dir/sub/b; ln -s ../hosts dir/link
echo one > more/one.conf; echo two > more/two.conf; echo dot > more/.hidden.conf; echo x > more/x
touch -d 2020-01-02 hosts; cd ..
cd img/rootimg; mkdir -p etc/conf.d run; ln -s /run etc/linked; ln -s ../../../../.. etc/out; cd ../..
cat > list <<'END'
# a comment
/sync/hosts -> /etc/hosts
/sync/hosts -> /etc/
/sync/hosts -> /etc/new/name
/sync/more/*.conf -> /etc/conf.d
/sync/dir -> /srv
/sync/dir/ -> /etc/flat/
/sync/hosts /sync/more/x -> /etc/both
/sync/$WHICH -> /etc/by-variable
/sync/hosts -> /etc/linked/inside
/sync/hosts -> /etc/out/escaped
/sync/nobody -> /etc/nobody
/sync/hosts -> (compute) /etc/for-nodes
no arrow here
EXECUTE:
/sync/hosts -> /etc/too-late
END
