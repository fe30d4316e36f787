#!/usr/bin/env python3
# ctest: timeout=240 label=slow
"""Many commands of one connection in flight: replies in order, each with its own truth, whatever dies.

PIPELINING_REDIS=1 runs what kills no node against one redis-server, which shows that the tests are right.
"""

import contextlib
import os
import socket
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "differential"))

import coredb_cluster  # noqa: E402 (the path must be set first)
from coredb_cluster import HOST, SCALE, wait_until  # noqa: E402
from resp import Closed, Connection, encode  # noqa: E402

AGAINST_REDIS = bool(os.environ.get("PIPELINING_REDIS"))
MANY = 100000
OK = ("+", b"OK")
QUEUED = ("+", b"QUEUED")


def pushes(count):
    return b"".join(encode(["RPUSH", "l", number]) for number in range(count))


class Pipelining(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.group = self.stack.enter_context(coredb_cluster.Group())
        self.nodes = [self.group.redis()] * 3 if AGAINST_REDIS else self.group.coredb(3)

    def connect(self, node):
        connection = Connection(HOST, self.nodes[node].port, 60 * SCALE)
        self.stack.callback(connection.close)
        return connection

    def leader(self):
        """The number of the node that leads."""
        for line in self.connect(0).call("INFO", "raft").splitlines():
            if line.startswith(b"raft_leader:"):
                return int(line.split(b":")[1]) - 1
        raise AssertionError("INFO does not tell the leader")

    def test_replies_are_in_order_whatever_the_commands_are(self):
        connection = self.connect(1)
        requests, expected = [], []

        def add(reply, *command):
            requests.append(encode(command))
            expected.append(reply)

        for number in range(300):
            value = str(number).encode()
            add(OK, "SET", "k", value)
            add(value, "GET", "k")
            add(("+", b"PONG"), "PING")
            add(value, "ECHO", value)
            add(number + 1, "RPUSH", "list", value)
            add(("-", b"WRONGTYPE Operation against a key holding the wrong kind of value"), "LPUSH", "k", "x")
            add(("-", b"ERR unknown command 'NOSUCH', with args beginning with: 'a' "), "NOSUCH", "a")
            add(OK, "MULTI")
            add(QUEUED, "INCR", "n")
            add(QUEUED, "LINDEX", "list", -1)
            add([number + 1, value], "EXEC")
            add(OK, "SELECT", number % 2)
            add(("*", None), "BLPOP", "none", 0.001) if number % 100 == 0 else add(0, "DEL", "none")
            add(OK, "SELECT", 0)
            add([b"list", value], "BRPOP", "none", "list", 0)
            add(number + 1, "RPUSH", "list", value)
        writer = threading.Thread(target=connection.send, args=(b"".join(requests),))
        writer.start()
        replies = connection.replies(len(expected))[0]
        writer.join()
        for number, (reply, wanted) in enumerate(zip(replies, expected)):
            self.assertEqual(reply, wanted, (number, requests[number]))

    def test_one_that_sends_no_more_gets_every_reply(self):
        connection = self.connect(2)

        def write():
            connection.send(pushes(MANY))
            connection.socket.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write)
        writer.start()
        self.assertEqual(connection.replies(MANY)[0], list(range(1, MANY + 1)))
        with self.assertRaises(Closed):
            connection.replies(1)
        writer.join()
        self.assertEqual(self.connect(0).call("LLEN", "l"), MANY)

    def test_one_that_goes_at_once_leaves_the_beginning_of_what_it_sent(self):
        control = self.connect(0)
        connection = self.connect(1)
        name = connection.call("CLIENT", "ID")
        connection.send(pushes(MANY))
        connection.close()
        own = self.connect(1)
        wait_until(lambda: b"id=%d " % name not in own.call("CLIENT", "LIST"), "the server sees that it went")
        # What was on its way when it went may be applied yet: the list has settled when it stays.
        wait_until(lambda: control.call("LLEN", "l") == control.call("LLEN", "l"), "the list stays")
        found = control.call("LRANGE", "l", 0, -1)
        self.assertEqual(found, [str(number).encode() for number in range(len(found))])
        self.assertEqual(control.call("PING"), ("+", b"PONG"))

    def check_truth(self, replies, found):
        """`replies` to pushes of 0, 1, ...; None: there was none. `found`: the list afterwards."""
        present = set(found)
        self.assertEqual(len(present), len(found), "something was pushed twice")
        certain = []
        for number, reply in enumerate(replies):
            value = str(number).encode()
            if isinstance(reply, int):
                self.assertIn(value, present)
                certain.append(value)
            elif reply is not None and reply[1].startswith(b"TRYAGAIN"):
                self.assertNotIn(value, present)
            elif reply is not None:
                self.assertTrue(reply[1].startswith(b"UNKNOWN"), reply)
        in_order = set(certain)
        self.assertEqual([value for value in found if value in in_order], certain)
        lengths = [reply for reply in replies if isinstance(reply, int)]
        self.assertEqual(lengths, sorted(lengths))
        return len(certain)

    @unittest.skipIf(AGAINST_REDIS, "it kills nodes")
    def test_each_command_tells_its_own_truth_when_the_leader_dies(self):
        leader = self.leader()
        node = (leader + 1) % 3
        connection = self.connect(node)
        count = 30000
        writer = threading.Thread(target=connection.send, args=(pushes(count),))
        writer.start()
        replies = connection.replies(1000)[0]
        self.nodes[leader].kill()
        replies += connection.replies(count - 1000)[0]
        writer.join()
        coredb_cluster.wait_writable(self.nodes[node])
        found = self.connect(node).call("LRANGE", "l", 0, -1)
        self.assertGreaterEqual(self.check_truth(replies, found), 1000)

    @unittest.skipIf(AGAINST_REDIS, "it kills nodes")
    def test_what_was_answered_is_there_when_the_node_of_the_client_dies(self):
        for node in (self.leader(), (self.leader() + 1) % 3):
            other = self.connect((node + 1) % 3)
            other.call("DEL", "l")
            connection = self.connect(node)
            count = 30000

            def write(connection=connection, count=count):
                with contextlib.suppress(OSError):
                    connection.send(pushes(count))

            writer = threading.Thread(target=write)
            writer.start()
            replies = connection.replies(1000)[0]
            self.nodes[node].kill()
            with contextlib.suppress(Closed, OSError):
                while True:
                    replies += connection.replies(1)[0]
            writer.join()
            coredb_cluster.wait_writable(self.nodes[(node + 1) % 3])
            found = other.call("LRANGE", "l", 0, -1)
            self.check_truth(replies + [None] * (count - len(replies)), found)
            self.nodes[node].start().wait_ready()
            coredb_cluster.wait_writable(self.nodes[node])


if __name__ == "__main__":
    coredb_cluster.require_server(AGAINST_REDIS)
    unittest.main(verbosity=2)
