"""Iterations with cursors over much data that changes meanwhile, going on at whatever node is there.

What is present from the first step of an iteration to its last is returned at least once; what a step
returns was there during that step.
"""

import zlib

from judge import by_key, end_of, finding
from session import Step

STABLE = 1500  # elements that stay; others come and go
PORTION = 250
# The command of a step, how many replies an element is, and what adds, changes and removes elements.
KINDS = {
    "keys": (("SCAN",), 1, ("MSET",), ("UNLINK",)),
    "hash": (("HSCAN", "{}"), 2, ("HSET", "{}"), ("HDEL", "{}")),
    "set": (("SSCAN", "{}"), 1, ("SADD", "{}"), ("SREM", "{}")),
    "zset": (("ZSCAN", "{}"), 2, ("ZADD", "{}"), ("ZREM", "{}")),
}


class Scans:
    """Half of the clients iterate, the rest adds, changes and removes."""

    clients = 6

    def __init__(self, run):
        self.run = run
        # A database where few other keys are, so that an iteration over keys is not long.
        self.database = 1 + zlib.crc32(run.prefix.encode()) % 15
        self.keys = {f"{run.prefix}{kind}": kind for kind in KINDS}
        self.stable = {key: [] for key in self.keys}
        self.passing = {key: [] for key in self.keys}
        self.names = 0
        self.iterations = 0

    def greeting(self, _):
        return (("SELECT", self.database),)

    async def prepare(self, session):
        for key in self.keys:
            for _ in range(STABLE // PORTION):
                self.stable[key] += await self.add(session, key, PORTION)

    async def work(self, session):
        rng, key = session.rng, session.rng.choice(list(self.keys))
        if session.number % 2 == 0:
            await self.iterate(session, key)
            return
        choice = rng.random()
        if choice < 0.4:
            self.passing[key] += await self.add(session, key, rng.choice((1, 5, 40)))
        elif choice < 0.8:
            await self.remove(session, key, rng.choice((1, 5, 40)))
        elif self.stable[key]:
            chosen = rng.sample(self.stable[key], 10)
            await session.perform(Step({"op": "change", "key": key, "members": chosen},
                                       self.writing(rng, key, chosen)))

    async def add(self, session, key, count):
        """Elements that never were; returns them if that is certain."""
        members = [str(self.names + n) for n in range(count)]
        self.names += count
        record = {"op": "add", "key": key, "members": members}
        await session.call(record, *self.writing(session.rng, key, members),
                           decode=lambda reply: count if reply == "OK" else reply)
        return members if record["outcome"] == "ok" else []

    async def remove(self, session, key, count):
        """Elements that only this client removes."""
        chosen = []
        while self.passing[key] and len(chosen) < count:
            chosen.append(self.passing[key].pop(session.rng.randrange(len(self.passing[key]))))
        if chosen:
            names = [self.name(key, member) for member in chosen]
            await session.call({"op": "remove", "key": key, "members": chosen},
                               *self.command(key, KINDS[self.keys[key]][3]), *names)

    def command(self, key, parts):
        return [part.format(key) for part in parts]

    def writing(self, rng, key, members):
        """Adds elements, or gives other values to those that are there."""
        kind = self.keys[key]
        command = self.command(key, KINDS[kind][2])
        for member in members:
            name, value = self.name(key, member), rng.randrange(1000000)
            command += {"set": (name,), "zset": (value, name)}.get(kind, (name, value))
        return command

    def name(self, key, member):
        return f"{key}:{member}" if self.keys[key] == "keys" else member

    async def iterate(self, session, key, node=None):
        """From the start to the end, or until the clients are stopped; through `node` if given."""
        self.iterations += 1
        number, cursor, used = self.iterations, "0", set()
        while True:
            await session.connect(node)
            record = {"op": "step", "key": key, "iteration": number, "cursor": cursor}
            await session.perform(self.step(session.rng, key, record))
            if record["outcome"] == "ok":
                cursor = record["result"][0]
                if cursor == "0":
                    return
                if cursor in used:
                    self.run.violation(f"iteration {number} over {key} comes to {cursor} again")
                    return
                used.add(cursor)
            elif node is None:
                session.close()  # to go on elsewhere
            if node is None:
                await self.run.pause(session.rng.uniform(0, 0.04))
                if self.run.stopping.is_set():
                    return

    def step(self, rng, key, record):
        kind = self.keys[key]
        command, width = self.command(key, KINDS[kind][0]), KINDS[kind][1]
        options = ["COUNT", rng.choice((5, 20, 100))]
        if kind == "keys":
            options += ["MATCH", self.name(key, "*")]

        def decode(reply):
            cursor, elements = reply
            return [cursor, [element.rpartition(":")[2] for element in elements[::width]]]

        return Step(record, (*command, record["cursor"], *options), decode=decode)

    async def read_back(self, session):
        for key in self.keys:
            await self.iterate(session, key, session.node)


def check(history):
    groups = by_key(history, "add", "remove", "step")
    for key, records in groups.items():
        _check_key(key, records)
    return sum(map(len, groups.values()))


def complete(records):
    """The iterations among them that came to their end, each as its steps that were answered."""
    iterations = {}
    for record in records:
        if record["op"] == "step" and record["outcome"] == "ok":
            iterations.setdefault((record["key"], record["iteration"]), []).append(record)
    return [steps for steps in iterations.values() if steps[-1]["result"][0] == "0"]


def _check_key(key, records):
    lives = {}  # of each element: the record that added it, the one that removed it or None
    for record in records:
        if record["op"] == "add":
            lives.update((member, (record, None)) for member in record["members"])
        elif record["op"] == "remove":
            lives.update((member, (lives[member][0], record)) for member in record["members"])
        if record["op"] != "step" and record["outcome"] == "ok" and \
                record["result"] != len(record["members"]):
            raise finding(f"{key}: of {len(record['members'])} elements {record['result']} were as "
                          "they must be", record)
    for record in records:
        if record["op"] == "step" and record["outcome"] == "ok":
            for member in record["result"][1]:
                _check_there(key, member, lives, record)
    for steps in complete(records):
        _check_all_returned(key, lives, steps)


def _check_there(key, member, lives, step):
    if member not in lives:
        raise finding(f"{key}: nobody has added {member!r}", step)
    added, removed = lives[member]
    if added["outcome"] == "failed":
        raise finding(f"{key}: {member!r} was refused, and is there", added, step)
    if added["start"] > step["end"]:
        raise finding(f"{key}: {member!r} is there before it was added", added, step)
    if removed is not None and removed["outcome"] == "ok" and removed["end"] < step["start"]:
        raise finding(f"{key}: {member!r} is there after it was removed", removed, step)


def _check_all_returned(key, lives, steps):
    begin, end = steps[0]["start"], steps[-1]["end"]
    returned = {member for step in steps for member in step["result"][1]}
    for member, (added, removed) in lives.items():
        stays = removed is None or removed["outcome"] == "failed" or removed["start"] > end
        if end_of(added) < begin and added["outcome"] == "ok" and stays and member not in returned:
            raise finding(f"{key}: {member!r} was there throughout, and {len(steps)} steps did not "
                          "return it", added, steps[0], steps[-1])
