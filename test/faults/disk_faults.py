#!/usr/bin/env python3
"""Three servers under checked load while the disk of one of them fails, lies, rots or stands still, or
machines lose power.

    disk_faults.py --minutes 30 --seed 7 [--log rocksdb] [--faults stalled_sync,lost_write,...]

Every round takes new keys and draws from the faults; then the history must be one that a single store
could have produced, and the replicas must agree. What is found ends it, with the seed and the data kept.
"""

import argparse
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "process"))
sys.path.append(os.path.join(os.path.dirname(HERE), "crash"))

import cluster as processes  # noqa: E402 (the path must be set first)
import faults  # noqa: E402
import shim as shims  # noqa: E402
from campaign import addresses_of, check_progress  # noqa: E402
from cluster import CallError, Cluster, wait_until  # noqa: E402
from http_client import ProtocolError  # noqa: E402
from workload import Workload  # noqa: E402

STORAGE = {
    "segments": {"log": "segments", "log_segment_bytes": 64 << 10},
    "segments-thread": {"log": "segments", "log_segment_bytes": 64 << 10, "log_sync": "thread"},
    "rocksdb": {"log": "rocksdb"},
}
# Whatever a node says when its disk has failed it names one of these.
REASONS = ("Input/output error", "No space left", "IO error", "damaged", "orrupt", "ends before",
           "missing", "No such file")


class DiskCluster(Cluster):
    """Each node on a disk of its own; `shims` by node id."""

    def __init__(self, log, seed):
        self.shims = {}
        self.seed = seed
        # What entries are written to: not files that are made ahead of need, which may fail.
        self.log_files = "log/*.log" if log == "rocksdb" else "log/segment-*"
        # RocksDB takes a hole in what was not synced for damage (test/crash/README.md).
        self.in_order = ("*/log/*",) if log == "rocksdb" else ()
        super().__init__(3, storage=STORAGE[log], snapshot={"entries": 400, "keep": 100})

    def add(self):
        node = super().add()
        node.settings["rocksdb"].update(memtable_bytes=1 << 20, block_cache_bytes=1 << 20)
        os.makedirs(node.folder, exist_ok=True)
        seed = faults.random.Random(f"{self.seed}.{node.id}").randrange(1 << 60)
        shim = shims.Shim(node.data_path, os.path.join(node.folder, "shim"), True, seed)
        node.environment = shim.environment()
        self.shims[node.id] = shim
        start = node.start

        def settle_and_start():
            shim.settle()
            return start()

        node.start = settle_and_start
        return node


class DiskFaults(faults.Faults):
    """Each method hurts a disk, sees that the fault was met, and what the node does, and undoes it."""

    def __init__(self, cluster, seed, workload, names=None, say=None):
        super().__init__(cluster, seed, names or ALL, say)
        self.workload = workload

    # What the others need.

    def _victim(self):
        """The leader every other time."""
        return self._leader() if self.rng.random() < 0.5 else self._any()

    def _rule(self, node, operations, fault, pattern="*", **more):
        return self.cluster.shims[node.id].rule().set(operations, fault, pattern, **more)

    def _met(self, node, rule, times=1):
        def met():
            return rule.fired >= times or not node.running

        wait_until(met, f"node {node.id}'s disk shows its fault", 30)
        assert rule.fired >= times, f"node {node.id} ended before\n{node.tail()}"

    def _ends(self, node):
        """The node ends by itself, and says why; the others go on."""
        status = node.wait_exit(30)
        text = node.log_text()
        assert status > 0, f"node {node.id} ended with status {status}\n{node.tail()}"
        assert any(reason in text for reason in REASONS), f"no reason is told\n{node.tail()}"
        self._goes_on()

    def _goes_on(self):
        self.cluster.wait_leader(60)
        check_progress(self.workload, 30)

    def _well_again(self, node):
        """The disk is a good one from now on, and the node comes back on what it holds."""
        self.cluster.shims[node.id].clear()
        node.start()
        node.wait_http()

    def _back_or_replaced(self, node):
        """As before, but the data may be damaged: then the node repairs it, if need be through its
        peers and at the next start, as a supervisor makes it. If it cannot, it says what to do, and
        another one takes its place."""
        self.cluster.shims[node.id].clear()
        for _ in range(3):
            node.start()
            wait_until(lambda: not node.running or self._reads(node),
                       f"node {node.id} reads or ends", 60)
            if node.running:
                return "repaired" if "damaged" in node.log_text() else "back"
        text = node.log_text()
        assert "remove" in text or "replace" in text, f"it is not told what to do\n{node.tail()}"
        faults.leave(self.cluster, node.id)
        self.cluster.forget(node.id)
        faults.join(self.cluster, self.cluster.add())
        return "replaced: " + [line for line in text.splitlines() if line][-1]

    @staticmethod
    def _reads(node):
        """Whether it answers a read that the leader has confirmed to it."""
        try:
            with node.client(5) as client:
                client.get("none")
        except (OSError, CallError, ProtocolError, EOFError):
            return False
        return True

    # Operations that fail: the first failure is final, and nothing unsure is acknowledged.

    def _fails(self, operations, fault, pattern):
        node = self._victim()
        rule = self._rule(node, operations, fault, pattern, skip=self.rng.randrange(20))
        self._met(node, rule)
        self._ends(node)
        self._well_again(node)
        return f"{node.id}, {fault} on {operations[0]}"

    def log_write_fails(self):
        return self._fails(("write",), "EIO", self.cluster.log_files)

    def log_sync_fails(self):
        return self._fails(("sync",), "EIO", self.cluster.log_files)

    def one_sync_fails(self):
        """Only the first: what it has lost must not be taken for written later."""
        node = self._victim()
        rule = self._rule(node, ("sync",), "EIO", self.cluster.log_files, limit=1,
                          skip=self.rng.randrange(20))
        self._met(node, rule)
        self._ends(node)
        self._well_again(node)
        return node.id

    def disk_full(self):
        return self._fails(("write", "create", "truncate"), "ENOSPC", "*")

    def state_write_fails(self):
        return self._fails(("write", "sync"), "EIO", "state-*")

    def short_writes(self):
        """Calls that write less than they were asked to are no failure."""
        node = self._victim()
        rule = self._rule(node, ("write",), "short", probability=0.3)
        self._met(node, rule, 20)
        self._goes_on()
        assert node.running, node.tail()
        self.cluster.shims[node.id].clear()
        return f"{node.id}, {rule.fired} times"

    # Time.

    def stalled_sync(self):
        """The leader's disk stands still: another one leads, and the old leader follows later."""
        node = self._leader()
        rule = self._rule(node, ("sync",), "stall", self.cluster.log_files)
        wait_until(lambda: rule.waiting, f"node {node.id}'s disk stands still", 30)
        others = [other for other in self.cluster.running if other.id != node.id]

        def led_by_another():
            healths = [other.health() for other in others]
            return any(health and health["is_leader"] for health in healths)

        wait_until(led_by_another, "another node leads", 60)
        check_progress(self.workload, 30)
        assert rule.waiting, "the disk went on by itself"
        self.cluster.shims[node.id].clear()
        self.cluster.wait_settled(60)
        return node.id

    def stalled_follower(self):
        leader = self._leader()
        node = self.rng.choice([node for node in self.cluster.running if node is not leader])
        rule = self._rule(node, ("sync",), "stall", self.cluster.log_files)
        wait_until(lambda: rule.waiting, f"node {node.id}'s disk stands still", 30)
        self._goes_on()
        node.kill()  # With what it has not synced.
        self._well_again(node)
        return node.id

    def slow_disk(self):
        node = self._victim()
        rule = self._rule(node, ("sync",), "delay", self.cluster.log_files, argument=40000)
        self._met(node, rule, 20)
        self._goes_on()
        self.cluster.shims[node.id].clear()
        return f"{node.id}, {rule.fired} times"

    # Losses of power: what was acknowledged was synced.

    def _lose_power(self, nodes):
        for node in nodes:
            node.kill()
        for node in nodes:
            self.cluster.shims[node.id].lose_power(self.rng.randrange(1 << 60),
                                                   self.rng.random() < 0.5, self.cluster.in_order)

    def power_lost(self):
        node = self._victim()
        self._lose_power([node])
        if self.rng.random() < 0.5:
            self._goes_on()
        self._well_again(node)
        return node.id

    def power_lost_everywhere(self):
        nodes = self.cluster.running
        self._lose_power(nodes)
        self._restart(nodes)
        return ""

    def sync_fails_then_power_lost(self):
        node = self._victim()
        rule = self._rule(node, ("sync",), "EIO", self.cluster.log_files, limit=1,
                          skip=self.rng.randrange(20))
        self._met(node, rule)
        self._ends(node)
        self._lose_power([node])
        self._well_again(node)
        return node.id

    # Reading: nothing wrong is ever served.

    def read_fails_at_start(self):
        node = self._victim()
        node.kill()
        rule = self._rule(node, ("read",), "EIO", skip=self.rng.randrange(30))
        node.start()
        self._met(node, rule)
        # Parts that are read in the background may be read again later.
        wait_until(lambda: not node.running or node.health(), f"node {node.id} answers or ends", 60)
        if node.running:
            node.kill()
        return f"{node.id} {self._back_or_replaced(node)}"

    def read_flips_at_start(self):
        node = self._victim()
        node.kill()
        rule = self._rule(node, ("read",), "flip", skip=self.rng.randrange(40), limit=1)
        node.start()
        self._met(node, rule)
        wait_until(lambda: not node.running or node.health(), f"node {node.id} answers or ends", 60)
        if node.running:
            self._goes_on()
            node.kill()
        return f"{node.id} {self._back_or_replaced(node)}"

    def table_rots(self):
        """What is read of the state's tables has one bit that is wrong."""
        node = self._victim()
        rule = self._rule(node, ("read",), "flip", "state-*/*.sst", limit=1)
        self._last(1, 3)
        met = rule.fired
        self.cluster.shims[node.id].clear()
        if met:
            self._goes_on()
        if node.running:
            node.kill()
        return f"{node.id}, met {met}, {self._back_or_replaced(node)}"

    def table_read_fails(self):
        """A read of the state's tables fails: whoever asked is not answered, or the node ends."""
        node = self._victim()
        rule = self._rule(node, ("read",), "EIO", "state-*/*.sst", limit=3)
        self._last(1, 3)
        met = rule.fired
        self._goes_on()
        if node.running:
            node.kill()
        self._well_again(node)
        return f"{node.id}, met {met}"

    # Writing what was not asked for.

    def _lies(self, fault, **more):
        """A write of the log goes astray; more are made, and then the process is killed."""
        node = self._victim()
        rule = self._rule(node, ("write",), fault, self.cluster.log_files, limit=1,
                          skip=self.rng.randrange(30), **more)
        self._met(node, rule)
        self._goes_on()
        node.kill()
        return f"{node.id} {self._back_or_replaced(node)}"

    def lost_write(self):
        return self._lies("lost")

    def flipped_write(self):
        return self._lies("flip")

    def misdirected_write(self):
        return self._lies("misdirect", argument=self.rng.choice((-8192, -4096, 512, 4096, 16384)))


FAILING = ("log_write_fails", "log_sync_fails", "one_sync_fails", "disk_full", "state_write_fails",
           "short_writes")
SLOW = ("stalled_sync", "stalled_follower", "slow_disk")
POWER = ("power_lost", "power_lost_everywhere", "sync_fails_then_power_lost")
READING = ("read_fails_at_start", "read_flips_at_start", "table_read_fails", "table_rots")
LYING = ("lost_write", "flipped_write", "misdirected_write")
ALL = FAILING + SLOW + POWER + READING + LYING
# Where a write of its WAL was lost, RocksDB finds zeros, and takes them for the end.
ALL_ROCKSDB = FAILING + SLOW + POWER + READING + ("flipped_write",)


def names_of(log):
    return ALL_ROCKSDB if log == "rocksdb" else ALL


def run_round(cluster, seed, names, prefix="", say=print):
    """Each of these faults once, in an order that the seed gives; AssertionError with what is found."""
    workload = Workload(addresses_of(cluster), seed, timeout=2.5 * processes.SCALE, prefix=prefix)
    hurt = DiskFaults(cluster, seed, workload, say=say)
    names = list(names)
    hurt.rng.shuffle(names)
    workload.start()
    try:
        for name in names:
            hurt.one(name)
            cluster.wait_settled(60)
        hurt.heal()
        check_progress(workload)
    finally:
        workload.stop()
        history = os.path.join(cluster.folder, f"history{prefix.replace('/', '-')}.jsonl")
        workload.save(history)
    workload.read_back(cluster.running)
    workload.save(history)
    cluster.replicas(prefix)
    verdict = workload.verdict()
    counts = workload.counts()
    say(f"    {len(workload.history)} calls: {counts['ok']} ok, {counts['failed']} failed, "
        f"{counts['unknown']} unknown; {verdict.status} in {verdict.seconds:.1f} s")
    assert not workload.violations, f"bad answers: {workload.violations[:3]}"
    assert verdict.valid, f"{verdict.status}: {history}\n{verdict.report}"


def main():
    parser = argparse.ArgumentParser(
        description="Three servers under checked load while the disk of one of them fails, lies, rots "
                    "or stands still.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--log", choices=sorted(STORAGE), help="by default all in turn")
    parser.add_argument("--faults", help=f"comma-separated, of {', '.join(ALL)}")
    parser.add_argument("--each", type=int, default=6,
                        help="faults in a round; with many its history may be undecidable")
    arguments = parser.parse_args()
    unknown = set((arguments.faults or ALL[0]).split(",")) - set(ALL)
    if unknown:
        parser.error(f"no such faults: {', '.join(sorted(unknown))}")
    shims.require_programs()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    deadline = time.monotonic() + 60 * arguments.minutes
    print(f"disk_faults.py --minutes {arguments.minutes} --seed {arguments.seed}", flush=True)
    number = 0
    while number == 0 or time.monotonic() < deadline:
        log = arguments.log or sorted(STORAGE)[number % len(STORAGE)]
        seed = f"{arguments.seed}.{number}"
        names = arguments.faults.split(",") if arguments.faults else names_of(log)
        chosen = faults.random.Random(seed).choices(names, k=arguments.each)
        print(f"round {number}, seed {seed}, {log}", flush=True)
        with DiskCluster(log, seed) as cluster:
            cluster.start()
            run_round(cluster, seed, chosen, f"{number}/")
        number += 1
    print(f"{number} rounds, nothing found")


if __name__ == "__main__":
    main()
