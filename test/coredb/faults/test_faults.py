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
import scans  # noqa: E402
import session  # noqa: E402
from resp import Connection, is_error  # noqa: E402

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

    def connect(self, node):
        connection = Connection(coredb_cluster.HOST, node.port, 60 * coredb_cluster.SCALE)
        self.addCleanup(connection.close)
        return connection

    def certain(self, connection, *command):
        """The reply of what may be repeated, on a machine so busy that leaders change."""
        def answered():
            self.reply = connection.call(*command)
            return not is_error(self.reply)

        coredb_cluster.wait_until(answered, f"an answer to {command}")
        return self.reply

    def execute(self, connection, *command):
        def executed():
            for part in (("MULTI",), command, ("EXEC",)):
                self.reply = connection.call(*part)
            return not is_error(self.reply)

        coredb_cluster.wait_until(executed, f"{command} is executed")
        return self.reply

    def test_exec_does_not_run_after_a_watch_that_failed(self):
        nodes = list(self.cluster.nodes.values())
        connection = self.connect(nodes[0])
        for node in nodes[1:]:
            node.pause()
        try:
            self.assertTrue(is_error(connection.call("WATCH", "watched")))
        finally:
            self.faults().heal()
        self.assertEqual(self.execute(connection, "SET", "watched", "1"), ("*", None))
        self.assertIsNone(self.certain(connection, "GET", "watched"))
        self.assertEqual(self.execute(connection, "SET", "watched", "1"), [("+", b"OK")])

    def test_exec_does_not_run_after_a_watched_key_has_come_and_gone(self):
        nodes = list(self.cluster.nodes.values())
        for node in nodes:
            watcher, other = self.connect(node), self.connect(nodes[0])
            self.certain(watcher, "WATCH", "fleeting")
            self.certain(other, "SET", "fleeting", "1")
            self.assertEqual(self.certain(watcher, "GET", "fleeting"), b"1")
            self.certain(other, "DEL", "fleeting")
            self.assertEqual(self.execute(watcher, "GET", "fleeting"), ("*", None))

    def test_exec_does_not_run_after_a_watched_key_has_come_in_a_snapshot(self):
        leader = self.cluster.wait_leader()
        behind = next(node for node in self.cluster.nodes.values() if node is not leader)
        watcher, other = self.connect(behind), self.connect(leader)
        self.certain(watcher, "WATCH", "distant")
        before = behind.raft()["raft_snapshot_index"]
        self.cluster.proxy.isolate(behind.id, list(self.cluster.nodes))
        self.certain(other, "SET", "distant", "1")
        for number in range(2 * nemesis.LOG_KEEP):
            self.certain(other, "SET", "filler", number)
        for node in self.cluster.nodes.values():
            if node is not behind:
                self.certain(self.connect(node), "RAFT.SNAPSHOT")
        self.cluster.proxy.heal(deliver=False)
        self.faults().heal()
        self.assertEqual(self.certain(watcher, "GET", "distant"), b"1")
        self.assertNotEqual(behind.raft()["raft_snapshot_index"], before)
        self.certain(other, "DEL", "distant")
        self.assertEqual(self.execute(watcher, "GET", "distant"), ("*", None))

    def test_a_node_that_starts_again_repeats_no_message(self):
        node = list(self.cluster.nodes.values())[-1]
        listener = self.connect(node)
        listener.call("SUBSCRIBE", "news")
        self.execute(self.connect(node), "PUBLISH", "news", "old")
        # It has the entry once it has told so.
        self.assertEqual(listener.replies(1)[0][0], [b"message", b"news", b"old"])
        node.kill()
        node.start()
        node.wait_http()
        listener = self.connect(node)
        listener.call("SUBSCRIBE", "news")
        self.execute(self.connect(node), "PUBLISH", "news", "new")
        self.assertEqual(listener.replies(1)[0][0], [b"message", b"news", b"new"])


class Iterations(OnOneCluster):
    def test_iterations_of_all_kinds_go_on_when_the_leader_is_gone(self):
        """Faults until of each kind one has come to its end that spans a fault and several nodes."""
        clients = rounds.Clients(self.cluster.addresses, SEED, "iterations/", ("scans",)).start()
        history = clients.runs["scans"].history
        faults, moments, want = self.faults(), [], set(clients.workloads["scans"].keys)

        def crossed():
            found = set()
            for steps in scans.complete(list(history)):
                begin, end = steps[0]["end"], steps[-1]["start"]
                if len({step["node"] for step in steps}) > 1 and \
                        any(begin < moment < end for moment in moments):
                    found.add(steps[0]["key"])
            return found

        leaving = ("kill_leader", "isolate_leader", "transfer_leader")
        for attempt in range(30):
            before = len(scans.complete(list(history)))
            moments.append(clients.runs["scans"].now())
            faults.one(leaving[attempt % len(leaving)])
            coredb_cluster.wait_until(lambda: len(scans.complete(list(history))) >= before + 4,
                                      "iterations come to their ends", 60)
            if attempt >= len(leaving) and crossed() == want:
                break
        self.faults().heal()
        clients.stop()
        self.assertEqual(rounds.judge(clients, say), [])
        self.assertEqual(crossed(), want)


class Skew(unittest.TestCase):
    """Wall clocks that differ by seconds, in both directions."""

    @unittest.skipIf(os.environ.get("ROCKRAFT_SANITIZE"), "a sanitizer must be loaded first")
    def test_what_has_expired_stays_so_whoever_leads(self):
        with nemesis.Cluster(skews_ms=(0, 1500, -2500)) as cluster:
            cluster.start()
            with mock.patch.object(rounds, "KINDS", rounds.SKEWED_KINDS):
                rounds.run_round(cluster, SEED, 0, "skew/", say=say,
                                 each=("transfer_leader", "kill_leader", "transfer_leader",
                                       "isolate_leader", "pause_leader"))


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


class LocalScans(scans.Scans):
    """Reads what its node has."""

    clients = 16

    def greeting(self, number):
        return (*super().greeting(number), ("RAFT.READ", "local"))


class Teeth(OnOneCluster):
    """What is wrong on purpose is found."""

    def find(self, fault, kinds=None):
        """Rounds with this one fault, until something is found."""
        for attempt in range(10):
            seed = f"{SEED}.{attempt}"
            clients = rounds.Clients(self.cluster.addresses, seed, f"{fault}.{attempt}/", kinds).start()
            self.faults(seed).one(fault)
            self.faults().heal()
            clients.stop()
            findings = "\n".join(rounds.judge(clients, say))
            if findings:
                return findings
        return "nothing"

    def test_local_reads_are_not_linearizable(self):
        kinds = (("registers", LocalReaders, registers.check),)
        with mock.patch.object(rounds, "KINDS", kinds):
            self.assertIn("not linearizable", self.find("isolate_leader"))

    def test_iterations_over_old_data_are_found(self):
        kinds = (("scans", LocalScans, scans.check),)
        # Little data, so that each of the iterations is short.
        with mock.patch.object(rounds, "KINDS", kinds), mock.patch.object(scans, "STABLE", 250):
            self.assertRegex(self.find("isolate_leader"), "after it was removed|there throughout")

    def test_an_unknown_outcome_is_not_a_refusal(self):
        """With clients that take lost answers for refusals, what was refused turns up."""
        recorded = session.Session.perform

        async def credulous(self, *steps, patience=None):
            await recorded(self, *steps, patience=patience)
            for step in steps:
                if step.record["outcome"] == "unknown":
                    step.record.update(outcome="failed", end=self.run.now())

        with mock.patch.object(session.Session, "perform", credulous):
            self.assertRegex(self.find("kill_all", ("lists", "bank", "queues")), "refused|lost")


if __name__ == "__main__":
    coredb_cluster.require_server()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"TEST_SEED={SEED} repeats this run", flush=True)
    unittest.main(verbosity=2, warnings="ignore")
