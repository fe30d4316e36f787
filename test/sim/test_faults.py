#!/usr/bin/python3
"""Tests the simulator: every fault that can be planted in the core is found within its budget.

Prints how many seeds each needed. A budget is about ten times what was needed when it was set:
any change to the core or the simulator is another draw.

ctest: timeout=600 label=sim
"""
import concurrent.futures
import os
import subprocess
import sys
import unittest

SIM = os.path.join(os.environ.get("ROCKRAFT_BIN", "build/bin"), "rockraft-sim")
SANITIZE = bool(os.environ.get("ROCKRAFT_SANITIZE"))

# Faults that need a conspiracy of circumstances; all others must be found within DEFAULT_BUDGET.
DEFAULT_BUDGET = 500
BUDGETS = {
    "joint_commit_by_incoming": 10000,
    "joint_vote_by_incoming": 5000,
    "commit_of_earlier_term": 10000,
    "match_survives_election": 5000,
    "incarnation_unchecked": 2000,
    "new_disk_stands": 20000,
    "votes_of_any_disk": 2000,
    "former_acknowledgement": 20000,
    "stale_receipt": 5000,
    "campaign_before_applied": 10000,
    "old_votes_counted": 2000,
    "read_in_running_round": 2000,
    "read_reuses_round": 2000,
    "read_of_former_life": 2000,
    "lease_from_receipt": 15000,
    "lease_without_drift": 10000,
    "lease_kept_on_transfer": 5000,
    "lease_promise_forgotten": 30000,
    "restart_wait_missing": 2000,
    "transfer_never_ends": 2000,
}


def list_faults():
    result = subprocess.run([SIM, "--list-faults"], capture_output=True, text=True, check=True)
    return [line.split()[0] for line in result.stdout.splitlines()]


def seeds_needed(fault):
    """How many seeds from 1 on; None if the budget did not do."""
    budget = BUDGETS.get(fault, DEFAULT_BUDGET)
    result = subprocess.run([SIM, "--fault", fault, "--seeds", str(budget), "--quiet"],
                            capture_output=True, text=True, check=False)
    for line in result.stdout.splitlines():
        if line.startswith("repeat: "):
            words = line.split()
            return int(words[words.index("--seed") + 1])
    return None


class Faults(unittest.TestCase):
    def test_there_are_enough(self):
        self.assertGreaterEqual(len(list_faults()), 25)

    def test_budgets_are_for_faults_that_exist(self):
        self.assertEqual(set(BUDGETS) - set(list_faults()), set())

    def test_ordinary_builds_hold_none(self):
        build = os.path.dirname(SIM.rstrip("/"))
        library = os.path.join(os.path.dirname(build), "lib", "librockraft.so")
        if not os.path.exists(library):
            self.skipTest("no " + library)
        with open(library, "rb") as file:
            content = file.read()
        self.assertNotIn(b"raft_fault", content)
        self.assertNotIn(b"votes for everybody who asks", content)

    def test_each_is_found(self):
        faults = list_faults()
        if SANITIZE:  # too slow for those that need many seeds
            faults = [fault for fault in faults if fault not in BUDGETS]
        # The long searches first, so that no core waits for one at the end.
        faults.sort(key=lambda fault: -BUDGETS.get(fault, DEFAULT_BUDGET))
        missed = []
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            for fault, needed in zip(faults, pool.map(seeds_needed, faults)):
                budget = BUDGETS.get(fault, DEFAULT_BUDGET)
                print(f"{fault:30} {needed if needed else 'not found':>9} of {budget}")
                sys.stdout.flush()
                if needed is None:
                    missed.append(fault)
        self.assertEqual(missed, [], "not found within their budgets")


if __name__ == "__main__":
    unittest.main(verbosity=2)
