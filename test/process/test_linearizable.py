#!/usr/bin/env python3
"""Concurrent clients while nodes die, stall, are cut off, join and leave: the history must be one
that a single store could have produced, and the replicas must agree.

`campaign.py` runs the same for as long as one likes.

ctest: timeout=300 label=slow serial
"""

import unittest

import campaign
import suite
from cluster import Cluster
from faults import DAMAGE, MEMBERS, NETWORK, PROCESS

# Of faults in each part; all of it is meant to end within two and a half minutes.
SECONDS = 20


class UnderFaults(unittest.TestCase):
    def rounds(self, name, names, nodes=3, proxied=False):
        with Cluster(nodes, proxied=proxied) as cluster:
            cluster.start()
            print(flush=True)
            campaign.run_round(cluster, f"{suite.SEED}.{name}", SECONDS, names=names)

    def test_without_faults(self):
        with Cluster(3) as cluster:
            cluster.start()
            print(flush=True)
            campaign.run_round(cluster, suite.SEED, 3, names=["snapshot_and_purge"], clients=16)

    def test_processes_die_and_stall(self):
        self.rounds("process", PROCESS)

    def test_the_network_is_cut(self):
        self.rounds("network", NETWORK, proxied=True)

    def test_members_come_and_go(self):
        self.rounds("members", MEMBERS + ("kill_any",))

    def test_disks_are_damaged(self):
        self.rounds("damage", DAMAGE)

    def test_everything_on_five_nodes(self):
        self.rounds("all", None, nodes=5, proxied=True)


if __name__ == "__main__":
    suite.main()
