#!/usr/bin/env python3
"""The disk that the crash tests play is as README.md says: what was synced stays, what was not may go.

ctest: timeout=180 label=crash
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import shim as shims  # noqa: E402 (the path must be set first)

SEED = int(os.environ.get("TEST_SEED", random.SystemRandom().randrange(1 << 32)))
ROUNDS = 16

# What every child begins with. It writes a line when something is durable.
PRELUDE = """
import os, sys
def sync(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
def tell(text):
    os.write(1, (str(text) + "\\n").encode())
"""
REPLACE = PRELUDE + """
for n in range(1, 1000):
    fd = os.open("name.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, b"%06d" % n * 1000)
    if "file" in sys.argv: os.fsync(fd)
    os.close(fd)
    os.rename("name.tmp", "name")
    if "directory" in sys.argv: sync(".")
    tell(n)
"""
IN_PLACE = PRELUDE + """
fd = os.open("data", os.O_RDWR | os.O_CREAT, 0o600)
os.pwrite(fd, bytes(8192), 0)
os.fsync(fd)
sync(".")
tell(0)
for n in range(1, 1000):
    os.pwrite(fd, b"%08d" % n * 64, n % 16 * 512)
    if "file" in sys.argv: os.fdatasync(fd)
    tell(n)
"""
GROWS = PRELUDE + """
fd = os.open("data", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
sync(".")
for n in range(1, 1000):
    os.write(fd, b"%08d" % n * 100)
    if "file" in sys.argv: os.fsync(fd)
    tell(n)
"""
TREE = PRELUDE + """
for n in range(1, 1000):
    os.mkdir("new")
    fd = os.open("new/file", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, b"%d" % n)
    os.fsync(fd)
    os.close(fd)
    if "inner" in sys.argv: sync("new")
    os.rename("new", "made-%d" % n)
    os.link("made-%d/file" % n, "link-%d" % n)
    sync(".")
    tell(n)
    if n > 1:
        os.unlink("made-%d/file" % (n - 1))
        os.rmdir("made-%d" % (n - 1))
        os.unlink("link-%d" % (n - 1))
"""
CUTS = PRELUDE + """
fd = os.open("data", os.O_RDWR | os.O_CREAT, 0o600)
os.pwrite(fd, b"a" * 20000, 0)
os.fsync(fd)
sync(".")
tell(1)
os.ftruncate(fd, 5000)
os.pwrite(fd, b"b" * 20000, 5000)
os.pwrite(fd, b"c" * 512, 1024)
os.kill(os.getpid(), 9)
"""


class Disk(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rockraft-shim-")
        self.root = os.path.join(self.folder, "root")
        self.addCleanup(shutil.rmtree, self.folder)
        self.rng = random.Random(f"{SEED}.{self.id()}")
        print(f"\n{self.id()}: TEST_SEED={SEED}")

    def fresh(self, journal=True):
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(os.path.join(self.folder, "shim"), ignore_errors=True)
        os.makedirs(self.root)
        return shims.Shim(self.root, os.path.join(self.folder, "shim"), journal,
                          self.rng.randrange(1 << 60))

    def run_child(self, shim, script, *arguments):
        """Its exit status, and the last number that it told."""
        child = subprocess.run(["/usr/bin/python3", "-S", "-c", script, *arguments],
                               cwd=self.root, env={**os.environ, **shim.environment()},
                               stdout=subprocess.PIPE)
        told = child.stdout.split()
        return child.returncode, int(told[-1]) if told else None

    def crashes(self, script, *arguments, rounds=ROUNDS, operations=60):
        """Kills the child somewhere and loses power, so many times; yields what it told before."""
        for number in range(rounds):
            shim = self.fresh()
            rule = shim.rule().set(shims.CHANGES, "kill", skip=self.rng.randrange(operations))
            status, told = self.run_child(shim, script, *arguments)
            self.assertEqual(status, -signal.SIGKILL)
            self.assertEqual(rule.fired, 1)
            shim.lose_power(self.rng.randrange(1 << 60), ordered=number % 2 == 0)
            yield told or 0

    def read(self, name="data"):
        with open(os.path.join(self.root, name), "rb") as file:
            return file.read()

    def replaced(self, *arguments):
        """How often what was told last is there whole, something else is there, and something torn."""
        kept = older = torn = 0
        for told in self.crashes(REPLACE, *arguments):
            try:
                data = self.read("name")
            except FileNotFoundError:
                data = b"000000" * 1000
            if len(data) != 6000 or data != data[:6] * 1000 or not data[:6].isdigit():
                torn += 1
            elif int(data[:6]) >= told:
                kept += 1
            else:
                older += 1
        return kept, older, torn

    def test_a_file_replaced_with_every_sync_is_never_lost(self):
        self.assertEqual(self.replaced("file", "directory"), (ROUNDS, 0, 0))

    def test_a_sync_of_the_file_that_was_forgotten_shows(self):
        self.assertGreater(self.replaced("directory")[2], 0)

    def test_a_sync_of_the_directory_that_was_forgotten_shows(self):
        self.assertGreater(self.replaced("file")[1], 0)

    def lost_in_place(self, *arguments):
        lost = 0
        for told in self.crashes(IN_PLACE, *arguments):
            if not os.path.exists(os.path.join(self.root, "data")):
                self.assertEqual(told, 0)
                continue
            data = self.read()
            for n in range(max(1, told - 15), told + 1):
                found = data[n % 16 * 512:n % 16 * 512 + 512]
                # The kill may have come in the middle of a write.
                self.assertEqual(found, found[:8] * 32 + found[-8:] * 32, "sectors are whole")
                number = min(int(half.replace(b"\0", b"0")) for half in (found[:8], found[-8:]))
                lost += number < n
                self.assertTrue(number == 0 or number % 16 == n % 16)
        return lost

    def test_writes_in_place_stay_once_they_are_synced(self):
        self.assertEqual(self.lost_in_place("file"), 0)

    def test_writes_in_place_are_lost_sector_by_sector_without(self):
        self.assertGreater(self.lost_in_place(), 0)

    def grown(self, *arguments):
        whole = 0
        for told in self.crashes(GROWS, *arguments):
            data = self.read() if os.path.exists(os.path.join(self.root, "data")) else b""
            whole += data.startswith(b"".join(b"%08d" % n * 100 for n in range(1, told + 1)))
            self.assertLessEqual(len(data), (told + 1) * 800)
        return whole

    def test_what_is_appended_stays_once_it_is_synced(self):
        self.assertEqual(self.grown("file"), ROUNDS)

    def test_what_is_appended_is_lost_without(self):
        self.assertLess(self.grown(), ROUNDS)

    def test_directories_and_links_stay_once_they_are_synced(self):
        for told in self.crashes(TREE, "inner", operations=100):
            names = os.listdir(self.root)
            if told > 0:
                self.assertEqual(self.read(f"made-{told}/file"), b"%d" % told)
                self.assertEqual(self.read(f"link-{told}"), b"%d" % told)
            self.assertLessEqual(len([name for name in names if name.startswith("made")]), 3)

    def test_a_directory_that_is_not_synced_may_be_empty_where_names_are_lost_in_any_order(self):
        empty = 0
        for told in self.crashes(TREE, operations=100):
            empty += told > 0 and not os.path.exists(os.path.join(self.root, f"made-{told}/file"))
        self.assertGreater(empty, 0)

    def test_what_was_cut_off_never_comes_back_behind_what_came_later(self):
        seen = set()
        for _ in range(ROUNDS):
            shim = self.fresh()
            self.run_child(shim, CUTS)
            shim.lose_power(self.rng.randrange(1 << 60))
            data = self.read()
            seen.add("long" if len(data) > 20000 else "cut" if len(data) < 20000 else "before")
            if b"b" in data:
                self.assertNotIn(b"a", data[5000:])
            self.assertEqual(data[:1024], b"a" * 1024)
            self.assertIn(data[1024:1536], (b"a" * 512, b"c" * 512))
        self.assertIn("before", seen)
        self.assertGreater(len(seen), 1)

    def test_a_kill_alone_loses_nothing_and_the_journal_goes_on(self):
        shim = self.fresh()
        for _ in range(5):
            shim.rule().set(shims.CHANGES, "kill", skip=self.rng.randrange(20, 60))
            status, told = self.run_child(shim, GROWS)
            self.assertEqual(status, -signal.SIGKILL)
            shim.settle()
            data = self.read()
            self.assertTrue(data.endswith(b"%08d" % told * 100) or b"%08d" % (told + 1) in data)
        shim.lose_power(1)
        self.assertLessEqual(len(self.read()) if os.path.exists(f"{self.root}/data") else 0,
                             len(data))

    # Faults.

    def outcome(self, shim, body):
        """What the body prints, in a child."""
        script = PRELUDE + "try:\n" + "".join(f"    {line}\n" for line in body.splitlines()) + \
            "except OSError as error: tell(error.errno)\n"
        child = subprocess.run(["/usr/bin/python3", "-S", "-c", script], cwd=self.root, check=True,
                               env={**os.environ, **shim.environment()}, stdout=subprocess.PIPE)
        return child.stdout.decode().split()

    WRITES = "fd = os.open('data', os.O_RDWR | os.O_CREAT, 0o600)\n" \
             "tell(os.pwrite(fd, b'x' * 1000, 100))\nos.fsync(fd)\ntell('synced')"

    def test_errors(self):
        for operation in ("create", "write", "sync"):
            shim = self.fresh(journal=False)
            rule = shim.rule().set((operation,), "EIO", "dat?")
            self.assertEqual(self.outcome(shim, self.WRITES)[-1], "5")
            self.assertEqual(rule.fired, 1)
        shim = self.fresh(journal=False)
        shim.rule().set(("write",), "ENOSPC", skip=1)
        self.assertEqual(self.outcome(shim, self.WRITES), ["1000", "synced"])
        self.assertEqual(self.outcome(shim, self.WRITES), ["28"])

    def test_short_lost_flipped_and_misdirected_writes(self):
        shim = self.fresh(journal=False)
        shim.rule().set(("write",), "short", limit=1)
        self.assertEqual(self.outcome(shim, self.WRITES), ["500", "synced"])
        self.assertEqual(len(self.read()), 600)
        shim = self.fresh(journal=False)
        shim.rule().set(("write",), "lost")
        self.assertEqual(self.outcome(shim, self.WRITES), ["1000", "synced"])
        self.assertEqual(self.read(), bytes(1100))
        shim = self.fresh(journal=False)
        shim.rule().set(("write",), "flip")
        self.outcome(shim, self.WRITES)
        self.assertEqual(sum(bin(byte ^ 120).count("1") for byte in self.read()[100:]), 1)
        shim = self.fresh(journal=False)
        shim.rule().set(("write",), "misdirect", argument=50)
        self.outcome(shim, self.WRITES)
        self.assertEqual(self.read(), bytes(150) + b"x" * 1000)

    def test_reads_fail_flip_and_come_short(self):
        body = "fd = os.open('data', os.O_RDONLY)\ntell(len(os.read(fd, 9)))\n" \
               "tell(os.pread(fd, 9, 0).decode('latin1'))"
        for fault, expected in (("EIO", ["5"]), ("short", ["4", "aaaa"])):
            shim = self.fresh(journal=False)
            with open(os.path.join(self.root, "data"), "wb") as file:
                file.write(b"a" * 9)
            shim.rule().set(("read",), fault)
            self.assertEqual(self.outcome(shim, body), expected)
        shim.rule().set(("read",), "flip")
        self.assertNotEqual(self.outcome(shim, body)[-1], "a" * 9)

    def test_a_stall_lasts_until_it_is_released(self):
        shim = self.fresh(journal=False)
        rule = shim.rule().set(("sync",), "stall")
        child = subprocess.Popen(["/usr/bin/python3", "-S", "-c", PRELUDE + self.WRITES], cwd=self.root,
                                 env={**os.environ, **shim.environment()}, stdout=subprocess.PIPE)
        self.assertEqual(child.stdout.readline(), b"1000\n")
        while rule.waiting == 0:
            self.assertIsNone(child.poll())
        rule.release()
        self.assertEqual(child.communicate()[0], b"synced\n")

    def test_a_sync_that_failed_keeps_nothing_and_later_ones_do_not_bring_it_back(self):
        lost = 0
        for _ in range(ROUNDS):
            shim = self.fresh()
            shim.rule().set(("sync",), "EIO", skip=1, limit=1)
            self.outcome(shim, "fd = os.open('data', os.O_RDWR | os.O_CREAT, 0o600)\n"
                               "os.pwrite(fd, b'a' * 1024, 0)\nos.fsync(fd)\nsync('.')\n"
                               "os.pwrite(fd, b'b' * 512, 0)\n"
                               "try: os.fsync(fd)\nexcept OSError: tell('failed')\n"
                               "os.pwrite(fd, b'c' * 512, 512)\nos.fsync(fd)")
            shim.lose_power(self.rng.randrange(1 << 60))
            data = self.read()
            self.assertEqual(data[512:], b"c" * 512)
            lost += data[:512] == b"a" * 512
        self.assertGreater(lost, 0)
        self.assertLess(lost, ROUNDS)


if __name__ == "__main__":
    shims.skip_without_programs()
    unittest.main()
