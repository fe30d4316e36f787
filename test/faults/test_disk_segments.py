#!/usr/bin/env python3
"""Each fault that a disk can show one of three servers, whose logs are in segments.

`disk_faults.py` goes on for as long as one likes.

ctest: timeout=240 label=slow
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import disk_faults  # noqa: E402 (the path must be set first)
import suite  # noqa: E402


class Segments(unittest.TestCase):
    def test_every_fault(self):
        with disk_faults.DiskCluster("segments", suite.SEED) as cluster:
            cluster.start()
            # In parts: a history with too many open outcomes takes for ever to decide.
            for part in range(3):
                disk_faults.run_round(cluster, f"{suite.SEED}.{part}", disk_faults.ALL[part::3],
                                      f"{part}/")

    def test_a_thread_that_syncs(self):
        names = ("one_sync_fails", "stalled_sync", "lost_write")
        with disk_faults.DiskCluster("segments-thread", suite.SEED) as cluster:
            cluster.start()
            disk_faults.run_round(cluster, suite.SEED, names)


if __name__ == "__main__":
    disk_faults.shims.skip_without_programs()
    suite.main()
