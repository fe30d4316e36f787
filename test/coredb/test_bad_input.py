#!/usr/bin/env python3
# ctest: timeout=400
"""Bad input to coredb: Redis's answer, bounded memory, and no other client notices.

The answers are in bad_input_cases.py. Where redis-server is installed, it must give them too.
"""

import contextlib
import os
import random
import resource
import select
import socket
import struct
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
SEED = os.environ.get("TEST_SEED") or str(random.SystemRandom().randrange(1 << 32))
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


def connected(client):
    return int(client.call("INFO", "clients").split(b"connected_clients:")[1].split()[0])


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


    # ---- Who does not read, and who is many ----

    def fill(self, key, size):
        self.assertEqual(self.other.call("SET", key, b"v" * size), ("+", b"OK"))

    @contextlib.contextmanager
    def setting(self, name, value):
        before = self.other.call("CONFIG", "GET", name)[1]
        self.assertEqual(self.other.call("CONFIG", "SET", name, value), ("+", b"OK"))
        try:
            yield
        finally:
            self.other.call("CONFIG", "SET", name, before)

    def clients(self, count):
        """Connections that end with a reset, so that none of their ports is held on to."""
        made = []
        for _ in range(count):
            client = Client(self.node)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.addCleanup(client.close)
            made.append(client)
        return made

    def flood(self, client, data):
        """Sends all that the system takes while nothing is read; returns how much that was."""
        client.socket.setblocking(False)
        sent = 0
        while sent < len(data):
            _, ready, _ = select.select([], [client.socket], [], 0.5 * coredb_cluster.SCALE)
            if not ready:
                break  # nothing moves any more: the server does not read on
            with contextlib.suppress(BlockingIOError):
                sent += client.socket.send(data[sent:sent + MIB])
        client.socket.settimeout(PATIENCE_S)
        return sent

    def test_a_pipeline_of_large_reads_waits_for_its_reader(self):
        self.fill("large", 4 * MIB)
        client, = self.clients(1)
        count = 200
        with self.bounded(400 * MIB):
            self.flood(client, encode(["GET", "large"]) * count)
            self.check_served()
            reply = b"$%d\r\n" % (4 * MIB) + b"v" * (4 * MIB) + b"\r\n"
            for _ in range(count):
                self.assertTrue(client.same_bytes(reply))

    def test_a_pipeline_goes_on_when_its_replies_have_left_at_once(self):
        self.fill("small", 320)
        reply = b"$320\r\n" + b"v" * 320 + b"\r\n"
        client, = self.clients(1)
        for count in (4000, 10000, 50000):
            client.send(encode(["GET", "small"]) * count)
            self.assertTrue(client.same_bytes(reply * count))

    def test_a_pipeline_of_large_pops_gets_all_of_them(self):
        count = 40
        value = b"v" * MIB
        for _ in range(count):
            self.other.call("RPUSH", "pops", value)
        client, = self.clients(1)
        client.send(encode(["LPOP", "pops"]) * count + encode(["LLEN", "pops"]))
        replies, _ = client.replies(count + 1)
        self.assertEqual([len(reply) for reply in replies[:-1]], [MIB] * count)
        self.assertEqual(replies[-1], 0)

    def test_a_flood_of_small_requests_waits_for_its_reader(self):
        client, = self.clients(1)
        requests = encode(["ECHO", b"e" * 1000]) * 100000
        with self.bounded(64 * MIB):
            self.assertLess(self.flood(client, requests), len(requests))

    def test_a_flood_before_authentication_is_bounded(self):
        with self.password():
            client, = self.clients(1)
            requests = b"NOSUCH " + b"n" * 100 + b"\r\n"
            with self.bounded(64 * MIB):
                self.assertLess(self.flood(client, requests * 1000000), len(requests) * 1000000)

    def test_a_subscriber_that_does_not_read_is_cut_off(self):
        subscriber, = self.clients(1)
        subscriber.call("SUBSCRIBE", "news")
        message = b"m" * MIB
        with self.setting("client-output-buffer-limit", "pubsub 8mb 0 0"), self.bounded(96 * MIB):
            for _ in range(300):
                self.assertIn(self.other.call("PUBLISH", "news", message), (0, 1))
            coredb_cluster.wait_until(lambda: self.other.call("PUBLISH", "news", b"") == 0,
                                      "the end of the subscriber")
        with self.assertRaises((Closed, ConnectionResetError)):
            while True:
                subscriber.replies(1)

    def test_more_clients_than_allowed_are_told(self):
        for server in self.servers:
            with self.subTest(server=type(server).__name__):
                admin = Client(server)
                held = [admin]
                # Those of the tests before may still be on their way out.
                coredb_cluster.wait_until(lambda: connected(admin) <= 2, "the end of other clients")
                self.assertEqual(admin.call("CONFIG", "SET", "maxclients", 20), ("+", b"OK"))
                while connected(admin) < 20:
                    held.append(Client(server))
                    self.assertEqual(held[-1].call("PING"), ("+", b"PONG"))
                refused = Client(server)
                self.assertEqual(refused.everything(),
                                 (b"-ERR max number of clients reached\r\n", True))
                admin.call("CONFIG", "SET", "maxclients", 10000)
                for client in [refused, *held]:
                    client.close()

    def test_thousands_of_unfinished_requests_cost_little(self):
        with self.bounded(128 * MIB):
            for client in self.clients(3000):
                client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$7000000\r\nbegin")
            self.check_served()
            self.assertGreater(connected(self.other), 3000)

    def test_more_input_than_allowed_ends_the_connection(self):
        client, = self.clients(1)
        with self.setting("client-query-buffer-limit", "1mb"):
            client.send_all(b"*2\r\n$3\r\nGET\r\n$7000000\r\n" + b"x" * 3 * MIB)
            self.assertEqual(client.everything(), (b"", True))

    def test_memory_of_all_clients_is_bounded(self):
        # Each holds a request that is almost complete: the largest are closed.
        part = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$7900000\r\n" + b"v" * 7000000
        with self.setting("maxmemory-clients", "64mb"), self.bounded(300 * MIB):
            for client in self.clients(60):
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    client.send(part)
            coredb_cluster.wait_until(lambda: self.evicted() > 40, "the end of most of them")

    def evicted(self):
        return int(self.other.call("INFO", "stats").split(b"evicted_clients:")[1].split()[0])

    def test_protocol_errors_in_a_row_starve_nobody(self):
        with self.bounded(32 * MIB):
            for _ in range(20):
                for client in self.clients(100):
                    client.send_all(b"*1\r\n$xx\r\n" * 100)
                self.check_served()

    # ---- Clients that go ----

    def test_a_blocked_client_that_goes_while_it_is_served_harms_nothing(self):
        for i in range(60):
            clients = self.clients(4)
            for client in clients:
                client.send(encode(["BLPOP", "wait", "0"]))
            ident = clients[0].socket.getsockname()
            self.other.send(encode(["CLIENT", "KILL", "ADDR", f"{ident[0]}:{ident[1]}"]) +
                            encode(["RPUSH", "wait"] + ["x"] * (i % 5 + 1)) + encode(["DEL", "wait"]))
            clients[1].close()
            replies, _ = self.other.replies(3)
            self.assertEqual(replies[1] if i % 5 == 4 else i % 5 + 1, i % 5 + 1)
            clients[2].close()
        self.assertTrue(self.node.running)

    # ---- The port of the nodes ----

    def test_garbage_at_the_port_of_the_nodes_harms_nothing(self):
        choose = random.Random(SEED)
        pieces = [
            b"", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100000, b"\xff" * 100000, encode(["PING"]) * 1000,
            b"\xff\xff\xff\x7f" * 4, b"\0\0\0\1",
            *(choose.randbytes(choose.randrange(1, 5000)) for _ in range(200)),
        ]
        with self.bounded(64 * MIB):
            held = []
            for piece in pieces:
                connection = socket.create_connection((coredb_cluster.HOST, self.node.raft_port),
                                                      PATIENCE_S)
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    connection.sendall(piece)
                held.append(connection)
            self.check_served()
            for connection in held:
                connection.close()


def main():
    if coredb_cluster.coredb_program() is None:
        print("skipped: coredb is not built")
        sys.exit(coredb_cluster.SKIPPED)
    # Thousands of connections, here and in the node, which inherits it.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"TEST_SEED={SEED} repeats this run", flush=True)
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
