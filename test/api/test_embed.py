"""The example of embedding runs, twice over the same directory."""

import os
import subprocess
import sys
import tempfile

EXAMPLE = os.path.join(os.environ["ROCKRAFT_BIN"], "example-embed")


def run(directory):
    done = subprocess.run([EXAMPLE, directory], capture_output=True, text=True, timeout=50)
    if done.returncode != 0:
        sys.exit(f"{EXAMPLE} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.splitlines()


def check(actual, expected):
    if actual != expected:
        sys.exit(f"got:      {actual}\nexpected: {expected}")


def main():
    with tempfile.TemporaryDirectory() as parent:
        directory = os.path.join(parent, "data")
        fruit = ["exchanged: yes", "fruit/apple = 2", "fruit/pear = 1"]
        check(run(directory), fruit + ["runs: 1"])
        check(run(directory), fruit + ["runs: 2"])
        missing = subprocess.run([EXAMPLE, "/nonexistent/a/b"], capture_output=True, text=True,
                                 timeout=50)
        check(missing.returncode, 1)
        check(len(missing.stderr.splitlines()), 1)


if __name__ == "__main__":
    main()
