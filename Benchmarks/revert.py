#!/usr/bin/env python3
"""Measures reverts beside rsync and find, in one run on one machine.

    revert.py BINARY CORPUS [--rounds N] [--only standby]

CORPUS holds real root trees v1 and v2 (v1 after an update); they are copied, not changed. Needs rsync, find, and 8 GB of
free disk beside CORPUS. The contestants take turns; each timing is the median of N rounds (3); all files are in the
page cache and the disk is synced before each. "Bytes that differ" are those of the files whose content the other tree
has not at the same path; "written" is what the command says, and what the kernel charged its process with.

The rows of standby trees need root, mkfs.xfs and mkfs.btrfs: each file system is in a file beside CORPUS (12 GB, sparse) on
a loop device. Without them, the rows are left out and named. --only standby prints these rows only.
"""
import argparse, hashlib, json, os, shutil, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("binary"); parser.add_argument("corpus"); parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--only", choices=["standby"])
options = parser.parse_args()
binary = os.path.realpath(options.binary)
corpus = os.path.realpath(options.corpus)
v1, v2 = (os.path.realpath(os.path.join(corpus, v)) for v in ("v1", "v2"))
work = tempfile.mkdtemp(prefix="imgstore-bench-", dir=corpus)
os.environ.update(IMGSTORE_ROOT=work + "/mn", IMGSTORE_STORE=work + "/store")
live, other, source = work + "/mn/img/rootimg", work + "/other", work + "/source"

def warm(*trees):
    for tree in trees:
        subprocess.run(f"find '{tree}' -type f -print0 | xargs -0 cat >/dev/null", shell=True, check=True)
    os.sync()

def timed(*command):
    """Seconds, bytes that the kernel charged the process with, and what it printed."""
    start = time.monotonic()
    with open(work + "/log", "wb") as log, open(work + "/errors", "wb") as errors:
        process = subprocess.Popen(command, stdout=log, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if status != 0:
        sys.exit(f"{command} failed:\n{open(work + '/errors').read()}")
    return seconds, usage.ru_oublock * 512, open(work + "/log").read()

def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

def differing(new, old):
    """Bytes of files of `new` whose content `old` has not at that path; links count once."""
    total, seen = 0, set()
    for top, _, files in os.walk(new):
        for name in files:
            path = os.path.join(top, name); s = os.lstat(path)
            if (s.st_mode & 0o170000) != 0o100000 or (s.st_dev, s.st_ino) in seen: continue
            if s.st_nlink > 1: seen.add((s.st_dev, s.st_ino))
            peer = os.path.join(old, os.path.relpath(path, new))
            try: t = os.lstat(peer)
            except OSError: t = None
            if t and (t.st_mode & 0o170000) == 0o100000 and t.st_size == s.st_size:
                with open(path, "rb") as a, open(peer, "rb") as b:
                    if hashlib.file_digest(a, "sha256").digest() == hashlib.file_digest(b, "sha256").digest(): continue
            total += s.st_size
    return total

def left(pristine, options="-aHAXn"):
    # XFS has access lists as attributes of its own, too, and cp and rsync do not copy them from other file systems exactly.
    return len(subprocess.run(["rsync", options, "--delete", "--checksum", "-i", pristine + "/", live + "/"],
                              capture_output=True, text=True, check=True).stdout.splitlines())

def report(name, text, ratio, wanted, good):
    print(f"{name:48} {text:56} {ratio:7.2f}  (wanted {wanted})  {'ok' if good else 'MISSED'}", flush=True)

def standby(kind):
    """Prints the rows of standby trees on a file system of this kind."""
    path = os.path.join(work, kind); os.makedirs(path)
    made = subprocess.run(["bash", "-c", 'PATH=$PATH:/sbin:/usr/sbin; truncate -s 12G "$1.img" && "mkfs.$2" -q "$1.img" && mount -o loop "$1.img" "$1"',
                           "mount", path, kind], capture_output=True, text=True)
    if made.returncode != 0:
        return print(f"standby trees on {kind}: left out: {made.stderr.strip().splitlines()[-1:]}", flush=True)
    global live
    saved = dict(os.environ), live
    try:
        # The store is on a file system of its own, as on most management nodes.
        os.environ.update(IMGSTORE_ROOT=path + "/mn", IMGSTORE_STORE=work + "/store-" + kind)
        live = path + "/mn/img/rootimg"
        os.makedirs(os.path.dirname(live)); run("cp", "-a", v1, live)
        run(binary, "define", "v", "provmethod=netboot", "rootimgdir=/img", "-q"); run(binary, "snapshot", "v", "-q")
        run("rsync", "-aHAX", "--delete", v2 + "/", live + "/"); run(binary, "snapshot", "v", "-q")
        os.sync()
        made = timed(binary, "standby", "v@1", "-q")[0]
        times, finds = [], []
        for _ in range(options.rounds):
            os.sync(); timed("find", live, "-printf", "%s %T@ %C@ %i\n")
            finds.append(timed("find", live, "-printf", "%s %T@ %C@ %i\n")[0])
            seconds, _, printed = timed(binary, "revert", "v@1", "--json", "-q"); times.append(seconds)
            if not json.loads(printed)["trees"][0]["standby"]: sys.exit(f"{kind}: the standby tree was not used")
            if left(v1, "-aHn"): sys.exit(f"{kind}: differences after the exchange")
            os.sync(); timed(binary, "status", "v", "-q")
            seconds, _, printed = timed(binary, "revert", "v@2", "--json", "-q"); times.append(seconds)
            if not json.loads(printed)["trees"][0]["standby"]: sys.exit(f"{kind}: the way back used no standby tree")
            if left(v2, "-aHn"): sys.exit(f"{kind}: differences after the way back")
        tree = json.loads(timed(binary, "standby", "--list", "--json", "-q")[2])["trees"][0]
        run(binary, "standby", "--remove", "v", "-q")
        usual = timed(binary, "revert", "v@1", "--swap", "-q")[0]
        mine, find = statistics.median(times), statistics.median(finds)
        report(f"v2 to v1 and back by standby tree, {kind}", f"{mine:.3f} s (best {min(times):.3f}), find {find:.3f} s, swap {usual:.2f} s", mine,
               "under 0.2 s", mine < 0.2)
        print(f"{'the standby tree, ' + kind:48} made and verified in {made:.1f} s; {tree['exclusiveBytes'] / 1e6:.0f} MB of its own, "
              f"{tree['contentBytes'] / 1e6:.0f} MB apparent", flush=True)
    finally:
        os.environ.clear(); os.environ.update(saved[0]); live = saved[1]
        subprocess.run(["umount", path]); subprocess.run(["rm", "-f", path + ".img"])

def ordinary():
    os.makedirs(os.path.dirname(live))
    print(f"work folder {work}; {os.cpu_count()} processors; median of {options.rounds} rounds")
    run("cp", "-a", v1, live); run("cp", "-a", v1, source); run("cp", "-a", v2, other)
    run(binary, "define", "v", "provmethod=netboot", "rootimgdir=/img", "-q")
    run(binary, "snapshot", "v", "-q")
    run("rsync", "-aHAX", "--delete", v2 + "/", live + "/")
    run(binary, "snapshot", "v", "-q")
    differ = differing(v1, v2)

    ours, theirs, swaps, outcome = [], [], [], None
    for _ in range(options.rounds):
        warm(live, source, other)
        seconds, charged, printed = timed(binary, "revert", "v@1", "--json", "-q")
        ours.append(seconds); outcome = json.loads(printed)
        if left(v1): sys.exit(f"{left(v1)} differences after the revert")
        warm(live, source, other)
        theirs.append(timed("rsync", "-a", "--delete", source + "/", other + "/")[0])
        run("rsync", "-aHAX", "--delete", v2 + "/", other + "/"); run(binary, "revert", "v@2", "-q")
        warm(live)
        swaps.append(timed(binary, "revert", "v@1", "--swap", "-q")[0])
        if left(v1): sys.exit(f"{left(v1)} differences after the swap")
        run(binary, "revert", "v@2", "-q")
    mine, peer = statistics.median(ours), statistics.median(theirs)
    tree = outcome["trees"][0]
    print(f"v2 to v1: {tree['method']} ({tree['why']}); rsync --checksum finds 0 differences from pristine v1, each time")
    report("revert of v2 to v1 against rsync -a --delete", f"{mine:.2f} s, rsync {peer:.2f} s", peer / mine, 5, peer >= 5 * mine)
    written = outcome["report"]["writtenBytes"]
    report("bytes written against bytes that differ", f"{written / 1e6:.2f} MB for {differ / 1e6:.2f} MB ({charged / 1e6:.1f} MB charged)",
           written / differ, "0.95 to 1.05", abs(written - differ) <= 0.05 * differ)
    print(f"{'the same by --swap':48} {statistics.median(swaps):.2f} s")

    run(binary, "revert", "v@1", "-q")
    files = sorted(os.path.join(t, f) for t, _, fs in os.walk(live) for f in fs if os.path.isfile(os.path.join(t, f)) and not os.path.islink(os.path.join(t, f)))
    chosen = files[::100]
    # Appending is what logs and hurried administrators do; overwriting leaves nothing of a small file in place.
    for how, mode in (("appended to", "ab"), ("overwritten", "r+b")):
        for kept in (False, True):
            finds, reverts = [], []
            for _ in range(options.rounds):
                for path in chosen:
                    with open(path, mode) as file: file.write(os.urandom(16))
                if kept: run(binary, "snapshot", "v", "-q")
                time.sleep(0.1); warm(live)
                finds.append(timed("find", live, "-printf", "%s %T@ %C@ %i\n")[0])
                warm(live)
                seconds, _, printed = timed(binary, "revert", "v@1", "--json", "-q")
                reverts.append(seconds)
                if left(v1): sys.exit("differences after the revert")
            find, mine = statistics.median(finds), statistics.median(reverts)
            tree = json.loads(printed)["trees"][0]
            name = f"{len(chosen)} files {how}, " + ("in a snapshot" if kept else "kept first")
            report(name, f"{mine:.2f} s, find {find:.2f} s; {tree['method']}", mine / find, "under 3", mine < 3 * find)

try:
    print(f"work folder {work}; {os.cpu_count()} processors; {options.rounds} rounds", flush=True)
    for kind in ("xfs", "btrfs"): standby(kind)
    if not options.only: ordinary()
finally:
    subprocess.run(["rm", "-rf", "--one-file-system", work], check=True)
