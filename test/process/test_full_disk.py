#!/usr/bin/env python3
"""A disk fills up under one node of three: writes go on, and nothing is lost.

The disk is a small file system in a mount namespace of the test's own.

ctest: timeout=180 label=slow
"""

import os
import subprocess
import sys
import unittest

import suite
from campaign import addresses_of
from cluster import SCALE, Cluster, wait_until
from workload import Workload

MIB = 1024 * 1024
DISK, LOW = 192 * MIB, 32 * MIB
INSIDE = "ROCKRAFT_TEST_NAMESPACE"
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


class Disk:
    """A file system of its own, with a file that takes the space away."""

    def __init__(self, folder):
        self.folder = folder
        self.filler = os.path.join(folder, "filler")
        os.makedirs(folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", folder], check=True)

    def leave(self, size):
        """Takes all but `size` bytes; 0: to the last one."""
        with open(self.filler, "ab", buffering=0) as file:
            while True:
                state = os.statvfs(self.folder)
                rest = state.f_bavail * state.f_frsize - size
                if rest <= 0:
                    return
                try:
                    file.write(bytes(min(rest, MIB)))
                except OSError:
                    return

    def free(self):
        os.unlink(self.filler)


class FullDisk(unittest.TestCase):
    def progress(self, workload, calls):
        before = workload.succeeded()
        wait_until(lambda: workload.succeeded() >= before + calls, f"{calls} more calls succeed", 60)

    def applied(self, node):
        metrics = node.metrics()
        return metrics["last_applied"]["index"] if metrics and metrics["last_applied"] else 0

    def fill_up(self, kind, to_the_last_byte):
        with Cluster(3, rocksdb={"disk_low_bytes": LOW}, storage={"log": kind}) as cluster:
            node = cluster[1]
            disk = Disk(os.path.join(cluster.folder, "disk"))
            self.addCleanup(subprocess.run, ["umount", "--lazy", disk.folder], check=False)
            node.settings["rocksdb"]["data_path"] = os.path.join(disk.folder, "data")
            cluster.start()
            with cluster.wait_leader().client() as client:
                client.post_json("/transfer", {"node_id": 1})
            wait_until(lambda: cluster.leader() is node, "node 1 leads")
            workload = Workload(addresses_of(cluster), suite.SEED, clients=8).start()
            try:
                self.progress(workload, 20)
                disk.leave(LOW // 2)
                cluster.wait_leader(other_than=1)
                self.assertIn("this node refuses writes", node.log_text())
                self.progress(workload, 40)
                disk.leave(MIB)
                wait_until(lambda: "takes no entries" in node.log_text(), "node 1 is short of space")
                if to_the_last_byte:
                    disk.leave(0)
                self.progress(workload, 20)
                applied = self.applied(node)
                self.progress(workload, 60)
                self.assertEqual(self.applied(node), applied)
                self.assertTrue(node.running, node.tail())
                disk.free()
                wait_until(lambda: "writes are taken" in node.log_text(), "node 1 sees the space")
            finally:
                workload.stop()
            workload.read_back(cluster.running)
            cluster.replicas()
            self.assertTrue(node.running, node.tail())
            verdict = workload.verdict()
            self.assertTrue(verdict.valid, verdict.report)
            self.assertEqual(workload.violations, [])

    def test_segments(self):
        self.fill_up("segments", to_the_last_byte=True)

    def test_rocksdb(self):
        self.fill_up("rocksdb", to_the_last_byte=False)


def main():
    if INSIDE in os.environ:
        suite.main()
    done = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, check=False,
                          timeout=30 * SCALE)
    if done.returncode != 0:
        print(f"skipped: no file system of its own here: {done.stderr}")
        sys.exit(suite.SKIPPED)
    os.execvpe(NAMESPACE[0], [*NAMESPACE, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


if __name__ == "__main__":
    main()
