#!/usr/bin/python3
"""Compares coredb's speed with redis-server's, by redis-benchmark, as ratios within one run.

    bench/coredb.py                          # one and three nodes, SET and GET
    bench/coredb.py --nodes 1 --tests set --clients 50 --pipelines 1,16 --rounds 5
    bench/coredb.py --logs rocksdb,segments  # each cluster once with each kind of log

redis-server appends to its file and syncs it before each answer (appendfsync always), which is what
one node of coredb promises; three nodes promise more. All servers run at the same time and are asked
in turn, so that what else the machine does falls on all alike; each number is the median of the
rounds. Clients connect to the leader. Needs redis-server, redis-benchmark and a built coredb
(ROCKRAFT_BIN, or build/bin).
"""

import argparse
import csv
import itertools
import os
import statistics
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("ROCKRAFT_BIN", os.path.join(SOURCE, "build", "bin"))
sys.path.insert(0, os.path.join(SOURCE, "test", "coredb"))

import coredb_cluster  # noqa: E402 (the path must be set first)

VALUE_BYTES = 100
KEYS = 100000
SEGMENT_BYTES = 64 * 1024 * 1024  # as by default; tests have smaller ones


class SyncingRedis(coredb_cluster.Redis):
    """A redis-server that syncs before it answers."""

    def arguments(self):
        return ["--port", str(self.port), "--bind", coredb_cluster.HOST, "--save", "",
                "--appendonly", "yes", "--appendfsync", "always", "--dir", self.folder]


def start_redis(group):
    server = SyncingRedis(os.path.join(group.folder, "redis"), [coredb_cluster.redis_program()])
    group.servers.append(server)
    return server.start().wait_ready()


def leader_of(nodes):
    """The node that leads, once all vote."""
    def role(node):
        text = subprocess.run(["redis-cli", "-p", str(node.port), "INFO", "raft"], check=True,
                              capture_output=True, text=True).stdout
        return next(line.split(":")[1] for line in text.split() if line.startswith("raft_role:"))

    def settled():
        roles = [role(node) for node in nodes]
        return roles.count("leader") == 1 and "learner" not in roles

    coredb_cluster.wait_until(settled, "a leader")
    return next(node for node in nodes if role(node) == "leader")


def measure(port, test, clients, pipeline, requests):
    """Requests a second and the 99th percentile of the latency in ms."""
    output = subprocess.run(
        ["redis-benchmark", "-h", coredb_cluster.HOST, "-p", str(port), "-t", test, "-d",
         str(VALUE_BYTES), "-r", str(KEYS), "-n", str(requests), "-c", str(clients), "-P",
         str(pipeline), "--csv"], check=True, capture_output=True, text=True).stdout
    row = list(csv.DictReader(output.splitlines()))[-1]
    return float(row["rps"]), float(row["p99_latency_ms"])


def compare(servers, test, clients, pipeline, options):
    """Prints a line: the first server's numbers, and those of the others as parts of them."""
    rates = {name: [] for name in servers}
    latencies = {name: [] for name in servers}
    requests = options.requests * pipeline
    for _ in range(options.rounds):
        for name, port in servers.items():
            rate, latency = measure(port, test, clients, pipeline, requests)
            rates[name].append(rate)
            latencies[name].append(latency)
    rate = {name: statistics.median(values) for name, values in rates.items()}
    latency = {name: statistics.median(values) for name, values in latencies.items()}
    cells = [f"{test:5} {clients:7} {pipeline:8}"]
    for name in servers:
        if name == "redis":
            cells.append(f"{rate[name]:9.0f}/s {latency[name]:7.2f} ms")
        else:
            cells.append(f"{rate[name]:9.0f}/s {rate[name] / rate['redis']:5.2f}x "
                         f"{latency[name]:7.2f} ms")
    print(" | ".join(cells), flush=True)


def numbers(text):
    return [int(part) for part in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--nodes", type=numbers, default=[1, 3], help="sizes of clusters: 1,3")
    parser.add_argument("--logs", default="auto", help="kinds of log: rocksdb,segments")
    parser.add_argument("--tests", default="set,get", help="of redis-benchmark: set,get")
    parser.add_argument("--clients", type=numbers, default=[1, 50, 200])
    parser.add_argument("--pipelines", type=numbers, default=[1, 16])
    parser.add_argument("--requests", type=int, default=20000, help="for each command in flight")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with coredb_cluster.Group() as group:
        servers = {"redis": start_redis(group).port}
        logs = options.logs.split(",")
        for size, log in itertools.product(options.nodes, logs):
            name = f"coredb of {size}" + (f", {log}" if len(logs) > 1 else "")
            nodes = group.coredb(size, storage={"log": log, "log_segment_bytes": SEGMENT_BYTES})
            servers[name] = leader_of(nodes).port
        print(f"{VALUE_BYTES} B values, {KEYS} keys; rate, ratio to redis, p99")
        print("test  clients pipeline | " + " | ".join(servers))
        for test in options.tests.split(","):
            for pipeline in options.pipelines:
                for clients in options.clients:
                    compare(servers, test, clients, pipeline, options)


if __name__ == "__main__":
    main()
