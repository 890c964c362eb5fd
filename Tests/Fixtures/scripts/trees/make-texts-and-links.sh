#!/bin/bash
# Adds texts of every form for grep, diff and cat, and links, to a tree.
# Arguments: TREE
set -eu
cd "$1"; mkdir -p text usr/bin
printf 'alpha\nbeta\ngamma' >text/unended; printf 'one\n\nthree\n' >text/blank; : >text/empty
printf 'caf\351 latin\nALPHA\n' >text/latin; printf 'bin\0ary alpha\nalpha\n' >text/binary
seq 1 200000 >text/numbers; printf 'a.b*c\n[x]\n^start\nend$\n' >text/special
head -c 300000 /dev/zero | tr '\0' x >text/long; echo alpha >>text/long
ln -s usr/bin bin; ln -s ../../text/unended usr/bin/up; ln -s /text/blank usr/bin/absolute
ln -s circle circle; ln -s ../../../../../../etc escape
