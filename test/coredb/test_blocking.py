#!/usr/bin/env python3
# ctest: timeout=180
"""Clients that wait for a key on any of three nodes: order, timeouts, disconnects, pipelines.

BLOCKING_REDIS=1 runs the same against one redis-server, which shows that the tests are right.
"""

import contextlib
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "differential"))

import coredb_cluster  # noqa: E402 (the path must be set first)
from coredb_cluster import HOST, SCALE, wait_until  # noqa: E402
from resp import Closed, Connection, encode  # noqa: E402

AGAINST_REDIS = bool(os.environ.get("BLOCKING_REDIS"))
NULL_ARRAY = ("*", None)
OK = ("+", b"OK")


class Blocking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.group = coredb_cluster.Group()
        cls.addClassCleanup(cls.group.close)
        cls.ports = [cls.group.redis().port] * 3 if AGAINST_REDIS else \
            [node.port for node in cls.group.coredb(3)]

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.control = [self.connect(node) for node in range(3)]
        self.assertEqual(self.control[0].call("FLUSHALL"), OK)
        self.await_blocked(0)

    def connect(self, node):
        connection = Connection(HOST, self.ports[node], 30 * SCALE)
        self.stack.callback(connection.close)
        return connection

    def blocked(self):
        """How many clients wait, on all nodes."""
        count = 0
        for control in self.control[:1] if AGAINST_REDIS else self.control:
            for line in control.call("INFO", "clients").splitlines():
                if line.startswith(b"blocked_clients:"):
                    count += int(line.split(b":")[1])
        return count

    def await_blocked(self, count):
        wait_until(lambda: self.blocked() == count, f"{count} clients that wait", pause=0.005)

    def wait_on(self, node, *command):
        """A new connection whose command waits, registered when this returns."""
        before = self.blocked()
        connection = self.connect(node)
        connection.send(encode(command))
        self.await_blocked(before + 1)
        return connection

    def reply(self, connection):
        return connection.replies(1)[0][0]

    def test_waiters_are_served_in_order_whatever_their_nodes(self):
        waiters = [self.wait_on(number % 3, "BLPOP", "k", "other", 0) for number in range(9)]
        for number in range(0, 9, 3):
            pushed = [number, number + 1, number + 2]
            self.assertEqual(self.control[number // 3].call("RPUSH", "k", *pushed), 3)
        for number, waiter in enumerate(waiters):
            self.assertEqual(self.reply(waiter), [b"k", str(number).encode()])
        self.assertEqual(self.control[2].call("EXISTS", "k"), 0)

    def test_a_timeout_ends_the_wait_not_early_and_takes_nothing(self):
        for command in (["BLPOP", "k", "j", 0.3], ["BLMOVE", "k", "j", "LEFT", "LEFT", 0.3],
                        ["BLMPOP", 0.3, 1, "k", "LEFT"], ["BZPOPMIN", "k", 0.3],
                        ["BZMPOP", 0.3, 1, "k", "MIN"], ["XREAD", "BLOCK", 300, "STREAMS", "k", "$"]):
            waiter = self.connect(1)
            begin = time.monotonic()
            self.assertEqual(waiter.call(*command), NULL_ARRAY, command)
            self.assertGreaterEqual(time.monotonic() - begin, 0.29, command)
        self.await_blocked(0)
        self.assertEqual(self.control[0].call("RPUSH", "k", "x"), 1)
        self.assertEqual(self.control[1].call("LRANGE", "k", 0, -1), [b"x"])

    def test_a_client_that_goes_takes_nothing(self):
        waiters = [self.wait_on(number, "BLPOP", "k", 0) for number in range(3)]
        waiters[0].close()
        self.await_blocked(2)
        self.assertEqual(self.control[1].call("RPUSH", "k", "x"), 1)
        self.assertEqual(self.reply(waiters[1]), [b"k", b"x"])
        waiters[2].close()
        self.await_blocked(0)
        self.assertEqual(self.control[0].call("RPUSH", "k", "y"), 1)
        self.assertEqual(self.control[0].call("LRANGE", "k", 0, -1), [b"y"])

    def test_client_unblock_ends_a_wait(self):
        for arguments, expected in (([], NULL_ARRAY), (["TIMEOUT"], NULL_ARRAY), (["ERROR"], (
                "-", b"UNBLOCKED client unblocked via CLIENT UNBLOCK"))):
            waiter = self.connect(2)
            name = waiter.call("CLIENT", "ID")
            waiter.send(encode(["BLPOP", "k", 0]))
            self.await_blocked(1)
            self.assertEqual(self.control[2].call("CLIENT", "UNBLOCK", name, *arguments), 1)
            self.assertEqual(self.reply(waiter), expected)
            self.assertEqual(self.control[2].call("CLIENT", "UNBLOCK", name), 0)
            self.assertEqual(waiter.call("PING"), ("+", b"PONG"))
        self.await_blocked(0)
        self.assertEqual(self.control[0].call("RPUSH", "k", "x"), 1)
        self.assertEqual(self.control[0].call("LLEN", "k"), 1)

    def test_commands_behind_a_waiting_one_wait_too(self):
        waiter = self.connect(1)
        waiter.send(encode(["SET", "a", "1"]) + encode(["BLPOP", "k", 0]) + encode(["INCR", "a"]) +
                    encode(["BLPOP", "k", 0]) + encode(["PING"]))
        self.assertEqual(self.reply(waiter), OK)
        self.await_blocked(1)
        self.assertEqual(self.control[0].call("GET", "a"), b"1")
        self.assertEqual(self.control[0].call("RPUSH", "k", "x"), 1)
        self.assertEqual(waiter.replies(2)[0], [[b"k", b"x"], 2])
        self.await_blocked(1)
        self.assertEqual(self.control[2].call("RPUSH", "k", "y"), 1)
        self.assertEqual(waiter.replies(2)[0], [[b"k", b"y"], ("+", b"PONG")])

    def test_transactions_serve_at_their_end(self):
        waiter = self.wait_on(0, "BLPOP", "k", 0)
        other = self.wait_on(1, "BRPOP", "k", 0)
        control = self.control[2]
        control.send(b"".join(encode(c) for c in (
            ["MULTI"], ["LPUSH", "k", "a"], ["LPUSH", "k", "b", "c"], ["LLEN", "k"], ["EXEC"])))
        self.assertEqual(control.replies(5)[0][-1], [1, 3, 3])
        self.assertEqual(self.reply(waiter), [b"k", b"c"])
        self.assertEqual(self.reply(other), [b"k", b"a"])
        self.assertEqual(control.call("LRANGE", "k", 0, -1), [b"b"])

    def test_nothing_waits_in_a_transaction(self):
        control = self.control[1]
        control.send(b"".join(encode(c) for c in (
            ["MULTI"], ["BLPOP", "k", 0], ["BLMOVE", "k", "j", "LEFT", "LEFT", 0], ["EXEC"])))
        self.assertEqual(control.replies(4)[0][-1], [NULL_ARRAY, None])

    def test_what_is_there_is_taken_at_once(self):
        self.assertEqual(self.control[0].call("RPUSH", "k", "a", "b"), 2)
        self.assertEqual(self.control[0].call("ZADD", "z", 1, "a", 2, "b", 3, "c"), 3)
        self.assertEqual(self.control[1].call("BLPOP", "none", "k", 0), [b"k", b"a"])
        self.assertEqual(self.control[1].call("BRPOPLPUSH", "k", "j", 0), b"b")
        self.assertEqual(self.control[2].call("BZPOPMAX", "none", "z", 0), [b"z", b"c", b"3"])
        self.assertEqual(self.control[2].call("BZMPOP", 0, 1, "z", "MIN", "COUNT", 5),
                         [b"z", [[b"a", b"1"], [b"b", b"2"]]])

    def test_replies_are_in_the_protocol_of_the_waiter(self):
        waiter = self.connect(1)
        self.assertEqual(waiter.call("HELLO", 3)[0], "%")
        waiter.send(encode(["BZPOPMIN", "z", 0]))
        self.await_blocked(1)
        self.assertEqual(self.control[0].call("ZADD", "z", 1.5, "m"), 1)
        self.assertEqual(self.reply(waiter), [b"z", b"m", (",", b"1.5")])
        self.assertEqual(waiter.call("BLPOP", "k", 0.01), ("_", None))
        waiter.send(encode(["XREAD", "BLOCK", 0, "STREAMS", "s", "$"]))
        self.await_blocked(1)
        self.assertEqual(self.control[2].call("XADD", "s", "1-1", "f", "v"), b"1-1")
        self.assertEqual(self.reply(waiter), ("%", [b"s", [[b"1-1", [b"f", b"v"]]]]))

    def test_an_element_moves_on_along_a_chain(self):
        waiters = [self.wait_on(number, "BLMOVE", number, number + 1, "LEFT", "RIGHT", 0)
                   for number in (2, 1, 0)]
        self.assertEqual(self.control[1].call("RPUSH", 0, "x"), 1)
        for waiter in waiters:
            self.assertEqual(self.reply(waiter), b"x")
        self.assertEqual(self.control[0].call("LRANGE", 3, 0, -1), [b"x"])

    def test_a_key_that_appears_otherwise_serves_too(self):
        waiter = self.wait_on(0, "BLPOP", "k", 0)
        self.control[1].call("RPUSH", "l", "x")
        self.assertEqual(self.control[2].call("RENAME", "l", "k"), OK)
        self.assertEqual(self.reply(waiter), [b"k", b"x"])
        waiter = self.wait_on(1, "BLPOP", "k", 0)
        self.control[0].call("RPUSH", "l", "2", "1")
        self.assertEqual(self.control[0].call("SORT", "l", "STORE", "k"), 2)
        self.assertEqual(self.reply(waiter), [b"k", b"1"])

    def test_consumers_of_a_group_are_served_in_turn_or_told_of_its_end(self):
        self.assertEqual(self.control[0].call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), OK)
        waiters = [self.wait_on(node, "XREADGROUP", "GROUP", "g", node, "BLOCK", 0, "STREAMS", "s", ">")
                   for node in range(3)]
        for node in range(2):
            self.assertEqual(self.control[2].call("XADD", "s", f"1-{node + 1}", "f", "v"),
                             f"1-{node + 1}".encode())
            self.assertEqual(self.reply(waiters[node]),
                             [[b"s", [[f"1-{node + 1}".encode(), [b"f", b"v"]]]]])
        self.assertEqual(self.control[1].call("DEL", "s"), 1)
        self.assertEqual(self.reply(waiters[2]),
                         ("-", b"UNBLOCKED the stream key no longer exists"))

    def transaction(self, control, *commands):
        control.send(b"".join(encode(command) for command in (["MULTI"], *commands, ["EXEC"])))
        return control.replies(len(commands) + 2)[0][-1]

    def test_a_script_does_not_wait(self):
        control = self.control[1]
        reply = control.call("EVAL", "return redis.call('BLPOP', KEYS[1], 0)", 1, "k")
        self.assertTrue(reply[1].startswith(b"ERR This Redis command is not allowed from script"), reply)
        reading = "return redis.call('XREAD', 'BLOCK', 0, 'STREAMS', KEYS[1], '$')"
        reply = control.call("EVAL", reading, 1, "s")
        self.assertTrue(reply[1].startswith(b"ERR XREAD command is not allowed with BLOCK option from scripts"), reply)

    def test_what_a_script_pushes_serves_at_its_end(self):
        waiter = self.wait_on(0, "BLPOP", "k", 0)
        script = "redis.call('RPUSH', KEYS[1], 'a', 'b') return redis.call('LPOP', KEYS[1])"
        self.assertEqual(self.control[2].call("EVAL", script, 1, "k"), b"a")
        self.assertEqual(self.reply(waiter), [b"k", b"b"])

    def test_one_that_waits_for_many_keys_gets_one_element(self):
        waiter = self.wait_on(0, "BLPOP", "a", "b", "c", "a", 0)
        self.assertEqual(self.transaction(self.control[1], ["RPUSH", "c", "3"], ["RPUSH", "b", "2"],
                                          ["RPUSH", "a", "1"]), [1, 1, 1])
        self.assertEqual(self.reply(waiter), [b"c", b"3"])
        self.assertEqual(self.control[2].call("EXISTS", "a", "b", "c"), 2)
        self.assertEqual(self.control[0].call("BLPOP", "c", "b", "a", 0), [b"b", b"2"])

    def test_a_key_of_another_type_leaves_the_waiter(self):
        waiter = self.wait_on(0, "BLPOP", "k", 0)
        other = self.wait_on(1, "BZPOPMIN", "k", 0)
        self.assertEqual(self.control[1].call("SET", "k", "v"), OK)
        self.assertEqual(self.control[1].call("BLPOP", "k", 0),
                         ("-", b"WRONGTYPE Operation against a key holding the wrong kind of value"))
        self.assertEqual(self.control[2].call("DEL", "k"), 1)
        self.assertEqual(self.control[2].call("ZADD", "k", 1, "m"), 1)
        self.assertEqual(self.reply(other), [b"k", b"m", b"1"])
        self.assertEqual(self.control[1].call("RPUSH", "k", "x"), 1)
        self.assertEqual(self.reply(waiter), [b"k", b"x"])

    def test_a_destination_of_another_type_ends_the_wait_and_keeps_the_element(self):
        waiter = self.wait_on(0, "BLMOVE", "k", "text", "LEFT", "LEFT", 0)
        self.assertEqual(self.control[1].call("SET", "text", "v"), OK)
        self.assertEqual(self.control[2].call("RPUSH", "k", "x"), 1)
        self.assertEqual(self.reply(waiter),
                         ("-", b"WRONGTYPE Operation against a key holding the wrong kind of value"))
        self.assertEqual(self.control[0].call("LRANGE", "k", 0, -1), [b"x"])

    def test_what_comes_and_goes_in_one_transaction_was_never_there(self):
        waiter = self.wait_on(0, "BLPOP", "k", 0)
        reader = self.wait_on(1, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
        self.assertEqual(self.transaction(self.control[1], ["RPUSH", "k", "x"], ["DEL", "k"],
                                          ["XADD", "s", "1-1", "f", "v"], ["DEL", "s"]), [1, 1, b"1-1", 1])
        self.assertEqual(self.transaction(self.control[1], ["RPUSH", "k", "x"], ["RENAME", "k", "j"],
                                          ["RPUSH", "k", "y"], ["RPOPLPUSH", "j", "k"]),
                         [1, OK, 1, b"x"])
        self.assertEqual(self.reply(waiter), [b"k", b"x"])
        self.assertEqual(self.control[0].call("LRANGE", "k", 0, -1), [b"y"])
        self.assertEqual(self.control[2].call("XADD", "s", "2-1", "f", "v"), b"2-1")
        self.assertEqual(self.reply(reader), [[b"s", [[b"2-1", [b"f", b"v"]]]]])

    def test_flushing_leaves_waiters_but_those_of_groups(self):
        waiter = self.wait_on(0, "BLPOP", "k", 0)
        self.assertEqual(self.control[0].call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), OK)
        consumer = self.wait_on(1, "XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        self.assertEqual(self.control[2].call("FLUSHDB"), OK)
        self.assertEqual(self.reply(consumer), ("-", b"UNBLOCKED the stream key no longer exists"))
        self.assertEqual(self.control[1].call("RPUSH", "k", "x"), 1)
        self.assertEqual(self.reply(waiter), [b"k", b"x"])

    def test_a_group_whose_stream_expires_ends_its_waits(self):
        self.assertEqual(self.control[0].call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), OK)
        consumer = self.wait_on(1, "XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        self.assertEqual(self.control[2].call("PEXPIRE", "s", 50), 1)
        self.assertEqual(self.reply(consumer), ("-", b"UNBLOCKED the stream key no longer exists"))

    def test_a_group_that_is_destroyed_ends_its_waits(self):
        self.assertEqual(self.control[0].call("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"), OK)
        consumer = self.wait_on(1, "XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        self.assertEqual(self.control[2].call("XGROUP", "DESTROY", "s", "g"), 1)
        self.assertEqual(self.reply(consumer),
                         ("-", b"NOGROUP the consumer group this client was blocked on no longer exists"))

    def test_swapped_databases_serve(self):
        waiter = self.wait_on(0, "BLPOP", "k", 0)
        second = self.connect(1)
        self.assertEqual(second.call("SELECT", 1), OK)
        self.assertEqual(second.call("RPUSH", "k", "x", "y"), 2)
        self.assertEqual(self.control[2].call("SWAPDB", 0, 1), OK)
        self.assertEqual(self.reply(waiter), [b"k", b"x"])
        self.assertEqual(self.control[1].call("LRANGE", "k", 0, -1), [b"y"])
        self.assertEqual(second.call("EXISTS", "k"), 0)

    def test_a_waiter_waits_in_its_own_database(self):
        waiter = self.connect(0)
        self.assertEqual(waiter.call("SELECT", 5), OK)
        waiter.send(encode(["BLPOP", "k", 0]))
        self.await_blocked(1)
        self.assertEqual(self.control[1].call("RPUSH", "k", "zero"), 1)
        self.assertEqual(self.control[1].call("MOVE", "k", 5), 1)
        self.assertEqual(self.reply(waiter), [b"k", b"zero"])

    def test_copied_and_restored_keys_serve(self):
        control = self.control[2]
        self.assertEqual(control.call("RPUSH", "l", "x"), 1)
        dump = control.call("DUMP", "l")
        for command in (["COPY", "l", "k"], ["RESTORE", "k", 0, dump]):
            waiter = self.wait_on(0, "BLPOP", "k", 0)
            control.call(*command)
            self.assertEqual(self.reply(waiter), [b"k", b"x"], command)

    def test_readers_of_streams_get_what_is_after_their_id(self):
        control = self.control[0]
        self.assertEqual(control.call("XADD", "s", "5-0", "f", "old"), b"5-0")
        last = self.wait_on(0, "XREAD", "BLOCK", 0, "STREAMS", "s", "t", "$", "$")
        far = self.wait_on(1, "XREAD", "COUNT", 1, "BLOCK", 0, "STREAMS", "s", "7-0")
        at_once = self.connect(2).call("XREAD", "BLOCK", 0, "STREAMS", "s", "4-9")
        self.assertEqual(at_once, [[b"s", [[b"5-0", [b"f", b"old"]]]]])
        self.assertEqual(control.call("XADD", "s", "7-0", "f", "a"), b"7-0")
        self.assertEqual(self.reply(last), [[b"s", [[b"7-0", [b"f", b"a"]]]]])
        self.transaction(control, ["XADD", "s", "8-0", "f", "b"], ["XADD", "s", "9-0", "f", "c"])
        self.assertEqual(self.reply(far), [[b"s", [[b"8-0", [b"f", b"b"]]]]])

    def test_every_reader_gets_the_entry_and_one_consumer_of_each_group(self):
        for group in ("g", "h"):
            self.assertEqual(self.control[0].call("XGROUP", "CREATE", "s", group, "$", "MKSTREAM"), OK)
        readers = [self.wait_on(node, "XREAD", "BLOCK", 0, "STREAMS", "s", "$") for node in range(3)]
        first = [self.wait_on(node, "XREADGROUP", "GROUP", group, "first", "BLOCK", 0, "STREAMS", "s", ">")
                 for node, group in ((0, "g"), (1, "h"))]
        second = self.wait_on(2, "XREADGROUP", "GROUP", "g", "second", "BLOCK", 0, "NOACK", "STREAMS", "s", ">")
        self.assertEqual(self.control[1].call("XADD", "s", "1-1", "f", "v"), b"1-1")
        for waiter in readers + first:
            self.assertEqual(self.reply(waiter), [[b"s", [[b"1-1", [b"f", b"v"]]]]])
        self.assertEqual(self.control[1].call("XADD", "s", "2-2", "f", "w"), b"2-2")
        self.assertEqual(self.reply(second), [[b"s", [[b"2-2", [b"f", b"w"]]]]])
        self.assertEqual(self.control[2].call("XPENDING", "s", "g")[0], 1)

    def test_counts_are_taken_when_the_key_is_ready(self):
        waiter = self.wait_on(0, "BLMPOP", 0, 2, "k", "j", "RIGHT", "COUNT", 2)
        other = self.wait_on(1, "BZMPOP", 0, 1, "z", "MAX", "COUNT", 10)
        self.assertEqual(self.control[2].call("RPUSH", "j", "a", "b", "c"), 3)
        self.assertEqual(self.reply(waiter), [b"j", [b"c", b"b"]])
        self.assertEqual(self.control[2].call("ZADD", "z", 1, "a", 2, "b"), 2)
        self.assertEqual(self.reply(other), [b"z", [[b"b", b"2"], [b"a", b"1"]]])
        self.assertEqual(self.control[0].call("LRANGE", "j", 0, -1), [b"a"])

    def test_a_waiter_that_moves_to_its_own_key_leaves_the_element_to_the_next(self):
        mover = self.wait_on(0, "BLMOVE", "k", "k", "LEFT", "RIGHT", 0)
        popper = self.wait_on(1, "BLPOP", "k", 0)
        self.assertEqual(self.control[2].call("RPUSH", "k", "x"), 1)
        self.assertEqual(self.reply(mover), b"x")
        self.assertEqual(self.reply(popper), [b"k", b"x"])

    def test_client_kill_ends_a_waiter_that_then_takes_nothing(self):
        waiter = self.connect(1)
        name = waiter.call("CLIENT", "ID")
        waiter.send(encode(["BLPOP", "k", 0]))
        self.await_blocked(1)
        self.assertEqual(self.control[1].call("CLIENT", "KILL", "ID", name), 1)
        with self.assertRaises((Closed, OSError)):
            self.reply(waiter)
        self.await_blocked(0)
        self.assertEqual(self.control[0].call("RPUSH", "k", "x"), 1)
        self.assertEqual(self.control[2].call("LLEN", "k"), 1)

    def test_a_client_that_goes_with_requests_behind_its_wait_takes_nothing(self):
        waiter = self.connect(1)
        waiter.send(encode(["BLPOP", "k", 0]) + encode(["SET", "a", "x" * 1000]) * 3000)
        self.await_blocked(1)
        waiter.close()
        self.await_blocked(0)
        self.assertEqual(self.control[0].call("RPUSH", "k", "x"), 1)
        self.assertEqual(self.control[2].call("LLEN", "k"), 1)
        self.assertEqual(self.control[2].call("EXISTS", "a"), 0)

    @unittest.skipIf(AGAINST_REDIS, "one server has no replicas")
    def test_wait_counts_the_nodes_that_have_the_write(self):
        for control in self.control:
            self.assertEqual(control.call("SET", "k", "v"), OK)
            self.assertEqual(control.call("WAIT", 2, 0), 2)
            begin = time.monotonic()
            self.assertEqual(control.call("WAIT", 9, 300), 2)
            self.assertGreaterEqual(time.monotonic() - begin, 0.29)
            self.assertGreaterEqual(self.transaction(control, ["SET", "k", "w"], ["WAIT", 9, 0])[1], 1)

    def test_a_wait_is_a_blocked_client_and_can_be_ended(self):
        for arguments, error in (([], None), (["ERROR"], ("-", b"UNBLOCKED client unblocked via CLIENT UNBLOCK"))):
            waiter = self.connect(1)
            name = waiter.call("CLIENT", "ID")
            waiter.send(encode(["SET", "k", "v"]) + encode(["WAIT", 9, 0]) + encode(["PING"]))
            self.await_blocked(1)
            self.assertRegex(self.control[1].call("CLIENT", "LIST", "ID", name), rb"flags=b ")
            self.assertEqual(self.control[1].call("CLIENT", "UNBLOCK", name, *arguments), 1)
            replies = waiter.replies(3)[0]
            self.assertEqual(replies, [OK, error or replies[1], ("+", b"PONG")])
            self.assertTrue(error or replies[1] in (0, 1, 2))
            waiter.send(encode(["WAIT", 9, 0]))
            self.await_blocked(1)
            waiter.close()
            self.await_blocked(0)

    def test_a_timeout_that_is_no_timeout_is_refused(self):
        for timeout, text in ((-1, b"timeout is negative"), ("x", b"timeout is not a float or out of range"),
                              ("nan", b"timeout is not a float or out of range")):
            self.assertEqual(self.control[0].call("BLPOP", "k", timeout), ("-", b"ERR " + text))
        self.assertEqual(self.control[0].call("XREAD", "BLOCK", -1, "STREAMS", "k", "$"),
                         ("-", b"ERR timeout is negative"))

    def test_many_waiters_get_one_element_each(self):
        waiters = []
        for number in range(120):
            waiter = self.connect(number % 3)
            waiter.send(encode(["BLPOP", "k", f"own:{number}", 0]))
            waiters.append(waiter)
        self.await_blocked(120)
        for first in range(0, 100, 10):
            self.control[first // 10 % 3].call("RPUSH", "k", *range(first, first + 10))
        self.await_blocked(20)
        for number in range(120):
            self.control[number % 3].call("RPUSH", f"own:{number}", "own")
        self.await_blocked(0)
        replies = [self.reply(waiter) for waiter in waiters]
        common = [int(value) for key, value in replies if key == b"k"]
        self.assertEqual(sorted(common), list(range(100)))
        left = sum(self.control[0].call("LLEN", f"own:{number}") for number in range(120))
        self.assertEqual(left, 100)


if __name__ == "__main__":
    coredb_cluster.require_server(AGAINST_REDIS)
    unittest.main(verbosity=2)
