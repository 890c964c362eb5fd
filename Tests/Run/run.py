#!/usr/bin/env python3
"""run.py: package operations by `imgstore run`, with failures, Ctrl-C and sudden deaths.

    run.py [--binary FILE] [--operations 30] [--seed N] [--tree DIR] [--part apt|dnf|hooks]... [--keep]

apt    real apt in a Debian root (debootstrap, or a copy of --tree), with a repository of small packages
dnf    real dnf on an empty root (--host -- dnf --installroot), if dnf, rpmbuild and createrepo_c are here
hooks  the hooks of dnf and apt, with the real programs, and the wrapper of genimage with a stand-in

After each operation: nothing is mounted in the tree on this machine, no process has its root there, and proc, sys,
dev, run, tmp and resolv.conf are as they were. The package diff equals dpkg's own log, a rolled-back tree equals the
state before, and every number of the history has its snapshot. In the end, `verify --deep` is clean.

Exit code 1 if something is wrong. 77 if the parts cannot be run here.
"""

import argparse
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ["alpha", "beta", "gamma", "delta", "daemon", "slow", "failing"]
PROBLEMS = []


def check(condition, text):
    if not condition:
        PROBLEMS.append(text)
        print(f"WRONG: {text}", flush=True)


class Site:
    """A store of its own, and the program."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.environment = dict(
            os.environ, IMGSTORE_STORE=f"{folder}/store", IMGSTORE_CONFIG_DIR=f"{folder}/config", IMGSTORE_ROOT="/", HOME=folder
        )

    def run(self, *words, expected=0, **options):
        result = subprocess.run(
            [self.binary, *words], env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options
        )
        if expected is not None:
            check(result.returncode == expected, f"{words}: exit {result.returncode}: {result.stderr[-600:]}")
        return result

    def document(self, *words, expected=0):
        result = self.run(*words, "--json", expected=expected)
        try:
            return json.loads(result.stdout)
        except ValueError:
            check(False, f"{words}: no document: {result.stdout[:200]} {result.stderr[-300:]}")
            return {}


def build_deb(folder, name, version):
    root = f"{folder}/build/{name}-{version}"
    os.makedirs(f"{root}/DEBIAN")
    os.makedirs(f"{root}/usr/share/{name}")
    os.makedirs(f"{root}/etc/{name}")
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: {name}\n"
    for path, text in [
        ("DEBIAN/control", control),
        ("DEBIAN/conffiles", f"/etc/{name}/conf\n"),
        (f"usr/share/{name}/data", f"{name} {version}\n" * 200),
        (f"etc/{name}/conf", f"version {version}\n"),
    ]:
        with open(f"{root}/{path}", "w") as file:
            file.write(text)
    script = {
        "daemon": "setsid sleep 100000 >/dev/null 2>&1 &\nsleep 100001 &\n",
        "slow": "for i in 1 2 3 4 5 6 7 8; do echo $i >/var/lib/slow.$i; sleep 0.1; done\n",
        "failing": "echo half >/etc/half-done; exit 1\n",
    }.get(name, "echo configured >/run/x; echo x >/tmp/y; echo z >/dev/null\n")
    with open(f"{root}/DEBIAN/postinst", "w") as file:
        file.write("#!/bin/sh\nset -e\n" + script)
    os.chmod(f"{root}/DEBIAN/postinst", 0o755)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", root, f"{folder}/repo/{name}_{version}_all.deb"],
        check=True, stdout=subprocess.DEVNULL,
    )


def index(folder, version):
    """Writes the index of the packages up to a version: later ones appear as upgrades."""
    lines = []
    for path in sorted(glob.glob(f"{folder}/repo/*.deb")):
        name, its, _ = os.path.basename(path).split("_")
        if int(its) > version:
            continue
        fields = subprocess.run(["dpkg-deb", "-f", path], check=True, capture_output=True, text=True).stdout
        sums = subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True).stdout.split()[0]
        size = os.path.getsize(path)
        lines.append(f"{fields.strip()}\nFilename: ./{os.path.basename(path)}\nSize: {size}\nSHA256: {sums}\n")
    with open(f"{folder}/repo/Packages", "w") as file:
        file.write("\n".join(lines))


def mounts_below(path):
    with open("/proc/self/mountinfo") as file:
        return [line for line in file if path in line]


def processes_below(path):
    found = []
    for link in glob.glob("/proc/[0-9]*/root"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith(path):
            found.append(link)
    return found


class Tree:
    """What no run may change by itself."""

    VOLATILE = ["proc", "sys", "dev", "run", "tmp"]

    def __init__(self, path):
        self.path = path
        self.listing = self.read()

    def read(self):
        rows = []
        for name in self.VOLATILE:
            for folder, folders, files in os.walk(f"{self.path}/{name}"):
                rows += [os.path.relpath(f"{folder}/{entry}", self.path) for entry in folders + files]
        for name in ["etc/resolv.conf"]:
            with open(f"{self.path}/{name}", "rb") as file:
                rows.append((name, file.read()))
        return sorted(rows, key=str)

    def check(self, what):
        check(self.read() == self.listing, f"{what}: proc, sys, dev, run, tmp or resolv.conf changed")
        check(not mounts_below(self.path), f"{what}: mounts are left")
        check(not processes_below(self.path), f"{what}: processes are left")


def net_changes(lines):
    """The packages that a part of dpkg.log changed: {name: (old, new)}."""
    changes = {}
    for line in lines:
        words = line.split()
        if len(words) < 6 or words[2] not in ("install", "upgrade", "remove", "purge"):
            continue
        name, old, new = words[3].split(":")[0], words[4], words[5]
        if words[2] == "remove":
            new = "<none>"
        if words[2] == "purge":
            continue
        # A package of which only configuration files were left counts as absent.
        if words[2] == "install":
            old = "<none>"
        first = changes.get(name, (old,))[0]
        changes[name] = (first, new)
    return {name: pair for name, pair in changes.items() if pair[0] != pair[1]}


def diff_changes(diff):
    return {
        change["name"]: (change.get("old", "<none>"), change.get("new", "<none>"))
        for packages in (diff or {}).get("packages", [])
        for change in packages["changes"]
    }


def history(site, image):
    return [snapshot["number"] for snapshot in site.document("log", image)["snapshots"]]


def make_tree(arguments, folder):
    tree = f"{folder}/tree"
    if arguments.tree:
        subprocess.run(["cp", "-a", arguments.tree, tree], check=True)
    elif shutil.which("debootstrap") is None:
        return None
    elif subprocess.run(
        ["debootstrap", "--variant=minbase", "stable", tree], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ).returncode:
        return None
    shutil.rmtree(f"{tree}/var/lib/apt/lists", ignore_errors=True)
    for path in glob.glob(f"{tree}/etc/apt/sources.list.d/*"):
        os.remove(path)
    with open(f"{tree}/etc/apt/sources.list", "w") as file:
        file.write("deb [trusted=yes] file:/run/repo ./\n")
    if not os.path.exists(f"{tree}/etc/resolv.conf"):
        open(f"{tree}/etc/resolv.conf", "w").close()
    return tree


class AptRun:
    def __init__(self, site, tree, arguments):
        self.site, self.path, self.tree = site, tree, Tree(tree)
        self.random = random.Random(arguments.seed)
        self.binds = ["--bind", f"{site.folder}/repo:/run/repo:ro", "--env", "DEBIAN_FRONTEND=noninteractive"]
        self.log = f"{tree}/var/log/dpkg.log"

    def log_lines(self):
        return open(self.log).read().splitlines() if os.path.exists(self.log) else []

    def words(self, *command, options=()):
        return ["run", "deb", *self.binds, *options, "--", *command]

    def mend(self):
        """Repairs dpkg's state after an operation that failed or died, as a person would."""
        self.site.run(*self.words("sh", "-c", "dpkg --configure -a --force-confold; dpkg --purge --force-all failing; dpkg --configure -a --force-confold"))

    def operation(self, number):
        version = 2 if number > 8 else 1
        index(self.site.folder, version)
        name = self.random.choice(PACKAGES[:-1])
        kind = self.random.choice(["install", "install", "install", "remove", "purge"])
        command = ["sh", "-c", f"apt-get -qq update && apt-get -qq -y --allow-downgrades {kind} {name}"]
        mode = self.random.choice(["plain", "plain", "plain", "fail", "rollback", "interrupt", "kill", "kill"])
        print(f"{number:2} {mode:9} {kind} {name}", flush=True)
        getattr(self, mode)(command)
        self.tree.check(f"operation {number} ({mode})")

    def plain(self, command):
        before = len(self.log_lines())
        result = self.site.run("run", "deb", "--json", *self.binds, "--", *command)
        document = json.loads(result.stdout)
        expected = net_changes(self.log_lines()[before:])
        found = diff_changes(document.get("diff"))
        check(found == expected, f"the package diff {found} differs from dpkg's log {expected}")
        check(self.site.run("status", "deb", "--exit-code", expected=None).returncode == 0, "live differs after a run")

    def fail(self, command):
        result = self.site.run(*self.words("sh", "-c", "apt-get -qq update && apt-get -qq -y install failing"), expected=100)
        check("exit 100" in result.stderr, "the failure is not reported")
        self.mend()

    def rollback(self, command):
        self.site.run("snapshot", "deb", "--if-changed")
        before = self.site.document("log", "deb")["snapshots"][0]["name"]
        had_file = os.path.exists(f"{self.path}/etc/half-done")
        words = self.words("sh", "-c", "apt-get -qq update && apt-get -qq -y install failing", options=["--rollback-on-failure"])
        self.site.run(*words, expected=100)
        diff = self.site.document("diff", before)
        check(diff.get("identical") is True, "the tree differs from the state before after a rollback")
        check(os.path.exists(f"{self.path}/etc/half-done") == had_file, "the failed package's file is still there")

    def start(self, command):
        return subprocess.Popen(
            [self.site.binary, *self.words(*command)], env=self.site.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )

    def interrupt(self, command):
        """Ctrl-C: the signal goes to the whole process group."""
        process = self.start(command)
        time.sleep(self.random.uniform(0.1, 3))
        os.killpg(process.pid, signal.SIGINT)
        error = process.communicate(timeout=120)[1].decode()
        check(process.returncode in (0, 100, 130, -2) or "interrupted" in error, f"exit {process.returncode}: {error[-300:]}")
        self.tree.check("after Ctrl-C")
        self.mend()

    def kill(self, command):
        process = self.start(command)
        time.sleep(self.random.uniform(0.05, 3))
        target = process.pid
        if self.random.random() < 0.3:
            children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
            target = int(children[0]) if children else target
        os.kill(target, signal.SIGKILL)
        process.communicate(timeout=120)
        deadline = time.time() + 10
        while processes_below(self.path) and time.time() < deadline:
            time.sleep(0.01)
        self.tree.check("after a sudden death")
        self.site.run("status", "deb")
        self.site.run("snapshot", "deb", "-m", "after a sudden death")
        self.mend()


def run_apt(site, arguments):
    tree = make_tree(arguments, site.folder)
    if tree is None:
        return print("apt: no debootstrap, or no archive") or False
    os.makedirs(f"{site.folder}/repo")
    for name in PACKAGES:
        for version in (1, 2):
            build_deb(site.folder, name, version)
    site.run("init")
    site.run("add", "deb", tree)
    runs = AptRun(site, tree, arguments)
    for number in range(1, arguments.operations + 1):
        runs.operation(number)
    numbers = history(site, "deb")
    check(sorted(numbers) == list(range(1, max(numbers) + 1)), f"the history has gaps: {numbers}")
    print(f"apt: {arguments.operations} operations, {len(numbers)} snapshots")
    return True


RPM_SPEC = """Name: {name}
Version: {version}
Release: 1
Summary: {name}
License: none
BuildArch: noarch
%description
{name}
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo {name} {version} >%{{buildroot}}/usr/share/{name}/data
%files
/usr/share/{name}
"""


def make_rpms(folder):
    os.makedirs(f"{folder}/rpms")
    # Debian's rpm has its database in the home directory, so that nobody installs rpms on Debian itself.
    with open(f"{folder}/.rpmmacros", "w") as file:
        file.write("%_dbpath /var/lib/rpm\n")
    for name in ("one", "two"):
        for version in (1, 2):
            with open(f"{folder}/{name}.spec", "w") as file:
                file.write(RPM_SPEC.format(name=name, version=version))
            subprocess.run(
                ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}/rpmbuild", "--define",
                 f"_rpmdir {folder}/rpms", f"{folder}/{name}.spec"], check=True, capture_output=True)
    subprocess.run(["createrepo_c", "-q", f"{folder}/rpms"], check=True, capture_output=True)


def dnf_words(folder, tree, *words, plugins=None):
    return ["dnf", "-y", "-q", f"--installroot={tree}", f"--repofrompath=local,file://{folder}/rpms", "--repo=local",
            "--nogpgcheck", "--releasever=1", "--setopt=cachedir=" + folder + "/dnf-cache",
            f"--setopt=pluginpath={plugins or folder + '/none'}", f"--setopt=plugins={1 if plugins else 0}", *words]


def has_dnf():
    return all(shutil.which(name) for name in ("dnf", "rpmbuild", "createrepo_c"))


def run_dnf(site):
    if not has_dnf():
        return print("dnf: no dnf, rpmbuild or createrepo_c") or False
    tree = f"{site.folder}/rpmtree"
    os.makedirs(f"{tree}/etc")
    open(f"{tree}/etc/motd", "w").close()
    make_rpms(site.folder)
    site.run("init", expected=None)
    site.run("add", "rpm", tree)
    for words, expected in [
        (("install", "one-1-1"), {"one": ("<none>", "1-1")}),
        (("install", "two-1-1"), {"two": ("<none>", "1-1")}),
        (("upgrade", "one"), {"one": ("1-1", "2-1")}),
        (("remove", "two"), {"two": ("1-1", "<none>")}),
        (("downgrade", "one-1-1"), {"one": ("2-1", "1-1")}),
    ]:
        result = site.run("run", "rpm", "--host", "--json", "--", *dnf_words(site.folder, tree, *words))
        found = diff_changes(json.loads(result.stdout).get("diff")) if result.stdout else None
        check(found == expected, f"dnf {words}: the package diff is {found}: {result.stderr[-300:]}")
        own = subprocess.run(["rpm", "--root", tree, "-qa", "--qf", "%{name} %{version}-%{release}\n"],
                             capture_output=True, text=True, env=site.environment).stdout.split("\n")
        for name, (_, new) in expected.items():
            check((f"{name} {new}" in own) == (new != "<none>"), f"rpm says {own} after {words}")
    failed = site.run("run", "rpm", "--host", "--rollback-on-failure", "--",
                      "sh", "-c", f"rm -r {tree}/usr/share/one; exit 3", expected=3)
    check(os.path.exists(f"{tree}/usr/share/one/data"), f"no rollback: {failed.stderr[-300:]}")
    print("dnf: 6 operations")
    return True


def run_hooks(site, arguments):
    root = f"{site.folder}/node"
    done = False
    if has_dnf() and os.path.isdir(f"{site.folder}/rpmtree"):
        done = True
        os.makedirs(f"{root}/usr/lib/python3/dist-packages/dnf")
        site.run("hooks", "enable", "dnf", "--root", root)
        plugins = f"{root}/usr/lib/python3/dist-packages/dnf-plugins"
        tree = f"{site.folder}/rpmtree"
        count = len(history(site, "rpm"))
        result = subprocess.run(dnf_words(site.folder, tree, "install", "two", plugins=plugins), env=site.environment,
                                capture_output=True, text=True, stdin=subprocess.DEVNULL)
        check(result.returncode == 0, f"dnf with the hook: {result.stderr[-500:]}")
        log = site.document("log", "rpm")["snapshots"]
        check(len(log) > count and log[0]["message"].startswith("dnf "), f"dnf's hook took no snapshot: {log[0]['message']} {result.stderr[-300:]}")
        # Without the program, dnf works as before.
        text = open(f"{plugins}/imgstore.py").read()
        open(f"{plugins}/imgstore.py", "w").write(text.replace(os.path.realpath(site.binary), "/nonexistent/imgstore"))
        result = subprocess.run(dnf_words(site.folder, tree, "remove", "two", plugins=plugins), env=site.environment,
                                capture_output=True, text=True, stdin=subprocess.DEVNULL)
        check(result.returncode == 0, f"dnf without imgstore: {result.stderr[-300:]}")
        # A snapshot that fails: the policy decides.
        for policy, expected in (("warn", 0), ("refuse", 1)):
            site.run("hooks", "enable", "dnf", "--policy", policy, "--root", root)
            broken = dict(site.environment, IMGSTORE_STORE=f"{site.folder}/rpmtree/etc/motd")
            action = "install" if policy == "warn" else "remove"
            result = subprocess.run(dnf_words(site.folder, tree, action, "two", plugins=plugins), env=broken,
                                    capture_output=True, text=True, stdin=subprocess.DEVNULL)
            check(result.returncode == expected, f"dnf, {policy}: exit {result.returncode}: {result.stderr[-300:]}")
        check(os.path.exists(f"{tree}/usr/share/two/data"), "a refused removal was done")
        hook_dnf5(site, tree)
    if os.path.isdir(f"{site.folder}/tree") and shutil.which("apt-get"):
        done = True
        hook_apt(site, root)
    hook_genimage(site, root)
    print("hooks: done")
    return done


def hook_dnf5(site, tree):
    """The actions for dnf 5, by a stand-in of its plugin that follows its source."""
    root = f"{site.folder}/node5"
    os.makedirs(f"{root}/etc/dnf/libdnf5-plugins")
    actions = f"{root}/etc/dnf/libdnf5-plugins/actions.d/imgstore.actions"
    plugin = f"{HERE}/../Fixtures/scripts/fakes/libdnf5-actions.py"

    def act(callback, installroot=tree, environment=None):
        return subprocess.run([plugin, actions, callback, installroot], env=environment or site.environment,
                              capture_output=True, text=True)

    site.run("hooks", "enable", "dnf", "--root", root)
    site.run("snapshot", "rpm", "--if-changed")
    count = len(history(site, "rpm"))
    results = [act("pre_transaction", "/"), act("pre_transaction")]
    with open(f"{tree}/etc/motd", "a") as file:
        file.write("dnf 5\n")
    results.append(act("post_transaction"))
    check(all(r.returncode == 0 and "action" not in r.stderr for r in results), f"dnf 5: {results}")
    log = site.document("log", "rpm")["snapshots"]
    check(len(log) == count + 1 and log[0]["message"] == "dnf", f"dnf 5: {len(log)} snapshots, {log[0]['message']}")
    broken = dict(site.environment, IMGSTORE_STORE=f"{tree}/etc/motd")
    for policy, expected in (("warn", 0), ("refuse", 1)):
        site.run("hooks", "enable", "dnf", "--policy", policy, "--root", root)
        result = act("pre_transaction", environment=broken)
        check(result.returncode == expected, f"dnf 5, {policy}: exit {result.returncode}: {result.stderr[-300:]}")
    # Without the program, dnf works as before.
    with open(actions) as file:
        text = file.read()
    with open(actions, "w") as file:
        file.write(text.replace(os.path.realpath(site.binary), "/nonexistent/imgstore"))
    result = act("pre_transaction")
    check(result.returncode == 0 and not result.stderr, f"dnf 5 without imgstore: {result.stderr[-300:]}")


def hook_apt(site, root):
    tree = f"{site.folder}/tree"
    os.makedirs(f"{root}/etc/apt/apt.conf.d")
    site.run("hooks", "enable", "apt", "--root", root)
    conf = f"{root}/etc/apt/apt.conf.d/90imgstore"
    with open(f"{tree}/etc/apt/sources.list", "w") as file:
        file.write(f"deb [trusted=yes] file:{site.folder}/repo ./\n")
    site.run("run", "deb", "--", "sh", "-c", "dpkg --purge --force-all alpha || true")
    base = ["-o", f"Dir={tree}", "-o", f"Dir::State::status={tree}/var/lib/dpkg/status", "-o", "Dir::Bin::dpkg=/usr/bin/dpkg",
            "-o", "Dir::Cache::pkgcache=pkgcache.bin", "-o", "Dir::Cache::srcpkgcache=srcpkgcache.bin",
            "-o", f"DPkg::Options::=--root={tree}", "-o", "Dir::Bin::methods=/usr/lib/apt/methods", "-c", conf, "-y", "-q"]
    subprocess.run(["apt-get", *base, "update"], env=site.environment, capture_output=True)
    result = subprocess.run(["apt-get", *base, "install", "alpha"], env=site.environment, capture_output=True, text=True)
    check(result.returncode == 0, f"apt with the hook: {result.stdout[-300:]} {result.stderr[-500:]}")
    newest = site.document("log", "deb")["snapshots"][0]
    check(newest["message"].startswith("apt") and newest["provenance"].get("before"), f"apt's hook took no snapshot: {newest['message']} {result.stderr[-300:]}")
    check(os.path.exists(f"{tree}/usr/share/alpha/data"), "alpha was not installed")
    hook_apt_inside(site, root, tree, conf)


def hook_apt_inside(site, root, tree, conf):
    """With RootDir, apt starts the hooks inside the tree: the hook says so, and refuses if that is its policy."""
    # A removal needs no method of the tree's apt, which may be of another version.
    words = ["apt-get", "-o", f"RootDir={tree}", "-o", "Dir::Cache::pkgcache=pkgcache.bin",
             "-o", "Dir::Cache::srcpkgcache=srcpkgcache.bin", "-c", conf, "-y", "-q", "remove", "alpha"]

    # apt 2.6 changes to DPkg::Run-Directory below RootDir when its root is the tree already.
    os.makedirs(f"{tree}/{tree}", exist_ok=True)

    def installed():
        return os.path.exists(f"{tree}/usr/share/alpha/data")

    site.run("hooks", "enable", "apt", "--policy", "refuse", "--root", root)
    refused = subprocess.run(words, env=site.environment, capture_output=True, text=True)
    check(refused.returncode == 100 and installed(), f"apt with RootDir, refuse: {refused}")
    check("apt starts its hooks inside the tree" in refused.stderr, f"apt with RootDir, refuse: {refused.stderr[-300:]}")
    # The way that the message names, with either policy.
    result = site.run("run", "deb", "--host", "--", *words)
    check("inside the tree" not in result.stderr and not installed(), f"run --host with RootDir: {result.stderr[-300:]}")
    site.run("undo", "deb")
    check(installed(), "undo did not bring the package back")
    site.run("hooks", "enable", "apt", "--root", root)
    warned = subprocess.run(words, env=site.environment, capture_output=True, text=True)
    check(warned.returncode == 0 and not installed(), f"apt with RootDir, warn: {warned}")
    check("apt starts its hooks inside the tree" in warned.stderr, f"apt with RootDir, warn: {warned.stderr[-300:]}")


def hook_genimage(site, root):
    xcat = f"{site.folder}/opt/xcat"
    os.makedirs(f"{xcat}/sbin")
    tree = f"{site.folder}/gen"
    os.makedirs(f"{tree}/etc")
    open(f"{tree}/etc/one", "w").close()
    site.run("init", expected=None)
    site.run("add", "gen", tree)
    with open(f"{xcat}/sbin/genimage", "w") as file:
        file.write(f"#!/bin/sh\n[ \"$1\" = fail ] && exit 9\necho made >{tree}/etc/made; echo \"args: $*\"\n")
    os.chmod(f"{xcat}/sbin/genimage", 0o755)
    site.run("hooks", "enable", "genimage", "--root", root)
    wrapper = f"{root}/usr/local/lib/imgstore/hooks/genimage"
    environment = dict(site.environment, XCATROOT=xcat)
    result = subprocess.run([wrapper, "-k", "1 2", "gen"], env=environment, capture_output=True, text=True)
    check(result.returncode == 0 and result.stdout == "args: -k 1 2 gen\n", f"wrapper: {result}")
    log = site.document("log", "gen")["snapshots"]
    check([s["message"] for s in log] == ['genimage -k "1 2" gen', 'before genimage -k "1 2" gen'], f"wrapper: {log}")
    result = subprocess.run([wrapper, "fail"], env=environment, capture_output=True, text=True)
    check(result.returncode == 9, f"wrapper: {result}")
    with open(f"{root}/etc/profile.d/zz-imgstore-hooks.sh") as file:
        check("/usr/local/lib/imgstore/hooks" in file.read(), "no profile")
    site.run("hooks", "disable", "genimage", "--root", root)
    check(not os.path.exists(wrapper), "the wrapper stays")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=f"{HERE}/../../.build-static/release/imgstore")
    parser.add_argument("--operations", type=int, default=30)
    parser.add_argument("--seed", type=int, default=20261129)
    parser.add_argument("--tree")
    parser.add_argument("--part", action="append", choices=["apt", "dnf", "hooks"])
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    if os.geteuid() != 0 or subprocess.run(["unshare", "-mpf", "true"], capture_output=True).returncode:
        print("run.py: needs root and namespaces")
        return 77
    folder = tempfile.mkdtemp(prefix="imgstore-run-", dir="/var/tmp")
    site = Site(os.path.realpath(arguments.binary), folder)
    parts = arguments.part or ["apt", "dnf", "hooks"]
    print(f"seed {arguments.seed}")
    try:
        done = []
        if "apt" in parts:
            done.append(run_apt(site, arguments))
        if "dnf" in parts:
            done.append(run_dnf(site))
        if "hooks" in parts:
            done.append(run_hooks(site, arguments))
        if any(done):
            check(site.run("verify", "--deep").returncode == 0, "the store is damaged")
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if PROBLEMS:
        print(f"{len(PROBLEMS)} problems (seed {arguments.seed})")
        return 1
    return 0 if any(done) else 77


if __name__ == "__main__":
    sys.exit(main())
