#!/usr/bin/env python3
# ctest: timeout=180
"""RAFT.*: a cluster grows from one node to three and shrinks again by commands to any of its nodes."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "differential"))

import coredb_cluster  # noqa: E402 (the path must be set first)
from coredb_cluster import HOST, SCALE, wait_until  # noqa: E402
from resp import Connection, is_error  # noqa: E402

OK = ("+", b"OK")


def pairs(reply):
    """A map of RESP2 or RESP3."""
    items = reply[1] if type(reply) is tuple else reply
    return dict(zip(items[::2], items[1::2]))


class WithNodes(unittest.TestCase):
    def setUp(self):
        self.group = coredb_cluster.Group()
        self.failed_before = len(self.failures_so_far())
        self.connections = []

    def failures_so_far(self):
        outcome = getattr(self, "_outcome", None)
        result = getattr(outcome, "result", None)
        return [] if result is None else result.failures + result.errors

    def tearDown(self):
        for connection in self.connections:
            connection.close()
        self.group.close(failed=len(self.failures_so_far()) > self.failed_before)

    def newcomer(self, node_id):
        """A running node that founds nothing and waits to be added."""
        folder = os.path.join(self.group.folder, f"newcomer{node_id}")
        node = coredb_cluster.Coredb(folder, [coredb_cluster.coredb_program()], node_id, (),
                                     {"raft": {"found": False}})
        self.group.servers.append(node)
        return node.start().wait_ready()

    def connect(self, node, protocol=3):
        connection = Connection(HOST, node.port, 60 * SCALE)
        self.connections.append(connection)
        self.assertFalse(is_error(connection.call("HELLO", protocol)))
        return connection

    def members(self, connection):
        """{id: map} of RAFT.MEMBERS."""
        return {member[b"id"]: member for member in map(pairs, connection.call("RAFT.MEMBERS"))}

    def wait_for_voters(self, connection, count):
        wait_until(lambda: [m[b"role"] for m in self.members(connection).values()] == [b"voter"] * count,
                   f"{count} voters")

    def leader(self, connection):
        return pairs(connection.call("RAFT.INFO"))[b"leader"]

    def assert_refused(self, reply, *words):
        self.assertTrue(is_error(reply), reply)
        for word in words:
            self.assertIn(word, reply[1])


@unittest.skipUnless(coredb_cluster.coredb_program(), "coredb is not built")
class Cluster(WithNodes):
    def test_grows_from_one_node_to_three_and_back(self):
        first, = self.group.coredb()
        on_first = self.connect(first)
        self.assertEqual(on_first.call("SET", "before", "1"), OK)
        second, third = self.newcomer(2), self.newcomer(3)

        self.assertEqual(on_first.call("RAFT.ADD", 2, second.endpoint), OK)
        coredb_cluster.wait_writable(second)
        on_second = self.connect(second)
        self.assertEqual(on_second.call("GET", "before"), b"1")

        # A follower passes it on. A learner counts for nothing, and becomes a voter by a second ADD.
        self.assertEqual(on_second.call("RAFT.ADD", 3, third.endpoint, "LEARNER"), OK)
        self.assertEqual(self.members(on_second)[3][b"role"], b"learner")
        on_third = self.connect(third)
        wait_until(lambda: 3 in self.members(on_third), "the learner to know that it is one")
        self.assertEqual(pairs(on_third.call("RAFT.INFO"))[b"role"], b"learner")
        self.assertEqual(on_third.call("RAFT.ADD", 3, third.endpoint, "VOTER", "TIMEOUT", 30000), OK)
        self.wait_for_voters(on_third, 3)
        # Again is no error.
        self.assertEqual(on_first.call("RAFT.ADD", 2, second.endpoint), OK)

        self.assertEqual(on_third.call("SET", "after", "2"), OK)
        self.assertEqual(on_first.call("GET", "after"), b"2")

        # The leader removes itself, asked by another.
        self.assertEqual(on_third.call("RAFT.REMOVE", 1), OK)
        wait_until(lambda: sorted(self.members(on_third)) == [2, 3], "two members")
        self.assertEqual(on_third.call("GET", "after"), b"2")
        self.assertEqual(on_third.call("RAFT.REMOVE", 1), OK, "a stranger is no error")
        self.assertEqual(on_third.call("SET", "after", "3"), OK)
        self.assertEqual(on_second.call("RAFT.REMOVE", 3), OK)
        self.assertEqual(on_second.call("GET", "after"), b"3")
        self.assert_refused(on_second.call("RAFT.REMOVE", 2), b"ERR ", b"last voter")

    def test_members_and_info_say_the_same_on_all_nodes(self):
        nodes = self.group.coredb(3)
        connections = [self.connect(node) for node in nodes]
        leader = self.leader(connections[0])
        for node, connection in zip(nodes, connections):
            self.wait_for_voters(connection, 3)
            wait_until(lambda: self.leader(connection) == leader, "the leader to be known")
            members = self.members(connection)
            self.assertEqual({i: m[b"address"] for i, m in members.items()},
                             {other.id: other.endpoint.encode() for other in nodes})
            self.assertEqual([i for i, m in members.items() if m[b"self"] == ("#", b"t")], [node.id])
            self.assertEqual([i for i, m in members.items() if m[b"leader"] == ("#", b"t")], [leader])
            info = pairs(connection.call("RAFT.INFO"))
            self.assertEqual(info[b"node_id"], node.id)
            self.assertEqual(info[b"members"], 3)
            self.assertEqual(info[b"leader_address"], nodes[leader - 1].endpoint.encode())
            self.assertEqual(info[b"role"], b"leader" if node.id == leader else b"follower")
        clusters = {pairs(c.call("RAFT.INFO"))[b"cluster_id"] for c in connections}
        self.assertEqual(len(clusters), 1)
        # RESP2 has pairs in arrays, and numbers for yes and no.
        plain = self.connect(nodes[0], protocol=2).call("RAFT.MEMBERS")
        self.assertEqual(plain[0][::2], [b"id", b"address", b"role", b"leader", b"self"])
        self.assertEqual(plain[0][8:], [b"self", 1])

    def test_leadership_is_handed_over(self):
        nodes = self.group.coredb(3)
        connections = [self.connect(node) for node in nodes]
        self.wait_for_voters(connections[0], 3)
        leader = self.leader(connections[0])
        follower = leader % 3 + 1
        other = follower % 3 + 1
        # Asked on a node that is neither of the two.
        self.assertEqual(connections[other - 1].call("RAFT.TRANSFER", follower), OK)
        wait_until(lambda: self.leader(connections[other - 1]) == follower, "the new leader")
        self.assertEqual(connections[leader - 1].call("SET", "k", "v"), OK)
        self.assertEqual(connections[follower - 1].call("RAFT.TRANSFER", "TIMEOUT", 20000), OK)
        wait_until(lambda: self.leader(connections[follower - 1]) not in (0, follower), "another")
        self.assertEqual(connections[follower - 1].call("GET", "k"), b"v")
        self.assert_refused(connections[0].call("RAFT.TRANSFER", 99), b"ERR ")

    def test_what_has_no_majority_is_not_said_to_be_done(self):
        nodes = self.group.coredb(3)
        connection = self.connect(nodes[0])
        self.wait_for_voters(connection, 3)
        for node in nodes[1:]:
            node.kill()
        reply = connection.call("RAFT.REMOVE", 2, "TIMEOUT", 500)
        self.assertTrue(is_error(reply), reply)
        self.assertIn(reply[1].split()[0], (b"TRYAGAIN", b"UNKNOWN", b"ERR"))
        self.assertEqual(sorted(self.members(connection)), [1, 2, 3])


@unittest.skipUnless(coredb_cluster.coredb_program(), "coredb is not built")
class OneNode(WithNodes):
    def setUp(self):
        super().setUp()
        self.node, = self.group.coredb()
        self.client = self.connect(self.node)

    def test_a_snapshot_covers_what_was_acknowledged(self):
        self.assertEqual(self.client.call("SET", "k", "v"), OK)
        applied = pairs(self.client.call("RAFT.INFO"))[b"applied_index"]
        reply = self.client.call("RAFT.SNAPSHOT")
        self.assertGreaterEqual(pairs(reply)[b"index"], applied)
        info = pairs(self.client.call("RAFT.INFO"))
        self.assertEqual(info[b"snapshot_index"], pairs(reply)[b"index"])
        self.node.kill()
        self.node.start().wait_ready()
        coredb_cluster.wait_writable(self.node)
        self.assertEqual(self.connect(self.node).call("GET", "k"), b"v")

    def test_saving_takes_snapshots(self):
        self.assertEqual(self.client.call("SET", "k", "v"), OK)
        applied = pairs(self.client.call("RAFT.INFO"))[b"applied_index"]
        self.assertEqual(self.client.call("SAVE"), OK)
        self.assertGreaterEqual(pairs(self.client.call("RAFT.INFO"))[b"snapshot_index"], applied)
        self.assertEqual(self.client.call("SET", "k", "w"), OK)
        applied = pairs(self.client.call("RAFT.INFO"))[b"applied_index"]
        self.assertEqual(self.client.call("BGSAVE"), ("+", b"Background saving started"))
        wait_until(lambda: pairs(self.client.call("RAFT.INFO"))[b"snapshot_index"] >= applied,
                   "the snapshot")
        self.assertGreater(self.client.call("LASTSAVE"), 0)
        self.assert_refused(self.client.call("BGSAVE", "x"), b"syntax error")
        self.assert_refused(self.client.call("BGREWRITEAOF"), b"RAFT.SNAPSHOT")

    def test_read_levels_are_the_connections_own(self):
        other = self.connect(self.node)
        self.assertEqual(self.client.call("RAFT.READ"), b"linearizable")
        for level in ("lease", "LOCAL", "linearizable", "local"):
            self.assertEqual(self.client.call("RAFT.READ", level), OK)
            self.assertEqual(self.client.call("RAFT.READ"), level.lower().encode())
            self.assertEqual(self.client.call("SET", "k", level), OK)
            # A node that leads has applied what it acknowledged: even a local read sees it.
            self.assertEqual(self.client.call("GET", "k"), level.encode())
        self.assertEqual(other.call("RAFT.READ"), b"linearizable")
        self.assertEqual(self.client.call("READONLY"), OK)
        self.assertEqual(self.client.call("RAFT.READ"), b"lease")
        self.assertEqual(self.client.call("READWRITE"), OK)
        self.assertEqual(self.client.call("RAFT.READ"), b"linearizable")
        self.client.call("RAFT.READ", "local")
        self.client.call("RESET")
        self.assertEqual(self.client.call("RAFT.READ"), b"linearizable")
        self.assert_refused(self.client.call("RAFT.READ", "stale"), b"linearizable, lease and local")

    def test_wrong_input_is_refused_and_changes_nothing(self):
        before = self.members(self.client)
        for command, words in (
                ("RAFT.ADD 2", b"wrong number of arguments"),
                ("RAFT.ADD x 127.0.0.1:1", b"id is a number"),
                ("RAFT.ADD 0 127.0.0.1:1", b"id is a number"),
                ("RAFT.ADD -1 127.0.0.1:1", b"id is a number"),
                ("RAFT.ADD 18446744073709551616 127.0.0.1:1", b"id is a number"),
                ("RAFT.ADD 2 nonsense", b"HOST:PORT"),
                ("RAFT.ADD 2 127.0.0.1:0", b"HOST:PORT"),
                ("RAFT.ADD 2 127.0.0.1:65536", b"HOST:PORT"),
                ("RAFT.ADD 2 " + "h" * 400 + ":1", b"HOST:PORT"),
                ("RAFT.ADD 2 127.0.0.1:1 OBSERVER", b"syntax error"),
                ("RAFT.ADD 2 127.0.0.1:1 TIMEOUT", b"syntax error"),
                ("RAFT.ADD 2 127.0.0.1:1 TIMEOUT x", b"milliseconds"),
                ("RAFT.ADD 2 127.0.0.1:1 TIMEOUT 0", b"milliseconds"),
                ("RAFT.ADD 2 127.0.0.1:1 TIMEOUT 99999999999", b"milliseconds"),
                ("RAFT.ADD 2 127.0.0.1:1 TIMEOUT 5 LEARNER", b"syntax error"),
                ("RAFT.REMOVE", b"wrong number of arguments"),
                ("RAFT.REMOVE x", b"id is a number"),
                ("RAFT.REMOVE 1 NOW", b"syntax error"),
                ("RAFT.REMOVE 1", b"last voter"),
                ("RAFT.TRANSFER x", b"id is a number"),
                ("RAFT.TRANSFER 7", b"ERR"),
                ("RAFT.SNAPSHOT now", b"syntax error"),
                ("RAFT.MEMBERS x", b"wrong number of arguments"),
                ("RAFT.INFO x", b"wrong number of arguments"),
                ("RAFT.NOSUCH", b"unknown command")):
            with self.subTest(command):
                self.assert_refused(self.client.call(*command.split()), words)
        # Nobody is there: nothing was changed, and the answer says so.
        nobody = f"{HOST}:{coredb_cluster.ports.reserve()}"
        self.assert_refused(self.client.call("RAFT.ADD", 2, nobody, "TIMEOUT", 300),
                            b"TRYAGAIN", b"nothing was changed")
        # The node itself under another id.
        self.assert_refused(self.client.call("RAFT.ADD", 2, self.node.endpoint), b"ERR ")
        self.assertEqual(self.members(self.client), before)

    def test_changes_are_refused_in_a_transaction(self):
        self.assertEqual(self.client.call("MULTI"), OK)
        self.assert_refused(self.client.call("RAFT.REMOVE", 1), b"not allowed inside a transaction")
        self.assert_refused(self.client.call("EXEC"), b"EXECABORT")

    def test_help_names_every_command(self):
        lines = [line[1] for line in self.client.call("RAFT.HELP")]
        for name in (name for name in self.client.call("COMMAND", "LIST") if name.startswith(b"raft.")):
            self.assertTrue(any(line.startswith(name.upper()) for line in lines), name)

    def test_a_client_that_leaves_while_it_waits_harms_nobody(self):
        nobody = f"{HOST}:{coredb_cluster.ports.reserve()}"
        leaving = Connection(HOST, self.node.port, 20 * SCALE)
        leaving.send(b"RAFT.ADD 2 %b TIMEOUT 400\r\n" % nobody.encode())
        wait_until(lambda: b"cmd=raft.add" in self.client.call("CLIENT", "LIST")[1], "the call to begin")
        leaving.close()
        self.assert_refused(self.client.call("RAFT.ADD", 3, nobody, "TIMEOUT", 600), b"TRYAGAIN")
        self.assertEqual(self.client.call("SET", "k", "v"), OK)


if __name__ == "__main__":
    unittest.main(verbosity=2)
