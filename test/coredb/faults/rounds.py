"""One round: clients of all kinds work while faults happen, then everything is read and checked."""

import asyncio
import json
import os
import threading
import time
from collections import Counter

import bank
import counters
import expiry
import lists
import pubsub
import queues
import registers
import scans
import streams
from coredb_cluster import SCALE, wait_until
from judge import Finding
from nemesis import Faults
from session import Session

# (name, workload, checker); histories of a name are checked together and alone.
KINDS = (
    ("registers", registers.Registers, registers.check),
    ("members", registers.Members, registers.check),
    ("counters", counters.Counters, counters.check),
    ("lists", lists.Lists, lists.check),
    ("bank", bank.Bank, bank.check),
    ("queues", queues.Queues, queues.check),
    ("streams", streams.Streams, streams.check),
    ("expiry", expiry.Expiry, expiry.check),
    ("locks", expiry.Locks, expiry.check_locks),
    ("scans", scans.Scans, scans.check),
    ("messages", pubsub.Messages, pubsub.check),
)
# Where clocks differ, nobody can say when exactly a key or a lock ends.
SKEWED_KINDS = tuple(kind for kind in KINDS if kind[0] not in ("expiry", "locks")) + (
    ("expiry", expiry.SkewedExpiry, expiry.check),)
CLIENT_PATIENCE_S = 5.0
PAUSE_S = 0.02  # of a client between two operations, on average


class Run:
    """What the clients of one kind share."""

    def __init__(self, name, addresses, seed, prefix, stopping):
        self.seed = f"{seed}.{name}"
        self.prefix = prefix
        self.addresses = addresses
        self.patience = CLIENT_PATIENCE_S * SCALE
        self.stopping = stopping
        self.history = []
        self.violations = []

    @staticmethod
    def now():
        return time.monotonic_ns()

    def violation(self, text):
        self.violations.append(text)

    async def pause(self, seconds):
        """Sleeps, but not much longer than the run."""
        end = asyncio.get_running_loop().time() + seconds
        while not self.stopping.is_set():
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.2))


class Clients:
    """All clients, in an event loop on a thread of its own."""

    def __init__(self, addresses, seed, prefix="", kinds=None):
        self.stopping = threading.Event()
        self.runs = {}
        self.workloads = {}
        for name, workload, _ in KINDS:
            if kinds is None or name in kinds:
                run = Run(name, addresses, seed, f"{prefix}{name}:", self.stopping)
                self.runs[name] = run
                self.workloads[name] = workload(run)
        self.failure = None
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._thread, name="clients", daemon=True)

    def start(self):
        """Returns when all is prepared and the clients begin."""
        self.thread.start()
        wait_until(lambda: self.ready.is_set() or self.failure, "the clients' data is prepared", 60)
        self.raise_failure()
        return self

    def stop(self):
        """Ends the clients after what they are doing, and has all data read through all nodes."""
        self.stopping.set()
        self.thread.join(240 * SCALE)
        assert not self.thread.is_alive(), "the clients do not end"
        self.raise_failure()

    def raise_failure(self):
        if self.failure is not None:
            raise self.failure

    def counts(self):
        return Counter(r["outcome"] for run in self.runs.values() for r in list(run.history))

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            for name, run in self.runs.items():
                for record in run.history:
                    file.write(json.dumps({"kind": name, **record}) + "\n")

    def _thread(self):
        try:
            asyncio.run(self._main())
        except BaseException as error:  # Raised again by the main thread.
            self.failure = error

    async def _main(self):
        await asyncio.gather(*(self._prepare(name) for name in self.runs))
        self.ready.set()
        await asyncio.gather(*(self._client(name, number) for name, workload in
                               self.workloads.items() for number in range(workload.clients)))
        for node in next(iter(self.runs.values())).addresses:
            await asyncio.gather(*(self._read_back(name, node) for name in self.runs))

    def _session(self, name, client, number=0):
        session = Session(self.runs[name], client, number)
        if hasattr(self.workloads[name], "greeting"):
            session.greeting = self.workloads[name].greeting(number)
        return session

    async def _prepare(self, name):
        if hasattr(self.workloads[name], "prepare"):
            session = self._session(name, f"{name}.prepare")
            await self.workloads[name].prepare(session)
            session.close()

    async def _client(self, name, number):
        run, workload = self.runs[name], self.workloads[name]
        session = self._session(name, f"{name}.{number}", number)
        try:
            while not self.stopping.is_set():
                # A cluster without any node must not keep a client from ending.
                connecting = asyncio.ensure_future(session.connect())
                while not connecting.done() and not self.stopping.is_set():
                    await asyncio.wait((connecting,), timeout=0.5)
                if not connecting.done():
                    connecting.cancel()
                    return
                connecting.result()
                await workload.work(session)
                # A node that refuses at once must not become a busy loop.
                last = run.history[-1]["outcome"] if run.history else "ok"
                await asyncio.sleep(session.rng.uniform(0, 2 * PAUSE_S) if last == "ok" else 0.05)
        finally:
            session.close()

    async def _read_back(self, name, node):
        session = self._session(name, f"{name}.final.{node}")
        await session.connect(node)
        await self.workloads[name].read_back(session)
        session.close()


def judge(clients, report):
    """Checks every kind; returns all findings, and tells `report` about each."""
    findings = []
    for name, _, check in KINDS:
        if name not in clients.runs:
            continue
        run = clients.runs[name]
        counts = Counter(record["outcome"] for record in run.history)
        begin = time.monotonic()
        try:
            count = check(run.history)
            assert count > 0, f"no operation of {name}"
        except Finding as found:
            findings.append(f"{name}: {found}")
        findings += [f"{name}: an answer that should not be: {text}" for text in run.violations[:3]]
        report(f"    {name}: {counts['ok']} ok, {counts['failed']} failed, {counts['unknown']} unknown; "
               f"checked in {time.monotonic() - begin:.1f} s")
    return findings


def check_progress(clients, more=200):
    """After healing the clients must get on."""
    before = clients.counts()["ok"]
    wait_until(lambda: clients.failure or clients.counts()["ok"] >= before + more,
               f"{more} operations succeed after everything is healed", 60, pause=0.2)
    clients.raise_failure()


def check_alive(cluster):
    ended = [(node.id, node.process.returncode) for node in cluster.dead()]
    assert not ended, f"nodes ended by themselves, with these statuses: {ended}"


def run_round(cluster, seed, seconds, prefix="", names=None, kinds=None, each=(), say=print):
    """One round on a cluster that is well: `each` of these faults once, then any for `seconds`.

    Raises AssertionError with what was found, the seed and the schedule of faults.
    """
    clients = Clients(cluster.addresses, seed, prefix, kinds)
    schedule = []
    begin = time.monotonic_ns()

    def note(text):
        schedule.append(f"  {(time.monotonic_ns()) / 1e9:.3f} {text.strip()}")
        say(text)

    path = os.path.join(cluster.folder, f"history{prefix.replace('/', '-')}.jsonl")
    faults = Faults(cluster, seed, names, note)
    clients.start()
    try:
        for name in each:
            faults.one(name)
            faults._last(0.1, 0.5)
        if seconds:
            faults.run(seconds)
        faults.heal()
        check_progress(clients)
        check_alive(cluster)
        clients.stop()
        check_alive(cluster)
    except BaseException:
        cluster.failed = True
        clients.stopping.set()
        clients.save(path)
        print("\n".join([f"seed {seed}, history {path}", *schedule]), flush=True)
        raise
    findings = judge(clients, say)
    if findings:
        cluster.failed = True
        clients.save(path)
        raise AssertionError("\n".join([f"seed {seed}, history {path}", *findings,
                                        "faults, by the clock of the history, at their end:",
                                        *schedule]))
    counts = clients.counts()
    say(f"    {sum(counts.values())} operations: {counts['ok']} ok, {counts['failed']} failed, "
        f"{counts['unknown']} unknown; {len(faults.done)} faults, "
        f"{(time.monotonic_ns() - begin) / 1e9:.0f} s")
    return counts, faults.done
