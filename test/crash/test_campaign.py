#!/usr/bin/env python3
"""A short crash campaign over each kind of log, and the proof that it finds what a disk loses.

ctest: timeout=180 label=crash
"""

import os
import random
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import campaign  # noqa: E402 (the path must be set first)
import shim  # noqa: E402

SEED = os.environ.get("TEST_SEED", str(random.SystemRandom().randrange(1 << 32)))
SANITIZED = bool(os.environ.get("ROCKRAFT_SANITIZE"))


class Crashes(unittest.TestCase):
    def run_campaign(self, name, *arguments):
        found = campaign.parse([*arguments, "--seed", f"{SEED}.{name}"])
        if found.lie:
            found.folder = tempfile.mkdtemp(prefix="rockraft-lies-", dir=found.folder)
            self.addCleanup(shutil.rmtree, found.folder)
        print(f"\n{name}: TEST_SEED={SEED}", flush=True)
        return campaign.Campaign(found).run()

    def test_nothing_acknowledged_is_lost(self):
        recoveries, runs = ("40", "4") if SANITIZED else ("190", "20")
        self.assertEqual(self.run_campaign("true", "--recoveries", recoveries, "--runs", runs), [])

    def test_a_log_that_is_not_synced_is_found_out(self):
        for log in ("segments", "rocksdb"):
            found = self.run_campaign(f"lie.{log}", "--recoveries", "300", "--log", log, "--nodes",
                                      "1", "--lie", "sync:*/log/*")
            self.assertTrue(found)
            self.assertNotIn("Error", found[0], "not the campaign itself")

    def test_names_that_are_not_synced_are_found_out(self):
        found = self.run_campaign("names", "--recoveries", "300", "--log", "segments", "--nodes",
                                  "1", "--lie", "sync_directory:*/log")
        self.assertTrue(found)
        self.assertNotIn("Error", found[0], "not the campaign itself")


if __name__ == "__main__":
    shim.skip_without_programs()
    unittest.main()
