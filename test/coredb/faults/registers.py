"""Single values: strings and fields of hashes, alone and in groups, in the format of test/linear.

Every write has a value of its own, so a read names its write. Sets of members are here too: a member
is a key that is there or not, and all members are a scan.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

import linear  # noqa: E402 (the path must be set first)
from judge import Finding  # noqa: E402
from session import Step, transaction  # noqa: E402

CAS = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
SINGLE, GROUPS, FIELDS = 6, 3, 3
TIME_LIMIT_S = 90


def whether(reply):
    return reply is not None and reply != 0


class Registers:
    """Half of the clients read by lease, which must be as good while clocks run alike."""

    clients = 8

    def __init__(self, run):
        self.run = run
        self.prefix = run.prefix
        self.count = 0

    def greeting(self, number):
        return (("READONLY",),) if number % 2 else ()

    def value(self):
        self.count += 1
        return str(self.count)

    async def work(self, session):
        rng = session.rng
        choice = rng.random()
        if choice < 0.12:
            await self.watch(session, f"{self.prefix}r{rng.randrange(SINGLE)}")
        elif choice < 0.25:
            await session.perform(*(self.any_step(rng) for _ in range(rng.randrange(2, 8))))
        else:
            await session.perform(self.any_step(rng))

    def any_step(self, rng):
        choice = rng.random()
        if choice < 0.6:
            return self.single(rng, f"{self.prefix}r{rng.randrange(SINGLE)}")
        group = f"{self.prefix}{rng.choice('gh')}{rng.randrange(GROUPS)}/"
        hashed = "h" in group[len(self.prefix):]
        return (self.hash_step if hashed else self.group_step)(rng, group)

    def single(self, rng, key):
        value = self.value()
        write = {"op": "set", "key": key, "value": value}
        replace = {"op": "getset", "key": key, "value": value}
        create = {"op": "cas", "key": key, "expect": None, "value": value}
        return rng.choice((
            lambda: Step({"op": "get", "key": key}, ("GET", key)),
            lambda: Step({"op": "get", "key": key}, ("GET", key)),
            lambda: Step(write, ("SET", key, value)),
            lambda: Step(write, ("SET", key, value, "PX", 10000000)),
            lambda: Step(replace, ("SET", key, value, "GET")),
            lambda: Step(replace, ("GETSET", key, value)),
            lambda: Step({**replace, "value": None}, ("GETDEL", key)),
            lambda: Step(create, ("SET", key, value, "NX"), decode=whether),
            lambda: Step(create, ("SETNX", key, value), decode=whether),
            lambda: Step({"op": "txn", "conditions": [{"op": "exists", "key": key}],
                          "if_then": [{"op": "set", "key": key, "value": value}]},
                         ("SET", key, value, "XX"), decode=branch),
            lambda: Step({"op": "delete", "key": key}, ("DEL", key)),
            lambda: transaction(replace, ("GET", key), ("SET", key, value),
                                decode=lambda replies: replies[0]),
        ))()

    def group_step(self, rng, group):
        keys = [f"{group}{n}" for n in range(FIELDS)]
        chosen = rng.sample(keys, rng.randrange(1, FIELDS + 1))
        parts = [{"op": "set", "key": key, "value": self.value()} for key in chosen]
        flat = [text for part in parts for text in (part["key"], part["value"])]
        scan = {"op": "scan", "prefix": group}

        def found(reply):
            return [[key, value] for key, value in zip(keys, reply) if value is not None]

        return rng.choice((
            lambda: Step(scan, ("MGET", *keys), decode=found),
            lambda: transaction(scan, *(("GET", key) for key in keys), decode=found),
            lambda: Step({"op": "batch", "operations": parts}, ("MSET", *flat)),
            lambda: transaction({"op": "batch", "operations": parts},
                                *(("SET", p["key"], p["value"]) for p in parts)),
            lambda: Step({"op": "txn", "conditions": [{"op": "not_exists", "key": key}
                                                      for key in chosen], "if_then": parts},
                         ("MSETNX", *flat), decode=branch),
            lambda: Step({"op": "batch", "operations": [{"op": "delete", "key": key}
                                                        for key in chosen]}, ("DEL", *chosen)),
        ))()

    def hash_step(self, rng, group):
        name = group[:-1]
        field = str(rng.randrange(FIELDS))
        key, value = f"{group}{field}", self.value()
        parts = [{"op": "set", "key": f"{group}{n}", "value": self.value()}
                 for n in rng.sample(range(FIELDS), 2)]
        flat = [text for part in parts for text in (part["key"][len(group):], part["value"])]
        return rng.choice((
            lambda: Step({"op": "get", "key": key}, ("HGET", name, field)),
            lambda: Step({"op": "set", "key": key, "value": value}, ("HSET", name, field, value)),
            lambda: Step({"op": "delete", "key": key}, ("HDEL", name, field)),
            lambda: Step({"op": "cas", "key": key, "expect": None, "value": value},
                         ("HSETNX", name, field, value), decode=whether),
            lambda: Step({"op": "batch", "operations": parts}, ("HSET", name, *flat)),
            lambda: Step({"op": "scan", "prefix": group}, ("HGETALL", name),
                         decode=lambda r: [[f"{group}{r[n]}", r[n + 1]] for n in range(0, len(r), 2)]),
        ))()

    async def watch(self, session, key):
        """Compare and set: by WATCH and EXEC, with time in between, or by a script."""
        rng, value = session.rng, self.value()
        seen = {"op": "get", "key": key}
        await session.perform(Step({"op": "watch"}, ("WATCH", key)), Step(seen, ("GET", key)))
        if seen["outcome"] != "ok" or session.link is None:
            session.close()  # and with it what is watched
            return
        write = {"op": "cas", "key": key, "expect": seen["result"], "value": value}
        if rng.random() < 0.3 and seen["result"] is not None:
            session.left = 0  # so that nothing stays watched
            await session.call(write, "EVAL", CAS, 1, key, seen["result"], value, decode=whether)
            return
        await self.run.pause(rng.choice((0, 0.02, 0.5)))
        await session.perform(transaction(write, ("SET", key, value), decode=whether, watched=True))
        if write["outcome"] == "ok" and not write["result"]:
            # Somebody wrote since WATCH, maybe even before the read: it says no more than that.
            write["outcome"], write["error"] = "failed", "EXEC refused"

    async def read_back(self, session):
        await session.surely(lambda: [*self._everything()])

    def _everything(self):
        for n in range(SINGLE):
            key = f"{self.prefix}r{n}"
            yield Step({"op": "get", "key": key}, ("GET", key))
        for n in range(GROUPS):
            for field in range(FIELDS):
                key = f"{self.prefix}g{n}/{field}"
                yield Step({"op": "get", "key": key}, ("GET", key))
                name = f"{self.prefix}h{n}"
                yield Step({"op": "get", "key": f"{name}/{field}"}, ("HGET", name, field))


def branch(reply):
    return {"branch": whether(reply), "prev_values": []}


class Members:
    """Sets, sorted sets and hashes whose members come once and go once."""

    clients = 5
    KINDS = {
        "set": (("SADD", "{}"), "SREM", ("SMEMBERS",), "SISMEMBER"),
        "zset": (("ZADD", "1", "{}"), "ZREM", ("ZRANGE", "0", "-1"), "ZSCORE"),
        "hash": (("HSET", "{}", "v"), "HDEL", ("HKEYS",), "HEXISTS"),
    }
    COUNT = 12  # members, until clients go on to the next collection

    def __init__(self, run):
        self.run = run
        self.number = dict.fromkeys(self.KINDS, 0)
        self.added = dict.fromkeys(self.KINDS, 0)
        self.present = {kind: [] for kind in self.KINDS}

    async def work(self, session):
        rng = session.rng
        kind = rng.choice(list(self.KINDS))
        add, remove, everything, one = self.KINDS[kind]
        name = self.name(kind, self.number[kind])
        choice = rng.random()
        if choice < 0.35:
            await session.perform(self.members(kind, self.number[kind]))
        elif choice < 0.5:
            member = f"m{rng.randrange(self.COUNT)}"
            await session.call({"op": "get", "key": f"{name}/{member}"}, one, name, member,
                               decode=lambda r: "1" if whether(r) else None)
        elif choice < 0.65 and self.present[kind]:
            member = self.present[kind].pop(rng.randrange(len(self.present[kind])))
            await session.call({"op": "cas", "key": f"{name}/{member}", "expect": "1",
                                "value": None}, remove, name, member, decode=whether)
        else:
            await self.add(session, kind, name, add)

    async def add(self, session, kind, name, add):
        member = f"m{self.added[kind]}"
        self.added[kind] += 1
        if self.added[kind] >= self.COUNT:
            self.number[kind] += 1
            self.added[kind], self.present[kind] = 0, []
        await session.call({"op": "cas", "key": f"{name}/{member}", "expect": None, "value": "1"},
                           add[0], name, *(part.format(member) for part in add[1:]), decode=whether)
        if name == self.name(kind, self.number[kind]):
            self.present[kind].append(member)

    def name(self, kind, number):
        return f"{self.run.prefix}{kind}:{number}"

    def members(self, kind, number):
        name = self.name(kind, number)
        command, *rest = self.KINDS[kind][2]
        return Step({"op": "scan", "prefix": f"{name}/"}, (command, name, *rest),
                    decode=lambda r: [[f"{name}/{member}", "1"] for member in r])

    async def read_back(self, session):
        await session.surely(lambda: [self.members(kind, number)
                                      for kind, last in self.number.items()
                                      for number in range(last + 1)])


def check(history):
    """Raises a Finding unless the history is linearizable."""
    records = [record for record in history if record["op"] != "watch"]
    verdict = linear.check([linear.history.operation(record) for record in records], TIME_LIMIT_S)
    if not verdict.valid:
        raise Finding(f"{verdict.status}\n{verdict.report}")
    return len(records)
