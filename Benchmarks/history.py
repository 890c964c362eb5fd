#!/usr/bin/env python3
"""Long histories: does anything grow with the number of snapshots, and does gc free what was foretold?

    history.py BINARY [--snapshots 500] [--entries 5000] [--keep 10] [--json FILE]

Makes a tree of ENTRIES files below TMPDIR (or /var/tmp), takes SNAPSHOTS of it, a few files changed before each, and measures
the processor time of snapshot, log, diff and status of the last ten against those of the first ten, alternately: a copy of
tree and store, made while they were young, takes its first ten beside the last ten of the old ones, so that a machine that
is slower for a minute is slower for both. Then `forget --keep-last KEEP` is rehearsed, done, and
collected, and what is freed on disk is held against what `du` and the dry run foretold. At last two loops of snapshots run
beside a loop of forget and gc; every snapshot that is left is verified deep. Ends with 1 where something is not as it must be.
"""
import argparse, json, os, random, resource, statistics, subprocess, sys, tempfile, threading, time

from report import Mark, Report, Row

parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("binary"); parser.add_argument("--snapshots", type=int, default=500)
parser.add_argument("--entries", type=int, default=5000); parser.add_argument("--keep", type=int, default=10); parser.add_argument("--json")
options = parser.parse_args()
binary = os.path.realpath(options.binary)
work = tempfile.mkdtemp(prefix="imgstore-history-", dir=os.environ.get("TMPDIR", "/var/tmp"))
store = work + "/store"
def environment_in(place): return dict(os.environ, IMGSTORE_ROOT=place + "/mn", IMGSTORE_STORE=place + "/store")
environment = environment_in(work)
chance = random.Random(20261123)
report = Report(work, None, [], binary)
timed_count = 10
if options.snapshots < timed_count + 3: parser.error(f"--snapshots is at least {timed_count + 3}")

def run(*arguments, place=work):
    return subprocess.run([binary, *arguments], check=True, capture_output=True, text=True, env=environment_in(place)).stdout

def timed(*arguments, place=work):
    """Processor seconds, user and system: other work on the machine does not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(*arguments, place=place)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

def fill(tree, entries):
    for i in range(entries):
        folder = f"{tree}/usr/d{i % 97}/e{i % 13}"
        os.makedirs(folder, exist_ok=True)
        # Half of it is text, half of it does not compress; most files are small.
        size = min(int(chance.paretovariate(1.1) * 900), 400_000)
        data = chance.randbytes(size) if i % 2 else (f"line {i} of a text\n" * (size // 16 + 1)).encode()[:size]
        with open(f"{folder}/f{i}", "wb") as file: file.write(data)

def change(tree, entries, count=5):
    for i in (chance.randrange(entries) for _ in range(count)):
        with open(f"{tree}/usr/d{i % 97}/e{i % 13}/f{i}", "r+b") as file:
            file.seek(chance.randrange(max(1, os.fstat(file.fileno()).st_size)))
            file.write(chance.randbytes(200))

def on_disk():
    return sum(os.path.getsize(os.path.join(d, f)) for part in ("packs", "doomed", "refs")
               for d, _, fs in os.walk(f"{store}/{part}") for f in fs)

def limit(name, unit, value, most):
    report.add(Row(name, unit, {"imgstore": value}, mark=Mark(limit=most)))

def beside_first(name, last, first, rounds):
    """Adds a row of processor time in ms: that of an old history must not exceed that of a young one by more than a fifth."""
    report.add(Row(name, "ms", {"imgstore": last * 1e3, "the first": first * 1e3}, floor="the first", mark=Mark(floors=1.2), rounds=rounds))

try:
    tree = work + "/mn/one/rootimg"
    os.makedirs(tree)
    fill(tree, options.entries)
    run("define", "one", "provmethod=netboot", "rootimgdir=/one", "-q")
    first = timed("snapshot", "one", "-q")
    print(f"{options.entries} entries; first snapshot {first:.2f} s of processor time, {on_disk() / 1e6:.1f} MB on disk", flush=True)
    young = work + "/young"
    for number in range(2, options.snapshots - timed_count + 1):
        if number == 3:  # As it was when it was two snapshots old.
            os.mkdir(young)
            subprocess.run(["cp", "-a", work + "/mn", store, young], check=True)
        change(tree, options.entries)
        run("snapshot", "one", "-q")
    verbs = ("snapshot", "status", "diff", "log", "log of all")
    early, late = ({verb: [] for verb in verbs} for _ in range(2))
    run("snapshot", "one", "-q", place=young)  # Its files have other inodes: read again once.
    for i in range(timed_count):
        for place, taken, last in ((young, early, 4 + i), (work, late, options.snapshots - timed_count + 1 + i)):
            change(place + "/mn/one/rootimg", options.entries)
            taken["snapshot"].append(timed("snapshot", "one", "-q", place=place))
            # Of one verb, the quickest of three: the machine is not ours alone.
            for verb, *arguments in (("status", "one", "-q"), ("diff", f"one@{last - 1}", f"one@{last}"),
                                     ("log", "one", "-n", "3", "-q"), ("log of all", "one", "-q")):
                taken[verb].append(min(timed(verb.split()[0], *arguments, place=place) for _ in range(3)))
    for verb in verbs:
        first_seconds, last_seconds = (statistics.median(taken[verb]) for taken in (early, late))
        if verb == "log of all":  # What it prints grows; what it costs an entry must not.
            print(f"log of all: {first_seconds * 1e3:.1f} ms at first, {last_seconds * 1e3:.1f} ms at last", flush=True)
            limit("log of all, for each snapshot that it lists", "µs",
                  (last_seconds - first_seconds) / (options.snapshots - timed_count - 3) * 1e6, 50)
        else:
            beside_first(verb, last_seconds, first_seconds, timed_count)
    packs = len(os.listdir(store + "/packs"))
    before = on_disk()
    gone = [f"one@{n}" for n in range(1, options.snapshots - options.keep + 1)]
    start = time.monotonic()
    said = json.loads(run("du", "--json", *gone))["total"]["freedBytes"]
    print(f"{'du of those that are to go':34} {time.monotonic() - start:.2f} s")
    dry = json.loads(run("forget", "one", "--keep-last", str(options.keep), "--dry-run", "--json"))
    limit("difference of du and the dry run", "B", abs(said - dry["freedBytes"]), 0)
    forget = timed("forget", "one", "--keep-last", str(options.keep), "-q")
    start = time.monotonic()
    collected = json.loads(run("gc", "--json"))
    spent = time.monotonic() - start
    freed = before - on_disk()
    print(f"gc freed {freed} bytes of {before}, foretold {said} ({(freed - said) / said * 100:+.3f} %)", flush=True)
    limit("freed on disk, difference from du", "%", abs(freed - said) / said * 100, 2)
    print(f"{'':34} {packs} packs became {len(os.listdir(store + '/packs'))}, {collected['writtenBytes']} bytes were rewritten; "
          f"forget {forget:.2f} s, gc {spent:.2f} s")
    limit("exit code of verify --deep", "", subprocess.run([binary, "verify", "--deep", "-q"], env=environment,
                                                           capture_output=True).returncode, 0)
    after = [timed("snapshot", "one", "-q") for _ in range(5) if change(tree, options.entries) is None]
    beside_first("snapshot after gc", statistics.median(after), statistics.median(early["snapshot"]), len(after))

    # Snapshots of two images that share most of their content, beside forget and gc.
    second = work + "/mn/two/rootimg"
    os.makedirs(os.path.dirname(second))
    subprocess.run(["cp", "-a", tree, second], check=True)
    run("define", "two", "provmethod=netboot", "rootimgdir=/two", "-q")
    errors, count, over = [], [0, 0, 0], threading.Event()
    def loop(slot, body):
        try:
            while not over.is_set():
                body(); count[slot] += 1
        except subprocess.CalledProcessError as error:
            errors.append(error.stderr)
    def snapshot(name, path):
        change(path, options.entries, 3); run("snapshot", name, "-q")
    def collect():
        run("forget", "--all", "--keep-last", "3", "-q"); run("gc", "-q")
    threads = [threading.Thread(target=loop, args=arguments) for arguments in
               ((0, lambda: snapshot("one", tree)), (1, lambda: snapshot("two", second)), (2, collect))]
    for thread in threads: thread.start()
    time.sleep(20); over.set()
    for thread in threads: thread.join()
    verified = subprocess.run([binary, "verify", "--deep"], env=environment, capture_output=True, text=True)
    print(f"{count[0]} + {count[1]} snapshots beside {count[2]} collections; "
          f"{verified.stdout.splitlines()[0] if verified.stdout else ''}")
    limit("errors beside forget and gc", "", len(errors), 0)
    limit("exit code of verify --deep after that", "", verified.returncode, 0)
    for error in errors + [verified.stderr]:
        if error: print(error)
    report.write(options.json)
    sys.exit(0 if report.is_reached else 1)
finally:
    subprocess.run(["rm", "-rf", "--one-file-system", work])
