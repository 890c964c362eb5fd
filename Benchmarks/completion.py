#!/usr/bin/env python3
"""Times completions with 200 images and 5,000 snapshots, the start of the program, and `imgstore images`.

    completion.py BINARY [--images N] [--snapshots N] [--rounds N] [--keep DIR]

Makes a store in a scratch folder (a minute or two), or takes the one that --keep left in DIR. "program" is the time of
one call of the program, as the scripts make it; bash, zsh and fish are the times from the Tab key until the shell has
shown all, in a pseudo terminal (Tests/Completion/drive.py). Milliseconds, medians and the longest.
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("binary"); parser.add_argument("--images", type=int, default=200)
parser.add_argument("--snapshots", type=int, default=5000); parser.add_argument("--rounds", type=int, default=31)
parser.add_argument("--keep")
options = parser.parse_args()
binary = os.path.realpath(options.binary)
work = os.path.realpath(options.keep) if options.keep else tempfile.mkdtemp(prefix="imgstore-completion-", dir="/var/tmp")
os.environ.update(IMGSTORE_STORE=work + "/store", IMGSTORE_ROOT=work + "/root", DRIVE_BINARY=binary)
drive = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../Tests/Completion/drive.py")
name = "rhels9.4-x86_64-netboot-compute"
names = [name] + [f"el9-x86_64-netboot-{n:03}" for n in range(1, options.images)]


def run(*command): return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def fill():
    """Images of one file, but for the first: it has a tree with large folders, and all other snapshots."""
    for image in names:
        os.makedirs(f"{work}/root/{image}/rootimg/etc")
        with open(f"{work}/root/{image}/rootimg/etc/hostname", "w") as file: file.write(image + "\n")
        run(binary, "define", image, "provmethod=netboot", f"rootimgdir=/{image}", f"profile={image.split('-')[-1]}", "-q")
    top = f"{work}/root/{name}/rootimg"
    for folder, count in (("usr/bin", 1500), ("usr/lib/x86_64-linux-gnu", 3000), ("etc", 300), ("a/b/c/d/e/f/g/h", 20)):
        os.makedirs(f"{top}/{folder}", exist_ok=True)
        for n in range(count):
            with open(f"{top}/{folder}/file-{n:04}", "w") as file: file.write(f"{folder} {n}\n")
    run(binary, "snapshot", "--all", "-q")
    for n in range(options.snapshots - options.images):
        run(binary, "snapshot", name, "-q", "-m", f"before the update of week {n}", *(["--tag", f"week-{n}"] if n % 250 == 0 else []))


def times(*command):
    taken = []
    for _ in range(options.rounds):
        start = time.monotonic()
        subprocess.run([binary, *command], stdout=subprocess.DEVNULL, check=True)
        taken.append(1000 * (time.monotonic() - start))
    return f"{statistics.median(taken):6.1f} {max(taken):6.1f}"


def driven(shell, lines):
    rounds = max(3, options.rounds // 4)
    answers = json.loads(subprocess.run(
        [sys.executable, drive, shell, work], input=json.dumps(lines * rounds), capture_output=True, text=True, check=True).stdout)
    return [
        [1000 * answers[k]["seconds"] for k in range(n, len(answers), len(lines))] for n in range(len(lines))]


try:
    if not os.path.exists(work + "/store"): fill()
    run(binary, "reindex", "-q")
    for shell in ("bash", "zsh", "fish"):
        with open(f"{work}/{shell}", "w") as file: file.write(run(binary, "completion", shell))
    lines = [
        "rever", "log ", "log r", "revert comp", f"rm {name}@", f"rm {name}@48", "untag compute@week-47",
        "ls compute:usr/lib/x86_64-linux-gnu/file-29", "ls compute@17:a/b/c/d/e/f/g/h/file-001",
        "diff compute@3 -- usr/bin/file-14", "revert compute --component tr", "define x provm",
    ]
    shells = {shell: driven(shell, [f"imgstore {line}\t" for line in lines]) for shell in ("bash", "zsh", "fish")}
    print(f"{len(names)} images, {options.snapshots} snapshots; ms: median, longest")
    print(f"{'':48} {'program':>13}" + "".join(f" {shell:>13}" for shell in shells))
    for n, line in enumerate(lines):
        *words, word = line.split(" ")
        cells = [times("__complete", "zsh", word, "imgstore", *words)]
        cells += [f"{statistics.median(taken[n]):6.1f} {max(taken[n]):6.1f}" for taken in shells.values()]
        print(f"imgstore {line + '<Tab>':39} " + " ".join(cells))
    for command in (["--version"], ["images"], ["images", "--json"], ["log", name, "-n", "3"]):
        print(f"imgstore {' '.join(command):39} {times(*command)}")
finally:
    if not options.keep: shutil.rmtree(work)
