#!/usr/bin/env python3
"""The crash campaign: nodes under load are killed or lose power, again and again, and are checked.

    campaign.py --recoveries 10000 --seed 7 [--log rocksdb] [--nodes 3] [--jobs 2]

Clusters of one and three nodes with each kind of log take turns. Every run opens a cluster's nodes on
what the last one left, checks all that was acknowledged, and works until it is killed at some
operation of the disk; then the disk keeps everything, or what a loss of power may leave of it. What is
found ends the campaign, with the seed and the data kept. A seed repeats the choices; the order in
which threads run is the machine's own.
"""

import argparse
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.append(os.path.join(os.path.dirname(HERE), "process"))

import ports  # noqa: E402 (the path must be set first)
import shim as shims  # noqa: E402

KINDS = ("segments", "segments-thread", "rocksdb")
# Moved to another kind by each run that asks for one: often cut short, as most runs are.
MOVING = "moving"
LOGS = (*KINDS, MOVING)
NODES = (1, 3)
RUNS = 40  # of one cluster, before the next one begins
PATIENCE_S = 240
# Where the process dies, in operations of the disk: most while it works, some while it opens.
KILL_AFTER = ((3, 60), (4, 400), (6, 1500), (1, 10000))
# RocksDB takes a hole in the end of a file that it appends to for damage, and refuses it.
IN_ORDER_ROCKSDB = ("*/log/*", "*/log.new/*", "*/log.old/*")
SUSPICIOUS = ("damage", "corrupt", "repair", "torn")
# Nor can it open a state whose MANIFEST was torn so; that is rebuilt, and checked like any other.
REBUILT = "the state was damaged: "


class Found(Exception):
    """Something is wrong."""


class Totals:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {}

    def add(self, **counts):
        with self.lock:
            for name, count in counts.items():
                self.counts[name] = self.counts.get(name, 0) + count

    def __getitem__(self, name):
        return self.counts.get(name, 0)


class Report:
    """The parts of struct report in crash_node.c that stand at its end."""

    FIELDS = ("opened", "checked", "acknowledgements", "upkeep")

    def __init__(self, path):
        self.path = path

    def read(self):
        with open(self.path, "rb") as file:
            file.seek(-1024 - 32, os.SEEK_END)
            data = file.read()
        counts = {name: int.from_bytes(data[8 * i:8 * i + 8], "little")
                  for i, name in enumerate(self.FIELDS)}
        return counts, data[32:].split(b"\0")[0].decode()


class Group:
    """One cluster, over many runs."""

    def __init__(self, folder, seed, log, nodes, environment=None, lie=None):
        self.rng = random.Random(seed)
        self.seed = seed
        self.log = log
        self.nodes = nodes
        self.folder = folder
        self.lie = lie
        self.root = os.path.join(folder, "root")
        os.makedirs(self.root)
        self.shim = shims.Shim(self.root, os.path.join(folder, "shim"), True,
                               self.rng.randrange(1 << 60), skip_sync=True)
        self.report = Report(os.path.join(folder, "report"))
        open(self.report.path, "wb").close()
        self.ports = [str(ports.reserve()) for _ in range(nodes)]
        self.segment_bytes = self.rng.choice((16, 32, 64, 128)) << 10
        self.runs = 0
        self.before = {}
        self.output = os.path.join(folder, "output")

    def what(self):
        return f"seed {self.seed}, {self.nodes} nodes, {self.log}, run {self.runs}"

    def run(self, totals):
        """One run, and what happens to the machine after it."""
        self.runs += 1
        weight = self.rng.choices(KILL_AFTER, [pair[0] for pair in KILL_AFTER])[0]
        kill_after = self.rng.randrange(weight[1])
        writes_max = self.rng.choice((50, 200, 600, 3000))
        absent = self.rng.choice((0, 0, 1, 2, 3)) if self.nodes == 3 and self.runs > 1 else 0
        log = self.rng.choice(KINDS) if self.log == MOVING else self.log
        seed = self.rng.randrange(1 << 60)
        self.shim.clear()
        self.shim.reseed(seed)
        if self.runs > 1:  # The cluster is there before anything happens to it.
            self.shim.rule(0).set(shims.CHANGES, "kill", skip=kill_after)
        if self.lie:
            operation, _, pattern = self.lie.partition(":")
            self.shim.rule(1).set((operation,), "lost", pattern or "*")
        command = [os.path.join(shims.programs(), "crash-node"), self.root, self.report.path,
                   str(seed), str(self.nodes), str(absent), log, str(self.segment_bytes),
                   str(writes_max), *self.ports]
        with open(self.output, "wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output,
                                       env={**os.environ, **self.shim.environment()})
        try:
            status = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait()
            raise Found(f"{self.what()}: it does not go on") from None
        self.judge(status, totals)
        self.crash(totals)
        counts, _ = self.report.read()
        counts["installed"] = self.installed()
        totals.add(runs=1, **{name: count - self.before.get(name, 0)
                              for name, count in counts.items()})
        self.before = counts

    def installed(self):
        """Snapshots that nodes got from others: each makes a state of the next number."""
        highest = {}
        for path in glob.glob(os.path.join(self.root, "node*", "state-*")):
            node, number = os.path.dirname(path), int(path.rsplit("-", 1)[1])
            highest[node] = max(highest.get(node, 1), number)
        # A loss of power may take one back.
        return max(self.before.get("installed", 0), sum(highest.values()) - len(highest))

    def judge(self, status, totals):
        _, failure = self.report.read()
        with open(self.output, encoding="utf-8", errors="replace") as file:
            output = file.read()
        if status != -signal.SIGKILL:
            raise Found(f"{self.what()}: status {status}: {failure}\n{output}")
        bad = [line for line in output.splitlines() if any(w in line.lower() for w in SUSPICIOUS)]
        rebuilt = [line for line in bad if REBUILT in line and "/MANIFEST-" in line]
        totals.add(rebuilt=len(rebuilt))
        bad = [line for line in bad if line not in rebuilt]
        if bad:
            raise Found(f"{self.what()}: {bad[:5]}")

    def crash(self, totals):
        choice = self.rng.randrange(6)
        seed = self.rng.randrange(1 << 60)
        if choice < 2:
            self.shim.settle()
            totals.add(kills=1)
            return
        in_order = IN_ORDER_ROCKSDB if self.log in ("rocksdb", MOVING) else ()
        lost = self.shim.lose_power(seed, choice < 5, in_order)
        totals.add(losses=1, names_lost=lost["names_lost"], sectors_lost=lost["sectors_lost"],
                   sizes_lost=lost["sizes_lost"])


class Campaign:
    def __init__(self, arguments):
        self.arguments = arguments
        self.totals = Totals()
        self.begin = time.monotonic()
        self.findings = []
        self.numbers = iter(range(1 << 60))
        self.lock = threading.Lock()

    def enough(self):
        return self.findings or self.totals["opened"] >= self.arguments.recoveries

    def next_group(self):
        with self.lock:
            number = next(self.numbers)
        pairs = [(log, nodes) for nodes in self.arguments.nodes for log in self.arguments.log]
        return number, *pairs[number % len(pairs)]

    def work(self):
        while not self.enough():
            number, log, nodes = self.next_group()
            folder = tempfile.mkdtemp(prefix="rockraft-crash-", dir=self.arguments.folder)
            group = Group(folder, f"{self.arguments.seed}.{number}", log, nodes,
                          lie=self.arguments.lie)
            try:
                while group.runs < self.arguments.runs and not self.enough():
                    group.run(self.totals)
            except Exception as found:  # Also what is wrong with the campaign itself.
                self.findings.append(f"{found if isinstance(found, Found) else repr(found)}\n"
                                     f"kept: {folder}")
                return
            shutil.rmtree(folder)

    def progress(self):
        counts = dict(self.totals.counts)
        seconds = time.monotonic() - self.begin
        return f"{seconds:.0f} s: {json.dumps(counts)}"

    def run(self):
        """The findings; none is what one hopes for."""
        threads = [threading.Thread(target=self.work) for _ in range(self.arguments.jobs)]
        for thread in threads:
            thread.start()
        told = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(1)
            time.sleep(0.2)
            if time.monotonic() > told + self.arguments.tell:
                told = time.monotonic()
                print(self.progress(), flush=True)
        print(self.progress(), flush=True)
        return self.findings


def memory_folder():
    """A file system in memory with enough room, or None for the usual place of temporary files."""
    folder = "/dev/shm"
    if not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < 1 << 30:
        return None
    return folder


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recoveries", type=int, default=10000, help="nodes opened, in all")
    parser.add_argument("--seed", default=str(int(time.time())))
    parser.add_argument("--log", choices=LOGS, action="append", help="all in turn by default")
    parser.add_argument("--nodes", type=int, choices=NODES, action="append")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each cluster")
    parser.add_argument("--jobs", type=int, default=1, help="clusters at a time")
    parser.add_argument("--folder", default=memory_folder(),
                        help="where the disks are; nothing needs to be synced really")
    parser.add_argument("--lie", metavar="OPERATION[:PATTERN]", help="sync or sync_directory: the "
                        "disk does not do it, so that losses must be found")
    parser.add_argument("--tell", type=float, default=60, help="seconds between lines")
    found = parser.parse_args(arguments)
    if found.lie and found.lie.partition(":")[0] not in ("sync", "sync_directory"):
        parser.error(f"--lie: sync or sync_directory, not {found.lie}")
    found.log = found.log or LOGS
    found.nodes = found.nodes or NODES
    return found


def main():
    arguments = parse()
    shims.require_programs()
    seed = [] if "--seed" in sys.argv else ["--seed", arguments.seed]
    print("campaign.py", *sys.argv[1:], *seed, flush=True)
    findings = Campaign(arguments).run()
    print("\n".join(findings) if findings else "nothing found")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
