#!/bin/bash
# Adds entries of every kind to a node of make-node-to-pack.sh, as far as the unpacking tools can agree
# on them: whole seconds, and attributes that squashfs supports. Runs in the staging root.
set -eu
cd img/rootimg; mkdir -p usr/lib/deep/er var/empty srv
head -c 1000000 /dev/urandom > usr/lib/noise; head -c 5000000 /dev/zero > usr/lib/zeros
seq 1 200000 > usr/lib/text; cp usr/lib/text usr/lib/deep/same-text
ln usr/lib/text usr/lib/deep/er/hard; ln usr/lib/noise srv/noise; ln -s ../lib/text usr/bin/link
ln -s /nowhere usr/bin/dangling; mkfifo var/fifo; : > var/nothing; chmod 1777 tmp
echo '#!' > usr/bin/suid; chmod 4755 usr/bin/suid; chmod 700 srv
for i in $(seq 1 400); do echo $i > usr/lib/deep/$i; done
printf x > "usr/lib/naïve"; printf y > 'usr/lib/bl ank'; head -c 200 /dev/zero | tr '\0' n > usr/lib/n
if [ "$(id -u)" = 0 ]; then
  mknod var/null c 1 3; mknod var/loop b 7 200; chown 4242:31337 usr/lib/n
  setcap cap_net_raw+ep usr/bin/numbers; setfattr -n user.note -v hello usr/lib/n
  setfattr -n trusted.t -v v usr/lib/deep
fi
find . -exec touch -h -d '2024-05-06 07:08:09' {} +
