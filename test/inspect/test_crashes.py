#!/usr/bin/env python3
"""What kills and losses of power leave is whole to rockraft-inspect: a short crash campaign whose
directories it verifies before each start.

    test_crashes.py --recoveries 5000 --seed 7 --jobs 2     as long as one likes

ctest: timeout=180 label=crash
"""

import json
import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "crash"))

import campaign  # noqa: E402 (the path must be set first)
import shim  # noqa: E402

SHORT = ("--recoveries", "20" if os.environ.get("ROCKRAFT_SANITIZE") else "60", "--runs", "12")


def program():
    """rockraft-inspect, beside the campaign's own programs."""
    return os.path.join(os.path.dirname(shim.programs()), "bin", "rockraft-inspect")


def is_torn_manifest(line):
    """A MANIFEST of the state that was torn where it was not synced: the node rebuilds that state."""
    return line["file"].startswith("state-") and "MANIFEST" in line["what"]


class Group(campaign.Group):
    """A cluster whose directories are verified after each crash."""

    def crash(self, totals):
        super().crash(totals)
        for folder, folders, files in os.walk(self.root):
            if "IDENTITY" in files:
                folders.clear()
                self.verify(folder, totals)

    def verify(self, folder, totals):
        done = subprocess.run([program(), "verify", folder, "--json"], capture_output=True, text=True)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        found = [line for line in lines if line["kind"] in ("DAMAGE", "UNREAD")]
        if found and all(is_torn_manifest(line) for line in found):
            totals.add(torn_manifests=1)
            return
        if done.returncode != 0:
            raise campaign.Found(f"{self.what()}: rockraft-inspect ends with {done.returncode} for {folder}: "
                                 f"{found or done.stderr}")
        totals.add(inspected=1, **{f"ends_{line['end']}": 1 for line in lines
                                   if line["kind"] == "log" and "end" in line})


def main():
    if shim.programs() is None or not os.access(program(), os.X_OK):
        print("skipped: disk_shim.so or rockraft-inspect has not been built, or not for this sanitizer")
        return 77
    campaign.Group = Group
    seed = os.environ.get("TEST_SEED", str(random.SystemRandom().randrange(1 << 32)))
    arguments = campaign.parse(sys.argv[1:] or [*SHORT, "--seed", seed])
    print(f"TEST_SEED={arguments.seed}", flush=True)
    run = campaign.Campaign(arguments)
    findings = run.run()
    for finding in findings:
        print(finding)
    print(f"{run.totals['inspected']} directories were whole")
    return 1 if findings or run.totals["inspected"] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
