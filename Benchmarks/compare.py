#!/usr/bin/env python3
"""Measures imgstore beside its peers, in one run on one machine, and prints ratios.

    compare.py BINARY CORPUS [--rounds N] [--json FILE]

CORPUS holds real root trees v1 and v2 (v1 after a security update). Needs restic, borg, rsync, tar, find;
8 GB of free disk beside CORPUS. Each timing is the median of N rounds, in which the contestants take turns;
the page cache is warm and the disk is synced before each. Peak memory is the kernel's word (ru_maxrss).
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("binary"); parser.add_argument("corpus")
parser.add_argument("--rounds", type=int, default=3); parser.add_argument("--json")
options = parser.parse_args()
binary = os.path.realpath(options.binary)
v1, v2 = (os.path.join(os.path.realpath(options.corpus), v) for v in ("v1", "v2"))
work = tempfile.mkdtemp(prefix="imgstore-bench-", dir=os.path.dirname(v1))
os.environ.update(RESTIC_PASSWORD="bench", BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
                  BORG_BASE_DIR=work + "/borg-home", IMGSTORE_ROOT=work + "/mn", IMGSTORE_STORE=work + "/store")
live = work + "/mn/img/rootimg"
results = {}

def run(*command, cwd=None):
    """Runs a command; returns seconds and peak memory in MB."""
    # The tree is read once before each timing: machines that give idle memory back to their host would
    # otherwise charge whoever comes first for fetching it again.
    if os.path.isdir(live):
        subprocess.run(f"find '{live}' -type f -print0 | xargs -0 cat >/dev/null", shell=True, check=True)
    os.sync()
    start = time.monotonic()
    with open(work + "/log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=cwd)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command} failed:\n{open(work + '/log').read()}")
    return time.monotonic() - start, usage.ru_maxrss / 1024

def rounds(contestants):
    """Lets each contestant run in turn; returns the median seconds and the highest peak of each."""
    taken = {name: [] for name in contestants}
    for _ in range(options.rounds):
        for name, contestant in contestants.items():
            taken[name].append(contestant())
    return {name: (statistics.median(t for t, _ in runs), max(m for _, m in runs)) for name, runs in taken.items()}

def size(path):
    return sum(os.lstat(os.path.join(top, f)).st_size for top, _, files in os.walk(path) for f in files)

def report(name, ours, peer, floor, text):
    """Prints a ratio (how many times better than the peer), and whether it is what we promised."""
    ratio = peer / ours
    results[name] = {"ours": ours, "peer": peer, "ratio": ratio, "wanted": floor}
    print(f"{name:44} {text:44} {ratio:6.2f}  (wanted {floor:.2f})  {'ok' if ratio >= floor else 'MISSED'}", flush=True)

def remove(*paths):
    for path in paths:
        subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)

try:
    os.makedirs(os.path.dirname(live))
    print(f"work folder {work}; {os.cpu_count()} processors; median of {options.rounds} rounds")
    subprocess.run(["cp", "-a", v1, live], check=True)
    define = [binary, "define", "v", "provmethod=netboot", "rootimgdir=/img", "-q"]

    def ours():
        remove(work + "/store"); run(*define)
        return run(binary, "snapshot", "v", "-q")
    def restic():
        remove(work + "/restic"); run("restic", "init", "-r", work + "/restic")
        return run("restic", "backup", "-q", "--no-cache", "-r", work + "/restic", live)
    def borg():
        remove(work + "/borg"); run("borg", "init", "-e", "none", work + "/borg")
        return run("borg", "create", "-C", "zstd,3", work + "/borg::1", live)
    first = rounds({"imgstore": ours, "restic": restic, "borg": borg})
    seconds = {name: t for name, (t, _) in first.items()}
    for peer, floor in (("restic", 2), ("borg", 3)):
        report(f"first snapshot of v1 against {peer}", seconds["imgstore"], seconds[peer], floor,
               f"{seconds['imgstore']:.2f} s, {peer} {seconds[peer]:.2f} s")
    stores = {name: size(f"{work}/{folder}") / 1e6 for name, folder in (("imgstore", "store"), ("borg", "borg"), ("restic", "restic"))}
    report("store of v1 against borg", stores["imgstore"], stores["borg"], 1,
           f"{stores['imgstore']:.0f} MB, borg {stores['borg']:.0f}, restic {stores['restic']:.0f}")

    def unchanged():
        return run(binary, "snapshot", "v", "-q")
    def walk():
        return run("find", live, "-printf", "%s %T@ %C@ %i\n")
    unchanged()
    again = rounds({"imgstore": unchanged, "find": walk, "restic": lambda: run("restic", "backup", "-q", "--no-cache", "-r", work + "/restic", live)})
    report("unchanged snapshot against find", again["imgstore"][0], again["find"][0], 0.5,
           f"{again['imgstore'][0]:.2f} s, find {again['find'][0]:.2f} s, restic {again['restic'][0]:.2f} s")
    before = {os.path.join(t, f): os.lstat(os.path.join(t, f)) for t, _, fs in os.walk(work + "/store") for f in fs}
    unchanged()
    after = {os.path.join(t, f): os.lstat(os.path.join(t, f)) for t, _, fs in os.walk(work + "/store") for f in fs}
    written = sum(s.st_size for p, s in after.items() if "/refs/" not in p and
                  (p not in before or (before[p].st_size, before[p].st_mtime_ns) != (s.st_size, s.st_mtime_ns)))
    report("bytes written beside the ref", max(written, 1), 4096, 1, f"{written} bytes")

    tar = work + "/v1.tar"
    subprocess.run(["tar", "cf", tar, "-C", live, "."], check=True)
    def restore():
        remove(work + "/out"); return run(binary, "restore", "v", work + "/out", "-q")
    def untar():
        remove(work + "/out"); os.mkdir(work + "/out"); return run("tar", "xf", tar, "-C", work + "/out")
    subprocess.run(["cat", tar], stdout=subprocess.DEVNULL, check=True)
    back = rounds({"imgstore": restore, "tar": untar})
    report("restore of v1 against tar x", back["imgstore"][0], back["tar"][0], 1,
           f"{back['imgstore'][0]:.2f} s, tar {back['tar'][0]:.2f} s")
    remove(work + "/out", tar)

    stored = {name: size(f"{work}/{folder}") for name, folder in (("imgstore", "store/packs"), ("borg", "borg"))}
    subprocess.run(["rsync", "-aHAX", "--delete", v2 + "/", live + "/"], check=True)
    update = {"imgstore": run(binary, "snapshot", "v", "-q"), "borg": run("borg", "create", "-C", "zstd,3", work + "/borg::2", live)}
    grown = {name: (size(f"{work}/{folder}") - stored[name]) / 1e6 for name, folder in (("imgstore", "store/packs"), ("borg", "borg"))}
    report("growth from v1 to v2 against borg", grown["imgstore"], grown["borg"], 1,
           f"{grown['imgstore']:.0f} MB in {update['imgstore'][0]:.1f} s, borg {grown['borg']:.0f} MB in {update['borg'][0]:.1f} s")

    revert = run(binary, "revert", "v@1", "-q")
    left = subprocess.run(["rsync", "-aHAXn", "--delete", "--checksum", "-i", v1 + "/", live + "/"], capture_output=True, text=True).stdout
    print(f"{'revert of v2 to v1':44} {revert[0]:.2f} s; rsync --checksum finds {len(left.splitlines())} differences from pristine v1")
    results["revert differences"] = len(left.splitlines())
    verify = run(binary, "verify", "--deep", "-q")
    print(f"{'verify --deep':44} {verify[0]:.2f} s")
    peak = max(first["imgstore"][1], again["imgstore"][1], back["imgstore"][1], update["imgstore"][1], revert[1])
    report("peak memory", peak, 300, 1, f"{peak:.0f} MB")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2, sort_keys=True)
finally:
    remove(work)
