#!/usr/bin/env python3
"""The faults that a disk can show one of three servers, whose logs are in RocksDB.

ctest: timeout=240 label=slow
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import disk_faults  # noqa: E402 (the path must be set first)
import suite  # noqa: E402

NAMES = ("log_write_fails", "one_sync_fails", "disk_full", "short_writes", "stalled_sync",
         "read_flips_at_start", "flipped_write", "power_lost",
         "power_lost_everywhere")


class Rocksdb(unittest.TestCase):
    def test_faults(self):
        with disk_faults.DiskCluster("rocksdb", suite.SEED) as cluster:
            cluster.start()
            disk_faults.run_round(cluster, suite.SEED, NAMES)


if __name__ == "__main__":
    disk_faults.shims.skip_without_programs()
    suite.main()
