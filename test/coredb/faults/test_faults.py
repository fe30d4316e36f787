#!/usr/bin/env python3
"""Three nodes of coredb, clients of all kinds on all of them, and every fault at least once: what the
clients were told must be what one server could have told them. campaign.py does the same for longer.

The other tests show that this finds what it is for.

ctest: timeout=400 label=slow
"""

import os
import random
import signal
import sys
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import nemesis  # noqa: E402 (the path must be set first)
import coredb_cluster  # noqa: E402 (nemesis has set its path)
import registers  # noqa: E402
import rounds  # noqa: E402
import session  # noqa: E402
from resp import Connection  # noqa: E402

SEED = os.environ.get("TEST_SEED", str(random.SystemRandom().randrange(1 << 32)))


def say(text):
    print(text, flush=True)


class OnOneCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = nemesis.Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()

    def faults(self, seed=SEED):
        return nemesis.Faults(self.cluster, seed, say=say)


class Faults(OnOneCluster):
    def test_every_kind_of_data_survives_every_fault(self):
        names = list(nemesis.NAMES)
        random.Random(SEED).shuffle(names)
        rounds.run_round(self.cluster, SEED, 0, each=names, say=say)

    def test_exec_does_not_run_after_a_watch_that_failed(self):
        nodes = list(self.cluster.nodes.values())
        connection = self.connect(nodes[0])
        for node in nodes[1:]:
            node.pause()
        try:
            self.assertEqual(connection.call("WATCH", "watched")[1][:11], b"CLUSTERDOWN")
        finally:
            self.faults().heal()
        for command, reply in (
                (("MULTI",), ("+", b"OK")), (("SET", "watched", "1"), ("+", b"QUEUED")),
                (("EXEC",), ("*", None)), (("GET", "watched"), None),
                (("MULTI",), ("+", b"OK")), (("SET", "watched", "1"), ("+", b"QUEUED")),
                (("EXEC",), [("+", b"OK")])):
            self.assertEqual(connection.call(*command), reply, command)


    def connect(self, node):
        connection = Connection(coredb_cluster.HOST, node.port, 60 * coredb_cluster.SCALE)
        self.addCleanup(connection.close)
        return connection

    def test_exec_does_not_run_after_a_watched_key_has_come_and_gone(self):
        nodes = list(self.cluster.nodes.values())
        for node in nodes:
            watcher, other = self.connect(node), self.connect(nodes[0])
            watcher.call("WATCH", "fleeting")
            other.call("SET", "fleeting", "1")
            self.assertEqual(watcher.call("GET", "fleeting"), b"1")
            other.call("DEL", "fleeting")
            watcher.call("MULTI")
            watcher.call("GET", "fleeting")
            self.assertEqual(watcher.call("EXEC"), ("*", None))

    def publish(self, node, message):
        """By an entry of the log."""
        connection = self.connect(node)
        for command in (("MULTI",), ("PUBLISH", "news", message), ("EXEC",)):
            reply = connection.call(*command)
        self.assertIn(reply, ([0], [1]))

    def test_a_node_that_starts_again_repeats_no_message(self):
        node = list(self.cluster.nodes.values())[-1]
        listener = self.connect(node)
        listener.call("SUBSCRIBE", "news")
        self.publish(node, "old")
        # It has it once it has told so.
        self.assertEqual(listener.replies(1)[0][0], [b"message", b"news", b"old"])
        node.kill()
        node.start()
        node.wait_http()
        listener = self.connect(node)
        listener.call("SUBSCRIBE", "news")
        coredb_cluster.wait_writable(node)
        self.publish(node, "new")
        self.assertEqual(listener.replies(1)[0][0], [b"message", b"news", b"new"])


class LocalReaders(registers.Registers):
    """Half of the clients read what their node has, and are taken at their word."""

    def greeting(self, number):
        return (("RAFT.READ", "local"),) if number % 2 else ()

    async def work(self, session):
        if session.number % 2:
            key = f"{self.prefix}r{session.rng.randrange(registers.SINGLE)}"
            await session.call({"op": "get", "key": key}, "GET", key)
        else:
            await super().work(session)


class Teeth(OnOneCluster):
    """What is wrong on purpose is found."""

    @staticmethod
    def findings(clients):
        clients.stop()
        return "\n".join(rounds.judge(clients, say))

    def test_local_reads_are_not_linearizable(self):
        kinds = (("registers", LocalReaders, registers.check),)
        with mock.patch.object(rounds, "KINDS", kinds):
            clients = rounds.Clients(self.cluster.addresses, SEED, "stale/").start()
            self.faults().one("isolate_leader")
            self.faults().heal()
            self.assertIn("not linearizable", self.findings(clients))

    def test_an_unknown_outcome_is_not_a_refusal(self):
        """With clients that take lost answers for refusals, what was refused turns up."""
        recorded = session.Session.perform

        async def credulous(self, *steps, patience=None):
            await recorded(self, *steps, patience=patience)
            for step in steps:
                if step.record["outcome"] == "unknown":
                    step.record.update(outcome="failed", end=self.run.now())

        with mock.patch.object(session.Session, "perform", credulous):
            for attempt in range(10):
                clients = rounds.Clients(self.cluster.addresses, f"{SEED}.{attempt}", f"{attempt}/",
                                         ("lists", "bank", "queues")).start()
                self.faults(f"{SEED}.{attempt}").one("kill_all")
                self.faults().heal()
                findings = self.findings(clients)
                if findings:
                    break
            self.assertRegex(findings, "refused|lost")


if __name__ == "__main__":
    if coredb_cluster.coredb_program() is None:
        print("SKIPPED: coredb is not built")
        sys.exit(coredb_cluster.SKIPPED)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"TEST_SEED={SEED} repeats this run", flush=True)
    unittest.main(verbosity=2)
