"""A push of v2 after v1 over ssh, beside scp of the same bytes, rsync of the tree, restic copy and borg create.

All of them write to an ssh server on the loopback address. Each run begins with a receiver that has v1.
"""
import contextlib
import json
import os
import pathlib
import shutil

import harness
from harness import CommandFailed

LOOPBACK = "127.0.0.1"
SSHD = pathlib.Path(__file__).resolve().parent.parent / "Tests/SSH/sshd.sh"


class Receiver:
    """The contestants: each returns a `Usage`, and prepares its repositories when it first runs."""

    def __init__(self, binary, directory, trees, port, ssh):
        self.binary, self.work, self.trees, self.port, self.ssh = binary, directory, trees, port, str(ssh)
        os.makedirs(directory)
        self.live, self.store = directory + "/live", directory + "/store"
        self.env = {key: value for key, value in os.environ.items() if key != "AWS_CA_BUNDLE"}
        self.env |= {"IMGSTORE_CONFIG_DIR": directory + "/config", "IMGSTORE_SSH": self.ssh, "TMPDIR": directory}
        self.restic_env = self.env | {"RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": directory + "/restic-cache",
                                      "RESTIC_REPOSITORY": directory + "/restic"}
        self.borg_env = self.env | {"BORG_RSH": f"{self.ssh} -p {port}", "BORG_BASE_DIR": directory + "/borg-home",
                                    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
                                    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
        self.prepared, self.failed = set(), {}
        # Both versions have the same path, so that the tree is an update for all programs.
        harness.copy(trees["v1"], self.live)
        self.imgstore("snapshot", self.live)
        for prepare in (self.prepare_restic, self.prepare_borg):
            self.attempt(prepare)
        harness.update(self.live, trees["v2"])
        self.imgstore("snapshot", self.live)
        self.attempt(self.add_to_restic)
        self.far, self.far_copy = directory + "/far", directory + "/far-copy"
        harness.run(binary, "init", self.far, "-q", env=self.env)
        self.imgstore("push", self.url(self.far), "live@1")

    def attempt(self, prepare):
        """Prepares one contestant; a failure is the contestant's, when it runs."""
        try:
            prepare()
        except (CommandFailed, OSError) as error:
            self.failed[prepare.__name__.split("_")[-1]] = error

    def require(self, name):
        if name in self.failed:
            raise self.failed[name]

    def url(self, path):
        return f"ssh://{LOOPBACK}:{self.port}{path}"

    def imgstore(self, *words):
        return harness.run(self.binary, *words, "--store", self.store, "--json", env=self.env)

    def refresh(self):
        """Makes the receiver of a push anew from the one that has v1."""
        harness.copy(self.far, self.far_copy)
        # A copied store has a stale index, which the next command makes again.
        harness.run(self.binary, "stats", "--store", self.far_copy, env=self.env)

    def push(self):
        self.refresh()
        return self.imgstore("push", self.url(self.far_copy), "live@2")

    def push_without_ssh(self):
        """Both sides in one process: what reading, checking and storing cost."""
        self.refresh()
        return self.imgstore("push", self.far_copy, "live@2")

    def scp(self):
        sent, received = self.work + "/sent", self.work + "/received"
        if not os.path.exists(sent):
            count = json.loads(self.imgstore("push", self.url(self.far), "live@2", "--dry-run").output)["bytes"]
            with open(sent, "wb") as file:
                for _ in range(count >> 20):
                    file.write(os.urandom(1 << 20))
                file.write(os.urandom(count & ((1 << 20) - 1)))
        harness.remove(received)
        return harness.run("scp", "-q", "-S", self.ssh, "-P", self.port, sent, f"{LOOPBACK}:{received}", warm=[sent])

    def rsync(self):
        tree = self.work + "/rsynced"
        harness.copy(self.trees["v1"], tree)
        return harness.run("rsync", "-aHAX", "--delete", "-e", f"{self.ssh} -p {self.port}", f"{self.trees['v2']}/",
                           f"{LOOPBACK}:{tree}/", env=self.env)

    def prepare_restic(self):
        env, second = self.restic_env, self.work + "/restic-second"
        self.copy = ["restic", "-o", f"sftp.command={self.ssh} -p {self.port} {LOOPBACK} -s sftp"]
        harness.run("restic", "init", env=env)
        harness.run("restic", "backup", "-q", self.live, env=env)
        if "--from-repo" in harness.run("restic", "copy", "--help").output:
            self.copy_env = env | {"RESTIC_FROM_REPOSITORY": env["RESTIC_REPOSITORY"], "RESTIC_FROM_PASSWORD": "x",
                                   "RESTIC_REPOSITORY": f"sftp:{LOOPBACK}:{second}"}
            harness.run(*self.copy, "init", "--copy-chunker-params", env=self.copy_env)
        else:  # restic before 0.14 copies to --repo2
            self.copy_env = env | {"RESTIC_REPOSITORY2": f"sftp:{LOOPBACK}:{second}", "RESTIC_PASSWORD2": "x"}
            harness.run(*self.copy, "-r", f"sftp:{LOOPBACK}:{second}", "init", "--repo2", env["RESTIC_REPOSITORY"],
                        "--copy-chunker-params", env=self.copy_env)
        harness.run(*self.copy, "copy", env=self.copy_env)
        os.rename(second, second + "-v1")

    def add_to_restic(self):
        self.require("restic")
        harness.run("restic", "backup", "-q", self.live, env=self.restic_env)

    def restic(self):
        self.require("restic")
        harness.copy(self.work + "/restic-second-v1", self.work + "/restic-second")
        return harness.run(*self.copy, "copy", env=self.copy_env)

    def prepare_borg(self):
        self.archives = f"ssh://{LOOPBACK}{self.work}/borg"
        harness.run("borg", "init", "-e", "none", self.archives, env=self.borg_env)
        harness.run("borg", "create", "-C", "zstd,2", f"{self.archives}::v1", self.live, env=self.borg_env)
        for name in ("borg", "borg-home"):
            shutil.move(f"{self.work}/{name}", f"{self.work}/{name}-v1")

    def borg(self):
        self.require("borg")
        for name in ("borg", "borg-home"):
            harness.copy(f"{self.work}/{name}-v1", f"{self.work}/{name}")
        return harness.run("borg", "create", "-C", "zstd,2", f"{self.archives}::v2", self.live, env=self.borg_env)


@contextlib.contextmanager
def ssh_server(directory, binary):
    """Runs an ssh server for its clients; yields its port and the path of an ssh client."""
    os.makedirs(directory + "/bin")
    # The far side starts `imgstore`, whatever the name of this binary is.
    os.symlink(binary, directory + "/bin/imgstore")
    env = dict(os.environ, IMGSTORE_BIN=directory + "/bin")
    try:
        yield harness.run(SSHD, "start", directory, env=env).output.strip(), directory + "/ssh"
    finally:
        harness.run(SSHD, "stop", directory)
