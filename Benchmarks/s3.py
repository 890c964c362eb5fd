#!/usr/bin/env python3
"""Compares the S3 client with `rclone copy` on a Ceph RADOS gateway that it starts, and with a delay of 20 ms.

usage: Benchmarks/s3.py [--packs N] [--mib N] [--rounds N] [--transfer PROGRAM] [--endpoint URL]

Needs root, Ceph, rclone and iproute2 (scripts/deps.sh bench). Without --transfer it builds
`s3transfer` (Benchmarks/S3Transfer). It prints one line for each number of transfers at once and direction: MB/s of
both programs, and the ratio (mark: at least 0.8). Then the rate with the delay, as a fraction of the rate without
(mark: at least 0.5). The rounds alternate; the median counts. The SHA-256 of all packs is verified after a download.

With --endpoint a gateway that runs already is used, by the variables AWS_*, and the delay is not measured.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CEPH = ROOT / "Tests/Support/ceph.sh"
NAMESPACE = "imgstore-s3-bench"


def run(*command, env=None, prefix=()):
    """Runs a command that must succeed, and returns its output."""
    result = subprocess.run([*prefix, *map(str, command)], env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {result.stdout}{result.stderr}")
    return result.stdout


def make_packs(directory, count, mib):
    directory.mkdir()
    for index in range(count):
        (directory / f"{index:064x}").write_bytes(os.urandom(mib << 20))


class Peers:
    """Both programs on one endpoint."""

    def __init__(self, transfer, packs, scratch, environment, prefix=()):
        self.transfer, self.packs, self.scratch, self.prefix = transfer, packs, scratch, prefix
        # A bundle of certificates is of no use here, and rclone refuses it.
        self.environment = {k: v for k, v in os.environ.items() if k != "AWS_CA_BUNDLE"} | environment
        self.environment["NO_PROXY"] = self.environment["no_proxy"] = "*"
        self.environment.update({
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CONFIG_S3_TYPE": "s3", "RCLONE_CONFIG_S3_PROVIDER": "Ceph",
            "RCLONE_CONFIG_S3_ENV_AUTH": "true", "RCLONE_CONFIG_S3_REGION": "us-east-1",
            "RCLONE_CONFIG_S3_ENDPOINT": environment["AWS_ENDPOINT_URL"],
            "RCLONE_S3_UPLOAD_CUTOFF": "64M",
        })

    def ours(self, direction, bucket, transfers):
        out = run(self.transfer, direction, self.packs, f"s3://{bucket}/packs", transfers,
                  env=self.environment, prefix=self.prefix)
        return float(out.split()[0])

    def rclone(self, direction, bucket, transfers):
        remote, local = f"s3:{bucket}/packs", self.scratch / "down"
        shutil.rmtree(local, ignore_errors=True)
        pair = (self.packs, remote) if direction == "up" else (remote, local)
        start = time.monotonic()
        run("rclone", "copy", "--transfers", transfers, "--checkers", transfers, "--ignore-times", *pair,
            env=self.environment, prefix=self.prefix)
        return time.monotonic() - start

    def remove(self, bucket):
        run("rclone", "purge", f"s3:{bucket}", env=self.environment, prefix=self.prefix)


def measure(peers, transfers, rounds, megabytes):
    times = {}
    for index in range(rounds):
        for name in ("ours", "rclone") if index % 2 == 0 else ("rclone", "ours"):
            bucket = f"bench-{name}-{transfers}-{index}"
            if name == "rclone":
                run("rclone", "mkdir", f"s3:{bucket}", env=peers.environment, prefix=peers.prefix)
            for direction in ("up", "down"):
                seconds = getattr(peers, name)(direction, bucket, transfers)
                times.setdefault((direction, name), []).append(seconds)
            peers.remove(bucket)
    rates = {key: megabytes / statistics.median(value) for key, value in times.items()}
    for direction in ("up", "down"):
        ours, theirs = rates[direction, "ours"], rates[direction, "rclone"]
        print(f"{transfers:2} at once, {direction:4}: imgstore {ours:7.1f} MB/s, rclone {theirs:7.1f} MB/s, "
              f"ratio {ours / theirs:.2f}", flush=True)
    return rates


class Delay:
    """A namespace whose way to the gateway takes 20 ms (10 ms in each direction), by netem. Without netem in the
    kernel, the relay delays."""

    def __enter__(self):
        run("ip", "netns", "add", NAMESPACE)
        try:
            run("ip", "link", "add", "imgs3a", "type", "veth", "peer", "name", "imgs3b", "netns", NAMESPACE)
            run("ip", "addr", "add", "10.213.77.1/30", "dev", "imgs3a")
            run("ip", "link", "set", "imgs3a", "up")
            self.inside = ("ip", "netns", "exec", NAMESPACE)
            run("ip", "addr", "add", "10.213.77.2/30", "dev", "imgs3b", prefix=self.inside)
            run("ip", "link", "set", "imgs3b", "up", prefix=self.inside)
            netem = ("netem", "delay", "10ms", "limit", "100000")
            self.has_netem = subprocess.run(["tc", "qdisc", "add", "dev", "imgs3a", "root", *netem],
                                            stderr=subprocess.DEVNULL, check=False).returncode == 0
            if self.has_netem:
                run("tc", "qdisc", "add", "dev", "imgs3b", "root", *netem, prefix=self.inside)
            else:
                print("no netem in this kernel: the relay delays by 10 ms in each direction", flush=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "delete", NAMESPACE], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["ip", "link", "delete", "imgs3a"], stderr=subprocess.DEVNULL, check=False)


RELAY = """
import collections, socket, sys, threading, time

port, delay = int(sys.argv[1]), float(sys.argv[2])
server = socket.create_server(("10.213.77.1", 0))
print(server.getsockname()[1], flush=True)


def copy(source, target):
    # At most 32 MiB are on the way, more than rate times delay.
    queue, condition, size = collections.deque(), threading.Condition(), [0]

    def write():
        while True:
            with condition:
                while not queue: condition.wait()
                due, data = queue.popleft()
                size[0] -= len(data)
                condition.notify_all()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if not data: return target.shutdown(socket.SHUT_WR)
                target.sendall(data)
            except OSError: return

    threading.Thread(target=write, daemon=True).start()
    while True:
        try: data = source.recv(1 << 18)
        except OSError: data = b""
        with condition:
            while size[0] > 32 << 20: condition.wait()
            queue.append((time.monotonic() + delay, data))
            size[0] += len(data)
            condition.notify_all()
        if not data: return


while True:
    client, _ = server.accept()
    gateway = socket.create_connection(("127.0.0.1", port))
    for end in client, gateway: end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=copy, args=(client, gateway), daemon=True).start()
    threading.Thread(target=copy, args=(gateway, client), daemon=True).start()
"""


def relay(port, delay):
    """Makes the gateway, which listens on the loopback address, reachable from the namespace."""
    process = subprocess.Popen([sys.executable, "-c", RELAY, port, str(delay)], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def measure_delay(arguments, transfer, packs, scratch, environment, megabytes, transfers=16):
    port = re.search(r":(\d+)$", environment["AWS_ENDPOINT_URL"]).group(1)
    with Delay() as delay:
        relays = [relay(port, 0), relay(port, 0 if delay.has_netem else 0.01)]
        try:
            seconds = {}
            for index in range(arguments.rounds):
                for name, prefix, (_, relayed) in (("without", (), relays[0]), ("with", delay.inside, relays[1])):
                    peers = Peers(transfer, packs, scratch,
                                  {**environment, "AWS_ENDPOINT_URL": f"http://10.213.77.1:{relayed}"}, prefix)
                    for direction in ("up", "down"):
                        value = peers.ours(direction, f"bench-{name}-{index}", transfers)
                        seconds.setdefault((name, direction), []).append(value)
            for direction in ("up", "down"):
                a, b = (megabytes / statistics.median(seconds[name, direction]) for name in ("with", "without"))
                print(f"{transfers:2} at once, {direction:4}: {a:7.1f} MB/s with a delay of 20 ms, {b:7.1f} MB/s "
                      f"without, ratio {a / b:.2f}", flush=True)
        finally:
            for process, _ in relays:
                process.kill()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # stops the gateway
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packs", type=int, default=64)
    parser.add_argument("--mib", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transfers", default="4,8,16,32")
    parser.add_argument("--transfer", type=pathlib.Path)
    parser.add_argument("--endpoint")
    parser.add_argument("--delay-only", action="store_true")
    arguments = parser.parse_args()
    transfer = arguments.transfer
    if transfer is None:
        run("swift", "build", "-c", "release", "--product", "s3transfer", "--package-path", ROOT)
        transfer = ROOT / ".build/release/s3transfer"
    megabytes = arguments.packs * (arguments.mib << 20) / 1e6
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        scratch = pathlib.Path(name)
        packs = scratch / "packs"
        make_packs(packs, arguments.packs, arguments.mib)
        if arguments.endpoint:
            keys = {key: os.environ[key] for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
            environment = {"AWS_ENDPOINT_URL": arguments.endpoint, "AWS_REGION": "us-east-1", **keys}
        else:
            lines = run(CEPH, "start", scratch / "ceph").split()
            environment = dict(line.split("=", 1) for line in lines)
        try:
            if not arguments.delay_only:
                peers = Peers(transfer, packs, scratch, environment)
                for transfers in map(int, arguments.transfers.split(",")):
                    measure(peers, transfers, arguments.rounds, megabytes)
            if not arguments.endpoint:
                measure_delay(arguments, transfer, packs, scratch, environment, megabytes)
        finally:
            if not arguments.endpoint:
                run(CEPH, "stop", scratch / "ceph")


if __name__ == "__main__":
    main()
