#!/usr/bin/python3
"""The simulator's short campaign, and what its command line promises.

ctest: timeout=300 label=sim
"""
import os
import subprocess
import unittest

SIM = os.path.join(os.environ.get("ROCKRAFT_BIN", "build/bin"), "rockraft-sim")
# Sanitizers make a run many times slower.
SEEDS = 200 if os.environ.get("ROCKRAFT_SANITIZE") else 4000


def run(*arguments):
    return subprocess.run([SIM, *arguments], capture_output=True, text=True, check=False)


def hash_of(result):
    """The hash at the end of a run's or a campaign's last line."""
    words = result.stdout.replace(",", " ").split()
    return words[len(words) - 1 - words[::-1].index("hash") + 1]


class Campaign(unittest.TestCase):
    def test_finds_nothing_wrong(self):
        result = run("--seeds", str(SEEDS), "--jobs", "2", "--quiet")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        print(result.stdout.strip().splitlines()[-1])

    def test_the_same_seeds_give_the_same_runs(self):
        first = run("--seeds", "40", "--from", "7000", "--quiet")
        again = run("--seeds", "40", "--from", "7000", "--jobs", "2", "--quiet")
        self.assertEqual(first.returncode, 0, first.stdout + first.stderr)
        self.assertEqual(hash_of(first), hash_of(again))

    def test_looking_at_a_run_does_not_change_it(self):
        plain = run("--seed", "7")
        traced = run("--seed", "7", "--trace")
        self.assertEqual(plain.returncode, 0, plain.stdout + plain.stderr)
        self.assertGreater(len(traced.stdout), 10 * len(plain.stdout))
        self.assertEqual(hash_of(plain), hash_of(traced))

    def test_another_seed_is_another_run(self):
        self.assertNotEqual(hash_of(run("--seed", "7")), hash_of(run("--seed", "8")))

    def test_a_failing_seed_is_repeated_by_the_command_that_is_printed(self):
        failed = run("--fault", "vote_not_written", "--seeds", "5")
        self.assertEqual(failed.returncode, 1)
        command = [line for line in failed.stdout.splitlines() if line.startswith("repeat: ")][0]
        words = command.split()[1:]
        self.assertEqual(words[0], "rockraft-sim")
        again = run(*words[1:])
        self.assertEqual(again.returncode, 1)
        self.assertIn("durability", again.stderr)
        # The events before the end were shown with the failure.
        self.assertIn("starts", failed.stderr)


class CommandLine(unittest.TestCase):
    def test_help(self):
        result = run("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("--seeds", result.stdout)

    def test_what_cannot_be_understood_is_refused(self):
        for arguments in (["--seed", "x"], ["--seed", "-1"], ["--seeds", "0"], ["--nodes", "9"],
                          ["--fault", "none_such"], ["--no-such-option"], ["extra"], []):
            result = run(*arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertNotEqual(result.stderr, "", arguments)


if __name__ == "__main__":
    unittest.main(verbosity=2)
