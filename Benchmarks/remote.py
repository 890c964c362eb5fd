#!/usr/bin/env python3
"""Measures push, pull and clone, beside scp, rsync, restic, borg and rclone, in one run on one machine.

usage: Benchmarks/remote.py IMGSTORE TREE-V1 TREE-V2 [--rounds N] [--work DIRECTORY] [--only bytes|ssh|s3] [--json FILE]

TREE-V1 and TREE-V2 are two versions of a root tree. The program starts an ssh server and a Ceph RADOS gateway on the
loopback address, and ends them (scripts/deps.sh bench; needs root). Each line has a figure, the mark, and PASS or FAIL:

    bytes   what push and pull of v2 after v1 send, against what the store grew by, for a directory, ssh and S3
    ssh     the time of a push of v2 over ssh against scp of the same bytes, and against rsync of the tree, restic
            over sftp and borg over ssh
    s3      snapshot and push of v1, and push of v2, against restic backup; pull of v1 against restic restore
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SSHD = ROOT / "Tests/SSH/sshd.sh"
CEPH = ROOT / "Tests/Support/ceph.sh"
results = {}
failed = False


def run(*command, env=None, check=True, **more):
    """Runs a command and returns its standard output."""
    result = subprocess.run([str(word) for word in command], env=env, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **more)
    if check and result.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {result.stdout}{result.stderr}")
    return result.stdout


def timed(*command, **more):
    start = time.monotonic()
    run(*command, **more)
    return time.monotonic() - start


def report(name, value, text, mark=None, is_good=True):
    """Prints a figure, and remembers it."""
    global failed
    results[name] = value
    verdict = "" if mark is None else f"  mark {mark}: {'PASS' if is_good else 'FAIL'}"
    failed = failed or not is_good
    print(f"{name:34} {text}{verdict}", flush=True)


def size(path):
    return sum(entry.stat().st_size for entry in pathlib.Path(path).rglob("*") if entry.is_file())


class Site:
    """A store with two snapshots of one image, and commands on it."""

    def __init__(self, options):
        self.options = options
        self.work = pathlib.Path(options.work)
        self.store, self.live = self.work / "store", self.work / "live"
        (self.work / "config").mkdir(parents=True, exist_ok=True)
        # A bundle of certificates is of no use here, and rclone refuses it.
        self.env = {key: value for key, value in os.environ.items() if key != "AWS_CA_BUNDLE"}
        self.env |= {"IMGSTORE_CONFIG_DIR": str(self.work / "config"), "TMPDIR": str(self.work), "NO_PROXY": "*"}
        run("cp", "-a", options.v1, self.live)
        self.first_seconds = timed(options.imgstore, "snapshot", self.live, "--store", self.store, "-q", env=self.env)
        self.v1_bytes = size(self.store / "packs")
        run("rsync", "-aHAX", "--delete", f"{options.v2}/", f"{self.live}/")
        run(options.imgstore, "snapshot", self.live, "--store", self.store, "-q", env=self.env)
        self.grown_bytes = size(self.store / "packs") - self.v1_bytes

    def imgstore(self, *words, store=None, env=None):
        """Runs a command with --json and returns its document and its time."""
        start = time.monotonic()
        text = run(self.options.imgstore, *words, "--store", store or self.store, "--json", env=self.env | (env or {}))
        return json.loads(text), time.monotonic() - start


def measure_bytes(site, name, url, env):
    """The bytes of push and pull through one remote."""
    site.imgstore("push", url, "live@1", env=env)
    pushed, _ = site.imgstore("push", url, "live@2", env=env)
    ratio = pushed["bytes"] / site.grown_bytes
    report(f"{name}: push of v2, bytes", ratio, f"{pushed['bytes']:,} of {site.grown_bytes:,} = {ratio:.4f}",
           "<= 1.02", ratio <= 1.02)
    again, _ = site.imgstore("push", url, "live@2", env=env)
    report(f"{name}: unchanged, bytes", again["bytes"], str(again["bytes"]), "< 4096", again["bytes"] < 4096)
    receiver = site.work / f"pulled-{name}"
    shutil.rmtree(receiver, ignore_errors=True)
    run(site.options.imgstore, "init", receiver, "-q", env=site.env)
    site.imgstore("pull", url, "live@1", store=receiver, env=env)
    pulled, _ = site.imgstore("pull", url, "live@2", store=receiver, env=env)
    ratio = pulled["bytes"] / site.grown_bytes
    report(f"{name}: pull of v2, bytes", ratio, f"{pulled['bytes']:,} = {ratio:.4f}", "<= 1.02", ratio <= 1.02)
    shutil.rmtree(receiver)


def pairs(count, *contestants):
    """Runs the contestants in turns, and returns the medians of their times."""
    times = [[] for _ in contestants]
    for _ in range(count):
        for index, contestant in enumerate(contestants):
            times[index].append(contestant())
    return [statistics.median(each) for each in times]


def measure_ssh(site, port, ssh):
    options, work = site.options, site.work
    env = {"IMGSTORE_SSH": str(ssh)}
    host = f"ssh://127.0.0.1:{port}"
    base = work / "far"
    run(options.imgstore, "init", base, "-q", env=site.env)
    site.imgstore("push", f"{host}{base}", "live@1", env=env)
    far = work / "far-copy"

    def fresh():
        shutil.rmtree(far, ignore_errors=True)
        run("cp", "-a", base, far)
        # A copied store has a stale index, which the next command makes again.
        run(options.imgstore, "stats", "--store", far, env=site.env)

    def push():
        fresh()
        return site.imgstore("push", f"{host}{far}", "live@2", env=env)[1]

    # The bytes that a push sends, as one file.
    sent = work / "sent"
    count = site.imgstore("push", f"{host}{base}", "live@2", "--dry-run", env=env)[0]["bytes"]
    with open(sent, "wb") as file:
        for _ in range(count // (1 << 20) + 1):
            file.write(os.urandom(1 << 20))
        file.truncate(count)

    def scp():
        (work / "received").unlink(missing_ok=True)
        return timed("scp", "-q", "-S", ssh, "-P", port, sent, f"127.0.0.1:{work / 'received'}")

    tree = work / "rsynced"

    def rsync():
        shutil.rmtree(tree, ignore_errors=True)
        run("cp", "-a", options.v1, tree)
        return timed("rsync", "-aHAX", "--delete", "-e", f"{ssh} -p {port}", f"{options.v2}/", f"127.0.0.1:{tree}/")

    restic_env = site.env | {"RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": str(work / "restic-cache"),
                             "RESTIC_REPOSITORY": str(work / "restic-a")}
    sftp = f"{ssh} -p {port} 127.0.0.1 -s sftp"
    run("restic", "init", env=restic_env)
    live = work / "restic-live"
    run("cp", "-a", options.v1, live)
    run("restic", "backup", "-q", live, env=restic_env)
    second = work / "restic-b"
    copy_env = dict(restic_env, RESTIC_FROM_REPOSITORY=str(work / "restic-a"), RESTIC_FROM_PASSWORD="x",
                    RESTIC_REPOSITORY=f"sftp:127.0.0.1:{second}")
    copy = ("restic", "-o", f"sftp.command={sftp}")
    old = "--from-repo" not in run("restic", "copy", "--help", check=False)
    if old:  # restic before 0.14 copies to --repo2
        copy_env = dict(restic_env, RESTIC_REPOSITORY2=f"sftp:127.0.0.1:{second}", RESTIC_PASSWORD2="x")
        run(*copy, "-r", f"sftp:127.0.0.1:{second}", "init", "--repo2", work / "restic-a", "--copy-chunker-params",
            env=dict(restic_env, RESTIC_PASSWORD2="x"))
    else:
        run(*copy, "init", "--copy-chunker-params", env=copy_env)
    run(*copy, "copy", env=copy_env)
    run("rsync", "-aHAX", "--delete", f"{options.v2}/", f"{live}/")
    run("restic", "backup", "-q", live, env=restic_env)
    kept = work / "restic-kept"
    run("cp", "-a", second, kept)

    def restic():
        shutil.rmtree(second, ignore_errors=True)
        run("cp", "-a", kept, second)
        return timed(*copy, "copy", env=copy_env)

    borg_env = site.env | {"BORG_RSH": f"{ssh} -p {port}", "BORG_BASE_DIR": str(work / "borg-base"),
                           "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
                           "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
    repository = work / "borg"
    address = f"ssh://127.0.0.1{repository}"
    run("borg", "init", "-e", "none", address, env=borg_env)
    borg_live = work / "borg-live"
    run("cp", "-a", options.v1, borg_live)
    run("borg", "create", "-C", "zstd,2", f"{address}::v1", borg_live, env=borg_env)
    run("rsync", "-aHAX", "--delete", f"{options.v2}/", f"{borg_live}/")
    run("cp", "-a", repository, work / "borg-kept")
    run("cp", "-a", work / "borg-base", work / "borg-base-kept")

    def borg():
        for directory in (repository, work / "borg-base"):
            shutil.rmtree(directory, ignore_errors=True)
        run("cp", "-a", work / "borg-kept", repository)
        run("cp", "-a", work / "borg-base-kept", work / "borg-base")
        return timed("borg", "create", "-C", "zstd,2", f"{address}::v2", borg_live, env=borg_env)

    # Both sides in one process: what reading, checking and storing cost without ssh.
    fresh()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    site.imgstore("push", far, "live@2")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report("ssh: processor time without ssh", busy,
           f"{busy:.2f} s, at least {busy / os.cpu_count():.2f} s on {os.cpu_count()} processors")
    ours, floor, *peers = pairs(options.rounds, push, scp, rsync, restic, borg)
    report("ssh: push of v2 / scp", ours / floor, f"{ours:.2f} s / {floor:.2f} s = {ours / floor:.2f}", "<= 1.3",
           ours / floor <= 1.3)
    names = ("rsync", "restic copy", "borg create")
    for name, seconds in zip(names, peers):
        report(f"ssh: {name} / push of v2", seconds / ours, f"{seconds:.2f} s = {seconds / ours:.1f} times")
    best = min(peers)
    report("ssh: best peer / push of v2", best / ours, f"{best / ours:.1f} times", ">= 3", best / ours >= 3)


def measure_s3(site, variables):
    options, work = site.options, site.work
    env = {key: value for key, value in variables.items()}
    bare = {**site.env, **env}
    run("rclone", "mkdir", "s3:imgstore", env=bare | rclone(env))
    run("rclone", "mkdir", "s3:restic", env=bare | rclone(env))
    turn = [0]
    own = work / "s3-store"
    live = work / "s3-live"

    def ours_first():
        turn[0] += 1
        shutil.rmtree(own, ignore_errors=True)
        shutil.rmtree(live, ignore_errors=True)
        run("cp", "-a", options.v1, live)
        url = f"s3://imgstore/turn{turn[0]}"
        start = time.monotonic()
        run(options.imgstore, "snapshot", live, "--store", own, "-q", env=bare)
        run(options.imgstore, "push", url, "s3-live", "--store", own, "-q", env=bare)
        return time.monotonic() - start

    def ours_second():
        run("rsync", "-aHAX", "--delete", f"{options.v2}/", f"{live}/")
        start = time.monotonic()
        run(options.imgstore, "snapshot", live, "--store", own, "-q", env=bare)
        run(options.imgstore, "push", f"s3://imgstore/turn{turn[0]}", "s3-live", "--store", own, "-q", env=bare)
        return time.monotonic() - start

    def ours_pull():
        # A name of its own: `init` refuses to create a store again that has gone.
        receiver = work / f"s3-receiver{turn[0]}"
        shutil.rmtree(work / f"s3-receiver{turn[0] - 1}", ignore_errors=True)
        run(options.imgstore, "init", receiver, "-q", env=bare)
        return timed(options.imgstore, "pull", f"s3://imgstore/turn{turn[0]}", "s3-live@1", "--store", receiver, "-q",
                     env=bare)

    endpoint = env["AWS_ENDPOINT_URL"]
    restic_live = work / "restic-s3-live"

    def restic_env():
        return bare | {"RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": str(work / "restic-s3-cache"),
                       "RESTIC_REPOSITORY": f"s3:{endpoint}/restic/turn{turn[0]}",
                       "AWS_DEFAULT_REGION": "us-east-1"}

    def restic_first():
        shutil.rmtree(restic_live, ignore_errors=True)
        run("cp", "-a", options.v1, restic_live)
        run("restic", "init", env=restic_env())
        return timed("restic", "backup", "-q", restic_live, env=restic_env())

    def restic_second():
        run("rsync", "-aHAX", "--delete", f"{options.v2}/", f"{restic_live}/")
        return timed("restic", "backup", "-q", restic_live, env=restic_env())

    def restic_restore():
        target = work / "restic-restored"
        shutil.rmtree(target, ignore_errors=True)
        first = json.loads(run("restic", "snapshots", "--json", env=restic_env()))[0]["id"]
        return timed("restic", "restore", first, "-t", target, env=restic_env())

    # The bytes of v1 by rclone: what the gateway takes on the same processors, without a snapshot or checks.
    ours_first()
    folder = own / "packs"
    floor = timed("rclone", "copy", "--transfers", "8", folder, "s3:imgstore/floor", env=bare | rclone(env))
    report("s3: rclone copy of the packs of v1", floor, f"{floor:.2f} s")
    columns = [[] for _ in range(6)]
    for _ in range(options.rounds):
        for index, contestant in enumerate(
                (ours_first, restic_first, ours_second, restic_second, ours_pull, restic_restore)):
            columns[index].append(contestant())
    medians = [statistics.median(column) for column in columns]
    for name, ours, peer in (("snapshot and push of v1", *medians[0:2]), ("snapshot and push of v2", *medians[2:4]),
                             ("pull of v1", *medians[4:6])):
        report(f"s3: restic / {name}", peer / ours, f"{peer:.2f} s / {ours:.2f} s = {peer / ours:.1f} times", ">= 2",
               peer / ours >= 2)
    measure_bytes(site, "s3", "s3://imgstore/bytes", env)


def rclone(env):
    """The settings of rclone for the gateway."""
    return {"RCLONE_CONFIG": "/dev/null", "RCLONE_CONFIG_S3_TYPE": "s3", "RCLONE_CONFIG_S3_PROVIDER": "Ceph",
            "RCLONE_CONFIG_S3_ENV_AUTH": "true", "RCLONE_CONFIG_S3_REGION": "us-east-1",
            "RCLONE_CONFIG_S3_ENDPOINT": env["AWS_ENDPOINT_URL"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imgstore", type=os.path.abspath)
    parser.add_argument("v1", type=os.path.abspath)
    parser.add_argument("v2", type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", default="/var/tmp/imgstore-remote-bench")
    parser.add_argument("--only", choices=["bytes", "ssh", "s3"])
    parser.add_argument("--json")
    options = parser.parse_args()
    work = pathlib.Path(options.work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    parts = [options.only] if options.only else ["bytes", "ssh", "s3"]
    sshd, ceph = work / "sshd", work / "ceph"
    try:
        site = Site(options)
        print(f"v1 {site.v1_bytes:,} bytes in packs; v2 adds {site.grown_bytes:,}", flush=True)
        if "bytes" in parts:
            measure_bytes(site, "directory", work / "directory", {})
        if "ssh" in parts or "bytes" in parts:
            port = run(SSHD, "start", sshd,
                       env=dict(os.environ, IMGSTORE_BIN=os.path.dirname(options.imgstore))).strip()
            ssh = sshd / "ssh"
        if "bytes" in parts:
            target = work / "ssh-bytes"
            run(options.imgstore, "init", target, "-q", env=site.env)
            measure_bytes(site, "ssh", f"ssh://127.0.0.1:{port}{target}", {"IMGSTORE_SSH": str(ssh)})
        if "ssh" in parts:
            measure_ssh(site, port, ssh)
        if "s3" in parts:
            lines = run(CEPH, "start", ceph).splitlines()
            pairs_of = (word.split("=", 1) for line in lines for word in line.replace("export ", "").split() if "=" in word)
            measure_s3(site, dict(pairs_of))
    finally:
        run(SSHD, "stop", sshd, check=False)
        run(CEPH, "stop", ceph, check=False)
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(results, indent=2))
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
