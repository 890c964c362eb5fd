#!/usr/bin/env python3
"""Large trees and long histories: time and peak memory, beside `find` on the same tree.

    scale.py BINARY [--entries 1000000] [--snapshots 5000] [--skip-tree | --skip-history] [--keep]

Part one makes a tree of ENTRIES entries below TMPDIR (or /var/tmp): directories of 20 small files of distinct content,
symbolic links and hard links. It measures the first snapshot, the unchanged one, one after ten changed files, a revert of
ten files, `verify` without contents and `du -s`. 1,000,000 entries need 6 GB of disk, as many inodes, and two minutes.

Part two takes SNAPSHOTS of a tree of 300 files, with one file changed before each. A copy of tree and store that has 100
snapshots takes turns with the one that has all of them, so that a machine that is slower for a minute is slower for both.

Each line has the median of the runs, their processor time, and the peak memory that the kernel charged (ru_maxrss).
Ends with 1 if a mark was missed.
"""
import argparse, json, multiprocessing, os, random, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("binary"); parser.add_argument("--entries", type=int, default=1_000_000)
parser.add_argument("--snapshots", type=int, default=5000); parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--skip-tree", action="store_true"); parser.add_argument("--skip-history", action="store_true")
parser.add_argument("--keep", action="store_true", help="keep the work folder")
options = parser.parse_args()
binary = os.path.realpath(options.binary)
max_memory_mb, verify_seconds, du_seconds, growth = 300, 10, 2, 1.2
entries_per_directory, young_snapshots, turns = 25, 100, 25
if options.snapshots < young_snapshots + turns and not options.skip_history:
    parser.error(f"--snapshots is at least {young_snapshots + turns}")
missed = []

def environment(place):
    return dict(os.environ, IMGSTORE_ROOT=place + "/mn", IMGSTORE_STORE=place + "/store", IMGSTORE_CONFIG_DIR=place + "/config")

class Run:
    """One run of a command: seconds, processor seconds, peak memory in MB, and what it printed."""
    def __init__(self, *command, place=None):
        with open(work + "/log", "wb") as log, open(work + "/errors", "wb") as errors:
            start = time.monotonic()
            process = subprocess.Popen(command, stdout=log, stderr=errors, env=environment(place) if place else None)
            _, status, usage = os.wait4(process.pid, 0)
            self.seconds = time.monotonic() - start
        process.returncode = status
        if status != 0:
            sys.exit(f"{' '.join(command)}: failed\n{open(work + '/errors').read()}")
        self.cpu = usage.ru_utime + usage.ru_stime
        self.memory_mb = usage.ru_maxrss / 1024

def imgstore(place, *words): return Run(binary, *words, "-q", place=place)

def show(name, runs, mark=None, ok=True, memory=True):
    """Prints a line, and returns the median of the seconds."""
    seconds = statistics.median(run.seconds for run in runs)
    memory_mb = max(run.memory_mb for run in runs)
    is_small = not memory or memory_mb <= max_memory_mb
    good = (ok(seconds) if callable(ok) else ok) and is_small
    print(f"{name:36} {seconds:8.3f} s {statistics.median(run.cpu for run in runs):8.3f} cpu {memory_mb:7.0f} MB   "
          f"{'' if mark is None else mark:28} {'' if good else 'MISSED' if is_small else 'MISSED (memory)'}", flush=True)
    if not good: missed.append(name)
    return seconds

# MARK: The large tree

def directory(tree, number):
    """The path of a directory: four levels, as in a tree of packages."""
    return f"{tree}/{number % 7}.d/{number // 7 % 40:02}/{number // 280 % 60:02}/{number}"

def fill(arguments):
    """Makes every nth directory: 20 files, three links and a further name of a file, 25 entries with itself."""
    tree, count, first, step = arguments
    chance = random.Random(first)
    for number in range(first, count, step):
        path = directory(tree, number)
        os.makedirs(path)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        for i in range(20):
            size = min(int(chance.paretovariate(1.2) * 100), 20_000)
            text = (f"{number} {i} of a file that other files resemble\n" * (size // 40 + 1)).encode()[:size // 2]
            file = os.open(f"file-{i}.conf", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder)
            os.write(file, text + chance.randbytes(size - len(text)))
            os.close(file)
        for i in range(3): os.symlink(f"../{number}/file-{i}.conf", f"link-{i}", dir_fd=folder)
        os.link("file-0.conf", "name-0", src_dir_fd=folder, dst_dir_fd=folder)
        os.close(folder)

def change_ten(tree, count, text):
    step = count // 10 or 1
    for number in range(0, step * 10, step):
        with open(f"{directory(tree, number % count)}/file-7.conf", "a") as file: file.write(text)
    time.sleep(0.1)

def large_tree():
    place = work + "/large"
    tree = place + "/mn/img/rootimg"
    os.makedirs(tree)
    count = max(10, options.entries // entries_per_directory)
    start = time.monotonic()
    processes = os.cpu_count()
    with multiprocessing.Pool(processes) as pool:
        pool.map(fill, [(tree, count, i, processes) for i in range(processes)])
    os.sync()
    entries = int(subprocess.run(f"find '{tree}' -printf . | wc -c", shell=True, check=True, capture_output=True).stdout)
    print(f"{entries} entries in {count} directories of files, made in {time.monotonic() - start:.0f} s", flush=True)
    imgstore(place, "define", "img", "provmethod=netboot", "rootimgdir=/img")
    rounds = range(options.rounds)
    find = lambda: Run("find", tree, "-printf", "%i %m %U %G %s %T@ %C@ %n %l\n")
    find(); time.sleep(0.1)
    show("first snapshot", [imgstore(place, "snapshot", "img")])
    pairs = [(find(), imgstore(place, "snapshot", "img")) for _ in rounds]
    found = show("find -printf", [pair[0] for pair in pairs], memory=False)
    show("snapshot, unchanged", [pair[1] for pair in pairs], f"find: {found:.2f} s", lambda seconds: seconds <= found)
    show("status", [imgstore(place, "status", "img") for _ in rounds])
    changed = []
    for round in rounds:
        change_ten(tree, count, f"snapshot {round}\n")
        changed.append(imgstore(place, "snapshot", "img"))
    show("snapshot, ten files changed", changed)
    for name, before in (("revert of ten files, in a snapshot", True), ("revert of ten files, unsaved", False)):
        reverts = []
        for round in rounds:
            change_ten(tree, count, f"{name} {round}\n")
            if before: imgstore(place, "snapshot", "img")
            reverts.append(imgstore(place, "revert", "img@1"))
        show(name, reverts, f"3 x find: {3 * found:.2f} s", lambda seconds: seconds <= 3 * found)
    show("verify, without contents", [imgstore(place, "verify") for _ in rounds], f"{verify_seconds} s", lambda s: s <= verify_seconds)
    show("du -s", [imgstore(place, "du", "-s") for _ in rounds])
    if not options.keep: remove(place)

# MARK: The long history

def long_history():
    place, young = work + "/old", work + "/young"
    tree = place + "/mn/img/rootimg"
    for number in range(15):
        os.makedirs(f"{tree}/usr/{number}")
        for i in range(20):
            with open(f"{tree}/usr/{number}/file-{i}", "w") as file: file.write(f"file {number} {i}\n" * 30)
    imgstore(place, "define", "img", "provmethod=netboot", "rootimgdir=/img")
    def take(place, number):
        with open(f"{place}/mn/img/rootimg/usr/{number % 15}/file-{number // 15 % 20}", "a") as file: file.write(f"{number}\n")
        return imgstore(place, "snapshot", "img")
    start = time.monotonic()
    for number in range(options.snapshots - turns):
        if number == young_snapshots:
            os.mkdir(young)
            subprocess.run(["cp", "-a", place + "/mn", place + "/store", young], check=True)
        take(place, number)
    print(f"{options.snapshots} snapshots of 300 files, taken in {time.monotonic() - start:.0f} s", flush=True)
    take(young, 0); time.sleep(0.1); take(young, 1)  # Its files have other inodes: read again once.
    pairs = [(take(young, number), take(place, number)) for number in range(options.snapshots - turns, options.snapshots)]
    first = show(f"snapshot {young_snapshots}", [pair[0] for pair in pairs])
    ratio = statistics.median(pair[1].seconds for pair in pairs) / first
    show(f"snapshot {options.snapshots}", [pair[1] for pair in pairs], f"{ratio:.2f} of the first, {growth}", ratio <= growth)
    rounds = range(options.rounds)
    show("log", [imgstore(place, "log", "img") for _ in rounds])
    show("log -n 3", [imgstore(place, "log", "img", "-n", "3") for _ in rounds])
    show("du -s", [imgstore(place, "du", "-s") for _ in rounds], f"{du_seconds} s", lambda s: s <= du_seconds)
    show("du", [imgstore(place, "du") for _ in rounds])
    show("verify, without contents", [imgstore(place, "verify") for _ in rounds], f"{verify_seconds} s", lambda s: s <= verify_seconds)

def remove(path): subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)

work = tempfile.mkdtemp(prefix="imgstore-scale-", dir=os.environ.get("TMPDIR", "/var/tmp"))
try:
    print(f"{'':36} {'time':>10} {'processors':>12} {'peak':>10}   mark", flush=True)
    if not options.skip_tree: large_tree()
    if not options.skip_history: long_history()
    sys.exit(1 if missed else 0)
finally:
    if options.keep: print(f"kept {work}")
    else: remove(work)
