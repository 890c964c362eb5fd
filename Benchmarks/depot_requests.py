#!/usr/bin/env python3
"""Counts the objects and requests of a depot at two sizes, and computes those of a large one.

usage: Benchmarks/depot_requests.py IMGSTORE [--images N] [--rounds N] [--work DIRECTORY]

The program starts a Ceph RADOS gateway (scripts/deps.sh bench; needs root), and counts the requests in the log of the
gateway. Each image is a directory of 200 files, and each round changes 10 of them, takes a snapshot of each image and
pushes it. What a command needs is counted after the first tenth of the rounds and after all of them. Both counts give a
line, and the line gives the figures for 10,000 snapshots of 100 images.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CEPH = ROOT / "Tests/Support/ceph.sh"
REQUEST = re.compile(r'beast: \S+ \S+ - \S+ \[[^]]*\] "(GET|PUT|HEAD|POST|DELETE) (\S+) HTTP')
LARGE_SNAPSHOTS, LARGE_IMAGES, CLIENTS = 10_000, 100, 50


class Site:
    """A store with some images, and a depot."""

    def __init__(self, options, variables):
        self.options = options
        self.work = pathlib.Path(options.work)
        (self.work / "config").mkdir()
        kept = {key: value for key, value in os.environ.items() if key != "AWS_CA_BUNDLE"}
        self.env = kept | variables | {"IMGSTORE_CONFIG_DIR": str(self.work / "config"), "TMPDIR": str(self.work),
                                       "NO_PROXY": "*"}
        self.log = self.work / "ceph/client.admin.log"
        self.random = random.Random(1)
        self.trees = [self.work / f"image{number}" for number in range(options.images)]
        for tree in self.trees:
            for number in range(200):
                self.write(tree / f"d{number % 20}" / f"f{number}")

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.random.randbytes(4000))

    def run(self, *words, store="store", check=True):
        command = [self.options.imgstore, *map(str, words), "--store", str(self.work / store)]
        result = subprocess.run(command, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and result.returncode:
            sys.exit(f"{' '.join(command)}: {result.stdout}{result.stderr}")
        return result.stdout

    def change(self, tree):
        for number in self.random.sample(range(200), 10):
            self.write(tree / f"d{number % 20}" / f"f{number}")
        self.run("snapshot", tree, "-q")

    def requests(self):
        """The requests so far, as pairs of method and path."""
        return REQUEST.findall(self.log.read_text(errors="replace"))

    def count(self, *words, **more):
        """Runs a command and returns its requests."""
        before = len(self.requests())
        self.run(*words, **more)
        time.sleep(0.5)  # the gateway writes its log a moment later
        return self.requests()[before:]

    def objects(self):
        """The objects of the bucket by their first folder."""
        out = subprocess.run(["rclone", "lsf", "-R", "--files-only", "s3:depot"], env=self.env | rclone(self.env),
                             text=True, stdout=subprocess.PIPE, check=True).stdout.splitlines()
        kinds = [line.split("/")[0] for line in out]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def rclone(env):
    return {"RCLONE_CONFIG": "/dev/null", "RCLONE_CONFIG_S3_TYPE": "s3", "RCLONE_CONFIG_S3_PROVIDER": "Ceph",
            "RCLONE_CONFIG_S3_ENV_AUTH": "true", "RCLONE_CONFIG_S3_REGION": "us-east-1",
            "RCLONE_CONFIG_S3_ENDPOINT": env["AWS_ENDPOINT_URL"]}


def measure(site, size):
    """Counts the requests of the usual commands at one size of the depot."""
    image = site.trees[0].name
    counts = {}
    site.change(site.trees[0])
    counts["push, one new snapshot"] = site.count("push", "depot", image)
    counts["push, nothing new"] = site.count("push", "depot", image)
    fresh = f"fresh{size}"
    site.run("init", "-q", store=fresh)
    site.run("remote", "add", "depot", "s3://depot", store=fresh)
    counts["pull into an empty store"] = site.count("pull", "depot", image, store=fresh)
    site.change(site.trees[0])
    site.run("push", "depot", image)
    counts["pull of the next snapshot"] = site.count("pull", "depot", image, store=fresh)
    counts["log of one image"] = site.count("log", f"depot/{image}", store=fresh)
    counts["verify"] = site.count("verify", "--remote", "depot")
    return counts


def fit(points, at):
    """The value of the line through two points."""
    (x0, y0), (x1, y1) = points
    return y1 + (y1 - y0) / (x1 - x0) * (at - x1)


def large_count(found, sizes, images, of_image):
    """The requests of a command in a large depot, from those at two sizes.

    A listing of packs or directories takes a page for each 1,000. `of_image` is the number of requests for each
    snapshot of the image, which a large depot has as many of as of others.
    """
    pages = [sum("list-type=2" in path and re.search("prefix=(packs|dirs)", path) is not None for _, path in each)
             for each in found]
    points = [(size, len(each) - page - of_image * size / images)
              for size, each, page in zip(sizes, found, pages)]
    return max(0, round(fit(points, LARGE_SNAPSHOTS) + pages[1] * -(-LARGE_SNAPSHOTS // 1000)
                        + of_image * LARGE_SNAPSHOTS / LARGE_IMAGES))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imgstore", type=os.path.abspath)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--work", default="/var/tmp/imgstore-depot-requests")
    parser.add_argument("--json")
    options = parser.parse_args()
    work = pathlib.Path(options.work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        lines = subprocess.run([CEPH, "start", work / "ceph"], text=True, stdout=subprocess.PIPE, check=True).stdout
        variables = dict(line.split("=", 1) for line in lines.split())
        site = Site(options, variables)
        subprocess.run(["rclone", "mkdir", "s3:depot"], env=site.env | rclone(site.env), check=True)
        for tree in site.trees:
            site.run("snapshot", tree, "-q")
        site.run("remote", "add", "depot", "s3://depot")
        site.run("push", "depot", "--all", "-q")
        sizes, counted, objects, pushed = [], [], [], []
        start = len(site.requests())
        for number in range(1, options.rounds + 1):
            for tree in site.trees:
                site.change(tree)
            site.run("push", "depot", "--all", "-q")
            if number in (options.rounds // 10, options.rounds):
                pushed.append((len(site.requests()) - start) / (number * options.images))
                objects.append(site.objects())
                sizes.append(objects[-1]["refs"])
                counted.append(measure(site, sizes[-1]))
        sizes_text = "".join(f"{f'{size:,} snapshots':>18}" for size in [*sizes, LARGE_SNAPSHOTS])
        print(f"{'objects':30}{sizes_text}")
        for kind in sorted({kind for found in objects for kind in found}):
            values = [found.get(kind, 0) for found in objects]
            values.append(round(fit(list(zip(sizes, values)), LARGE_SNAPSHOTS)))
            print(f"{kind:30}" + "".join(f"{value:>18,}" for value in values))
        print(f"\n{'requests':30}{sizes_text}")
        log = [len(found["log of one image"]) for found in counted]
        of_image = (log[1] - log[0]) / ((sizes[1] - sizes[0]) / options.images)
        large = {}
        for task in counted[0]:
            found = [each[task] for each in counted]
            is_cold = task in ("log of one image", "pull into an empty store")
            large[task] = large_count(found, sizes, options.images, of_image if is_cold else 0)
            print(f"{task:30}" + "".join(f"{value:>18,}" for value in [*map(len, found), large[task]]))
        print(f"{'push --all, for each snapshot':30}" + "".join(f"{value:>18.1f}" for value in pushed))
        collection = site.count("gc", "--remote", "depot")
        after = site.objects()
        print(f"{'gc':30}{'':>18}{len(collection):>18,}\n\nafter gc: {after['packs']:,} packs, {after['dirs']:,} dirs")
        site.run("init", "-q", store="last")
        site.run("remote", "add", "depot", "s3://depot", store="last")
        cold = site.count("pull", "depot", site.trees[0].name, store="last")
        print(f"pull into an empty store after gc: {len(cold)} requests")
        night = CLIENTS * (large["push, one new snapshot"] + large["pull of the next snapshot"])
        print(f"{CLIENTS} clients, each with a push and a pull: {night:,} requests")
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(
                {"sizes": sizes, "objects": objects, "requests": [{task: len(found) for task, found in each.items()} for each in counted]}, indent=2))
    finally:
        subprocess.run([CEPH, "stop", work / "ceph"], check=False)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
