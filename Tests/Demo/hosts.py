#!/usr/bin/env python3
"""Runs the demo (scripts/demo.sh) on hosts of different shapes: hosts.py BINARY HOST

A host is a folder with an /etc and a /usr of its own, entered by chroot in namespaces of its own, without a network:
the demo takes its sample from the host that it runs on. Ends with 77 where there are no such namespaces.

  small   root; a few tools and little else, all of it below /usr
  large   an ordinary user; 450 MB in /usr/bin alone, files that may not be read, names that trip scripts
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

PACKAGE = pathlib.Path(__file__).resolve().parent.parent.parent
TOOLS = ("awk bash cat chmod cp cut date dirname du env find gzip head ls mkdir mktemp realpath rm sed sh sort tail tar "
         "tput tr wc xargs").split()
NOBODY = 65534


def libraries(program):
    """The libraries of a program, and its loader, by the paths at which they are looked for."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    words = [word for line in said.splitlines() for word in line.split()]
    return [word for word in words if word.startswith("/") and os.path.isfile(word)]


class Host:
    def __init__(self, path, binary, is_merged):
        self.path = path
        for folder in ["etc", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "var/tmp", "tmp", "proc", "dev",
                       "opt/imgstore"]:
            (path / folder).mkdir(parents=True)
        for folder in ["var/tmp", "tmp"]:
            (path / folder).chmod(0o1777)
        for folder in ["bin", "lib", "lib64"]:
            if is_merged:
                (path / folder).symlink_to("usr/" + folder)
            else:
                (path / folder).mkdir()
        (path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        (path / "etc/hosts").write_text("127.0.0.1 localhost\n")
        (path / "etc/resolv.conf").write_text("nameserver 192.0.2.53\n")
        for tool in TOOLS:
            self.install(shutil.which(tool), f"usr/bin/{tool}")
        self.install(binary, "opt/imgstore/imgstore")
        shutil.copytree(PACKAGE / "scripts", path / "opt/imgstore/scripts")
        self.shell = "/bin/sh" if is_merged else "/usr/bin/sh"

    def install(self, program, place):
        shutil.copy(program, self.path / place)
        for library in libraries(program):
            file = self.path / library[1:]
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                shutil.copy(library, file)

    def run_demo(self, user):
        """Returns exit code and output."""
        script = (
            "set -e; mount --make-rprivate /; mount --bind \"$1\" \"$1\"; mount --bind /dev \"$1/dev\"; mount -t proc proc \"$1/proc\" || "
            "mount --rbind /proc \"$1/proc\"; cd /; exec \"${@:2}\"")
        enter = ["chroot", self.path, "/usr/bin/bash", "/opt/imgstore/scripts/demo.sh", "/opt/imgstore/imgstore"]
        if user != 0:
            enter[1:1] = [f"--userspec={user}:{user}"]
        ended = subprocess.run(
            namespaces() + ["bash", "-c", script, "enter", self.path, *enter], text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=600,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LC_ALL": "C", "TERM": "dumb"})
        return ended.returncode, ended.stdout


def namespaces():
    command = ["unshare", "--mount", "--net", "--pid", "--fork"]
    return command + ([] if os.geteuid() == 0 else ["--map-root-user"])


def make_small(path, binary):
    return Host(path, binary, is_merged=True), 0


def make_large(path, binary):
    host = Host(path, binary, is_merged=False)
    for number in range(450):
        (path / f"usr/bin/large-{number:03}").write_bytes(os.urandom(1 << 20))
    for name in ["a name", "new\nline", "back\\slash", "-rf", "tab\there", "quote'\"", "$(touch x)"]:
        (path / "etc" / name).write_text(name)
    (path / "etc/shadow").write_text("root:*:::::::\n")
    (path / "etc/shadow").chmod(0)
    (path / "etc/private").mkdir(mode=0o700)
    (path / "etc/private/key").write_text("key\n")
    os.mkfifo(path / "etc/fifo")
    (path / "etc/dangling").symlink_to("/nowhere")
    (path / "etc/loop").symlink_to("loop")
    return host, NOBODY if os.geteuid() == 0 else 0


def main():
    binary, kind = sys.argv[1:]
    if subprocess.run(namespaces() + ["true"], capture_output=True).returncode != 0:
        raise SystemExit(77)
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="imgstore-host.") as folder:
        path = pathlib.Path(folder)
        path.chmod(0o755)
        (path / "host").mkdir(mode=0o755)
        host, user = {"small": make_small, "large": make_large}[kind](path / "host", binary)
        began = time.monotonic()
        status, output = host.run_demo(user)
        print(output)
        print(f"the demo ended with {status} after {time.monotonic() - began:.1f} s")
        left = [str(p.relative_to(host.path)) for folder in ["tmp", "var/tmp"] for p in (host.path / folder).iterdir()]
        if left:
            print("it left behind:", *left)
    raise SystemExit(status or (1 if left or "Done. Everything was in" not in output else 0))


main()
