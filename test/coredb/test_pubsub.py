#!/usr/bin/env python3
# ctest: timeout=180
"""Publish and subscribe over three nodes, notifications of the keyspace, and subscribers that do not read.

PUBSUB_REDIS=1 runs the same against one redis-server, which shows that the tests are right.
"""

import contextlib
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "differential"))

import coredb_cluster  # noqa: E402 (the path must be set first)
from coredb_cluster import HOST, SCALE, wait_until  # noqa: E402
from resp import Closed, Connection, encode  # noqa: E402

AGAINST_REDIS = bool(os.environ.get("PUBSUB_REDIS"))
OK = ("+", b"OK")

# By letter of notify-keyspace-events: commands, and what Redis 7.0 tells of them as "event key".
NOTIFICATIONS = {
    "$": ("SET a 1; INCR a; APPEND a x; SETRANGE a 0 y; GETSET a z; MSET a 1 b 2; SETBIT a 1 1; "
          "INCRBYFLOAT b 1.5; GETDEL b; PFADD p x; BITOP NOT c a",
          "set a; incrby a; append a; setrange a; set a; set a; set b; setbit a; incrbyfloat b; "
          "pfadd p; set c"),
    "l": ("RPUSH l 1 2 3; LPUSH l 0; LSET l 0 x; LINSERT l BEFORE 2 y; LREM l 1 y; LTRIM l 0 2; "
          "LMOVE l m LEFT RIGHT; RPOP l; LPOP m",
          "rpush l; lpush l; lset l; linsert l; lrem l; ltrim l; rpush m; lpop l; rpop l; lpop m"),
    "s": ("SADD s a b c; SREM s a; SMOVE s t b; SPOP s; SINTERSTORE u t t; SADD t b",
          "sadd s; srem s; srem s; sadd t; spop s; sinterstore u"),
    "h": ("HSET h f 1 g 2; HINCRBY h f 1; HINCRBYFLOAT h f 0.5; HDEL h f; HSETNX h g 1; HDEL h g",
          "hset h; hincrby h; hincrbyfloat h; hdel h; hdel h"),
    "z": ("ZADD z 1 a 2 b 3 c; ZINCRBY z 1 a; ZREM z b; ZRANGESTORE y z 0 -1; "
          "ZREMRANGEBYRANK z 0 0; ZPOPMAX z; GEOADD geo 1 1 x",
          "zadd z; zincr z; zrem z; zrangestore y; zremrangebyrank z; zpopmax z; zadd geo"),
    "t": ("XADD x 1-1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XSETID x 5-5; "
          "XTRIM x MAXLEN 0; XGROUP DELCONSUMER x g c; XGROUP DESTROY x g; XADD x 6-6 f v; XDEL x 6-6",
          "xadd x; xgroup-create x; xgroup-createconsumer x; xsetid x; xtrim x; "
          "xgroup-delconsumer x; xgroup-destroy x; xadd x; xdel x"),
    "g": ("SET a 1; EXPIRE a 100; PERSIST a; RENAME a b; COPY b c; DEL b; SET d 1; MOVE d 3; "
          "UNLINK c; RPUSH l b a; SORT l ALPHA STORE k; EXPIRE l -1",
          "expire a; persist a; rename_from a; rename_to b; copy_to c; del b; move_from d; "
          "move_to d; del c; del l"),
    "n": ("SET a 1; SET a 2; RPUSH l x; HSET h f v", "new a; new l; new h"),
    "x": ("SET a 1 PX 20", "expired a"),
}


class Pubsub(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.group = coredb_cluster.Group()
        cls.addClassCleanup(cls.group.close)
        cls.ports = [cls.group.redis().port] * 3 if AGAINST_REDIS else \
            [node.port for node in cls.group.coredb(3)]

        with contextlib.ExitStack() as stack:
            cls.await_links(stack)

    @classmethod
    def await_links(cls, stack):
        """Messages reach whoever is connected: publishes until every node has heard every other."""
        connections = [Connection(HOST, port, 30 * SCALE) for port in cls.ports]
        subscribers = [Connection(HOST, port, 30 * SCALE) for port in cls.ports]
        for connection in connections + subscribers:
            stack.callback(connection.close)
        for subscriber in subscribers:
            subscriber.call("SUBSCRIBE", "warm")
            subscriber.socket.settimeout(0.01)
        heard = [b""] * len(subscribers)

        def linked():
            for number, connection in enumerate(connections):
                connection.call("PUBLISH", "warm", f"from {number}")
            for number, subscriber in enumerate(subscribers):
                with contextlib.suppress(TimeoutError):
                    heard[number] += subscriber.socket.recv(4096)
            return all(b"from %d" % sender in text for text in heard for sender in range(3))

        wait_until(linked, "messages between all nodes")

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.control = [self.connect(node) for node in range(3)]
        self.assertEqual(self.control[0].call("FLUSHALL"), OK)
        self.configure("notify-keyspace-events", "")
        self.configure("client-output-buffer-limit", "pubsub 33554432 8388608 60")

    def configure(self, name, value):
        for control in self.control:
            self.assertEqual(control.call("CONFIG", "SET", name, value), OK)

    def connect(self, node, protocol=2):
        connection = Connection(HOST, self.ports[node], 30 * SCALE)
        self.stack.callback(connection.close)
        if protocol == 3:
            self.assertEqual(connection.call("HELLO", 3)[0], "%")
        return connection

    def subscriber(self, node, protocol, command, *names):
        connection = self.connect(node, protocol)
        connection.send(encode([command, *names]))
        for number, name in enumerate(names):
            self.assertEqual(self.message(connection), [command.lower().encode(), name.encode(), number + 1])
        return connection

    def message(self, connection):
        """The next message, which is an array in RESP2 and a push in RESP3."""
        value = connection.replies(1)[0][0]
        return value[1] if isinstance(value, tuple) and value[0] == ">" else value

    def test_messages_reach_subscribers_of_every_node_in_order(self):
        subscribers = [self.subscriber(node, 2 + node % 2, "SUBSCRIBE", "news") for node in range(3)]
        patterns = [self.subscriber(node, 3 - node % 2, "PSUBSCRIBE", "n?w*") for node in range(3)]
        for sender in range(3):
            here = [2] if not AGAINST_REDIS else [6]
            self.control[sender].send(b"".join(encode(["PUBLISH", "news", number]) for number in range(100)))
            self.assertEqual(self.control[sender].replies(100)[0], here * 100)
            for subscriber in subscribers:
                for number in range(100):
                    self.assertEqual(self.message(subscriber), [b"message", b"news", b"%d" % number])
            for subscriber in patterns:
                for number in range(100):
                    self.assertEqual(self.message(subscriber),
                                     [b"pmessage", b"n?w*", b"news", b"%d" % number])

    def test_shard_channels_are_apart(self):
        shard = self.subscriber(1, 3, "SSUBSCRIBE", "shard:c")
        plain = self.subscriber(1, 2, "SUBSCRIBE", "shard:c")
        pattern = self.subscriber(2, 2, "PSUBSCRIBE", "shard:*")
        self.control[0].call("SPUBLISH", "shard:c", "to the shard")
        self.control[0].call("PUBLISH", "shard:c", "to all")
        self.assertEqual(self.message(shard), [b"smessage", b"shard:c", b"to the shard"])
        self.assertEqual(self.message(plain), [b"message", b"shard:c", b"to all"])
        self.assertEqual(self.message(pattern), [b"pmessage", b"shard:*", b"shard:c", b"to all"])
        shard.send(encode(["SUNSUBSCRIBE"]))
        self.assertEqual(self.message(shard), [b"sunsubscribe", b"shard:c", 0])

    def test_large_and_odd_messages_cross_whole(self):
        subscriber = self.subscriber(2, 2, "SUBSCRIBE", "large")
        for message in (b"", bytes(range(256)), b"x" * 3000000, b"\r\n$5\r\n"):
            self.control[0].call("PUBLISH", "large", message)
            self.assertEqual(self.message(subscriber), [b"message", b"large", message])

    def test_publishing_in_a_transaction_reaches_all(self):
        subscribers = [self.subscriber(node, 2, "SUBSCRIBE", "multi") for node in range(3)]
        self.control[1].send(b"".join(encode(c) for c in (
            ["MULTI"], ["PUBLISH", "multi", "1"], ["SET", "k", "v"], ["PUBLISH", "multi", "2"], ["EXEC"])))
        self.assertEqual(self.control[1].replies(5)[0][-1][1], OK)
        for subscriber in subscribers:
            self.assertEqual([self.message(subscriber)[2] for _ in range(2)], [b"1", b"2"])

    def test_pubsub_tells_of_the_subscriptions_of_its_node(self):
        first = self.subscriber(1, 2, "SUBSCRIBE", "a", "b")
        self.subscriber(1, 3, "SUBSCRIBE", "a")
        self.subscriber(1, 2, "PSUBSCRIBE", "p*", "q*")
        self.subscriber(1, 2, "SSUBSCRIBE", "s")
        control = self.control[1]
        self.assertEqual(sorted(control.call("PUBSUB", "CHANNELS")), [b"a", b"b"])
        self.assertEqual(control.call("PUBSUB", "CHANNELS", "a*"), [b"a"])
        self.assertEqual(control.call("PUBSUB", "NUMSUB", "a", "b", "c"), [b"a", 2, b"b", 1, b"c", 0])
        self.assertEqual(control.call("PUBSUB", "NUMPAT"), 2)
        self.assertEqual(control.call("PUBSUB", "SHARDCHANNELS"), [b"s"])
        self.assertEqual(control.call("PUBSUB", "SHARDNUMSUB", "s", "a"), [b"s", 1, b"a", 0])
        first.close()
        wait_until(lambda: control.call("PUBSUB", "NUMSUB", "a", "b") == [b"a", 1, b"b", 0],
                   "the subscriptions of a client that went", pause=0.005)

    def test_resp3_subscribers_may_do_anything_else(self):
        subscriber = self.subscriber(0, 3, "SUBSCRIBE", "own")
        self.assertEqual(subscriber.call("SET", "k", "v"), OK)
        subscriber.send(encode(["PUBLISH", "own", "own"]))
        self.assertCountEqual(subscriber.replies(2)[0], [(">", [b"message", b"own", b"own"]), 1])
        restricted = self.subscriber(0, 2, "SUBSCRIBE", "own")
        self.assertTrue(restricted.call("GET", "k")[1].startswith(b"ERR Can't execute 'get': only"))
        self.assertEqual(restricted.call("PING"), [b"pong", b""])

    def events(self, subscriber):
        """What the subscriber to all events was told, up to the one that ends it."""
        found = []
        while True:
            _, _, channel, key = self.message(subscriber)
            event = channel.split(b":", 1)[1]
            if event == b"end":
                return found
            found.append(event + b" " + key)

    def test_every_node_tells_what_happened_to_keys(self):
        for letter, (commands, expected) in NOTIFICATIONS.items():
            with self.subTest(letter):
                self.control[0].call("FLUSHALL")
                self.configure("notify-keyspace-events", "E" + letter)
                subscribers = [self.subscriber(node, 2 + node % 2, "PSUBSCRIBE", "__keyevent@*__:*")
                               for node in range(3)]
                for command in commands.split("; "):
                    reply = self.control[1].call(*command.split(" "))
                    self.assertFalse(isinstance(reply, tuple) and reply[0] == "-", (command, reply))
                wait_until(lambda: letter != "x" or self.control[1].call("DBSIZE") == 0, "it expires")
                # In a transaction, so that it comes behind the events of the log.
                self.control[1].send(b"".join(encode(c) for c in (
                    ["MULTI"], ["PUBLISH", "__keyevent@0__:end", "-"], ["EXEC"])))
                self.control[1].replies(3)
                for subscriber in subscribers:
                    self.assertEqual(self.events(subscriber), expected.encode().split(b"; "))
                    subscriber.close()

    def test_keyspace_and_keyevent_channels_name_the_database(self):
        self.configure("notify-keyspace-events", "KEA")
        subscriber = self.subscriber(2, 2, "PSUBSCRIBE", "__key*__:*")
        self.control[0].call("SELECT", 7)
        self.control[0].call("RPUSH", "l", "x")
        self.assertEqual(self.message(subscriber)[2:], [b"__keyspace@7__:l", b"rpush"])
        self.assertEqual(self.message(subscriber)[2:], [b"__keyevent@7__:rpush", b"l"])

    def test_a_subscriber_that_does_not_read_is_cut_at_its_limit_and_no_other(self):
        self.configure("client-output-buffer-limit", "pubsub 1000000 0 0")
        slow = self.subscriber(1, 2, "SUBSCRIBE", "slow")
        reader = self.subscriber(1, 2, "SUBSCRIBE", "slow")
        message = b"x" * 500000

        def cut():
            self.control[0].call("PUBLISH", "slow", message)
            self.assertEqual(self.message(reader), [b"message", b"slow", message])
            return self.control[1].call("PUBSUB", "NUMSUB", "slow") == [b"slow", 1]

        wait_until(cut, "the slow subscriber is cut off", pause=0)
        with self.assertRaises((Closed, OSError)):
            while True:
                self.message(slow)
        self.assertEqual(self.control[1].call("PING"), ("+", b"PONG"))


if __name__ == "__main__":
    coredb_cluster.require_server(AGAINST_REDIS)
    unittest.main(verbosity=2)
