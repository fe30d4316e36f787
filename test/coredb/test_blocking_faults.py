#!/usr/bin/env python3
# ctest: timeout=240 label=slow
"""Clients wait on all nodes while nodes, leaders among them, are killed and started again: each element
ends in exactly one place, and nobody overtakes.

Movers take elements of "q" by BLMOVE into a list of their own, which shows afterwards what became of
each, whatever happened to replies. Takers use BLPOP: what a lost reply took away is gone, so as many
elements as they have replies of unknown fate may be missing.
"""

import os
import random
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "differential"))

import coredb_cluster  # noqa: E402 (the path must be set first)
from coredb_cluster import HOST, SCALE, wait_until  # noqa: E402
from resp import Closed, Connection, encode, is_error, is_null  # noqa: E402

SECONDS = float(os.environ.get("BLOCKING_SECONDS", "20"))
SEED = os.environ.get("TEST_SEED", "1")
REFUSED = (b"TRYAGAIN", b"CLUSTERDOWN", b"UNBLOCKED", b"MISCONF")


class Unknown(Exception):
    """The command may have taken effect, or not."""


class Client(threading.Thread):
    """Works until told to stop, on one node, or on another when that one is out of reach."""

    def __init__(self, nodes, node, stop):
        super().__init__(daemon=True)
        self.random = random.Random(f"{SEED} {type(self).__name__} {node}")
        self.nodes = nodes
        self.node = node
        self.stop = stop
        self.connection = None
        self.unknown = 0
        self.failure = None

    def connected(self):
        while self.connection is None and not self.stop.is_set():
            try:
                self.connection = Connection(HOST, self.nodes[self.node].port, 30 * SCALE)
            except OSError:
                self.node = (self.node + 1) % len(self.nodes)
                self.stop.wait(0.02)
        return not self.stop.is_set()

    def call(self, *command):
        """The reply, None if it certainly took no effect, or Unknown."""
        try:
            reply = self.connection.call(*command)
        except (OSError, Closed) as error:
            self.connection.close()
            self.connection = None
            raise Unknown from error
        if is_error(reply):
            if reply[1].startswith(b"UNKNOWN"):
                raise Unknown
            if reply[1].startswith(REFUSED):
                return None
            raise AssertionError(f"{command}: {reply}")
        return reply

    def run(self):
        try:
            while self.connected():
                try:
                    self.work()
                except Unknown:
                    self.unknown += 1
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
        finally:
            if self.connection is not None:
                self.connection.close()


class Producer(Client):
    """Pushes elements "name:number", each once."""

    def __init__(self, name, *arguments):
        super().__init__(*arguments)
        self.name = name
        self.number = 0
        self.certain = []
        self.perhaps = []

    def work(self):
        elements = [f"{self.name}:{self.number + i}".encode() for i in range(self.random.randint(1, 4))]
        self.number += len(elements)
        try:
            if self.call("RPUSH", "q", *elements) is not None:
                self.certain += elements
        except Unknown:
            self.perhaps += elements
            raise
        self.stop.wait(self.random.random() * 0.02)


class Mover(Client):
    def __init__(self, name, *arguments):
        super().__init__(*arguments)
        self.name = name
        self.received = []

    def work(self):
        reply = self.call("BLMOVE", "q", self.name, "LEFT", "RIGHT",
                          self.random.choice((0.05, 0.5, 2)))
        if not is_null(reply):
            self.received.append(reply)


class Taker(Mover):
    def work(self):
        reply = self.call("BLPOP", "nothing", "q", self.random.choice((0.05, 0.5, 2)))
        if not is_null(reply):
            self.received.append(reply[1])


def hurt(group, nodes, seconds):
    """Kills one node after the other and starts it again, so that leaders are hit as well."""
    chooser = random.Random(SEED)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5 + chooser.random())
        node = chooser.choice(nodes)
        if chooser.random() < 0.3:
            node.pause()
            time.sleep(chooser.random() * 2)
            node.resume()
        else:
            node.kill()
            time.sleep(chooser.random())
            node.start().wait_ready()
    for node in nodes:
        coredb_cluster.wait_writable(node)


class Faults(unittest.TestCase):
    def test_each_element_ends_in_one_place_and_in_order(self):
        print(f"TEST_SEED={SEED}")
        with coredb_cluster.Group() as group:
            nodes = group.coredb(3)
            stop_pushing, stop_taking = threading.Event(), threading.Event()
            producers = [Producer(f"p{i}", nodes, i, stop_pushing) for i in range(3)]
            movers = [Mover(f"m{i}", nodes, i % 3, stop_taking) for i in range(6)]
            takers = [Taker(f"t{i}", nodes, i, stop_taking) for i in range(3)]
            clients = [*producers, *movers, *takers]
            for client in clients:
                client.start()
            hurt(group, nodes, SECONDS)
            stop_pushing.set()
            for producer in producers:
                producer.join()
            control = Connection(HOST, nodes[0].port, 30 * SCALE)
            self.addCleanup(control.close)
            wait_until(lambda: control.call("LLEN", "q") == 0, "all elements taken")
            stop_taking.set()
            for client in clients:
                client.join()
                self.assertIsNone(client.failure)
            self.check(control, producers, movers, takers)

    def check(self, control, producers, movers, takers):
        self.assertEqual(control.call("LRANGE", "q", 0, -1), [])
        certain = {e for producer in producers for e in producer.certain}
        perhaps = {e for producer in producers for e in producer.perhaps}
        places = []
        for mover in movers:
            moved = control.call("LRANGE", mover.name, 0, -1)
            # What it was told of is there, in that order; besides, what lost replies told of.
            self.assertEqual([e for e in moved if e in set(mover.received)], mover.received)
            self.assertLessEqual(len(moved) - len(mover.received), mover.unknown)
            self.check_order(moved, perhaps)
            places += moved
        for taker in takers:
            self.check_order(taker.received, perhaps)
            places += taker.received
        self.assertEqual(len(places), len(set(places)), "an element was delivered twice")
        missing = certain - set(places)
        lost_replies = sum(taker.unknown for taker in takers)
        self.assertLessEqual(len(missing), lost_replies, sorted(missing))
        self.assertEqual(set(places) - certain - perhaps, set())
        print(f"{len(places)} elements, {len(perhaps)} of unknown fate, {len(missing)} lost with "
              f"{lost_replies} replies, {sum(m.unknown for m in movers)} unknown moves")
        self.assertGreater(len(places), 100)

    def check_order(self, elements, perhaps):
        """The elements of one producer come in its order; late ones may be those it knew nothing of."""
        last = {}
        for element in elements:
            if element not in perhaps:
                name, number = element.split(b":")
                self.assertLess(last.get(name, -1), int(number))
                last[name] = int(number)


class Killed(unittest.TestCase):
    """One waiter after the other on chosen nodes, one of which is killed."""

    def setUp(self):
        self.group = coredb_cluster.Group()
        self.addCleanup(self.group.close)
        self.nodes = self.group.coredb(3)
        self.leader = self.find_leader()
        self.others = [number for number in range(3) if number != self.leader]

    def connect(self, node):
        connection = Connection(HOST, self.nodes[node].port, 60 * SCALE)
        self.addCleanup(connection.close)
        return connection

    def info(self, node, section, name):
        for line in self.connect(node).call("INFO", section).splitlines():
            if line.startswith(name + b":"):
                return int(line.split(b":")[1])
        raise AssertionError(f"INFO {section} has no {name}")

    def find_leader(self):
        return self.info(0, "raft", b"raft_leader") - 1

    def wait_on(self, node, *command):
        before = self.info(node, "clients", b"blocked_clients")
        connection = self.connect(node)
        connection.send(encode(command))
        wait_until(lambda: self.info(node, "clients", b"blocked_clients") == before + 1, "it waits")
        return connection

    def push(self, node, *command):
        """Certainly done, through a node that may have to wait for a new leader."""
        coredb_cluster.wait_writable(self.nodes[node])
        self.assertIsInstance(self.connect(node).call(*command), int)

    def test_waiters_on_other_nodes_outlive_the_leader_in_their_order(self):
        waiters = [self.wait_on(self.others[number % 2], "BLPOP", "k", 0) for number in range(6)]
        reader = self.wait_on(self.others[0], "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
        self.nodes[self.leader].kill()
        self.push(self.others[1], "RPUSH", "k", *range(4))
        self.nodes[self.leader].start().wait_ready()
        self.push(self.leader, "RPUSH", "k", 4, 5)
        for number, waiter in enumerate(waiters):
            self.assertEqual(waiter.replies(1)[0][0], [b"k", b"%d" % number])
        self.connect(self.leader).call("XADD", "s", "1-1", "f", "v")
        self.assertEqual(reader.replies(1)[0][0], [[b"s", [[b"1-1", [b"f", b"v"]]]]])

    def test_a_timeout_ends_a_wait_under_a_new_leader_too(self):
        waiter = self.connect(self.others[0])
        waiter.send(encode(["BLPOP", "k", 1]))
        self.nodes[self.leader].kill()
        reply = waiter.replies(1)[0][0]
        self.assertTrue(is_null(reply) or reply[1].startswith((b"UNKNOWN", *REFUSED)), reply)
        self.push(self.others[1], "RPUSH", "k", "x")
        self.assertEqual(self.connect(self.others[1]).call("LRANGE", "k", 0, -1), [b"x"])

    def test_a_timeout_without_a_majority_is_answered_unknown_and_then_takes_nothing_more(self):
        alone, second = self.others
        waiter = self.connect(alone)
        waiter.send(encode(["BLPOP", "k", 1]))
        wait_until(lambda: self.info(alone, "clients", b"blocked_clients") == 1, "it waits")
        for number in (self.leader, second):
            self.nodes[number].kill()
        reply = waiter.replies(1)[0][0]
        self.assertTrue(is_error(reply) and reply[1].startswith(b"UNKNOWN"), reply)
        for number in (self.leader, second):
            self.nodes[number].start().wait_ready()
        self.push(second, "RPUSH", "k", "a", "b")
        self.assertIn(self.connect(second).call("LRANGE", "k", 0, -1), [[b"a", b"b"], [b"b"]])
        wait_until(lambda: self.info(alone, "clients", b"blocked_clients") == 0, "nothing is left of it")

    def test_waiters_of_a_killed_node_take_one_element_each_at_most(self):
        for victim in (self.others[0], self.leader):
            survivor = self.others[1]
            for _ in range(2):
                self.wait_on(victim, "BLPOP", "k", 0)
            last = self.wait_on(survivor, "BLPOP", "k", 0)
            self.nodes[victim].kill()
            self.push(survivor, "RPUSH", "k", 1, 2, 3, 4, 5)
            got = last.replies(1)[0][0]
            self.assertIn(got, [[b"k", b"1"], [b"k", b"2"], [b"k", b"3"]])
            left = self.connect(survivor).call("LRANGE", "k", 0, -1)
            self.assertEqual(left, [b"%d" % number for number in range(int(got[1]) + 1, 6)])
            self.nodes[victim].start().wait_ready()
            coredb_cluster.wait_writable(self.nodes[victim])
            self.connect(survivor).call("DEL", "k")

    def test_waiters_of_a_node_that_started_again_are_gone_when_it_has_new_ones(self):
        victim, survivor = self.others
        for _ in range(3):
            self.wait_on(victim, "BLPOP", "k", 0)
        self.nodes[victim].kill()
        self.nodes[victim].start().wait_ready()
        coredb_cluster.wait_writable(self.nodes[victim])
        again = self.wait_on(victim, "BLPOP", "k", 0)
        self.push(survivor, "RPUSH", "k", "x", "y")
        self.assertEqual(again.replies(1)[0][0], [b"k", b"x"])
        self.assertEqual(self.connect(survivor).call("LRANGE", "k", 0, -1), [b"y"])


if __name__ == "__main__":
    coredb_cluster.require_server()
    unittest.main(verbosity=2)
