#!/usr/bin/env python3
# ctest: timeout=300 label=slow
"""A fixed part of the comparison with redis-server, and the proof that the comparison finds faults."""

import os
import sys
import time
import unittest
from contextlib import closing

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import coredb_cluster  # noqa: E402 (the path must be set first)
import coverage  # noqa: E402
from campaign import Campaign  # noqa: E402
from maker import Step  # noqa: E402
from mixer import SERVED, Mixer  # noqa: E402
from runner import Found, Pair  # noqa: E402
from shrink import shrink  # noqa: E402

SEED = os.environ.get("TEST_SEED", "fixed")
COMMANDS = int(os.environ.get("DIFFERENTIAL_COMMANDS", "60000"))
# An episode of each group alone, then mixed ones.
ALONE = ("string", "list", "hash", "set", "zset", "bitmap", "hyperloglog", "geo", "stream", "generic",
         "script")


# Always refused without LFU; not about data.
LEFT_OUT = {"OBJECT FREQ", "LOLWUT"}
FUNCTIONS = {"FCALL", "FCALL_RO", "FUNCTION"}


def two_of_redis(group):
    return Pair([group.redis().port], [group.redis().port])


def redis_and_coredb(group, nodes):
    return Pair([group.redis().port], [node.port for node in group.coredb(nodes)])


class Instrument(unittest.TestCase):
    """redis-server against itself: no difference where there is none, and one where there is."""

    def test_a_server_does_not_differ_from_its_like(self):
        with coredb_cluster.Group() as group, closing(two_of_redis(group)) as pair:
            campaign = Campaign(pair, SEED)
            for number in range(8):
                campaign.episode(number)
            self.assertEqual(campaign.signatures, {})
            self.assertGreater(pair.commands, 20000)

    def test_a_seed_repeats_an_episode(self):
        first, second = (Mixer("7/1").episode(500) for _ in range(2))
        self.assertEqual([(s.kind, s.commands, s.data) for s in first],
                         [(s.kind, s.commands, s.data) for s in second])
        self.assertNotEqual([s.commands for s in first], [s.commands for s in Mixer("7/2").episode(500)])

    def test_a_fault_is_found_and_shrunk(self):
        with coredb_cluster.Group() as group, closing(two_of_redis(group)) as pair:
            pair.sides[1][0].call(b"CONFIG", b"SET", b"hash-max-listpack-entries", b"2")
            noise = [Step("commands", 0, ((b"SET", b"s%d" % i, b"v"),)) for i in range(50)]
            fault = [Step("commands", 1, ((b"HSET", b"h1", b"f%d" % i, b"v"),)) for i in range(3)]
            steps = [*noise, *fault, Step("commands", 1, ((b"OBJECT", b"ENCODING", b"h1"),)), *noise]
            with self.assertRaises(Found) as caught:
                pair.run(steps)
            self.assertEqual(caught.exception.replies, (b"listpack", b"hashtable"))
            shorter, found = shrink(pair, steps, caught.exception)
            # The comparison of all data at the end shows it without the last command.
            self.assertEqual([step.commands[0][0] for step in shorter], [b"HSET"] * 3)
            self.assertEqual(found.replies, (b"listpack", b"hashtable"))


@unittest.skipUnless(coredb_cluster.coredb_program(), "coredb is not built")
class Coredb(unittest.TestCase):
    def compare(self, nodes, commands, alone=()):
        with coredb_cluster.Group() as group, closing(redis_and_coredb(group, nodes)) as pair:
            begin = time.monotonic()
            signatures = {}
            for name in alone:
                campaign = Campaign(pair, SEED, [name], length=commands // 20)
                campaign.episode(0)
                signatures.update(campaign.signatures)
            campaign = Campaign(pair, SEED, SERVED)
            number = 0
            while not campaign.signatures and (pair.commands < commands or alone and (
                    pair.commands < 2 * commands and self.gaps(pair) != ([], []))):
                campaign.episode(number)
                number += 1
            signatures.update(campaign.signatures)
            print(f"{pair.commands} commands, {pair.commands / (time.monotonic() - begin):.0f}/s")
            self.assertEqual(signatures, {})
            if alone:
                self.assertEqual(self.gaps(pair), ([], []))

    @staticmethod
    def gaps(pair):
        """The commands on data that were never answered well, and the options that Redis tells of but never used."""
        names = coverage.data_commands(pair.sides[1][0]) - LEFT_OUT
        names = {name for name in names if name.split()[0] not in FUNCTIONS}
        return coverage.gaps(pair.coverage, names, coverage.options(pair.sides[0][0]))

    def test_one_node_answers_as_redis_does(self):
        self.compare(1, COMMANDS, ALONE)

    def test_three_nodes_answer_as_redis_does(self):
        self.compare(3, COMMANDS // 6)


def main():
    if coredb_cluster.redis_program() is None:
        print("skipped: redis-server is not installed")
        sys.exit(coredb_cluster.SKIPPED)
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
