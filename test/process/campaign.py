#!/usr/bin/env python3
"""The fault campaign: clients and faults for as long as one likes, checked after every round.

    campaign.py --minutes 30 --seed 7 [--nodes 5] [--faults kill_leader,isolate_leader,...]

Every round takes new keys, hurts the cluster, heals it, reads everything back through every node,
compares the replicas and checks the round's history. The first fault that is found ends it, with the
seed, the round, the history and the data kept. A seed repeats the choices; the timing is the
machine's own.
"""

import argparse
import os
import signal
import sys
import time

import cluster as processes
from cluster import HOST, Cluster
from faults import ALL, Faults
from workload import Workload


def addresses_of(cluster):
    """The addresses that clients choose from, dead and paused nodes included."""
    return lambda: [(node.id, HOST, node.http_port) for node in list(cluster.nodes.values())]


def run_round(cluster, seed, seconds, prefix="", names=None, clients=12, say=print):
    """One round on a cluster that is well; raises AssertionError with what it found."""
    timeout = 6.0 * processes.SCALE
    workload = Workload(addresses_of(cluster), seed, clients, timeout=timeout, prefix=prefix)
    faults = Faults(cluster, seed, names, say)
    workload.start()
    try:
        faults.run(seconds)
        faults.heal()
        check_progress(workload)
    finally:
        workload.stop()
        history = os.path.join(cluster.folder, f"history{prefix.replace('/', '-')}.jsonl")
        workload.save(history)
    workload.read_back(cluster.running)
    workload.save(history)
    data = cluster.replicas(prefix)
    verdict = workload.verdict()
    counts = workload.counts()
    say(f"    {len(workload.history)} calls: {counts['ok']} ok, {counts['failed']} failed, "
        f"{counts['unknown']} unknown; {len(data)} keys; {verdict.status} in {verdict.seconds:.1f} s")
    assert not workload.violations, f"{len(workload.violations)} bad answers: {workload.violations[:3]}"
    assert verdict.valid, f"{verdict.status}: {history}\n{verdict.report}"
    assert counts["ok"] > seconds, f"only {counts['ok']} calls succeeded"
    os.unlink(history)
    return workload


def check_progress(workload, more=200):
    """After healing the clients must get on."""
    before = workload.succeeded()
    processes.wait_until(lambda: workload.succeeded() >= before + more,
                         f"{more} calls succeed after everything is healed", 60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--round", type=float, default=45, help="seconds of faults per round")
    parser.add_argument("--faults", help=f"comma-separated, of {', '.join(ALL)}")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    names = arguments.faults.split(",") if arguments.faults else None
    deadline = time.monotonic() + 60 * arguments.minutes
    print(f"campaign.py --minutes {arguments.minutes} --seed {arguments.seed} "
          f"--nodes {arguments.nodes}")
    number = calls = 0
    with Cluster(arguments.nodes, proxied=True) as cluster:
        cluster.start()
        while time.monotonic() < deadline:
            number += 1
            seed = f"{arguments.seed}.{number}"
            print(f"round {number}, seed {seed}", flush=True)
            workload = run_round(cluster, seed, arguments.round, f"{number}/", names)
            calls += len(workload.history)
    print(f"{number} rounds, {calls} calls, nothing found")


if __name__ == "__main__":
    main()
