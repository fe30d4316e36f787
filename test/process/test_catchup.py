#!/usr/bin/env python3
"""A node that missed 100,000 writes and a purge of the log catches up by snapshot, under load.

ctest: timeout=300 label=slow serial
"""

import asyncio
import threading
import time
import unittest

import suite
from campaign import addresses_of
from cluster import HOST, SCALE, Cluster, wait_until
from faults import join
from http_client import AsyncClient
from workload import Workload

BATCHES, PER_BATCH, SINGLE = 1900, 50, 5000


def write_many(node, connections=16):
    """95,000 writes in 1,900 entries and 5,000 in as many, through one node."""
    calls = [
        {"op": "batch", "operations": [
            {"op": "set", "key": f"bulk/{batch * PER_BATCH + n}", "value": f"{batch}.{n}" * 5}
            for n in range(PER_BATCH)]}
        for batch in range(BATCHES)
    ]
    calls += [{"op": "set", "key": f"single/{n}", "value": f"{n}"} for n in range(SINGLE)]

    async def run():
        left = iter(calls)

        async def writer():
            client = AsyncClient(HOST, node.http_port)
            for fields in left:
                await client.call(fields, 30 * SCALE)
            client.close()

        await asyncio.gather(*(writer() for _ in range(connections)))

    begin = time.monotonic()
    asyncio.run(run())
    seconds = time.monotonic() - begin
    print(f"\n    {len(calls)} entries with 100,000 writes in {seconds:.1f} s", flush=True)


class CatchUp(unittest.TestCase):
    def prepare(self, cluster, missing):
        """Writes while `missing` is down, then snapshots and purges everywhere else."""
        cluster[missing].kill()
        cluster.wait_leader(other_than=missing)
        write_many(cluster.wait_leader(other_than=missing))
        purged = 0
        for node in cluster.running:
            with node.client(60) as client:
                index = client.post_json("/trigger_snapshot")["index"]
                client.post_json("/purge_log", {"upto_index": index})
                purged = max(purged, index)
        self.assertGreater(purged, BATCHES)
        return purged

    def wait_caught_up(self, node, index):
        def reached():
            metrics = node.metrics()
            return metrics and metrics["last_applied"] and metrics["last_applied"]["index"] >= index

        begin = time.monotonic()
        wait_until(reached, f"node {node.id} has applied index {index}", 90)
        print(f"    caught up with {index} entries in {time.monotonic() - begin:.1f} s", flush=True)

    def check_end(self, cluster, workload):
        workload.stop()
        workload.read_back(cluster.running)
        data = cluster.replicas(timeout=60)
        bulk = [key for key, _ in data if key.startswith(("bulk/", "single/"))]
        self.assertEqual(len(bulk), BATCHES * PER_BATCH + SINGLE)
        verdict = workload.verdict()
        self.assertTrue(verdict.valid, verdict.report)
        self.assertEqual(workload.violations, [])

    def test_a_member_that_was_away_and_then_dies_in_the_middle(self):
        with Cluster(3) as cluster:
            cluster.start()
            purged = self.prepare(cluster, 3)
            workload = Workload(addresses_of(cluster), suite.SEED, clients=8).start()
            try:
                # Twice it dies while catching up, and begins again or resumes.
                for _ in range(2):
                    cluster[3].start()
                    wait_until(cluster[3].health, "node 3 answers")
                    cluster[3].kill()
                cluster[3].start().wait_http()
                self.wait_caught_up(cluster[3], purged)
                cluster.wait_settled()
            finally:
                workload.stop()
            self.check_end(cluster, workload)

    def test_a_new_node_joins_after_the_purge_while_writes_go_on(self):
        with Cluster(3) as cluster:
            cluster.start()
            purged = self.prepare(cluster, 3)
            cluster[3].start().wait_http()
            workload = Workload(addresses_of(cluster), suite.SEED, clients=8).start()
            stalled = threading.Event()

            def watch():
                """Writes must go on while the snapshot travels."""
                before, since = workload.succeeded(), time.monotonic()
                while not workload.stopping.wait(0.2):
                    if workload.succeeded() > before:
                        before, since = workload.succeeded(), time.monotonic()
                    elif time.monotonic() - since > 5 * SCALE:
                        stalled.set()

            watcher = threading.Thread(target=watch)
            watcher.start()
            try:
                node = cluster.add()
                join(cluster, node, timeout=90)
                self.wait_caught_up(node, purged)
                self.wait_caught_up(cluster[3], purged)
                cluster.wait_settled()
            finally:
                workload.stop()
                watcher.join()
            self.assertFalse(stalled.is_set(), "no call succeeded for seconds")
            self.check_end(cluster, workload)


if __name__ == "__main__":
    suite.main()
