#!/usr/bin/env python3
"""Measures push, pull and clone, beside scp, rsync, restic, borg and rclone, in one run on one machine.

usage: Benchmarks/remote.py IMGSTORE TREE-V1 TREE-V2 [--rounds N] [--work DIRECTORY] [--only bytes|ssh|s3] [--json FILE]

TREE-V1 and TREE-V2 are two versions of a root tree. The program starts an ssh server and a Ceph RADOS gateway on the
loopback address, and ends them (scripts/deps.sh bench; needs root). Each row has a figure, the mark, and whether it was reached:

    bytes   what push and pull of v2 after v1 send, against what the store grew by, for a directory, ssh and S3,
            and what the bucket grew by
    ssh     the time of a push of v2 over ssh against scp of the same bytes, and against rsync of the tree, restic
            over sftp and borg over ssh
    s3      snapshot and push of v1, and push of v2, against restic backup; pull of v1 against restic restore
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import harness
from report import Mark, Report, Row
from ssh_push import Receiver, ssh_server

ROOT = pathlib.Path(__file__).resolve().parent.parent
CEPH = ROOT / "Tests/Support/ceph.sh"
PEERS = ["restic", "borg", "rsync", "rclone", "ssh"]
report = None


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
        run(options.imgstore, "snapshot", self.live, "--store", self.store, "-q", env=self.env)
        self.v1_bytes = harness.size(self.store / "packs")
        run("rsync", "-aHAX", "--delete", f"{options.v2}/", f"{self.live}/")
        run(options.imgstore, "snapshot", self.live, "--store", self.store, "-q", env=self.env)
        self.grown_bytes = harness.size(self.store / "packs") - self.v1_bytes

    def imgstore(self, *words, store=None, env=None):
        """Runs a command with --json and returns its document and its time."""
        start = time.monotonic()
        text = run(self.options.imgstore, *words, "--store", store or self.store, "--json", env=self.env | (env or {}))
        return json.loads(text), time.monotonic() - start


def measure_bytes(site, name, url, env, size_there=None):
    """The bytes of push and pull through one remote. size_there returns the bytes that the remote has."""
    site.imgstore("push", url, "live@1", env=env)
    before = size_there() if size_there else 0
    pushed, _ = site.imgstore("push", url, "live@2", env=env)
    growth = {"growth of the store": site.grown_bytes}
    if size_there:
        report.add(Row(f"{name}: growth by v2, bytes", "B", {"imgstore": size_there() - before, **growth},
                       floor="growth of the store", mark=Mark(floors=1.02)))
    report.add(Row(f"{name}: bytes of a push of v2", "B", {"imgstore": pushed["bytes"], **growth},
                   floor="growth of the store", mark=Mark(floors=1.02)))
    again, _ = site.imgstore("push", url, "live@2", env=env)
    report.add(Row(f"{name}: bytes of an unchanged push", "B", {"imgstore": again["bytes"]}, mark=Mark(limit=4095)))
    receiver = site.work / f"pulled-{name}"
    shutil.rmtree(receiver, ignore_errors=True)
    run(site.options.imgstore, "init", receiver, "-q", env=site.env)
    site.imgstore("pull", url, "live@1", store=receiver, env=env)
    pulled, _ = site.imgstore("pull", url, "live@2", store=receiver, env=env)
    report.add(Row(f"{name}: bytes of a pull of v2", "B", {"imgstore": pulled["bytes"], **growth},
                   floor="growth of the store", mark=Mark(floors=1.02)))
    shutil.rmtree(receiver)


def measure_ssh(options, work, port, ssh):
    """A push of v2 over ssh, beside the peers."""
    contest = Receiver(options.imgstore, str(work / "ssh-push"), {"v1": options.v1, "v2": options.v2}, port, ssh)
    busy = contest.push_without_ssh().processor_seconds
    print(f"ssh: push of v2 into a directory takes {busy:.2f} s of processor time, "
          f"at least {busy / os.cpu_count():.2f} s on {os.cpu_count()} processors", flush=True)
    report.add(Row("ssh: processor time of a push of v2 without ssh", "s", {"imgstore": busy}))
    runs = harness.take_turns({"imgstore": contest.push, "restic copy": contest.restic, "borg create": contest.borg,
                               "rsync": contest.rsync, "scp": contest.scp}, options.rounds)
    report.add(Row("ssh: push of v2", "s", {name: harness.seconds(each) for name, each in runs.items()}, floor="scp",
                   mark=Mark(ratio=3, floors=1.3), rounds=options.rounds))


def measure_s3(site, variables):
    options, work = site.options, site.work
    env = {key: value for key, value in variables.items()}
    bare = {**site.env, **env}
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
    report.add(Row("s3: copy of the packs of v1", "s", {"rclone": floor}))
    columns = [[] for _ in range(6)]
    for _ in range(options.rounds):
        for index, contestant in enumerate(
                (ours_first, restic_first, ours_second, restic_second, ours_pull, restic_restore)):
            columns[index].append(contestant())
    medians = [statistics.median(column) for column in columns]
    for name, ours, peer in (("snapshot and push of v1", *medians[0:2]), ("snapshot and push of v2", *medians[2:4]),
                             ("pull of v1", *medians[4:6])):
        report.add(Row(f"s3: {name}", "s", {"imgstore": ours, "restic": peer}, mark=Mark(ratio=2), rounds=options.rounds))


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
    global report
    report = Report(str(work), None, PEERS, options.imgstore)
    parts = [options.only] if options.only else ["bytes", "ssh", "s3"]
    servers, ceph = contextlib.ExitStack(), work / "ceph"
    try:
        site = Site(options)
        print(f"v1 {site.v1_bytes:,} bytes in packs; v2 adds {site.grown_bytes:,}", flush=True)
        if "bytes" in parts:
            measure_bytes(site, "directory", work / "directory", {})
        if "ssh" in parts or "bytes" in parts:
            port, ssh = servers.enter_context(ssh_server(str(work / "sshd"), options.imgstore))
        if "bytes" in parts:
            target = work / "ssh-bytes"
            run(options.imgstore, "init", target, "-q", env=site.env)
            measure_bytes(site, "ssh", f"ssh://127.0.0.1:{port}{target}", {"IMGSTORE_SSH": str(ssh)})
        if "ssh" in parts:
            measure_ssh(options, work, port, ssh)
        if "s3" in parts or "bytes" in parts:
            lines = run(CEPH, "start", ceph).splitlines()
            env = dict(word.split("=", 1) for line in lines for word in line.replace("export ", "").split() if "=" in word)
            for bucket in ("imgstore", "restic"):
                run("rclone", "mkdir", f"s3:{bucket}", env=site.env | env | rclone(env))
        if "bytes" in parts:
            def bucket_bytes():
                text = run("rclone", "size", "--json", "s3:imgstore/bytes", env=site.env | env | rclone(env))
                return json.loads(text)["bytes"]

            measure_bytes(site, "s3", "s3://imgstore/bytes", env, bucket_bytes)
        if "s3" in parts:
            measure_s3(site, env)
    except harness.CommandFailed as error:
        sys.exit(str(error))
    finally:
        servers.close()
        run(CEPH, "stop", ceph, check=False)
        report.write(options.json)
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(0 if report.is_reached else 1)


if __name__ == "__main__":
    main()
