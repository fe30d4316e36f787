"""Counters of many kinds, which only grow: each increment takes a range of numbers of its own."""

from judge import agrees_with_time, by_key, end_of, finding
from session import Step, transaction

SCRIPT = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
NUMBER = float  # ZINCRBY answers with a text, or in RESP3 with a double


class Counters:
    """The type is in the key's name; what counts down is recorded with its sign turned."""

    clients = 5

    def __init__(self, run):
        self.keys = [f"{run.prefix}count:{kind}:{n}"
                     for kind in ("up", "down", "hash", "zset") for n in range(2)]

    def steps(self, key, amount):
        kind = key.rsplit(":", 2)[1]
        record = {"op": "add", "key": key, "by": amount}
        if kind == "down":
            return Step(record, ("DECRBY", key, amount), decode=lambda value: -value)
        if kind == "hash":
            return Step(record, ("HINCRBY", key, "f", amount))
        if kind == "zset":
            return Step(record, ("ZINCRBY", key, amount, "m"), decode=NUMBER)
        return Step(record, ("INCRBY", key, amount))

    def read(self, key):
        kind = key.rsplit(":", 2)[1]
        record = {"op": "read", "key": key}
        if kind == "hash":
            return Step(record, ("HGET", key, "f"), decode=lambda value: int(value or 0))
        if kind == "zset":
            return Step(record, ("ZSCORE", key, "m"), decode=lambda value: NUMBER(value or 0))
        sign = -1 if kind == "down" else 1
        return Step(record, ("GET", key), decode=lambda value: sign * int(value or 0))

    async def work(self, session):
        rng = session.rng
        key, amount = rng.choice(self.keys), rng.randrange(1, 10)
        choice = rng.random()
        if choice < 0.25:
            await session.perform(self.read(key))
        elif choice < 0.4:
            # A pipeline on several keys.
            await session.perform(*(self.steps(rng.choice(self.keys), rng.randrange(1, 10))
                                    for _ in range(rng.randrange(2, 12))))
        elif choice < 0.5 and ":up:" in key:
            record = {"op": "add", "key": key, "by": amount}
            await session.call(record, "EVAL", SCRIPT, 1, key, amount)
        elif choice < 0.6 and ":up:" in key:
            record = {"op": "add", "key": key, "by": amount}
            await session.perform(transaction(record, ("INCRBY", key, amount),
                                              decode=lambda replies: replies[0]))
        else:
            await session.perform(self.steps(key, amount))

    async def read_back(self, session):
        await session.surely(lambda: [self.read(key) for key in self.keys])


def check(history):
    """Raises a Finding; returns how many operations were looked at."""
    groups = by_key(history, "add", "read")
    for key, records in groups.items():
        _check_key(key, records)
    return sum(map(len, groups.values()))


def _check_key(key, records):
    adds = [r for r in records if r["op"] == "add" and r["outcome"] == "ok"]
    reads = [r for r in records if r["op"] == "read" and r["outcome"] == "ok"]
    perhaps = [r for r in records if r["op"] == "add" and r["outcome"] == "unknown"]
    adds.sort(key=lambda r: r["result"])
    before = None
    for record in adds:
        low = record["result"] - record["by"]
        if before is not None and low < before["result"]:
            raise finding(f"{key}: two increments took the same number", before, record)
        before = record
    _check_sums(key, adds, reads, perhaps)
    seen = [(r, r["result"] - r["by"], r["result"]) for r in adds]
    agrees_with_time(seen + [(r, r["result"], r["result"]) for r in reads], key)


def _check_sums(key, adds, reads, perhaps):
    """Every number is the sum of the certain increments below it and of some unknown ones."""
    # (number reached, record, what certain increments contribute up to it)
    total, marks = 0, []
    for record in adds:
        total += record["by"]
        marks.append((record["result"], record, total))
    position = 0
    sums = [0]
    for value, _, total in marks:
        sums.append(total)
    marks_values = [value for value, _, _ in marks]
    for record in sorted(reads, key=lambda r: r["result"]):
        while position < len(marks_values) and marks_values[position] <= record["result"]:
            position += 1
        if position < len(adds) and adds[position]["result"] - adds[position]["by"] < record["result"]:
            raise finding(f"{key}: a read of a number that was never reached", adds[position], record)
        marks.append((record["result"], record, sums[position]))
    started = sorted(perhaps, key=lambda r: r["start"])
    possible, count = {0}, 0
    # What may have been added before an operation ended can only have begun before that.
    for value, record, certain in sorted(marks, key=lambda mark: end_of(mark[1])):
        while count < len(started) and started[count]["start"] <= end_of(record):
            possible |= {amount + started[count]["by"] for amount in possible}
            count += 1
        if value - certain not in possible:
            raise finding(f"{key}: {value} is not the sum of the certain increments up to it "
                          f"({certain}) and of some of the {count} unknown ones", record)
