#!/usr/bin/env python3
# ctest: timeout=180
"""What a node tells of its work: INFO's numbers, SLOWLOG, LATENCY, MEMORY. No durations are checked, but
that they are there."""

import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "differential"))

import coredb_cluster  # noqa: E402 (the path must be set first)
from coredb_cluster import HOST, SCALE, wait_until  # noqa: E402
from resp import Connection, is_error  # noqa: E402

OK = ("+", b"OK")


def info(client, *sections):
    """The fields of INFO, as text, and the names of its sections."""
    reply = client.call("INFO", *sections)
    text = (reply[1][4:] if type(reply) is tuple else reply).decode()
    lines = [line for line in text.split("\r\n") if line]
    fields = dict(line.split(":", 1) for line in lines if not line.startswith("#"))
    return fields, [line[2:] for line in lines if line.startswith("# ")]


def detail(value):
    """a=1,b=2 as a dictionary."""
    return dict(pair.split("=") for pair in value.split(","))


class WithNodes(unittest.TestCase):
    COUNT = 1

    @classmethod
    def setUpClass(cls):
        if coredb_cluster.coredb_program() is None:
            raise unittest.SkipTest("coredb is not built")
        cls.group = coredb_cluster.Group()
        try:
            cls.nodes = cls.group.coredb(cls.COUNT)
        except BaseException:
            cls.group.close(failed=True)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.group.close()

    def setUp(self):
        self.connections = []
        self.client = self.connect(self.nodes[0])
        self.assertEqual(self.client.call("FLUSHALL"), OK)
        self.assertEqual(self.client.call("CONFIG", "SET", "slowlog-log-slower-than", "10000",
                                          "slowlog-max-len", "128", "latency-monitor-threshold", "0"), OK)
        self.client.call("SLOWLOG", "RESET")
        self.client.call("LATENCY", "RESET")
        self.assertEqual(self.client.call("CONFIG", "RESETSTAT"), OK)

    def tearDown(self):
        for connection in self.connections:
            connection.close()

    def connect(self, node):
        connection = Connection(HOST, node.port, 60 * SCALE)
        self.connections.append(connection)
        return connection

    def stats(self):
        return info(self.client, "stats")[0]


class Info(WithNodes):
    def test_sections_are_those_of_redis(self):
        common = ["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules",
                  "Errorstats", "Cluster", "Raft", "Keyspace"]
        self.assertEqual(info(self.client)[1], common)
        self.assertEqual(info(self.client, "default")[1], common)
        everything = info(self.client, "everything")[1]
        self.assertEqual(everything, info(self.client, "all")[1])
        self.assertEqual(set(everything) - set(common), {"Commandstats", "Latencystats", "Node"})
        self.assertEqual(info(self.client, "CPU", "stats")[1], ["Stats", "CPU"])
        self.assertEqual(info(self.client, "nosuch"), ({}, []))

    def test_fields_that_tools_read_are_there_and_are_numbers(self):
        fields = info(self.client)[0]
        # redis-cli --stat, redis_exporter, dashboards.
        for name in """used_memory used_memory_rss used_memory_peak maxmemory mem_fragmentation_ratio
                connected_clients blocked_clients maxclients total_connections_received
                total_commands_processed instantaneous_ops_per_sec total_net_input_bytes
                total_net_output_bytes instantaneous_input_kbps instantaneous_output_kbps
                rejected_connections expired_keys evicted_keys keyspace_hits keyspace_misses
                pubsub_channels pubsub_patterns latest_fork_usec rdb_changes_since_last_save
                rdb_bgsave_in_progress rdb_last_save_time loading aof_enabled uptime_in_seconds
                uptime_in_days connected_slaves master_repl_offset repl_backlog_size used_cpu_sys
                used_cpu_user cluster_enabled total_system_memory tcp_port process_id""".split():
            with self.subTest(name):
                self.assertGreaterEqual(float(fields[name]), 0)
        # ioredis and BullMQ go by these.
        self.assertEqual(fields["loading"], "0")
        self.assertEqual(fields["role"], "master")
        self.assertEqual(fields["redis_mode"], "standalone")
        self.assertEqual(fields["maxmemory_policy"], "noeviction")
        self.assertRegex(fields["redis_version"], r"^7\.0\.\d+$")
        self.assertEqual(fields["tcp_port"], str(self.nodes[0].port))
        self.assertEqual(fields["process_id"], str(self.nodes[0].process.pid))
        self.assertEqual(fields["cluster_enabled"], "0")
        self.assertEqual(fields["config_file"], os.path.realpath(self.nodes[0].config_path))
        self.assertIn(b"not the server's to write", self.client.call("CONFIG", "REWRITE")[1])

    def test_lookups_of_reads_are_hits_or_misses(self):
        self.client.call("MSET", "a", "1", "b", "2")
        self.client.call("CONFIG", "RESETSTAT")
        self.client.call("GET", "a")
        self.client.call("MGET", "a", "b", "nosuch")
        self.client.call("GET", "nosuch")
        self.client.call("SETNX", "a", "9")
        stats = self.stats()
        self.assertEqual((stats["keyspace_hits"], stats["keyspace_misses"]), ("3", "2"))

    def test_expired_keys_are_counted(self):
        self.client.call("SET", "short", "1", "PX", "5")
        self.client.call("SET", "long", "1", "EX", "1000")
        wait_until(lambda: self.stats()["expired_keys"] == "1", "the key to expire")
        self.assertEqual(self.client.call("DBSIZE"), 1)

    def test_commands_are_counted_each_with_its_outcome(self):
        for i in range(5):
            self.client.call("SET", "k", i)
        self.client.call("LPUSH", "k", "x")
        self.client.call("LPUSH", "k")
        self.client.call("CONFIG", "GET", "port")
        self.client.call("MULTI")
        self.client.call("INCR", "k")
        self.client.call("EXEC")
        fields = info(self.client, "commandstats")[0]
        self.assertEqual(detail(fields["cmdstat_set"])["calls"], "5")
        self.assertEqual(detail(fields["cmdstat_set"])["failed_calls"], "0")
        self.assertGreater(float(detail(fields["cmdstat_set"])["usec_per_call"]), 0)
        self.assertEqual({name: detail(fields["cmdstat_lpush"])[name]
                          for name in ("calls", "failed_calls", "rejected_calls")},
                         {"calls": "1", "failed_calls": "1", "rejected_calls": "1"})
        for name in ("config|get", "multi", "exec", "incr"):
            self.assertEqual(detail(fields[f"cmdstat_{name}"])["calls"], "1", name)
        self.assertNotIn("cmdstat_get", fields)
        latencies = info(self.client, "latencystats")[0]
        self.assertEqual(list(detail(latencies["latency_percentiles_usec_set"])), ["p50", "p99", "p99.9"])

    def test_errors_are_counted_by_their_code(self):
        self.client.call("SET", "k", "v")
        self.client.call("LPUSH", "k", "x")
        self.client.call("NOSUCH")
        self.client.call("INCR", "k")
        self.client.call("AUTH", "nobody", "x")
        fields = info(self.client, "errorstats")[0]
        self.assertEqual(fields, {"errorstat_WRONGTYPE": "count=1", "errorstat_ERR": "count=2",
                                  "errorstat_WRONGPASS": "count=1"})
        self.assertEqual(self.stats()["total_error_replies"], "4")

    def test_rates_follow_the_load(self):
        # Samples cover 1.6 seconds; as long as there is load, they show some.
        def busy():
            for _ in range(20):
                self.client.call("PING")
            return int(self.stats()["instantaneous_ops_per_sec"]) > 0
        wait_until(busy, "a rate")
        self.assertGreater(float(self.stats()["instantaneous_input_kbps"]), 0)
        self.assertGreater(int(self.stats()["total_commands_processed"]), 20)

    def test_the_keyspace_is_counted(self):
        self.client.call("MSET", "a", "1", "b", "2")
        self.client.call("EXPIRE", "a", "1000")
        self.client.call("SELECT", "3")
        self.client.call("SET", "c", "3")
        fields = info(self.client, "keyspace")[0]
        self.assertEqual(fields, {"db0": "keys=2,expires=1,avg_ttl=0", "db3": "keys=1,expires=0,avg_ttl=0"})

    def test_a_transaction_tells_the_keyspace_that_it_leaves(self):
        for commands, keyspace in (([("SET", "a", "1"), ("INFO", "keyspace"), ("SET", "b", "2")], "keys=2"),
                                   ([("INFO", "keyspace")], "keys=2"),
                                   ([("DEL", "a"), ("PING",), ("INFO",)], "keys=1")):
            self.assertEqual(self.client.call("MULTI"), OK)
            for command in commands:
                self.assertEqual(self.client.call(*command), ("+", b"QUEUED"))
            replies = self.client.call("EXEC")
            self.assertEqual(len(replies), len(commands))
            told = replies[[name for name, *_ in commands].index("INFO")].decode()
            self.assertIn(f"db0:{keyspace},", told)
        # A transaction that does not run has nothing to tell, and the next begins afresh.
        self.client.call("WATCH", "b")
        self.connect(self.nodes[0]).call("SET", "b", "3")
        self.client.call("MULTI")
        self.client.call("SET", "c", "4")
        self.client.call("INFO", "keyspace")
        self.assertEqual(self.client.call("EXEC"), ("*", None))
        self.assertEqual(self.client.call("GET", "b"), b"3")
        self.assertIsNone(self.client.call("GET", "c"))

    def test_clients_are_listed_with_their_last_command(self):
        other = self.connect(self.nodes[0])
        identity = other.call("CLIENT", "ID")
        other.call("GET", "k")
        self.assertIn(b" cmd=client|info ", self.client.call("CLIENT", "INFO"))
        self.assertIn(b" cmd=get ", self.client.call("CLIENT", "LIST", "ID", identity))

    def test_the_node_tells_its_metrics(self):
        self.client.call("SET", "k", "v")
        fields = info(self.client, "node")[0]
        self.assertGreater(float(fields["node_writes_total"]), 0)
        self.assertEqual(fields["node_is_leader"], "1")
        self.assertNotIn("node_is_leader", info(self.client)[0])

    def test_resetstat_begins_anew(self):
        self.client.call("NOSUCH")
        self.client.call("GET", "k")
        self.client.call("CONFIG", "RESETSTAT")
        fields = info(self.client, "all")[0]
        self.assertEqual([fields[name] for name in ("total_error_replies", "keyspace_misses",
                                                    "total_connections_received")], ["0", "0", "0"])
        self.assertFalse([name for name in fields if name.startswith(("cmdstat_get", "errorstat_"))])

    def test_memory_is_accounted_for(self):
        reply = self.client.call("MEMORY", "STATS")
        stats = dict(zip(reply[::2], reply[1::2]))
        self.assertGreater(stats[b"total.allocated"], 0)
        self.assertGreaterEqual(stats[b"allocator.active"], stats[b"allocator.allocated"])
        self.assertEqual(self.client.call("MEMORY", "PURGE"), OK)
        for command in ("DOCTOR", "MALLOC-STATS"):
            self.assertGreater(len(self.client.call("MEMORY", command)), 20)
        self.client.call("SET", "k", "v")
        self.assertGreater(self.client.call("MEMORY", "USAGE", "k"), 0)


class Bounds(WithNodes):
    """Replies that grow with the request have a limit, and so has the work for them."""

    def test_replies_of_many_times_the_same_have_a_limit(self):
        for command in (("COMMAND", "INFO"), ("COMMAND", "DOCS"), ("CLIENT", "LIST", "ID")):
            word = self.client.call("CLIENT", "ID") if command[0] == "CLIENT" else "command"
            with self.subTest(command):
                reply = self.client.call(*command, *[word] * 150000)
                self.assertTrue(is_error(reply) and b"exceeds the limit" in reply[1], str(reply)[:200])
                self.assertEqual(self.client.call("PING"), ("+", b"PONG"))
        for command in (("CONFIG", "GET"), ("LATENCY", "HISTOGRAM")):
            self.assertTrue(is_error(self.client.call(*command, *["*"] * 5000)))

    def test_a_transaction_of_large_local_replies_has_a_limit(self):
        count = 2500
        self.client.send(b"MULTI\r\n" + b"COMMAND\r\n" * count + b"EXEC\r\nECHO done\r\n")
        size, tail = 0, b""
        while not tail.endswith(b"$4\r\ndone\r\n"):
            data = self.client.socket.recv(1 << 20)
            self.assertTrue(data, "the connection was closed")
            size, tail = size + len(data), (tail + data)[-1000:]
        self.assertIn(b"-ERR the reply exceeds the limit", tail)
        self.assertGreater(size, 50 << 20)
        self.assertLess(size, 100 << 20)

    def test_clients_are_found_by_their_ids(self):
        others = [self.connect(self.nodes[0]) for _ in range(5)]
        ids = [other.call("CLIENT", "ID") for other in others]
        others[2].close()
        wanted = [ids[4], ids[0], 999999999, ids[4]]
        coredb_cluster.wait_until(
            lambda: f"id={ids[2]} ".encode() not in self.client.call("CLIENT", "LIST"), "the end of one")
        lines = self.client.call("CLIENT", "LIST", "ID", *wanted, ids[2]).decode().splitlines()
        self.assertEqual([int(line.split()[0][3:]) for line in lines], [ids[4], ids[0], ids[4]])


class Slowlog(WithNodes):
    def entries(self, count=-1):
        return [dict(zip(("id", "time", "duration", "arguments", "address", "name"), entry))
                for entry in self.client.call("SLOWLOG", "GET", count)]

    def log_everything(self):
        self.assertEqual(self.client.call("CONFIG", "SET", "slowlog-log-slower-than", "0"), OK)
        self.client.call("SLOWLOG", "RESET")

    def commands(self):
        return [[argument.decode() for argument in entry["arguments"]] for entry in self.entries()]

    def test_an_entry_tells_what_when_and_who(self):
        other = self.connect(self.nodes[0])
        other.call("CLIENT", "SETNAME", "worker")
        self.log_everything()
        other.call("SET", "k", "v")
        other.call("GET", "k")
        address = dict(field.split(b"=", 1) for field in other.call("CLIENT", "INFO").split())[b"addr"]
        found = [e for e in self.entries() if e["arguments"] in ([b"SET", b"k", b"v"], [b"GET", b"k"])]
        self.assertEqual([e["arguments"][0] for e in found], [b"GET", b"SET"], "the newest first")
        for entry in found:
            self.assertEqual((entry["name"], entry["address"]), (b"worker", address))
            self.assertLess(abs(entry["time"] - time.time()), 60)
            self.assertGreaterEqual(entry["duration"], 0)
        self.assertGreater(found[0]["id"], found[1]["id"])

    def test_each_command_of_a_transaction_and_of_a_pipeline_is_its_own(self):
        self.log_everything()
        self.client.send(b"SET a 1\r\nGET a\r\nMULTI\r\nINCR n\r\nDEL a\r\nEXEC\r\n")
        self.client.replies(6)
        names = [command[0] for command in self.commands() if command[0] != "SLOWLOG"]
        self.assertEqual(sorted(names), ["DEL", "GET", "INCR", "MULTI", "SET"])

    def test_long_arguments_are_cut_and_passwords_are_not_kept(self):
        self.log_everything()
        self.client.call("RPUSH", "l", *range(100))
        self.client.call("SET", "k", "v" * 1000)
        self.client.call("AUTH", "me", "secret")
        self.client.call("HELLO", "2", "AUTH", "me", "secret")
        self.client.call("CONFIG", "SET", "masterauth", "secret")
        logged = {command[0].upper(): command for command in self.commands()}
        self.assertEqual(len(logged["RPUSH"]), 32)
        self.assertEqual(logged["RPUSH"][-1], "... (71 more arguments)")
        self.assertEqual(logged["SET"][2], "v" * 128 + "... (872 more bytes)")
        for name in ("AUTH", "HELLO", "CONFIG"):
            self.assertNotIn("secret", logged[name])
            self.assertIn("(redacted)", logged[name])

    def test_settings_say_what_is_slow_and_how_many_are_kept(self):
        self.log_everything()
        for i in range(10):
            self.client.call("SET", f"k{i}", i)
        self.assertGreaterEqual(self.client.call("SLOWLOG", "LEN"), 10)
        self.assertEqual(len(self.client.call("SLOWLOG", "GET", 3)), 3)
        self.client.call("CONFIG", "SET", "slowlog-max-len", "4")
        self.assertEqual(self.client.call("SLOWLOG", "LEN"), 4)
        self.client.call("CONFIG", "SET", "slowlog-log-slower-than", "-1")
        self.client.call("SLOWLOG", "RESET")
        self.client.call("SET", "k", "v")
        self.assertEqual(self.client.call("SLOWLOG", "LEN"), 0)
        self.client.call("CONFIG", "SET", "slowlog-log-slower-than", "1000000000")
        self.client.call("SET", "k", "v")
        self.assertEqual(self.client.call("SLOWLOG", "GET"), [])

    def test_a_blocking_command_is_logged_for_its_client(self):
        other = self.connect(self.nodes[0])
        other.call("CLIENT", "SETNAME", "waiter")
        self.log_everything()
        other.send(b"BLPOP q 30\r\n")
        wait_until(lambda: any(e["arguments"][0] == b"BLPOP" for e in self.entries()), "the entry")
        entry, = [e for e in self.entries() if e["arguments"][0] == b"BLPOP"]
        self.assertEqual(entry["name"], b"waiter")
        self.client.call("RPUSH", "q", "x")
        self.assertEqual(other.replies(1)[0], [[b"q", b"x"]])


class Latency(WithNodes):
    def test_histograms_count_calls(self):
        for i in range(7):
            self.client.call("SET", "k", i)
        name, details = self.client.call("LATENCY", "HISTOGRAM", "set", "nosuch")
        self.assertEqual(name, b"set")
        fields = dict(zip(details[::2], details[1::2]))
        self.assertEqual(fields[b"calls"], 7)
        bounds, counts = fields[b"histogram_usec"][::2], fields[b"histogram_usec"][1::2]
        self.assertEqual(bounds, sorted(set(bounds)))
        self.assertEqual(counts, sorted(set(counts)))
        self.assertEqual(counts[-1], 7)
        self.assertEqual(self.client.call("LATENCY", "HISTOGRAM", "config|resetstat", "config|nosuch")[::2],
                         [b"config|resetstat"])
        self.assertEqual(self.client.call("LATENCY", "HISTOGRAM", "CONFIG")[::2], [b"config|resetstat"])
        everything = self.client.call("LATENCY", "HISTOGRAM")[::2]
        self.assertIn(b"set", everything)
        self.assertIn(b"latency|histogram", everything)

    def test_spikes_are_recorded_when_that_is_on(self):
        self.assertIn(b"not recorded", self.client.call("LATENCY", "DOCTOR"))
        members = [str(i) for i in range(20000)]
        self.client.call("SADD", "s", *members)
        self.assertEqual(self.client.call("LATENCY", "LATEST"), [])
        self.client.call("CONFIG", "SET", "latency-monitor-threshold", "1")

        def spike():
            self.client.call("SDIFFSTORE", "d", "s", "nosuch")
            return self.client.call("LATENCY", "LATEST")
        wait_until(spike, "a command of a millisecond")
        (event, when, last, worst), = [e for e in self.client.call("LATENCY", "LATEST") if e[0] == b"command"]
        self.assertLess(abs(when - time.time()), 60)
        self.assertTrue(1 <= last <= worst)
        history = self.client.call("LATENCY", "HISTORY", event)
        self.assertEqual(history[-1][0], when)
        self.assertIn(b"command - high", self.client.call("LATENCY", "GRAPH", "command"))
        self.assertIn(b"command: ", self.client.call("LATENCY", "DOCTOR"))
        self.client.call("CONFIG", "SET", "latency-monitor-threshold", "0")
        self.assertGreaterEqual(self.client.call("LATENCY", "RESET"), 1)
        self.assertEqual(self.client.call("LATENCY", "HISTORY", "command"), [])
        self.assertTrue(is_error(self.client.call("LATENCY", "GRAPH", "command")))


class OnThreeNodes(WithNodes):
    COUNT = 3

    def test_each_node_counts_the_commands_of_its_own_clients(self):
        clients = [self.connect(node) for node in self.nodes]
        for client in clients:
            client.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
            client.call("SLOWLOG", "RESET")
            client.call("CONFIG", "RESETSTAT")
        for number, client in enumerate(clients):
            for _ in range(number + 1):
                self.assertEqual(client.call("SET", f"key{number}", "v"), OK)
        for number, client in enumerate(clients):
            # A follower may answer before it has applied the entry itself.
            wait_until(lambda: detail(info(client, "commandstats")[0].get("cmdstat_set", "calls=0"))["calls"]
                       == str(number + 1), "its own commands")
            wait_until(lambda: [entry[3][1] for entry in client.call("SLOWLOG", "GET", "-1")
                                if entry[3][0] == b"SET"] == [f"key{number}".encode()] * (number + 1),
                       "its own slow log")


if __name__ == "__main__":
    unittest.main(verbosity=2)
