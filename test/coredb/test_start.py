#!/usr/bin/env python3
# ctest: timeout=180
"""How coredb starts: its arguments and file, what it refuses and in which words, who may connect."""

import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "differential"))

import coredb_cluster  # noqa: E402 (the path must be set first)
from coredb_cluster import HOST, SCALE, wait_until  # noqa: E402
from resp import Closed, Connection, is_error  # noqa: E402

OK = ("+", b"OK")


def run(*arguments):
    """The exit status and the output of a program that ends by itself."""
    done = subprocess.run([coredb_cluster.coredb_program(), *arguments], text=True, timeout=30 * SCALE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


# In a network namespace of the test's own, so that no packet ever leaves it: an address of this
# machine that is no loopback address.
STRANGER = "192.0.2.1"
NAMESPACE = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c",
             f'ip link set lo up && ip address add {STRANGER}/32 dev lo && exec "$@"', "sh"]
INSIDE = "COREDB_TEST_NAMESPACE"


def namespace_missing():
    """Why no network namespace can be made here, or None."""
    try:
        done = subprocess.run([*NAMESPACE, "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=30 * SCALE, check=False)
    except OSError as error:
        return str(error)
    return done.stdout.strip() or "unshare fails" if done.returncode != 0 else None


class Flagged(coredb_cluster.Coredb):
    """A node that is started with arguments alone, or with lines behind its file."""

    def __init__(self, folder, flags=(), table=None, bind=None):
        super().__init__(folder, [coredb_cluster.coredb_program()], 1)
        self.flags = flags
        self.table = table
        self.bind = bind or HOST

    def arguments(self):
        if self.table is None:
            return ["--port", str(self.port), "--bind", self.bind, "--raft-addr", self.endpoint,
                    "--dir", os.path.join(self.folder, "data"), *self.flags]
        arguments = super().arguments()[:2]
        with open(self.config_path, "a", encoding="utf-8") as file:
            file.write("\n[coredb]\n" + self.table)
        return [*arguments, *self.flags]


@unittest.skipUnless(coredb_cluster.coredb_program(), "coredb is not built")
class Refused(unittest.TestCase):
    def assert_refused(self, arguments, *words, status=2):
        with self.subTest(" ".join(arguments)):
            code, text = run(*arguments)
            self.assertEqual(code, status, text)
            self.assertTrue(text.startswith("coredb: "), text)
            for word in words:
                self.assertIn(word, text)

    def test_wrong_arguments_are_named(self):
        for arguments, words in (
                (["--nosuch", "1"], "unknown setting --nosuch"),
                (["-p", "7000"], "unknown argument -p"),
                (["--port"], "--port needs a value"),
                (["--port", "abc"], "--port: argument couldn't be parsed into an integer"),
                (["--port", "65536"], "--port: argument must be between 0 and 65535 inclusive"),
                (["--maxmemory", "1x"], "--maxmemory: argument must be a memory value"),
                (["--maxmemory-policy", "bad"], "noeviction"),
                (["--node-id", "0"], "--node-id needs a number from 1"),
                (["--join", "nonsense"], "nonsense is no address"),
                (["--raft-addr", "nonsense"], "nonsense is no address"),
                (["--bind", "127.0.0.1 ::1"], "--bind takes one address"),
                (["--found", "perhaps"], "--found is yes or no"),
                (["--loglevel", "loud"], "--loglevel is wrong"),
                (["a.toml", "b.toml"], "unknown argument b.toml"),
                (["--conf", "/nosuch/file.toml"], "cannot read the configuration")):
            self.assert_refused(arguments, words)

    def test_what_coredb_cannot_do_is_not_passed_over(self):
        for arguments, words in (
                (["--daemonize", "yes"], "foreground"),
                (["--cluster-enabled", "yes"], "--join"),
                (["--replicaof", "127.0.0.1 6379"], "--join"),
                (["--tls-port", "6380"], "TLS"),
                (["--databases", "32"], "16 databases"),
                (["--aclfile", "users.acl"], "--requirepass")):
            self.assert_refused(arguments, words)

    def test_a_redis_conf_is_recognised(self):
        with coredb_cluster.Group() as group:
            path = os.path.join(group.folder, "redis.conf")
            with open(path, "w", encoding="utf-8") as file:
                file.write("port 6379\nappendonly yes\n")
            self.assert_refused([path], "redis.conf:1:", "not a redis.conf", "--port 6379")

    def test_the_help_names_every_argument_of_its_own(self):
        code, text = run("--help")
        self.assertEqual(code, 0)
        for word in ("--conf", "--port", "--bind", "--dir", "--unixsocket", "--requirepass", "--node-id",
                     "--raft-addr", "--join", "--found", "--loglevel", "--logfile", "raft.members"):
            self.assertIn(word, text)
        self.assertRegex(run("--version")[1], r"^coredb \d+\.\d+\.\d+\n$")


@unittest.skipUnless(coredb_cluster.coredb_program(), "coredb is not built")
class Started(unittest.TestCase):
    def setUp(self):
        self.group = coredb_cluster.Group()
        self.addCleanup(self.group.close)
        self.connections = []

    def tearDown(self):
        for connection in self.connections:
            connection.close()

    def start(self, *flags, **how):
        node = Flagged(os.path.join(self.group.folder, "node"), flags, **how)
        self.group.servers.append(node)
        node.start().wait_ready()
        # It answers a little before it has said all that there is to say.
        wait_until(lambda: f":{node.port}\n" in node.tail(200) + "\n" and "listening on" in node.tail(200),
                   "its summary")
        return node

    def connect(self, node, host=HOST, password=None):
        connection = Connection(host, node.port, 20 * SCALE)
        self.connections.append(connection)
        if password is not None:
            self.assertEqual(connection.call("AUTH", password), OK)
        return connection

    def test_flags_of_redis_are_taken(self):
        node = self.start("--maxclients", "77", "--requirepass", "secret", "--slowlog-max-len=5",
                          "--appendonly", "yes", "--save", "", "--daemonize", "no")
        client = self.connect(node)
        self.assertTrue(is_error(client.call("GET", "k")))
        client = self.connect(node, password="secret")
        self.assertEqual(client.call("CONFIG", "GET", "maxclients"), [b"maxclients", b"77"])
        self.assertEqual(client.call("CONFIG", "GET", "slowlog-max-len"), [b"slowlog-max-len", b"5"])
        self.assertEqual(client.call("CONFIG", "GET", "port"), [b"port", str(node.port).encode()])
        # What has no effect is said; what has some is not.
        self.assertIn("appendonly is known to CONFIG GET, but changes nothing here", node.tail(200))
        self.assertNotIn("maxclients is known", node.tail(200))
        self.assertIn(f"listening on {HOST}:{node.port}", node.tail(200))

    def test_the_file_has_a_table_of_settings_and_flags_go_before_it(self):
        node = self.start("--slowlog-max-len", "6", table="requirepass = 'secret'\nmaxclients = 77\n"
                          "enable-debug-command = true\nslowlog-max-len = 5\n")
        client = self.connect(node, password="secret")
        self.assertEqual(client.call("CONFIG", "GET", "maxclients"), [b"maxclients", b"77"])
        self.assertEqual(client.call("CONFIG", "GET", "slowlog-max-len"), [b"slowlog-max-len", b"6"])
        self.assertEqual(client.call("DEBUG", "SLEEP", "0"), OK)

    def test_wrong_lines_of_the_table_are_named(self):
        for line, words in (("maxclients = 0", "coredb.maxclients: argument must be between 1"),
                            ("nosuch = 1", "unknown setting"), ("port = 7000", "server_addr"),
                            ("daemonize = true", "foreground")):
            with self.subTest(line):
                node = Flagged(os.path.join(self.group.folder, "wrong"), table=line + "\n")
                os.makedirs(node.folder, exist_ok=True)
                code, text = run(*node.arguments())
                self.assertEqual(code, 2, text)
                self.assertIn(words, text)
                self.assertRegex(text, r"node\.toml:\d+: ")

    def test_limits_that_coredb_has_of_its_own_are_refused(self):
        for name in ("key_bytes_max", "value_bytes_max", "entry_bytes_max", "result_bytes_max"):
            with self.subTest(name):
                node = Flagged(os.path.join(self.group.folder, "limits"), table=f"\n[limits]\n{name} = 1000000\n")
                os.makedirs(node.folder, exist_ok=True)
                code, text = run(*node.arguments())
                self.assertEqual(code, 2, text)
                self.assertIn(f"limits.{name}: coredb has limits of its own", text)

    def test_a_node_that_may_not_found_waits_to_be_added(self):
        node = self.start("--found", "no")
        client = self.connect(node)
        self.assertEqual(client.call("RAFT.MEMBERS"), [])
        self.assertNotIn("Try it", node.tail(200))  # It would answer nothing yet.
        first = Flagged(os.path.join(self.group.folder, "first"), ("--node-id", "7"))
        self.group.servers.append(first)
        coredb_cluster.wait_writable(first.start().wait_ready())
        self.assertEqual(self.connect(first).call("RAFT.ADD", 1, node.endpoint), OK)
        coredb_cluster.wait_writable(node)

    def test_an_open_door_without_a_password_is_said(self):
        node = self.start(bind="0.0.0.0")
        self.assertRegex(node.tail(200), r"WARN .*0\.0\.0\.0:\d+ may read and change everything")

    def test_protected_mode_lets_only_the_loopback_in(self):
        if INSIDE in os.environ:
            self.check_protected_mode()
            return
        missing = namespace_missing()
        if missing is not None:
            self.skipTest(f"no network namespace can be made: {missing}")
        done = subprocess.run([*NAMESPACE, sys.executable, os.path.abspath(__file__), f"Started.{self._testMethodName}"],
                              env={**os.environ, INSIDE: "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=60 * SCALE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("Ran 1 test", done.stdout)
        self.assertNotIn("skipped", done.stdout)

    def check_protected_mode(self):
        node = self.start("--protected-mode", "yes", bind="0.0.0.0")
        local = self.connect(node)
        stranger = self.connect(node, host=STRANGER)
        reply = stranger.replies(1)[0][0]
        self.assertTrue(is_error(reply) and reply[1].startswith(b"DENIED "), reply)
        with self.assertRaises((Closed, OSError)):
            stranger.call("PING")
        self.assertEqual(local.call("CONFIG", "SET", "requirepass", "secret"), OK)
        self.assertEqual(self.connect(node, host=STRANGER, password="secret").call("PING"), ("+", b"PONG"))
        self.assertNotRegex(node.tail(200), "may read and change everything")

    def test_what_is_taken_already_is_named(self):
        node = self.start()
        folder = os.path.join(self.group.folder, "other")
        free = [str(coredb_cluster.ports.reserve()) for _ in range(2)]
        for arguments, words in (
                (["--port", str(node.port), "--raft-addr", f"{HOST}:{free[0]}", "--dir", folder], "in use"),
                (["--port", free[1], "--raft-addr", node.endpoint, "--dir", folder], "in use"),
                (["--port", free[1], "--raft-addr", f"{HOST}:{free[0]}", "--dir",
                  os.path.join(node.folder, "data")], "in use by another process")):
            with self.subTest(words=words, arguments=arguments[:2]):
                code, text = run(*arguments)
                self.assertEqual(code, 1, text)
                self.assertTrue(re.search(r"coredb: .*" + words, text), text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
