#!/usr/bin/env python3
"""Measures what new versions of files cost: growth, time, restores, single files, and a history of updates.

    deltas.py BINARY CORPUS [--rounds N] [--updates N] [--parts LIST] [--json FILE]

CORPUS holds real root trees v1, v2 and v3, each after an update of the one before. Needs restic, borg, rsync, find, and
12 GB of free disk beside CORPUS. The parts are growth, restore and updates; the default is all of them.
"""
import argparse, json, os, random, shutil, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("binary"); parser.add_argument("corpus")
parser.add_argument("--rounds", type=int, default=3); parser.add_argument("--updates", type=int, default=50)
parser.add_argument("--parts", default="growth,restore,updates"); parser.add_argument("--json")
options = parser.parse_args()
binary = os.path.realpath(options.binary)
corpus = os.path.realpath(options.corpus)
v1, v2, v3 = (os.path.join(corpus, v) for v in ("v1", "v2", "v3"))
work = tempfile.mkdtemp(prefix="imgstore-deltas-", dir=os.path.dirname(corpus))
os.environ.update(RESTIC_PASSWORD="bench", BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
                  BORG_RELOCATED_REPO_ACCESS_IS_OK="yes", BORG_BASE_DIR=work + "/borg-home",
                  IMGSTORE_ROOT=work + "/mn", IMGSTORE_STORE=work + "/store", IMGSTORE_CONFIG_DIR=work + "/config")
live = work + "/mn/img/rootimg"
results = {}


def run(*command, check=True):
    """Runs a command with warm caches and a synced disk; returns seconds and peak memory in MB."""
    if os.path.isdir(live):
        subprocess.run(f"find '{live}' -type f -print0 | xargs -0 cat >/dev/null", shell=True, check=True)
    os.sync()
    start = time.monotonic()
    with open(work + "/log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0 and check:
        sys.exit(f"{command} failed:\n{open(work + '/log').read()}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def size(path):
    return sum(os.lstat(os.path.join(top, f)).st_size for top, _, files in os.walk(path) for f in files)


def remove(*paths):
    for path in paths:
        subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


def report(name, value, limit, text):
    """Prints a value that should be at most `limit`."""
    results[name] = {"value": value, "limit": limit}
    print(f"{name:48} {text:52} at most {limit:g}: {'yes' if value <= limit else 'NO'}", flush=True)


def update_to(tree):
    subprocess.run(["rsync", "-aHAX", "--delete", tree + "/", live + "/"], check=True)


def begin(tree):
    remove(work + "/mn", work + "/store", work + "/borg", work + "/restic")
    os.makedirs(live)
    subprocess.run(["cp", "-a", tree + "/.", live], check=True)
    run(binary, "define", "v", "provmethod=netboot", "rootimgdir=/img", "-q")
    run("borg", "init", "-e", "none", work + "/borg")
    run("restic", "init", "-q", "-r", work + "/restic")


def differences(reference, tree):
    """Returns the number of paths of a snapshot that differ from a tree, in content or attributes."""
    remove(work + "/out")
    run(binary, "restore", reference, work + "/out", "-q")
    listed = subprocess.run(["rsync", "-aHAXn", "--delete", "--checksum", "-i", tree + "/", work + "/out/"],
                            capture_output=True, text=True, check=True).stdout
    remove(work + "/out")
    return len(listed.splitlines())


def growth():
    begin(v1)
    packs = work + "/store/packs"
    times = {name: [] for name in ("imgstore", "restic", "borg")}

    def all_three(number):
        sizes = [size(packs) if os.path.isdir(packs) else 0, size(work + "/restic"), size(work + "/borg")]
        times["imgstore"].append(run(binary, "snapshot", "v", "-q"))
        run(binary, "tag", "v", ("first", "second", "third")[number - 1], "-q")
        times["restic"].append(run("restic", "backup", "-q", "--no-cache", "-r", work + "/restic", live))
        times["borg"].append(run("borg", "create", "-C", "zstd,3", f"{work}/borg::{number}", live))
        return [(b - a) / 1e6 for a, b in zip(sizes, (size(packs), size(work + "/restic"), size(work + "/borg")))]

    def optimized():
        before = size(packs)
        seconds, memory = run(binary, "optimize", "-q")
        return seconds, memory, size(packs) / 1e6, before / 1e6

    peak = 0
    first = all_three(1)
    fastest = min(times["restic"][-1][0], times["borg"][-1][0])
    report("first snapshot, times of the faster peer", times["imgstore"][-1][0] / fastest, 1 / 3,
           f"{times['imgstore'][-1][0]:.2f} s, restic {times['restic'][-1][0]:.2f}, borg {times['borg'][-1][0]:.2f}")
    report("store of v1 in MB", first[0], first[2], f"{first[0]:.0f}, restic {first[1]:.0f}, borg {first[2]:.0f}")
    again = run(binary, "snapshot", "v", "-q"); again = run(binary, "snapshot", "v", "-q")
    walk = run("find", live, "-printf", "%s %T@ %C@ %i\n")
    report("unchanged snapshot, times find", again[0] / walk[0], 1, f"{again[0]:.2f} s, find {walk[0]:.2f} s")
    seconds, memory, base, _ = optimized(); peak = max(peak, memory)
    report("store of v1 after optimize, in MB", base, 560, f"{base:.1f} in {seconds:.0f} s, borg {first[2]:.0f}")
    for number, tree, after_snapshot, after_optimize in ((2, v2, 75, 50), (3, v3, 72, 58)):
        update_to(tree)
        grown = all_three(number)
        name = f"v{number - 1} to v{number}"
        report(f"growth of {name} in MB", grown[0], after_snapshot,
               f"{grown[0]:.1f}, restic {grown[1]:.1f}, borg {grown[2]:.1f}")
        fastest = min(times["restic"][-1][0], times["borg"][-1][0])
        report(f"snapshot of {name}, times of the faster peer", times["imgstore"][-1][0] / fastest, 1 / 3,
               f"{times['imgstore'][-1][0]:.2f} s, restic {times['restic'][-1][0]:.2f}, "
               f"borg {times['borg'][-1][0]:.2f}")
        seconds, memory, total, _ = optimized(); peak = max(peak, memory)
        report(f"growth of {name} after optimize, in MB", total - base, after_optimize,
               f"{total - base:.1f} in {seconds:.0f} s")
        base = total
    run(binary, "verify", "--deep", "-q")
    for reference, tree in zip(("v@first", "v@second", "v@third"), (v1, v2, v3)):
        report(f"differences of {reference} from its tree", differences(reference, tree), 0, "verify --deep was clean")
    peak = max([peak] + [memory for _, memory in times["imgstore"]])
    report("peak memory in MB", peak, 300, f"{peak:.0f}")


def restore():
    def store_of(trees, path):
        os.environ["IMGSTORE_STORE"] = path
        remove(work + "/mn"); os.makedirs(live)
        run(binary, "define", "v", "provmethod=netboot", "rootimgdir=/img", "-q")
        for tree in trees:
            update_to(tree)
            run(binary, "snapshot", "v", "-q")
    store_of([v1, v2], work + "/deltas")
    store_of([v2], work + "/whole")
    remove(work + "/mn")
    taken = {"deltas": [], "whole": []}
    peak = 0
    for _ in range(options.rounds):
        for name, runs in taken.items():
            os.environ["IMGSTORE_STORE"] = f"{work}/{name}"
            subprocess.run(f"cat {work}/{name}/packs/* >/dev/null", shell=True, check=True)
            remove(work + "/out")
            seconds, memory = run(binary, "restore", "v", work + "/out", "-q")
            peak = max(peak, memory)
            runs.append(seconds)
    remove(work + "/out")
    ours, other = statistics.median(taken["deltas"]), statistics.median(taken["whole"])
    report("restore with deltas, times without", ours / other, 1.25, f"{ours:.2f} s, {other:.2f} s")
    os.environ["IMGSTORE_STORE"] = work + "/deltas"
    files = [os.path.relpath(os.path.join(top, f), v2) for top, _, fs in os.walk(v2 + "/usr/lib/modules") for f in fs]
    files = [f for f in files if os.path.isfile(os.path.join(v2, f)) and not os.path.islink(os.path.join(v2, f))]
    random.seed(1)
    worst = (0, "")
    for file in random.sample(files, min(100, len(files))):
        seconds = min(run(binary, "cat", "v", file)[0] for _ in range(3))
        worst = max(worst, (seconds, file))
    report("cat of a module, the slowest of 100, in s", worst[0], 0.05, f"{worst[0]:.3f} {os.path.basename(worst[1])}")
    report("peak memory of restores in MB", peak, 300, f"{peak:.0f}")
    remove(work + "/deltas", work + "/whole")


def updates():
    """Monthly updates of a small tree: in each, some packages get new versions, as between v1 and v2."""
    os.environ["IMGSTORE_STORE"] = work + "/store"
    random.seed(2)
    changed = [os.path.relpath(os.path.join(top, f), v1) for top, _, fs in os.walk(v1 + "/usr") for f in fs]
    pairs = [f for f in changed if os.path.isfile(os.path.join(v2, f)) and not os.path.islink(os.path.join(v1, f))
             and 1 << 12 < os.path.getsize(os.path.join(v1, f)) < 2 << 20]
    chosen = random.sample(pairs, min(1500, len(pairs)))
    remove(work + "/mn"); os.makedirs(live)
    for file in chosen:
        os.makedirs(os.path.dirname(os.path.join(live, file)), exist_ok=True)
        shutil.copy2(os.path.join(v1, file), os.path.join(live, file))
    content = {file: bytearray(open(os.path.join(live, file), "rb").read()) for file in chosen}
    remove(work + "/store", work + "/borg")
    run(binary, "define", "v", "provmethod=netboot", "rootimgdir=/img", "-q")
    run("borg", "init", "-e", "none", work + "/borg")
    times = []
    for month in range(options.updates + 1):
        times.append(run(binary, "snapshot", "v", "-q")[0])
        run("borg", "create", "-C", "zstd,3", f"{work}/borg::{month}", live)
        for file in random.sample(chosen, len(chosen) // 6):
            # A new build: addresses shift, a few functions change.
            data = content[file]
            for _ in range(max(1, len(data) // 4096)):
                at = random.randrange(len(data))
                data[at:at + random.randrange(4)] = random.randbytes(random.randrange(8))
            with open(os.path.join(live, file), "wb") as out:
                out.write(data)
    ours, borg = size(work + "/store/packs") / 1e6, size(work + "/borg") / 1e6
    report(f"store after {options.updates} updates, times borg", ours / borg, 0.35, f"{ours:.0f} MB, borg {borg:.0f} MB")
    early, late = statistics.median(times[2:5]), statistics.median(times[-3:])
    report("last snapshots, times the third", late / early, 1.2, f"{late:.2f} s, {early:.2f} s")
    plan = json.loads(subprocess.run([binary, "forget", "v", "--keep-last", "5", "-n", "--json"], capture_output=True,
                                     text=True, check=True).stdout)
    before = size(work + "/store/packs") + size(work + "/store/refs")
    run(binary, "forget", "v", "--keep-last", "5", "-q"); run(binary, "gc", "-q")
    freed = before - size(work + "/store/packs") - size(work + "/store/refs")
    said = plan["freedBytes"]
    report("freed by gc, difference from the estimate", abs(freed - said) / max(said, 1), 0.02,
           f"{freed / 1e6:.1f} MB, {said / 1e6:.1f} MB were estimated")
    run(binary, "verify", "--deep", "-q")
    latest = differences("v", live)
    report("differences of the latest snapshot", latest, 0, "verify --deep was clean")


try:
    print(f"{os.cpu_count()} processors; work folder {work}")
    for part in options.parts.split(","):
        {"growth": growth, "restore": restore, "updates": updates}[part]()
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2, sort_keys=True)
finally:
    remove(work)
