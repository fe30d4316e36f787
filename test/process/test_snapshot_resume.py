#!/usr/bin/env python3
"""A snapshot on its way to a member, while either side is killed, stands still, or takes its time.

ctest: timeout=240
"""

import os
import time
import unittest

import suite
from cluster import SCALE, Cluster, wait_until

MIB = 1 << 20
RATE = 2 * MIB  # slow enough for a busy machine to be still on the way when it is asked
SIZE = 16 * MIB  # at the least


class Resume(unittest.TestCase):
    def prepare(self):
        """A node with a state of 16 MiB, and one that is about to join it."""
        cluster = Cluster(2, snapshot={"bytes_per_s": RATE})
        try:
            cluster[1].start().wait_http()
            wait_until(lambda: cluster[1].health()["is_leader"], "node 1 leads")
            with cluster[1].client(60) as client:
                for number in range(SIZE // (64 * 1024)):
                    client.set(f"fill/{number:05}", os.urandom(32 * 1024).hex())
            cluster[2].start().wait_http()
        except BaseException:
            cluster.close(failed=True)
            raise
        return cluster

    def wait_received(self, node, size):
        wait_until(lambda: (node.counter("snapshot_bytes_received_total") or 0) >= size,
                   f"{size} bytes of a snapshot are at node {node.id}", 60, 0.01)

    def check_whole(self, cluster):
        cluster.wait_settled(60)
        self.assertEqual(len(cluster.replicas("fill/", 60)), SIZE // (64 * 1024))

    def test_the_receiver_is_killed(self):
        with self.prepare() as cluster:
            self.wait_received(cluster[2], 8 * MIB)
            cluster[2].kill()
            cluster[2].start().wait_http()
            self.check_whole(cluster)
            # Chunks that were under way are the difference.
            self.assertLess(cluster[2].counter("snapshot_bytes_received_total"), SIZE - 4 * MIB)
            self.assertEqual(cluster[2].counter("snapshots_installed_total"), 1)

    def test_the_sender_is_killed(self):
        with self.prepare() as cluster:
            self.wait_received(cluster[2], 8 * MIB)
            cluster[1].kill()
            cluster[1].start().wait_http()
            self.check_whole(cluster)
            self.assertLess(cluster[1].counter("snapshot_bytes_sent_total"), SIZE - 4 * MIB)
            self.assertLess(cluster[2].counter("snapshot_bytes_received_total"), SIZE + 6 * MIB)
            self.assertEqual(cluster[2].counter("snapshots_installed_total"), 1)

    def test_the_receiver_stands_still_and_the_sender_goes_on_serving(self):
        with self.prepare() as cluster:
            self.wait_received(cluster[2], 4 * MIB)
            cluster[2].pause()  # its kernel goes on taking bytes
            failures = cluster[1].counter("snapshot_send_failures_total")
            with cluster[1].client(10) as client:
                begin = time.monotonic()
                while cluster[1].counter("snapshot_send_failures_total") in (None, failures):
                    client.set("while", "it stands still")
                    if time.monotonic() - begin > 60 * SCALE:
                        self.fail("the sender waits for ever")
            cluster[2].resume()
            self.check_whole(cluster)
            self.assertLess(cluster[2].counter("snapshot_bytes_received_total"), SIZE + 6 * MIB)


if __name__ == "__main__":
    suite.main()
