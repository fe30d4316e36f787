#!/usr/bin/env python3
# ctest: timeout=300 label=slow
"""redis-py, redis-cli and redis-benchmark, unmodified, each through another node of a cluster."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
import unittest

import servers
from coredb_cluster import HOST, wait_until

try:
    import redis
except ImportError:
    redis = None

CLIENT_S = 60 * servers.SCALE


class Cluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.group = servers.Servers()

    @classmethod
    def tearDownClass(cls):
        cls.group.close()


@unittest.skipUnless(redis, "python3-redis is not installed")
class RedisPy(Cluster):
    """Through the first node, and other ones where two clients are needed."""

    def connect(self, node=0, **options):
        client = redis.Redis(HOST, self.group.ports[node], decode_responses=True,
                             socket_timeout=30 * servers.SCALE, **options)
        self.addCleanup(client.close)
        return client

    def setUp(self):
        self.client, self.other = self.connect(0), self.connect(1)
        self.client.flushall()

    def test_strings_and_expiry(self):
        self.assertTrue(self.client.set("s", "v", ex=1000, nx=True))
        self.assertIsNone(self.client.set("s", "w", nx=True))
        self.assertEqual(self.other.get("s"), "v")
        self.assertTrue(990 <= self.other.ttl("s") <= 1000)
        self.assertEqual(self.client.getex("s", persist=True), "v")
        self.assertEqual(self.other.ttl("s"), -1)
        self.assertEqual(self.client.incrbyfloat("f", "1.5"), 1.5)
        self.assertEqual(self.other.mget("s", "none", "f"), ["v", None, "1.5"])
        self.client.set("gone", "v", px=20)
        wait_until(lambda: self.other.get("gone") is None, "it expires")
        self.assertFalse(self.client.exists("gone"))

    def test_binary_values_of_a_megabyte(self):
        client = redis.Redis(HOST, self.group.ports[0])
        self.addCleanup(client.close)
        value = bytes(range(256)) * 4096
        client.set(b"\x00\xff", value)
        self.assertEqual(redis.Redis(HOST, self.group.ports[2]).get(b"\x00\xff"), value)

    def test_collections(self):
        self.client.hset("h", mapping={"a": 1, "b": 2})
        self.assertEqual(self.other.hgetall("h"), {"a": "1", "b": "2"})
        self.assertEqual(self.other.hincrby("h", "a", 5), 6)
        self.client.rpush("l", *"abc")
        self.assertEqual(self.other.lrange("l", 0, -1), ["a", "b", "c"])
        self.assertEqual(self.other.lpos("l", "c"), 2)
        self.client.sadd("t1", 1, 2, 3)
        self.client.sadd("t2", 2, 3, 4)
        self.assertEqual(self.other.sinter("t1", "t2"), {"2", "3"})
        self.client.zadd("z", {"a": 1, "b": 2.5, "c": -1})
        self.assertEqual(self.other.zrange("z", 0, -1, withscores=True),
                         [("c", -1.0), ("a", 1.0), ("b", 2.5)])
        self.assertEqual(self.other.zpopmax("z"), [("b", 2.5)])
        self.assertEqual(self.client.object("encoding", "t1"), "intset")
        self.client.setbit("b", 9, 1)
        self.assertEqual(self.other.bitpos("b", 1), 9)
        self.client.pfadd("p", *range(100))
        self.assertTrue(95 <= self.other.pfcount("p") <= 105)
        self.client.geoadd("g", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"))
        self.assertAlmostEqual(self.other.geodist("g", "Palermo", "Catania", "km"), 166.2742, places=3)

    def test_errors_are_what_the_library_knows(self):
        self.client.set("s", "text")
        for call in (lambda: self.client.lpush("s", 1), lambda: self.client.incr("s")):
            with self.assertRaises(redis.ResponseError):
                call()
        with self.assertRaisesRegex(redis.exceptions.NoScriptError, "No matching script"):
            self.client.evalsha("0" * 40, 0)

    def test_pipelines_keep_order_and_errors_apart(self):
        with self.client.pipeline(transaction=False) as pipeline:
            for number in range(1000):
                pipeline.rpush("order", number)
            pipeline.set("s", "v").lpush("s", "x").get("s")
            replies = pipeline.execute(raise_on_error=False)
        self.assertEqual(replies[:1000], list(range(1, 1001)))
        self.assertIsInstance(replies[-2], redis.ResponseError)
        self.assertEqual(replies[-1], "v")
        self.assertEqual(self.other.lrange("order", 0, -1), [str(number) for number in range(1000)])

    def test_watch(self):
        self.client.set("w", 1)
        with self.client.pipeline() as pipeline:
            pipeline.watch("w")
            self.assertEqual(pipeline.get("w"), "1")
            self.other.set("w", 5)
            pipeline.multi()
            pipeline.set("w", 2)
            with self.assertRaises(redis.WatchError):
                pipeline.execute()
        self.assertEqual(self.other.get("w"), "5")

    def test_transfers_under_contention_lose_nothing(self):
        self.client.mset({"from": 1000, "to": 0})

        def transfer(node):
            client = self.connect(node)

            def one(pipeline):
                balances = [int(value) for value in pipeline.mget("from", "to")]
                pipeline.multi()
                pipeline.set("from", balances[0] - 1)
                pipeline.set("to", balances[1] + 1)

            for _ in range(20):
                client.transaction(one, "from", "to")

        self.together(transfer, range(3))
        self.assertEqual(self.client.mget("from", "to"), ["940", "60"])

    def together(self, function, arguments):
        errors = []

        def guarded(argument):
            try:
                function(argument)
            except Exception as error:  # Reported below, from the test's own thread.
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(argument,)) for argument in arguments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])

    def test_a_queue_hands_each_job_to_one_worker(self):
        got = []

        def worker(node):
            client = self.connect(node % 3)
            while True:
                item = client.blpop(["queue", "stop"], timeout=30)
                if item is None or item[0] == "stop":
                    return
                got.append(int(item[1]))

        def producer():
            for number in range(300):
                self.client.rpush("queue", number)
            wait_until(lambda: len(got) == 300, "all jobs are taken")
            self.client.rpush("stop", *range(6))

        self.together(lambda node: producer() if node < 0 else worker(node), [0, 1, 2, 3, 4, 5, -1])
        self.assertEqual(sorted(got), list(range(300)))

    def test_messages_cross_nodes(self):
        with self.other.pubsub() as subscriber:
            subscriber.subscribe("news")
            subscriber.psubscribe("n*")
            for _ in range(2):
                self.assertIn(subscriber.get_message(timeout=30)["type"], ("subscribe", "psubscribe"))
            self.client.publish("news", "hello")
            got = {(message["type"],
                    message["data"]) for message in (subscriber.get_message(timeout=30) for _ in range(2))}
            self.assertEqual(got, {("message", "hello"), ("pmessage", "hello")})

    def test_iteration(self):
        names = {f"scan:{number}" for number in range(500)}
        self.client.mset({name: 1 for name in names})
        self.assertEqual(set(self.other.scan_iter("scan:*", count=30)), names)
        self.client.hset("h", mapping={name: 1 for name in names})
        self.assertEqual({field for field, _ in self.other.hscan_iter("h", count=30)}, names)
        self.client.sadd("t", *names)
        self.assertEqual(set(self.other.sscan_iter("t", match="scan:1*")),
                         {name for name in names if name.startswith("scan:1")})

    def test_scripts_and_locks(self):
        script = self.client.register_script("redis.call('SET', KEYS[1], ARGV[1]) return {1, ARGV[1], redis.call('GET', KEYS[1])}")
        self.assertEqual(script(keys=["k"], args=["v"]), [1, "v", "v"])
        # A digest that one node learned is known to all.
        self.assertEqual(script(keys=["k"], args=["w"], client=self.other), [1, "w", "w"])
        with self.client.lock("lock", timeout=60):
            self.assertFalse(self.other.lock("lock", timeout=60).acquire(blocking=False))
        self.assertTrue(self.other.lock("lock", timeout=60).acquire(blocking=False))

    def test_stream_groups(self):
        ids = [self.client.xadd("x", {"n": number}) for number in range(3)]
        self.client.xgroup_create("x", "group", "0")
        [[name, entries]] = self.other.xreadgroup("group", "me", {"x": ">"}, count=2)
        self.assertEqual((name, entries), ("x", [(ids[0], {"n": "0"}), (ids[1], {"n": "1"})]))
        self.assertEqual(self.client.xack("x", "group", ids[0]), 1)
        self.assertEqual(self.client.xpending("x", "group")["pending"], 1)
        self.assertEqual([e["message_id"] for e in self.other.xpending_range("x", "group", "-", "+", 10)],
                         [ids[1]])
        self.assertEqual(self.other.xinfo_stream("x")["length"], 3)
        self.assertEqual(self.client.xautoclaim("x", "group", "other", 0)[1][0][0], ids[1])

    def test_what_dashboards_ask(self):
        information = self.client.info()
        for field in ("redis_version", "used_memory", "connected_clients", "blocked_clients",
                      "uptime_in_seconds",
                      "total_commands_processed", "instantaneous_ops_per_sec", "role", "maxmemory",
                      "keyspace_hits"):
            self.assertIn(field, information)
        self.client.client_setname("tester")
        self.assertIn("tester", {client["name"] for client in self.client.client_list()})
        self.assertEqual(self.client.config_get("maxmemory-policy"), {"maxmemory-policy": "noeviction"})
        self.assertTrue(self.client.config_set("slowlog-log-slower-than", 20000))
        self.assertEqual(self.client.config_get("slowlog-log-slower-than"),
                         {"slowlog-log-slower-than": "20000"})
        self.assertIsInstance(self.client.slowlog_get(), list)
        self.assertIn("get", self.client.command())
        self.assertGreater(self.client.command_count(), 200)
        self.client.set("k", "v")
        self.assertEqual(self.client.dbsize(), 1)
        self.assertEqual(self.client.info("keyspace")["db0"]["keys"], 1)
        self.assertGreater(self.client.memory_usage("k"), 0)
        self.assertAlmostEqual(self.client.time()[0], time.time(), delta=30)

    def test_databases_are_apart(self):
        second = self.connect(1, db=3)
        self.client.set("k", "zero")
        second.set("k", "three")
        self.assertEqual((self.other.get("k"), second.get("k")), ("zero", "three"))
        second.flushdb()
        self.assertEqual((self.other.get("k"), second.get("k")), ("zero", None))

    def test_the_client_goes_on_when_its_node_comes_back(self):
        third = self.connect(2, retry_on_error=[redis.ConnectionError],
                             retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 400))
        third.set("kept", "before")
        self.group.order("kill", 2)
        self.assertEqual(self.client.get("kept"), "before")
        self.client.set("kept", "meanwhile")
        self.group.order("start", 2)
        self.assertEqual(third.get("kept"), "meanwhile")
        third.set("kept", "after")
        self.assertEqual(self.other.get("kept"), "after")


@unittest.skipUnless(shutil.which("redis-cli"), "redis-cli is not installed")
class RedisCli(Cluster):
    """Through the second node."""

    def cli(self, *arguments, text=None, node=1, status=0):
        outcome = subprocess.run(["redis-cli", "-p", str(self.group.ports[node]), *arguments], input=text,
                                 text=True,
                                 capture_output=True, timeout=CLIENT_S, check=False)
        self.assertEqual(outcome.returncode, status, outcome.stdout + outcome.stderr)
        return outcome.stdout + outcome.stderr

    def setUp(self):
        self.assertEqual(self.cli("FLUSHALL"), "OK\n")

    def test_commands_and_formats(self):
        self.assertEqual(self.cli("SET", "k", "v", "EX", "100"), "OK\n")
        self.assertEqual(self.cli("GET", "k", node=0), "v\n")
        self.cli("RPUSH", "l", "a", "b")
        self.assertEqual(self.cli("--no-raw", "LRANGE", "l", "0", "-1"), '1) "a"\n2) "b"\n')
        self.assertEqual(self.cli("--csv", "LRANGE", "l", "0", "-1"), '"a","b"\n')
        self.cli("HSET", "h", "f", "v")
        self.assertEqual(self.cli("-3", "--no-raw", "HGETALL", "h"), '1# "f" => "v"\n')
        self.assertEqual(self.cli("--json", "HGETALL", "h").strip(), '{"f":"v"}')
        self.assertEqual(self.cli("-n", "5", "DBSIZE"), "0\n")
        self.assertIn("WRONGTYPE", self.cli("-e", "INCR", "l", status=1))

    def test_a_session_from_standard_input(self):
        out = self.cli(text="MULTI\nINCR a\nINCR a\nEXEC\nGET a\nSELECT 2\nGET a\n")
        self.assertEqual(out.split(), ["OK", "QUEUED", "QUEUED", "1", "2", "2", "OK"])

    def test_mass_insertion(self):
        commands = "".join(f"*3\r\n$3\r\nSET\r\n${len(str(i)) + 1}\r\nk{i}\r\n$1\r\nv\r\n" for i in range(20000))
        self.assertIn("errors: 0, replies: 20000", self.cli("--pipe", text=commands))
        self.assertEqual(self.cli("DBSIZE", node=2), "20000\n")

    def test_scanning(self):
        for number in range(30):
            self.cli("SET", f"key:{number}", "x" * number)
        self.assertEqual(sorted(self.cli("--scan", "--pattern", "key:1*").split()),
                         sorted(f"key:{number}" for number in range(30) if str(number).startswith("1")))
        self.assertRegex(self.cli("--bigkeys"), r"Biggest string found '\"key:29\"' has 29 bytes")
        self.assertIn("key:29", self.cli("--memkeys"))

    def test_scripts(self):
        path = os.path.join(self.group.folder, "script.lua")
        with open(path, "w", encoding="ascii") as file:
            file.write("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('STRLEN', KEYS[1])\n")
        self.assertEqual(self.cli("--eval", path, "k", ",", "hello"), "5\n")
        self.assertEqual(self.cli("GET", "k", node=0), "hello\n")

    def test_stat_and_latency(self):
        command = ["redis-cli", "-p", str(self.group.ports[1])]
        with subprocess.Popen([*command, "--stat", "-i", "0.1"], stdout=subprocess.PIPE,
                              text=True) as process:
            try:
                lines = [process.stdout.readline() for _ in range(5)]
            finally:
                process.kill()
        self.assertIn("keys", lines[1])
        self.assertRegex(lines[3], r"^\d+\s+\S+\s+\d+")
        self.assertRegex(self.cli("--latency", "--raw", "-i", "0.2"), r"^\d+ \d+ \d+\.\d+ \d+")

    def test_subscribing(self):
        command = ["redis-cli", "-p", str(self.group.ports[1]), "SUBSCRIBE", "news"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                self.assertEqual([process.stdout.readline().strip() for _ in range(3)],
                                 ["subscribe", "news", "1"])
                self.cli("PUBLISH", "news", "hello", node=0)
                self.assertEqual([process.stdout.readline().strip() for _ in range(3)],
                                 ["message", "news", "hello"])
            finally:
                process.kill()

    def test_blocking(self):
        command = ["redis-cli", "-p", str(self.group.ports[1]), "BLPOP", "queue", "30"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            wait_until(lambda: "blocked_clients:1" in self.cli("INFO", "clients"), "it blocks")
            self.cli("RPUSH", "queue", "job", node=2)
            self.assertEqual(process.communicate(timeout=CLIENT_S)[0], "queue\njob\n")


@unittest.skipUnless(shutil.which("redis-benchmark"), "redis-benchmark is not installed")
class RedisBenchmark(Cluster):
    """Through the third node: all its tests, with few requests."""

    NAMES = {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD",
             "HSET", "SPOP",
             "ZADD", "ZPOPMIN", "LPUSH (needed to benchmark LRANGE)", "LRANGE_100 (first 100 elements)",
             "LRANGE_300 (first 300 elements)", "LRANGE_500 (first 500 elements)",
             "LRANGE_600 (first 600 elements)",
             "MSET (10 keys)"}

    def benchmark(self, *arguments):
        command = ["redis-benchmark", "-p", str(self.group.ports[2]), "--csv", *arguments]
        outcome = subprocess.run(command, text=True, capture_output=True, timeout=2 * CLIENT_S, check=False)
        self.assertEqual(outcome.returncode, 0, outcome.stdout + outcome.stderr)
        self.assertNotRegex(outcome.stdout + outcome.stderr, re.compile("error", re.IGNORECASE))
        rows = [re.match(r'"([^"]+)","([\d.]+)"', line) for line in outcome.stdout.splitlines()[1:]]
        self.assertTrue(all(row and float(row.group(2)) > 0 for row in rows), outcome.stdout)
        return {row.group(1) for row in rows}

    def cli(self, *arguments):
        return subprocess.run(["redis-cli", "-p", str(self.group.ports[0]), *arguments], text=True,
                              capture_output=True,
                              timeout=CLIENT_S, check=True).stdout.strip()

    def test_all_tests(self):
        self.assertEqual(self.benchmark("-n", "500", "-c", "10", "-r", "100"), self.NAMES)
        self.assertEqual(self.cli("LLEN", "mylist"), "500")
        self.assertGreater(int(self.cli("DBSIZE")), 50)

    def test_pipelined(self):
        self.cli("FLUSHALL")
        self.benchmark("-n", "4800", "-c", "10", "-P", "16", "-t", "set,get,incr,lpush")
        self.assertEqual(self.cli("GET", "counter:__rand_int__"), "4800")
        self.assertEqual(self.cli("LLEN", "mylist"), "4800")

    def test_threads_and_resp3(self):
        self.cli("FLUSHALL")
        self.benchmark("-n", "2000", "-c", "8", "--threads", "2", "-3", "-t", "incr")
        self.assertEqual(self.cli("GET", "counter:__rand_int__"), "2000")


def main():
    servers.skip_or_continue(servers.why_skipped())
    unittest.main(verbosity=2)


if __name__ == "__main__":
    sys.exit(main())
