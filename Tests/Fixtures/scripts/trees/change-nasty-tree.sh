#!/bin/bash
# Changes the tree of make-nasty-tree.py: contents, kinds, modes, links, holes and attributes.
# Arguments: TREE
set -eu
cd "$1"; echo more >>size-65536; rm naïve; rm -rf wide; mkdir naïve; echo y >naïve/y
chmod 644 setuid mode-0000; rm web/g0-0; cp web/g1-2 copy; mv -f copy web/g1-2
ln -f size-1 web2/g2-1; rm symlink; echo file >symlink; rm -rf empty; echo file >empty
rm all-hole; printf x >all-hole; setfattr -x user.simple xattr; setfattr -n user.new -v n random
truncate -s 60000000 sparse; rm fifo; touch -d 2000-01-01 random; rm -rf d000; mkdir extra; echo z >extra/z
setfattr -n user.dir -v other xattr-dir; ln -sfn elsewhere dangling
