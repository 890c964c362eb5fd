#!/usr/bin/env bash
# A management node whose bytes and times are the same whenever it is made: make-node.sh FOLDER
# FOLDER/root has an image of a root tree, kernel, ramdisk and package list, and a directory that is an image.
set -euo pipefail
umask 022
folder=$1 image=$1/root/install/netboot/os1/x86_64/compute
mkdir -p "$image/rootimg" "$folder/root/install/custom" "$folder/root/srv/chroot"
python3 - "$image" "$folder/root/srv/chroot" <<'PYTHON'
import os
import random
import sys

image, chroot = sys.argv[1:]
numbers = random.Random(7)


def write(path, content, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)


tree = image + "/rootimg/"
write(tree + "etc/hosts", b"127.0.0.1 localhost\n")
write(tree + "etc/ssh/key", b"k" * 100, 0o600)
write(tree + "usr/bin/tool", numbers.randbytes(60000), 0o4755)
write(tree + "usr/lib/modules/5.1/m.ko", b"text and text " * 20000)
write(tree + "usr/lib/empty", b"")
write(tree + "var/log/messages", b"line\n" * 5000)
os.makedirs(tree + "tmp")
os.chmod(tree + "tmp", 0o1777)
os.link(tree + "usr/bin/tool", tree + "usr/bin/tool2")
os.symlink("../bin/tool", tree + "usr/lib/t")
os.mkfifo(tree + "tmp/fifo")
with open(tree + "var/sparse", "wb") as file:
    file.seek(1 << 20)
    file.write(b"end")
write(image + "/kernel", numbers.randbytes(30000))
write(image + "/initrd-stateless.gz", numbers.randbytes(20000))
write(chroot + "/etc/hosts", b"127.0.0.1 localhost\n")
write(chroot + "/var/cache/a", b"left out\n")
write(chroot + "/.imgstoreignore", b"var/cache/*\n")
PYTHON
echo bash >"$folder/root/install/custom/compute.pkglist"
find "$folder/root" -depth -exec touch -h -d @1700000000.123456789 {} +
