#!/usr/bin/env python3
"""Tests of the power-cut model itself: small programs, recorded with strace, and what may be lost."""

import os
import random
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from common.place import fast_folder  # noqa: E402
from common.tree import describe  # noqa: E402
from powercut.crash import choose  # noqa: E402
from powercut.disk import PAGE_BYTES, Data  # noqa: E402
from powercut.real import differences, load, make_real  # noqa: E402
from powercut.replay import Replay  # noqa: E402
from powercut.strace import TRACED, modification_time, parse, split  # noqa: E402

PRELUDE = "import os\nos.chdir(os.environ['TOP'])\n"


class ModelTests(unittest.TestCase):
    def setUp(self):
        self.holder = tempfile.TemporaryDirectory(dir=fast_folder())
        self.addCleanup(self.holder.cleanup)
        self.top = self.holder.name + "/top"
        os.mkdir(self.top)

    def states(self, script, count=400):
        """Runs a script under strace; returns all states that the model allows after it."""
        self.disk = load(self.top)
        log = self.holder.name + "/log"
        subprocess.run(
            ["strace", "-f", "-xx", "-s", "1000000", "-o", log, "-e", "trace=" + ",".join(TRACED),
             sys.executable, "-c", PRELUDE + script],
            check=True, env={**os.environ, "TOP": self.top}, cwd="/",
        )  # fmt: skip
        replay = Replay(self.disk, self.top)
        for call in parse(log):
            replay.apply(call)
        self.assertEqual(differences(self.disk, self.top), [])
        chooser = random.Random(1)
        return [choose(self.disk, chooser, 0, True, None) for _ in range(count)]

    def contents(self, states, name):
        """All contents that a file has in the states; None where it is not there."""
        found = set()
        for state in states:
            node = state.nodes.get(name)
            found.add(node[2].bytes() if node else None)
        return found

    def test_unsynced_file_may_be_lost_wholly_or_in_part(self):
        states = self.states("open('a','wb').write(b'x'*10000)")
        found = self.contents(states, b"a")
        self.assertIn(None, found)
        self.assertIn(b"", found)
        self.assertIn(b"x" * 10000, found)
        self.assertIn(b"x" * 4096 + bytes(4096) + b"x" * 1808, found)
        self.assertTrue(len(found) > 5)

    def test_synced_file_in_a_synced_folder_is_kept(self):
        script = "f=open('a','wb'); f.write(b'x'*9000); f.flush(); os.fsync(f.fileno()); os.fsync(os.open('.',0))"
        self.assertEqual(self.contents(self.states(script), b"a"), {b"x" * 9000})

    def test_synced_file_without_its_folder_may_lose_its_name_only(self):
        script = "f=open('a','wb'); f.write(b'x'*9000); f.flush(); os.fsync(f.fileno())"
        self.assertEqual(self.contents(self.states(script), b"a"), {None, b"x" * 9000})

    def test_fdatasync_keeps_names_and_data_but_no_attributes(self):
        script = (
            "f=os.open('a',os.O_CREAT|os.O_WRONLY,0o600); os.write(f,b'x'*9000); os.fchmod(f,0o640)\n"
            "os.fdatasync(f); os.fdatasync(os.open('.',0))"
        )
        states = self.states(script)
        self.assertEqual(self.contents(states, b"a"), {b"x" * 9000})
        self.assertEqual({s.nodes[b"a"][1]["mode"] for s in states}, {0o600, 0o640})

    def test_folder_sync_alone_keeps_no_data(self):
        script = "f=open('a','wb'); f.write(b'x'*9000); f.flush(); os.fsync(os.open('.',0))"
        found = self.contents(self.states(script), b"a")
        self.assertNotIn(None, found)
        self.assertIn(b"", found)

    def test_rename_replaces_wholly_or_not_at_all(self):
        with open(self.top + "/a", "wb") as file:
            file.write(b"old")
        script = "f=open('t','wb'); f.write(b'new'); f.flush(); os.fsync(f.fileno()); os.rename('t','a')"
        states = self.states(script)
        self.assertEqual(self.contents(states, b"a"), {b"old", b"new"})
        self.assertEqual(self.contents(states, b"t"), {None, b"new"})
        self.assertFalse([s for s in states if s.nodes[b"a"][2].bytes() == b"new" and b"t" in s.nodes])

    def test_rename_without_sync_may_lose_the_content(self):
        with open(self.top + "/a", "wb") as file:
            file.write(b"old")
        found = self.contents(self.states("f=open('t','wb'); f.write(b'new'); f.close(); os.rename('t','a')"), b"a")
        self.assertEqual(found, {b"old", b"new", b"", bytes(3)})

    def test_changes_of_different_names_may_be_reordered(self):
        states = self.states("open('a','w'); open('b','w')")
        self.assertEqual({(b"a" in s.nodes, b"b" in s.nodes) for s in states},
                         {(True, True), (True, False), (False, True), (False, False)})  # fmt: skip

    def test_changes_of_one_name_keep_their_order(self):
        states = self.states("open('a','w').close(); os.rename('a','b'); os.rename('b','c')")
        for state in states:
            self.assertLessEqual(len(state.nodes), 2)
        self.assertEqual({tuple(s.nodes) for s in states}, {(b"",), (b"", b"a"), (b"", b"b"), (b"", b"c")})

    def test_syncfs_keeps_all_and_sync_file_range_nothing(self):
        lost = self.states("f=open('a','wb'); f.write(b'x'); f.flush(); os.posix_fadvise(f.fileno(),0,0,4)")
        self.assertIn(None, self.contents(lost, b"a"))
        states = self.states("open('b','wb').write(b'x'); os.sync()")
        self.assertEqual(self.contents(states, b"b"), {b"x"})

    def test_attributes_may_be_lost_until_the_file_is_synced(self):
        with open(self.top + "/a", "wb"):
            pass
        os.chmod(self.top + "/a", 0o644)
        states = self.states("os.chmod('a',0o600); os.setxattr('a','user.x',b'1')")
        found = {(s.nodes[b"a"][1]["mode"], ("xattr", "user.x") in s.nodes[b"a"][1]) for s in states}
        self.assertEqual(found, {(m, x) for m in (0o644, 0o600) for x in (False, True)})
        states = self.states("os.chmod('a',0o400); os.fsync(os.open('a',0))")
        self.assertEqual({s.nodes[b"a"][1]["mode"] for s in states}, {0o400})

    def test_overwritten_page_is_old_or_new(self):
        with open(self.top + "/a", "wb") as file:
            file.write(b"o" * 8192)
        found = self.contents(self.states("f=os.open('a',1); os.pwrite(f,b'n'*8192,0)"), b"a")
        self.assertEqual(found, {a * 4096 + b * 4096 for a in (b"o", b"n") for b in (b"o", b"n")})

    def test_a_state_made_real_is_what_it_says(self):
        os.makedirs(self.top + "/d/e")
        with open(self.top + "/d/sparse", "wb") as file:
            file.truncate(100_000)
            file.seek(50_000)
            file.write(b"middle")
        os.link(self.top + "/d/sparse", self.top + "/d/e/linked")
        os.symlink("sparse", self.top + "/d/link")
        os.setxattr(self.top + "/d", "user.a", b"1")
        script = "os.utime('d/link',ns=(1,1),follow_symlinks=False); os.utime('d/e',ns=(2,2)); os.utime('d',ns=(3,3)); os.sync()"
        state = self.states(script, count=1)[0]
        real = self.holder.name + "/real"
        make_real(state, self.top, real)
        a, b = describe(self.top, folder_times=False), describe(real, folder_times=False)
        self.assertEqual(a, b)
        self.assertEqual(os.stat(real + "/d").st_mtime_ns, 3)

    def test_lines_of_strace(self):
        self.assertEqual(split(rb'3, "\x61\x2c", {a=1, b=[2, 3]}, A|B'), ["3", b"a,", "{a=1, b=[2, 3]}", "A|B"])
        times = "[{tv_sec=1, tv_nsec=2}, {tv_sec=-5, tv_nsec=7}]"
        self.assertEqual(modification_time(times), -5 * 10**9 + 7)
        self.assertEqual(modification_time("[UTIME_OMIT, UTIME_NOW]"), "now")

    def test_pages(self):
        data = Data()
        data.write(PAGE_BYTES - 1, b"ab")
        self.assertEqual(data.bytes(), bytes(PAGE_BYTES - 1) + b"ab")
        data.truncate(PAGE_BYTES)
        data.truncate(PAGE_BYTES + 5)
        self.assertEqual(data.bytes(), bytes(PAGE_BYTES - 1) + b"a" + bytes(5))


if __name__ == "__main__":
    unittest.main()
