#!/usr/bin/env python3
# ctest: timeout=420 label=slow
"""ioredis, node-redis and BullMQ, unmodified from npm, each through another node of a cluster.

The packages of package-lock.json are installed into the build directory once. Without node, npm or the
registry the test is skipped, and says so.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import unittest

import servers
from coredb_cluster import HERE as COREDB_TESTS

HERE = os.path.join(COREDB_TESTS, "clients")
INSTALL_S = 180
PROGRAM_S = 240


def folder():
    """Where the packages are; the lock file's digest is in the name, so a new one is installed anew."""
    build = os.path.dirname(os.environ.get("ROCKRAFT_BIN", os.path.join(COREDB_TESTS, "../../build/bin")))
    with open(os.path.join(HERE, "package-lock.json"), "rb") as lock:
        digest = hashlib.sha256(lock.read()).hexdigest()[:12]
    return os.path.abspath(os.path.join(build, f"clients-{digest}"))


def install():
    """Installs the packages unless they are; returns why that did not work, or None."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    major = int(subprocess.run(["node", "--version"], capture_output=True, text=True,
                               check=True).stdout.lstrip("v").split(".")[0])
    if major < 18:
        return f"node {major} is older than 18, which the clients need"
    path = folder()
    if not os.path.exists(os.path.join(path, "installed")):
        os.makedirs(path, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(HERE, name), path)
        try:
            outcome = subprocess.run(["npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit",
                                      "--no-fund"], cwd=path,
                                     capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            return f"npm ci did not end within {INSTALL_S} s"
        if outcome.returncode != 0:
            return f"npm ci failed: {outcome.stderr.strip()[-300:]}"
        with open(os.path.join(path, "installed"), "w", encoding="ascii"):
            pass
    for name in os.listdir(HERE):
        if name.endswith(".js"):
            shutil.copy(os.path.join(HERE, name), path)
    return None


class NodeClients(unittest.TestCase):
    def run_program(self, name):
        with servers.Servers() as group:
            environment = {**os.environ, "PORTS": ",".join(map(str, group.ports)),
                           "SCALE": str(servers.SCALE)}
            process = subprocess.Popen(["node", name], cwd=folder(), env=environment, text=True,
                                       stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                output = []
                for line in process.stdout:
                    if line.startswith("@"):
                        what, number = line[1:].split()
                        group.order(what, int(number))
                        process.stdin.write("done\n")
                        process.stdin.flush()
                    else:
                        print(f"    {line}", end="", flush=True)
                        output.append(line)
                status = process.wait(PROGRAM_S * servers.SCALE)
            finally:
                process.kill()
                process.wait()
                process.stdin.close()
                process.stdout.close()
            self.assertEqual(status, 0, "".join(output[-40:]))
            self.assertRegex(output[-1], r"^(\d+) of \1 passed")

    def test_ioredis(self):
        self.run_program("ioredis.js")

    def test_node_redis(self):
        self.run_program("node_redis.js")

    def test_bullmq(self):
        self.run_program("bullmq.js")


def main():
    servers.skip_or_continue(servers.why_skipped() or install())
    unittest.main(verbosity=2)


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    main()
