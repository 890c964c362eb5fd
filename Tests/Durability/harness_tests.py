#!/usr/bin/env python3
"""Tests of the harnesses: over a program that lies, or never syncs, they must fail.

The binary is IMGSTORE_BINARY, or that of this package's build.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from common.program import default_binary  # noqa: E402
from common.tree import describe, difference  # noqa: E402


def harness(program, *arguments):
    """Returns (exit code, {property: how often it was broken}, output)."""
    result = subprocess.run(
        [sys.executable, f"{HERE}/{program}", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    text = result.stdout.decode()
    broken = {meaning: int(count) for count, meaning in re.findall(r"^ +(\d+) against: (.*)$", text, re.M)}
    return result.returncode, broken, text


class LiarTests(unittest.TestCase):
    """A wrapper around the real binary tells one lie each, once the store is made."""

    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.addCleanup(self.holder.cleanup)

    def liar(self, case):
        path = f"{self.holder.name}/imgstore"
        binary = os.path.abspath(default_binary())
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\ncase "$IMGSTORE_STORE:$1" in\n*worker-*:{case}\nesac\nexec "{binary}" "$@"\n'.replace("REAL", f'"{binary}"'))
        os.chmod(path, 0o755)
        return path

    def broken(self, case, meaning):
        code, broken, text = harness("damage.py", "--binary", self.liar(case), "--count", "4", "--target", "cache")
        self.assertEqual(code, 1, text)
        found = [count for line, count in broken.items() if meaning in line]
        self.assertEqual(len(found), 1, text)
        self.assertGreater(found[0], 0, text)

    def test_other_bytes_are_noticed(self):
        self.broken("cat) echo lie;;", "wrong byte")

    def test_a_changed_mode_is_noticed(self):
        self.broken('restore) REAL "$@"; code=$?; chmod 700 "$3"/etc/conf00; exit $code;;', "wrong byte")

    def test_silence_about_a_failing_read_is_noticed(self):
        self.broken("restore) exit 1;;", "silent")

    def test_a_crash_is_noticed(self):
        self.broken("gc) kill -SEGV $$;;", "by a signal")

    def test_a_collection_that_loses_is_noticed(self):
        self.broken('gc) REAL "$@"; code=$?; rm -f "$IMGSTORE_STORE"/packs/*; exit $code;;', "before `gc`")


class SyncTests(unittest.TestCase):
    def without_sync(self, operation, count):
        code, broken, text = harness("powercut.py", "--operation", operation, "--count", str(count), "--without-sync")
        self.assertEqual(code, 1, text)
        return sum(broken.values()), text

    def test_a_snapshot_without_syncs_loses_what_it_said_was_done(self):
        broken, text = self.without_sync("snapshot", 30)
        self.assertGreater(broken, 0, text)
        self.assertIn("FAILED not durable", text)

    def test_a_revert_without_syncs_leaves_a_mixture(self):
        _, text = self.without_sync("revert in place", 40)
        self.assertRegex(text, "FAILED (mixed|resume)")


class DescriptionTests(unittest.TestCase):
    """What `describe` compares: each fact of an entry, one after the other."""

    CHANGES = {
        "content": "open('f','w').write('y')",
        "mode": "os.chmod('f',0o600)",
        "uid": "os.chown('f',7,-1)",
        "mtime": "os.utime('f',ns=(1,1))",
        "xattrs": "os.setxattr('f','user.a',b'2')",
        "links": "os.unlink('g')",
        "holes": "os.truncate('s',0); os.truncate('s',20000)",
        "kind": "os.unlink('l'); os.mkdir('l')",
        "lost d/e": "os.rmdir('d/e')",
        "extra new": "os.mkfifo('new')",
    }

    def test_each_change_is_seen(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        for wanted, change in self.CHANGES.items():
            with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
                make = "import os; os.chdir(os.environ['TOP'])\n"
                script = (
                    "open('f','w').write('x'); os.chmod('f',0o644); os.link('f','g'); os.setxattr('f','user.a',b'1')\n"
                    "open('s','wb').write(bytes(20000)); os.symlink('f','l'); os.makedirs('d/e')"
                )
                run = [sys.executable, "-c"]
                environment = {**os.environ, "TOP": folder}
                subprocess.run([*run, make + script], check=True, env=environment)
                before = describe(folder)
                subprocess.run([*run, make + change], check=True, env=environment)
                text = difference(before, describe(folder), limit=20)
                self.assertIn(wanted, text, f"{change}: {text}")


if __name__ == "__main__":
    unittest.main()
