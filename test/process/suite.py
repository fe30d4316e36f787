"""The frame of a process test: the seed, skipping without a program, a summary at the end."""

import faulthandler
import os
import random
import resource
import signal
import sys
import time
import unittest

import cluster

SEED = int(os.environ.get("TEST_SEED", random.SystemRandom().randrange(1 << 32)))
SKIPPED = 77


class _Result(unittest.TextTestResult):
    """Prints each test's time, which is most of what one wants to know of a slow test."""

    def startTest(self, test):
        self.begin = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.stream.writeln(f"    {time.monotonic() - self.begin:.1f} s")
        self.stream.flush()


def main(needs_program=True):
    """Runs the tests of the calling script and ends the process with what ctest expects."""
    if needs_program and cluster.program() is None:
        print(f"skipped: {cluster.PROGRAM_NAME} is not in ROCKRAFT_BIN or build/bin")
        sys.exit(SKIPPED)
    # A stack for a test that hangs, and an orderly end when ctest loses patience.
    faulthandler.register(signal.SIGUSR1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16384)), hard))
    print(f"TEST_SEED={SEED} repeats this run", flush=True)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=_Result)
    outcome = unittest.main(exit=False, testRunner=runner).result
    # A failed subtest is reported by itself; its test counts once.
    bad = {getattr(test, "test_case", test).id() for test, _ in outcome.failures + outcome.errors}
    print(f"{outcome.testsRun - len(bad) - len(outcome.skipped)} of {outcome.testsRun} passed, "
          f"{len(outcome.skipped)} skipped")
    for name in sorted(bad):
        print(f"FAILED {name}   (TEST_SEED={SEED})")
    sys.exit(0 if outcome.wasSuccessful() else 1)
