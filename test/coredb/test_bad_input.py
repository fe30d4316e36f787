#!/usr/bin/env python3
# ctest: timeout=180
"""Bad input to coredb: Redis's answer, bounded memory, and no other client notices.

The answers are in bad_input_cases.py. Where redis-server is installed, it must give them too.
"""

import contextlib
import os
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "differential"))

import bad_input_cases as cases  # noqa: E402 (the path must be set first)
import coredb_cluster  # noqa: E402
from resp import Closed, Connection, encode  # noqa: E402

PATIENCE_S = 30 * coredb_cluster.SCALE
MIB = 1 << 20
MARK = b"$8\r\nthe mark\r\n"
ASK_MARK = encode([b"ECHO", b"the mark"])
SANITIZED = bool(os.environ.get("ROCKRAFT_SANITIZE"))


def arguments_of(text):
    """The requests of a case: lists of arguments."""
    if not isinstance(text, str):
        return text
    ends = {"MAX": str(2**63 - 1), "MIN": str(-2**63)}
    return [[ends.get(word, word) for word in request.split(" ")] for request in text.split("; ")]


def fits(answer, expected):
    expected = expected.encode("latin1")
    if expected.endswith(b"..."):
        return answer.startswith(expected[:-3])
    return answer == expected + b"\r\n"


class Client(Connection):
    def __init__(self, server):
        super().__init__(coredb_cluster.HOST, server.port, PATIENCE_S)
        self.socket.settimeout(PATIENCE_S)

    def everything(self):
        """All bytes until the server closes the connection, or answers the mark."""
        got = self.buffer
        while not got.endswith(MARK):
            try:
                chunk = self.socket.recv(MIB)
            except ConnectionResetError:
                return got, True
            if not chunk:
                return got, True
            got += chunk
        return got[:-len(MARK)], False

    def send_all(self, data):
        """Sends what the server takes; one that has closed the connection meanwhile said why before."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)


class Peak:
    """How far the memory of a process rises above what it was."""

    def __init__(self, server):
        self.pid = server.process.pid
        self.before = self.read("VmRSS:")
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # the peak begins anew

    def read(self, name):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))

    def growth(self):
        return self.read("VmHWM:") - self.before


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.group = coredb_cluster.Group()
        cls.node = cls.group.coredb()[0]
        cls.servers = [cls.node]
        if coredb_cluster.redis_program() is not None:
            cls.servers.append(cls.group.redis())

    @classmethod
    def tearDownClass(cls):
        cls.group.close(failed=not cls.node.running)

    def setUp(self):
        self.other = Client(self.node)  # that must not notice anything

    def tearDown(self):
        self.check_served()
        self.other.close()

    def check_served(self):
        self.assertEqual(self.other.call("SET", "other", "1"), ("+", b"OK"))
        self.assertEqual(self.other.call("GET", "other"), b"1")

    @contextlib.contextmanager
    def bounded(self, limit):
        """The node's memory never rises by more than `limit` within."""
        peak = Peak(self.node)
        yield
        self.check_served()
        if not SANITIZED:  # which keep what is freed for a while
            self.assertLess(peak.growth(), limit, "the memory of the node has grown")

    # ---- The table ----

    def check_bytes(self, table, password=None):
        for server in self.servers:
            for name, (data, expected, closed) in table.items():
                with self.subTest(name, server=type(server).__name__):
                    client = Client(server)
                    client.send_all(data)
                    if not closed and password is not None:
                        expected += b"+OK\r\n"
                        client.send_all(encode(["AUTH", password]))
                    if not closed:
                        client.send_all(ASK_MARK)
                    self.assertEqual(client.everything(), (expected, closed))
                    client.close()

    def test_broken_requests_are_answered_and_end_the_connection(self):
        with self.bounded(32 * MIB):
            self.check_bytes(cases.PROTOCOL)
        self.assertIsNone(self.other.call("GET", "bad"))

    def test_unfinished_requests_wait_without_memory(self):
        for server in self.servers:
            clients = []
            with self.bounded(32 * MIB):
                for name, data in cases.UNFINISHED.items():
                    client = Client(server)
                    client.send(data)
                    clients.append((name, client))
                # By two round trips of another client, the server has seen what came before.
                other = Client(server)
                for _ in range(2):
                    self.assertEqual(other.call("PING"), ("+", b"PONG"))
                other.close()
                for name, client in clients:
                    with self.subTest(name):
                        client.socket.setblocking(False)
                        self.assertRaises(BlockingIOError, client.socket.recv, 1)
            for _, client in clients:
                client.close()

    def test_commands_answer_as_redis(self):
        for server in self.servers:
            client = Client(server)
            for text, expected in cases.COMMANDS:
                requests = arguments_of(text)
                with self.subTest(str(text)[:80], server=type(server).__name__):
                    client.call("FLUSHALL")
                    client.send(b"".join(encode(request) for request in requests))
                    client.replies(len(requests) - 1)
                    _, answer = client.replies(1)
                    self.assertTrue(fits(answer, expected), f"{answer[:300]} but not {expected[:300]}")
            client.close()

    @contextlib.contextmanager
    def password(self):
        admins = [Client(server) for server in self.servers]
        try:
            for admin in admins:
                self.assertEqual(admin.call("CONFIG", "SET", "requirepass", "secret"), ("+", b"OK"))
            yield
        finally:
            for admin in admins:
                self.assertEqual(admin.call("CONFIG", "SET", "requirepass", ""), ("+", b"OK"))
                admin.close()

    def test_who_has_not_authenticated_gets_little(self):
        with self.password():
            self.check_bytes(cases.UNAUTHENTICATED, "secret")


def main():
    if coredb_cluster.coredb_program() is None:
        print("skipped: coredb is not built")
        sys.exit(coredb_cluster.SKIPPED)
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
