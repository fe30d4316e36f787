#!/usr/bin/env python3
# ctest: timeout=180
"""Wall clocks that jump: what has expired stays so, and keys go on expiring in their time.

Each node's wall clock is moved by clock/wall_clock.c, which this compiles and loads before it.
"""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "differential"))

import coredb_cluster  # noqa: E402 (the path must be set first)
from coredb_cluster import HOST, SCALE, wait_until  # noqa: E402
from resp import Connection  # noqa: E402

OK = ("+", b"OK")
HOUR = 3600
YEAR = 365 * 24 * HOUR


class Clock(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="rockraft-clock-")
        cls.addClassCleanup(shutil.rmtree, folder)
        library = os.path.join(folder, "wall_clock.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", library,
                        os.path.join(HERE, "clock", "wall_clock.c")], check=True)
        os.environ["LD_PRELOAD"] = library
        cls.addClassCleanup(os.environ.pop, "LD_PRELOAD")

    def start(self, count):
        group = coredb_cluster.Group()
        self.addCleanup(group.close)
        self.nodes = group.coredb(count)
        return self.nodes

    def connect(self, node):
        connection = Connection(HOST, node.port, 30 * SCALE)
        self.addCleanup(connection.close)
        return connection

    @staticmethod
    def set_clock(node, offset_s):
        with open(os.path.join(node.folder, "clock"), "r+b") as file:
            file.write(struct.pack("=q", offset_s * 1000))

    @staticmethod
    def info(connection, name):
        for line in connection.call("INFO").splitlines():
            if line.startswith(name.encode() + b":"):
                return line.split(b":")[1]
        raise AssertionError(f"INFO has no {name}")

    def await_gone(self, connection, key):
        wait_until(lambda: connection.call("EXISTS", key) == 0, f"the end of {key}")

    def leader(self):
        for node in self.nodes:
            if node.running and self.info(self.connect(node), "raft_role") == b"leader":
                return node
        return None

    def test_the_clock_is_moved(self):
        node, = self.start(1)
        connection = self.connect(node)
        before = int(connection.call("TIME")[0])
        self.set_clock(node, YEAR)
        self.assertGreaterEqual(int(connection.call("TIME")[0]), before + YEAR)

    def test_what_has_expired_does_not_come_back(self):
        node, = self.start(1)
        connection = self.connect(node)
        for name in ("a", "b", "c"):
            self.assertEqual(connection.call("SET", name, "v", "EX", "1000"), OK)
        self.set_clock(node, 2000)
        self.assertIsNone(connection.call("GET", "a"))
        self.set_clock(node, -HOUR)
        self.assertIsNone(connection.call("GET", "a"))
        self.assertEqual(connection.call("SET", "a", "new", "XX"), None)
        node.kill()
        node.start().wait_ready()
        connection = self.connect(coredb_cluster.wait_writable(node))
        self.assertIsNone(connection.call("GET", "a"))

    def test_keys_expire_in_their_time_behind_a_clock_that_was_ahead(self):
        node, = self.start(1)
        connection = self.connect(node)
        self.set_clock(node, YEAR)
        self.assertEqual(connection.call("SET", "x", "v"), OK)
        self.set_clock(node, 0)
        self.assertEqual(connection.call("SET", "lock", "me", "NX", "PX", "300"), OK)
        wait_until(lambda: connection.call("SET", "lock", "you", "NX", "PX", "300") == OK,
                   "the lock")
        self.assertEqual(connection.call("SET", "idle", "v", "PX", "300"), OK)
        self.await_gone(connection, "idle")
        self.assertEqual(connection.call("GET", "x"), b"v")

    def test_a_key_that_is_due_by_the_log_alone_makes_no_flood_of_entries(self):
        node, = self.start(1)
        node.kill()
        node.command.extend(["--enable-debug-command", "yes"])
        connection = self.connect(coredb_cluster.wait_writable(node.start().wait_ready()))
        self.assertEqual(connection.call("DEBUG", "SET-ACTIVE-EXPIRE", "0"), OK)
        self.assertEqual(connection.call("SET", "k", "v", "EX", "1000"), OK)
        self.set_clock(node, HOUR)
        self.assertEqual(connection.call("SET", "x", "v"), OK)
        self.set_clock(node, 0)
        before = int(self.info(connection, "raft_applied_index"))
        time.sleep(1)  # of background turns, each of which may make an entry or two
        self.assertLess(int(self.info(connection, "raft_applied_index")) - before, 100)
        self.assertEqual(connection.call("DEBUG", "SET-ACTIVE-EXPIRE", "1"), OK)
        wait_until(lambda: connection.call("DBSIZE") == 1, "the active expiry")

    def await_voters(self):
        """Waits until all vote: before that, two of three may be no majority."""
        for node in self.nodes:
            connection = self.connect(node)
            wait_until(lambda: self.info(connection, "raft_role") in (b"leader", b"follower"),
                       "a voter")

    def test_a_new_leader_with_an_older_clock_goes_on(self):
        self.start(3)
        self.await_voters()
        leader = self.leader()
        others = [node for node in self.nodes if node is not leader]
        connection = self.connect(leader)
        self.assertEqual(connection.call("SET", "gone", "v", "EX", "1000"), OK)
        self.set_clock(leader, HOUR)
        self.assertIsNone(connection.call("GET", "gone"))
        for node in others:
            self.assertIsNone(self.connect(node).call("GET", "gone"))
        self.assertEqual(connection.call("SET", "short", "v", "PX", "500"), OK)
        self.assertEqual(connection.call("SET", "long", "v", "EX", "1000"), OK)
        leader.kill()
        connection = self.connect(coredb_cluster.wait_writable(others[0]))
        self.assertIsNone(connection.call("GET", "gone"))
        self.await_gone(connection, "short")
        self.assertEqual(connection.call("GET", "long"), b"v")


if __name__ == "__main__":
    if coredb_cluster.coredb_program() is None:
        print("coredb has not been built")
        sys.exit(coredb_cluster.SKIPPED)
    if os.environ.get("ROCKRAFT_SANITIZE"):
        print("a sanitizer wants to be loaded first")
        sys.exit(coredb_cluster.SKIPPED)
    unittest.main()
