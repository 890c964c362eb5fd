"""The machines that the documents' commands meet, and how commands are run on them.

A machine is a folder with an /etc, /var, /srv … of its own, entered by chroot in a mount namespace (enter.sh): absolute
paths in documents are meant as they stand. Kinds of machines are the functions named `make_KIND` below.
"""
import os
import pathlib
import shlex
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent / "Fixtures"
LONG = "rhels9.4-x86_64-netboot-compute"
FOLDER = "install/netboot/rhels9.4/x86_64/compute"
LISTS = "install/custom/netboot/rh"


def namespace():
    """What gives a command a mount namespace; who is not root gets a user namespace as well."""
    return ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])


def is_possible():
    result = subprocess.run(namespace() + ["mount", "--make-rprivate", "/"], capture_output=True)
    return result.returncode == 0


class Machine:
    def __init__(self, folder, binary):
        self.path = folder
        self.binary = binary
        self.libraries = self._libraries()
        self.steps = 0

    def _libraries(self):
        """Folders outside of /usr that the program's libraries lie in: those of the Swift toolchain."""
        said = subprocess.run(["ldd", self.binary], capture_output=True, text=True).stdout
        paths = [line.split("=>")[1].split()[0] for line in said.splitlines() if "=> /" in line]
        return sorted({os.path.dirname(path) for path in paths if not path.startswith(("/usr/", "/lib"))})

    def build(self, kind):
        for folder in ["etc", "var/lib", "var/tmp", "tmp", "root", "home", "srv", "mnt", "backup", "run", "opt/bin",
                       "steps", "sys"]:
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        for name in ["passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "hosts"]:
            if os.path.exists("/etc/" + name):
                shutil.copy("/etc/" + name, self.path / "etc" / name)
        shutil.copytree("/etc/alternatives", self.path / "etc/alternatives", symlinks=True)
        (self.path / "opt/bin/imgstore").touch()  # enter.sh puts the program there
        for name in ["ssh", "scp"]:
            shutil.copy(HERE / name, self.path / "opt/bin" / name)
        globals()["make_" + kind](self)

    def write(self, path, text, mode=0o644):
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)

    def run(self, commands):
        """Runs commands in one shell; returns exit code, output and errors of each."""
        first = self.steps
        script = ["set -o pipefail; cd /root"]
        for command in commands:
            name = f"/steps/{self.steps}"
            self.write(name[1:], command + "\n")
            script.append(f"{{ . {name}; }} >{name}.out 2>{name}.err </dev/null; echo $? >{name}.status")
            self.steps += 1
        self.write("steps/script", "\n".join(script) + "\n")
        environment = {
            "PATH": "/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TZ": "UTC", "LC_ALL": "C.UTF-8",
            "COLUMNS": "80", "TERM": "dumb", "PAGER": "cat",
        }
        ended = subprocess.run(
            namespace() + [HERE / "enter.sh", self.path, "/steps/script", self.binary, *self.libraries],
            env=environment, capture_output=True, text=True, timeout=300)
        if not (self.path / f"steps/{self.steps - 1}.status").exists():
            raise SystemExit(f"documents: a machine did not run: {ended.stdout}{ended.stderr}")

        def text(number, ending):
            return (self.path / f"steps/{number}.{ending}").read_text(errors="replace")

        return [(int(text(n, "status")), text(n, "out"), text(n, "err")) for n in range(first, self.steps)]

    def must(self, *commands):
        for command, (status, output, errors) in zip(commands, self.run(commands)):
            if status:
                raise SystemExit(f"documents: {command}: {output}{errors}")


def make_tree(machine, top, database=True):
    """A small root tree of the kinds of files that documents speak of."""
    machine.write(top + "/etc/hosts", "127.0.0.1 localhost\n")
    machine.write(top + "/etc/fstab", "proc /proc proc defaults 0 0\n")
    machine.write(top + "/etc/motd", "compute node\n")
    machine.write(top + "/etc/os-release", "ID=rhel\nVERSION_ID=9.4\n")
    machine.write(top + "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    machine.write(top + "/etc/shadow", "root:*:19000:0:99999:7:::\n", 0o600)
    machine.write(top + "/etc/ssh/sshd_config", "PermitRootLogin yes\nX11Forwarding no\n", 0o600)
    machine.write(top + "/usr/bin/bash", b"\x7fELF" + bytes(range(256)) * 400, 0o755)
    machine.write(top + "/usr/lib/modules/5.14.0/kernel/lustre.ko", os.urandom(1_200_000))
    machine.write(top + "/usr/share/zoneinfo/UTC", "TZif\n")
    machine.write(top + "/var/log/messages", "booted\n")
    machine.write(top + "/var/cache/dnf/packages.db", os.urandom(50_000))
    (machine.path / top / "bin").symlink_to("usr/bin")
    for name in ["dev", "proc", "sys", "tmp", "root", "opt/xcat"]:
        (machine.path / top / name).mkdir(parents=True)
    machine.write(top + "/var/lib/dpkg/status", "".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
        for name, version in [("bash", "5.2-1"), ("openssl", "3.0.17-1")]))


def pack(tree, file):
    """Packs a tree as xCAT does."""
    subprocess.run(["bash", "-c", 'cd "$1"; find . | cpio -o -H newc --quiet | gzip -n1 >"$2"', "pack", tree, file],
                   check=True)


def make_empty(machine):
    """A machine on which nothing is."""


def make_directory(machine):
    """A machine without xCAT, with a root tree in a directory."""
    make_tree(machine, "srv/images/compute")


def make_xcat(machine):
    """A management node with two images, and a host named mn2 next to it."""
    subprocess.run(["tar", "xzpf", FIXTURES / "xcat/mn.tgz", "-C", machine.path, "etc-xcat"], check=True)
    (machine.path / "etc-xcat").rename(machine.path / "etc/xcat")
    for table in ["osimage", "linuximage", "litefile"]:
        subprocess.run(["sqlite3", machine.path / f"etc/xcat/{table}.sqlite", f"delete from {table}"], check=True)
    shutil.copytree(machine.path / "etc/xcat", machine.path / "hosts/mn2/etc/xcat")
    (machine.path / "hosts/mn2/install").mkdir()
    machine.write("install/postscripts/mine", "#!/bin/sh\n", 0o755)
    machine.write("install/postscripts/syslog", "#!/bin/sh\n", 0o755)
    machine.write("opt/xcat/share/xcat/netboot/add-on/statelite/rc.statelite", "#!/bin/sh\n", 0o755)
    for profile in ["compute", "login"]:
        folder = f"install/netboot/rhels9.4/x86_64/{profile}"
        make_tree(machine, folder + "/rootimg")
        machine.write(folder + "/kernel", os.urandom(60_000))
        pack(machine.path / folder / "rootimg/etc", machine.path / folder / "initrd-stateless.gz")
        pack(machine.path / folder / "rootimg", machine.path / folder / "rootimg.cpio.gz")
        machine.write(f"{LISTS}/{profile}.pkglist", "bash\nopenssh-server\n")
        machine.write(f"{LISTS}/{profile}.exlist", "./usr/share/doc*\n./tmp/*\n")
        machine.must(
            f"imgstore define rhels9.4-x86_64-netboot-{profile} provmethod=netboot osvers=rhels9.4 osarch=x86_64 "
            f"osname=Linux imagetype=linux osdistroname=rhels9.4-x86_64 profile={profile} rootimgdir=/{folder} "
            f"pkglist=/{LISTS}/{profile}.pkglist exlist=/{LISTS}/{profile}.exlist "
            f"pkgdir=/install/rhels9.4/x86_64 permission=755")
    make_tree(machine, "install/netboot/rhels9.4/x86_64/lite/rootimg")
    machine.write("install/netboot/rhels9.4/x86_64/lite/kernel", os.urandom(60_000))
    machine.must(
        "imgstore define rhels9.4-x86_64-statelite-lite provmethod=statelite osvers=rhels9.4 osarch=x86_64 osname=Linux "
        "imagetype=linux profile=lite rootimgdir=/install/netboot/rhels9.4/x86_64/lite rootfstype=nfs")
    shutil.rmtree(machine.path / "var/lib/imgstore", ignore_errors=True)


def make_examples(machine):
    """A management node on which everything is that the examples of the help texts name."""
    make_xcat(machine)
    make_tree(machine, "srv/images/compute")
    make_tree(machine, "srv/images/gpu-2026")
    (machine.path / "hosts/mn2/backup").mkdir()
    machine.write("root/notes.txt", "what a site writes\n")
    with open(machine.path / "etc/group", "a") as groups:
        groups.write("hpcadmins:x:54321:\n")
    machine.must(
        "imgstore snapshot compute --tag golden",
        f"cd /{FOLDER}/rootimg; for i in {{2..12}}; do echo $i >>etc/hosts; imgstore snapshot compute; done",
        "cd /root; imgstore snapshot login; imgstore export compute compute@3.tgz",
        "cp compute@3.tgz /hosts/mn2/backup; cp -a /srv/images/compute chroot",
        "for name in mn2 depot backup; do mkdir -p /mnt/$name; imgstore init /mnt/$name/imgstore -q;"
        " imgstore remote add $name /mnt/$name/imgstore; imgstore push $name --all; done",
        "imgstore --store /tmp/other snapshot ./chroot",
        "imgstore --store /tmp/other export chroot chroot@1.tgz",
        "imgstore --store /tmp/other export chroot rocky9.oci.tar --oci; rm -r chroot /tmp/other")


# The commands whose examples need a file system with reflinks. StandbyTests runs them on one.
NEED_REFLINKS = {"standby": lambda line: "--list" in line}

# What comes before the examples of a command, where the machine does not have it.
BEFORE_EXAMPLES = {
    "import": ["sqlite3 /etc/xcat/osimage.sqlite 'delete from osimage'",
               "sqlite3 /etc/xcat/linuximage.sqlite 'delete from linuximage'",
               f"rm -r /{FOLDER} /{LISTS}"],
    "snapshot": ["imgstore untag compute@golden"],
}
