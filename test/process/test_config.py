#!/usr/bin/env python3
"""Configurations, the command line, and everything that must keep a server from starting.

ctest: timeout=240
"""

import copy
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

import ports
import suite
from cluster import HOST, SCALE, Cluster, Node, end, program, spawn, wait_until
from http_client import CallError, Client

GOOD = """\
node_id = 1
http_addr = "127.0.0.1:{http}"

[raft]
address = "127.0.0.1:{raft}"
advertise_host = "127.0.0.1"
join = []
heartbeat_interval = 50
election_timeout_min = 300
election_timeout_max = 600

[rocksdb]
data_path = "{data}"
max_open_files = 256

[log]
level = "info"
"""


def replaced(pattern, by):
    """A change of one line of the good configuration."""
    def change(text):
        changed, count = re.subn(pattern, lambda _: by, text, count=1, flags=re.M)
        assert count == 1, pattern
        return changed

    return change


# (what is wrong, the change, the key that must be named, whether its line must be)
BAD = [
    ("no node_id", replaced(r"^node_id.*\n", ""), "node_id", False),
    ("node_id is text", replaced(r"^node_id.*", 'node_id = "1"'), "node_id", True),
    ("node_id is negative", replaced(r"^node_id.*", "node_id = -1"), "node_id", True),
    ("node_id is zero", replaced(r"^node_id.*", "node_id = 0"), "node_id", True),
    ("node_id is a fraction", replaced(r"^node_id.*", "node_id = 1.5"), "node_id", True),
    ("no http_addr", replaced(r"^http_addr.*\n", ""), "http_addr", False),
    ("http_addr is a number", replaced(r"^http_addr.*", "http_addr = 8000"), "http_addr", True),
    ("http_addr without port", replaced(r"^http_addr.*", 'http_addr = "localhost"'), "http_addr", True),
    ("http_addr without host", replaced(r"^http_addr.*", 'http_addr = ":8000"'), "http_addr", True),
    ("http port too large", replaced(r"^http_addr.*", 'http_addr = "h:70000"'), "http_addr", True),
    ("http port is text", replaced(r"^http_addr.*", 'http_addr = "h:http"'), "http_addr", True),
    ("raft is no table", replaced(r"^\[raft\][^$]*(?=^\[rocksdb\])", "raft = 1\n\n"), "raft", True),
    ("no raft.address", replaced(r"^address.*\n", ""), "raft.address", False),
    ("raft port too large", replaced(r"^address.*", 'address = "h:65536"'), "raft.address", True),
    ("no advertise_host", replaced(r"^advertise_host.*\n", ""), "raft.advertise_host", False),
    ("advertise_host with port", replaced(r"^advertise_host.*", 'advertise_host = "h:1"'),
     "raft.advertise_host", True),
    ("no join", replaced(r"^join.*\n", ""), "raft.join", False),
    ("join is text", replaced(r"^join.*", 'join = "127.0.0.1:1"'), "raft.join", True),
    ("join names no port", replaced(r"^join.*", 'join = ["localhost"]'), "raft.join", True),
    ("join holds a number", replaced(r"^join.*", "join = [7001]"), "raft.join", True),
    ("heartbeat is zero", replaced(r"^heartbeat.*", "heartbeat_interval = 0"),
     "raft.heartbeat_interval", True),
    ("heartbeat is text", replaced(r"^heartbeat.*", 'heartbeat_interval = "50ms"'),
     "raft.heartbeat_interval", True),
    ("heartbeat not below election", replaced(r"^heartbeat.*", "heartbeat_interval = 300"),
     "raft.", True),
    ("election minimum above maximum", replaced(r"^election_timeout_min.*", "election_timeout_min = 700"),
     "raft.election_timeout", True),
    ("found is text", replaced(r"^join.*", 'join = []\nfound = "no"'), "raft.found", True),
    ("no data_path", replaced(r"^data_path.*\n", ""), "rocksdb.data_path", False),
    ("data_path is empty", replaced(r"^data_path.*", 'data_path = ""'), "rocksdb.data_path", True),
    ("no max_open_files", replaced(r"^max_open_files.*\n", ""), "rocksdb.max_open_files", False),
    ("max_open_files is negative", replaced(r"^max_open_files.*", "max_open_files = -5"),
     "rocksdb.max_open_files", True),
    ("unknown log level", replaced(r"^level.*", 'level = "loud"'), "log.level", True),
    ("a key twice", replaced(r"^join.*", "join = []\njoin = []"), "", False),
    ("not TOML", replaced(r"^join.*", "join = ["), "", False),
]


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rockraft-config-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.data = os.path.join(self.folder, "data")
        self.http, self.raft = ports.reserve(), ports.reserve()

    def good(self):
        return GOOD.format(http=self.http, raft=self.raft, data=self.data)

    def write(self, text, name="node.toml"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run_to_end(self, *arguments, timeout=20):
        """Runs the server until it ends by itself."""
        return subprocess.run(
            [*program(), *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout * SCALE, check=False,
        )

    def start(self, *arguments, cwd=None):
        log = open(os.path.join(self.folder, "log"), "ab")
        self.addCleanup(log.close)
        process = spawn([*program(), *arguments], log, cwd or self.folder)
        self.addCleanup(end, process)
        return process

    def wait_health(self, process, port):
        def healthy():
            self.assertIsNone(process.poll(), self.log())
            try:
                with Client(HOST, port, 2 * SCALE) as client:
                    return client.get_json("/health")
            except OSError:
                return None

        return wait_until(healthy, "the server answers /health")

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()


class BadConfigurations(Folder):
    def test_each_is_refused_with_one_line_that_tells_where_and_what(self):
        for what, change, key, has_line in BAD:
            with self.subTest(what):
                text = change(self.good())
                path = self.write(text)
                done = self.run_to_end("--conf", path)
                self.assertEqual(done.returncode, 2, done)
                lines = [line for line in done.stderr.splitlines() if line.strip()]
                self.assertEqual(len(lines), 1, done.stderr)
                self.assertRegex(lines[0], re.escape(path) + r":\d+: ")
                self.assertIn(key, lines[0])
                self.assertIn("expected", lines[0])
                if has_line:
                    self.check_line(text, path, key, lines[0])
                self.assertFalse(os.path.exists(self.data), "data was created")

    def check_line(self, text, path, key, message):
        number = int(re.search(re.escape(path) + r":(\d+): ", message).group(1))
        named = text.splitlines()[number - 1]
        last = key.rstrip(".").split(".")[-1]
        if not key.endswith("."):
            self.assertTrue(named.startswith(last), f"line {number} is {named!r}: {message}")

    def test_a_file_that_cannot_be_read(self):
        path = os.path.join(self.folder, "missing.toml")
        for name in (path, self.folder):
            done = self.run_to_end("--conf", name)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(name, done.stderr)

    def test_unknown_keys_are_ignored(self):
        path = self.write("unknown = 1\n" + self.good() + "\n[more]\nkey = 1\n")
        process = self.start("--conf", path)
        self.wait_health(process, self.http)

    def test_missing_tables_take_their_defaults(self):
        text = f'node_id = 1\nhttp_addr = "127.0.0.1:{self.http}"\n[raft]\n' \
               f'address = "127.0.0.1:{self.raft}"\nadvertise_host = ""\njoin = []\n'
        process = self.start("--conf", self.write(text))
        self.wait_health(process, self.http)
        with Client(HOST, self.http) as client:
            members = client.get_json("/members")["members"]
        self.assertEqual(members["1"]["endpoint"], f"127.0.0.1:{self.raft}")


class CommandLine(Folder):
    def test_help(self):
        done = self.run_to_end("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--conf", done.stdout)

    def test_wrong_arguments(self):
        for arguments in (["--conf"], ["--nonsense"], ["file.toml"]):
            done = self.run_to_end(*arguments)
            self.assertIn(done.returncode, (1, 2), done)
            self.assertIn("usage", done.stderr.lower())
            self.assertFalse(os.path.exists(os.path.join(self.folder, "data")))

    def test_without_arguments_a_node_starts_on_embedded_defaults(self):
        if not (ports.is_free(8000) and ports.is_free(6682)):
            self.skipTest("port 8000 or 6682 is taken on this machine")
        process = self.start()
        health = self.wait_health(process, 8000)
        self.assertEqual(health["node_id"], 1)
        with Client(HOST, 8000) as client:
            client.set("k", "v")
            self.assertEqual(client.get("k"), "v")
            members = client.get_json("/members")["members"]
        self.assertEqual(members["1"]["endpoint"].rsplit(":", 1)[1], "6682")
        self.assertTrue(os.path.isdir(os.path.join(self.folder, "data")))


class CannotStart(Folder):
    """A clear error, a status that is not 0, and nothing changed."""

    def assert_refused(self, done, *words):
        self.assertNotIn(done.returncode, (0, None), done)
        self.assertGreater(done.returncode, 0, f"ended by a signal: {done}")
        said = (done.stderr + done.stdout).lower()
        for word in words:
            self.assertIn(str(word).lower(), said)

    def test_a_port_in_use(self):
        for port in (self.http, self.raft):
            with self.subTest(port), socket.create_server((HOST, port)):
                done = self.run_to_end("--conf", self.write(self.good()))
                self.assert_refused(done, port)
        process = self.start("--conf", self.write(self.good()))
        self.wait_health(process, self.http)

    def test_a_data_path_that_cannot_be_made(self):
        blocking = os.path.join(self.folder, "file")
        with open(blocking, "w", encoding="utf-8") as file:
            file.write("x")
        for path in (os.path.join(blocking, "data"), blocking, "/proc/rockraft"):
            with self.subTest(path):
                self.data = path
                self.assert_refused(self.run_to_end("--conf", self.write(self.good())), path)
        with open(blocking, encoding="utf-8") as file:
            self.assertEqual(file.read(), "x")

    def test_a_data_directory_in_use(self):
        process = self.start("--conf", self.write(self.good()))
        self.wait_health(process, self.http)
        first_http = self.http
        self.http, self.raft = ports.reserve(), ports.reserve()
        self.assert_refused(self.run_to_end("--conf", self.write(self.good(), "second.toml")), self.data)
        with Client(HOST, first_http) as client:
            client.set("k", "v")
            self.assertEqual(client.get("k"), "v")

    def test_the_data_directory_of_another_node(self):
        path = self.write(self.good())
        process = self.start("--conf", path)
        self.wait_health(process, self.http)
        with Client(HOST, self.http) as client:
            client.set("k", "v")
        process.terminate()
        self.assertEqual(process.wait(10 * SCALE), 0)
        other = self.write(self.good().replace("node_id = 1", "node_id = 2"), "other.toml")
        self.assert_refused(self.run_to_end("--conf", other), "node")
        process = self.start("--conf", path)
        self.wait_health(process, self.http)
        with Client(HOST, self.http) as client:
            self.assertEqual(client.get("k"), "v")

    def test_a_directory_of_something_else_is_left_alone(self):
        os.makedirs(self.data)
        with open(os.path.join(self.data, "thesis.txt"), "w", encoding="utf-8") as file:
            file.write("years of work")
        done = None
        try:
            done = self.run_to_end("--conf", self.write(self.good()), timeout=4)
        except subprocess.TimeoutExpired:
            pass  # Starting beside other files is fine too, as long as they stay.
        if done is not None:
            self.assert_refused(done, self.data)
        with open(os.path.join(self.data, "thesis.txt"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "years of work")

    # A file system of its own, which ends with the shell; then more starts on the same full disk.
    ON_A_SMALL_DISK = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", """
        disk=$1; shift
        mount -t tmpfs -o size=24m none "$disk" || exit 77
        "$@"; echo "first status $?"
        cat /dev/zero >"$disk/filler"
        for again in 1 2 3 4; do "$@"; echo "again status $?"; done
        """, "sh"]

    def start_on_a_small_disk(self, kind):
        disk = self.data
        os.makedirs(disk)
        self.data = os.path.join(disk, "data")
        settings = self.good().replace("max_open", "disk_low_bytes = 0\nmax_open")
        path = self.write(f'{settings}\n[storage]\nlog = "{kind}"\n')
        with open(os.path.join(self.folder, "log"), "ab") as log:
            process = spawn([*self.ON_A_SMALL_DISK, disk, *program(), "--conf", path], log)
        self.addCleanup(end, process)
        wait_until(lambda: process.poll() is not None or "listening" in self.log(), "a start")
        if process.poll() is not None and "first status" not in self.log():
            self.skipTest(f"no file system of its own here: {self.log()}")
        self.wait_health(process, self.http)
        return process

    def test_a_disk_without_room_for_the_next_segment_takes_no_writes(self):
        process = self.start_on_a_small_disk("segments")

        def refused():
            try:
                with Client(HOST, self.http, 20 * SCALE) as client:
                    client.set("k", "x" * (512 << 10))
                return False
            except CallError as error:
                self.assertEqual(error.outcome, "failed")
                return True

        wait_until(refused, "a refused write")
        self.assertRegex(self.log(), "next file could not be made: .*free space")
        self.assertIsNone(process.poll())

    def test_a_full_disk_ends_the_server_with_the_reason(self):
        process = self.start_on_a_small_disk("rocksdb")
        with self.assertRaises(CallError) as failed, Client(HOST, self.http, 20 * SCALE) as client:
            for number in range(100):
                client.set(f"k{number}", "x" * (512 << 10))
        self.assertEqual(failed.exception.outcome, "unknown")
        process.wait(30 * SCALE)
        self.assertIn("first status 1", self.log())
        self.assertEqual(re.findall(r"again status (\d+)", self.log()), ["1"] * 4)
        self.assertRegex(self.log(), r"halted.*No space left")
        self.assertRegex(self.log(), r"cannot start node 1: .*No space left")

    def test_founding_forbidden(self):
        text = self.good().replace("join = []", "join = []\nfound = false")
        path = self.write(text)
        process = self.start("--conf", path)
        try:
            self.assertNotEqual(process.wait(5 * SCALE), 0)
        except subprocess.TimeoutExpired:
            # It may also wait to be invited; then it must not lead or take anything.
            with Client(HOST, self.http) as client:
                health = client.get_json("/health")
                self.assertIsNone(health["current_leader"])
                reply = client.request("POST", "/set?timeout_ms=500", {"key": "k", "value": "v"})
                self.assertNotEqual(reply.status, 200)
        self.assertRegex(self.log(), r"(?i)found|join|member")
        end(process)
        # The same node with data is a restart, and may start.
        shutil.rmtree(self.data, ignore_errors=True)
        process = self.start("--conf", self.write(self.good(), "founder.toml"))
        self.wait_health(process, self.http)
        with Client(HOST, self.http) as client:
            client.set("k", "v")
        process.kill()
        process.wait()
        process = self.start("--conf", path)
        self.wait_health(process, self.http)
        with Client(HOST, self.http) as client:
            self.assertEqual(client.get("k"), "v")


class OtherClusters(unittest.TestCase):
    def test_data_of_another_cluster_stops_the_node(self):
        """A node 2 with data of cluster `one` starts where cluster `two` has its own node 2."""
        with Cluster(2) as one, Cluster(2) as two:
            for cluster, name in ((one, "one"), (two, "two")):
                cluster.start()
                with cluster[1].client() as client:
                    client.set("cluster", name)
            for node in (one[1], one[2], two[2]):
                node.kill()
            foreign = self.foreign(one, two)
            foreign.start()
            try:
                self.assertNotEqual(foreign.wait_exit(40), 0)
                self.assertRegex(foreign.log_text(), r"(?i)another cluster|other cluster|cluster id")
            finally:
                foreign.kill()
            # Neither cluster has taken anything from the other, and both go on.
            for node in (one[1], one[2], two[2]):
                node.start()
            for cluster, name in ((one, "one"), (two, "two")):
                cluster.wait_settled()
                for node in cluster.running:
                    with node.client() as client:
                        self.assertEqual(client.get("cluster"), name)

    @staticmethod
    def foreign(one, two):
        """The second node of `two`, addresses and all, on a copy of the data of that of `one`."""
        settings = copy.deepcopy(two[2].settings)
        folder = os.path.join(two.folder, "foreign")
        settings["rocksdb"]["data_path"] = os.path.join(folder, "data")
        shutil.copytree(one[2].data_path, settings["rocksdb"]["data_path"])
        return Node(2, folder, two.command, settings)


if __name__ == "__main__":
    suite.main()
