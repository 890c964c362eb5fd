#!/usr/bin/env python3
"""Stands in for xCAT's genimage and packimage: its name decides. Like them, it is a client of a daemon, which does the
work with xCAT's lock on the tree (docs/xcat-contract.md#locks) and an environment of its own.

    genimage [-n DRIVERS] [-k VERSION] IMAGE      packimage [-m METHOD] [-c METHOD] IMAGE

STANDIN_ROOT is the root of the management node, and STANDIN_DIRECTORY the image's directory there. STANDIN_HOOK names
imgstore: the package manager that genimage starts then calls it as dnf's hook does. STANDIN_FAILS lets the work fail
in its middle.
"""

import fcntl
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import uuid


def lock(root, tree):
    directory = f"{root}/var/lock/xcat"
    os.makedirs(directory, exist_ok=True)
    digest = hashlib.md5(tree.encode()).hexdigest()
    path = f"{directory}/{tree.replace('/', '.')}.{digest}"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = os.pread(file, 32, 0).decode()
        raise SystemExit(f"Error: failed to acquire lock, seems there is another genimage/packimage/rmimage process "
                         f"{other} running on root image dir \"{tree}\"") from None
    os.pwrite(file, str(os.getpid()).encode(), 0)
    return path, file


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def hook(phase, tree):
    program = os.environ.get("STANDIN_HOOK")
    if program:
        subprocess.run([program, "hook", "dnf", phase, "--policy", "refuse", "--root-tree", tree, "--", "dnf", "install"],
                       check=True, stdout=subprocess.DEVNULL, stderr=sys.stdout)


def genimage(directory, tree, below):
    hook("before", tree)
    write(f"{below}/etc/fstab", "proc /proc proc rw 0 0\n")
    write(f"{below}/usr/bin/tool", f"tool {uuid.uuid4()}\n", 0o755)
    hook("after", tree)
    if os.environ.get("STANDIN_FAILS"):
        raise SystemExit("Error: genimage failed while running: dracut")
    write(f"{directory}/kernel", f"kernel {uuid.uuid4()}\n")
    write(f"{directory}/initrd-stateless.gz", f"ramdisk {uuid.uuid4()}\n", 0o600)
    print("the initial ramdisk for stateless is generated successfully.")


def packimage(directory, tree, below):
    print(f"Packing contents of {tree}")
    print("archive method:cpio\ncompress method:gzip")
    shutil.rmtree(f"{below}/xcatpost", ignore_errors=True)
    write(f"{below}/xcatpost/syslog", "#!/bin/sh\n", 0o755)
    write(f"{below}/opt/xcat/xcatinfo", f"IMAGENAME='img'\nIMAGEUUID='{uuid.uuid4()}'\n")
    write(f"{below}/etc/shadow", "root:*:13880:0:99999:7:::\n", 0o600)
    for name in os.listdir(directory):
        if name.startswith("rootimg."):
            os.remove(f"{directory}/{name}")
    if os.environ.get("STANDIN_FAILS"):
        raise SystemExit("Error: packimage failed while running: find . | cpio")
    names = subprocess.run(["find", ".", "-xdev", "-print0"], cwd=below, check=True, capture_output=True).stdout
    archive = subprocess.run(["cpio", "-0", "-o", "-H", "newc", "--quiet"], cwd=below, input=names, check=True,
                             capture_output=True).stdout
    with open(f"{directory}/rootimg.cpio.gz", "wb") as file:
        file.write(gzip.compress(archive, 6, mtime=0))


def serve(command):
    """The daemon's part. Its result is the exit status."""
    root, directory = os.environ["STANDIN_ROOT"], os.environ["STANDIN_DIRECTORY"]
    tree = f"{directory}/rootimg"
    path, file = lock(root, tree)
    try:
        {"genimage": genimage, "packimage": packimage}[command](root + directory, tree, root + tree)
    finally:
        os.remove(path)
        os.close(file)


def main():
    command = os.path.basename(sys.argv[0])
    output, answer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.dup2(answer, 1)
        # The daemon was not started by the user's shell.
        os.environ.pop("IMGSTORE_IMAGE", None)
        status = 0
        try:
            serve(command)
        except SystemExit as error:
            print(error)
            status = 1
        sys.stdout.flush()
        os._exit(status)
    os.close(answer)
    with os.fdopen(output) as lines:
        for line in lines:
            print(line, end="", file=sys.stderr if line.startswith("Error") else sys.stdout)
    _, status = os.wait()
    sys.exit(os.waitstatus_to_exitcode(status))


main()
