"""Jobs that are put into a list, a sorted set or a set and taken out by one client each."""

from judge import by_key, end_of, finding
from session import Step, transaction

KINDS = ("list", "list", "zset", "set")


class Queues:
    clients = 7

    def __init__(self, run):
        self.run = run
        self.keys = [f"{run.prefix}queue:{kind}:{n}" for n, kind in enumerate(KINDS)]
        self.count = 0

    async def work(self, session):
        key = session.rng.choice(self.keys)
        if session.rng.random() < 0.4:
            await session.perform(*(self.put(session.rng, key)
                                    for _ in range(session.rng.choice((1, 1, 2, 8)))))
        else:
            await self.take(session, key)

    def put(self, rng, key):
        self.count += 1
        value = str(self.count)
        record = {"op": "put", "key": key, "value": value}
        if ":zset:" in key:
            return Step(record, ("ZADD", key, self.count, value))
        if ":set:" in key:
            return Step(record, ("SADD", key, value))
        if rng.random() < 0.1:
            return transaction(record, ("RPUSH", key, value))
        return Step(record, ("RPUSH", key, value))

    async def take(self, session, key):
        record = {"op": "take", "key": key}
        rng, seconds = session.rng, session.rng.choice((0.05, 0.2, 1))
        patience = self.run.patience + seconds
        if ":zset:" in key:
            commands = (("ZPOPMIN", key), ("BZPOPMIN", key, seconds))
        elif ":set:" in key:
            commands = (("SPOP", key),)
        else:
            commands = (("LPOP", key), ("BLPOP", key, seconds), ("BLPOP", f"{key}:no", key, seconds),
                        ("LMPOP", 1, key, "LEFT"), ("BLMPOP", seconds, 1, key, "LEFT"))
        command = rng.choice(commands)
        record["by"] = command[0]
        await session.call(record, *command, decode=ELEMENT[command[0]], patience=patience)

    async def read_back(self, session):
        await session.surely(lambda: [self.rest(key) for key in self.keys])

    @staticmethod
    def rest(key):
        command = ("LRANGE", key, 0, -1)
        if ":zset:" in key:
            command = ("ZRANGE", key, 0, -1)
        elif ":set:" in key:
            command = ("SMEMBERS", key)
        return Step({"op": "rest", "key": key}, command)


ELEMENT = {
    "LPOP": lambda r: r,
    "SPOP": lambda r: r,
    "BLPOP": lambda r: r and r[1],
    "LMPOP": lambda r: r and r[1][0],
    "BLMPOP": lambda r: r and r[1][0],
    "ZPOPMIN": lambda r: r[0] if r else None,
    "BZPOPMIN": lambda r: r and r[1],
}


def check(history):
    groups = by_key(history, "put", "take", "rest")
    for key, records in groups.items():
        _check_key(key, records)
    return sum(map(len, groups.values()))


def _check_key(key, records):
    puts = {r["value"]: r for r in records if r["op"] == "put"}
    takes = [r for r in records if r["op"] == "take" and r["outcome"] == "ok"]
    taken = {}
    for record in takes:
        value = record["result"]
        if value is None:
            continue
        if value not in puts:
            raise finding(f"{key}: nobody has put {value!r}", record)
        if value in taken:
            raise finding(f"{key}: {value!r} went to two clients", puts[value], taken[value], record)
        if puts[value]["outcome"] == "failed":
            raise finding(f"{key}: a refused element was there", puts[value], record)
        if record["end"] < puts[value]["start"]:
            raise finding(f"{key}: taken before it was put", puts[value], record)
        taken[value] = record
    _check_rest(key, records, puts, taken)
    if ":list:" in key:
        _check_order(key, puts, taken)


def _check_rest(key, records, puts, taken):
    """What was acknowledged and not taken is still there, but for the takes of unknown outcome."""
    rests = [r for r in records if r["op"] == "rest" and r["outcome"] == "ok"]
    perhaps = [r for r in records if r["op"] == "take" and r["outcome"] == "unknown"]
    rest = rests[-1]["result"] if rests else None
    if rest is None:
        _check_empty(key, records, puts, taken, ())
        return
    for record in rests:
        if sorted(record["result"]) != sorted(rest):
            raise finding(f"{key}: readers of what is left disagree", record, rests[-1])
    for value in rest:
        if value in taken:
            raise finding(f"{key}: {value!r} was taken and is still there", taken[value], rests[-1])
        if value not in puts or puts[value]["outcome"] == "failed":
            raise finding(f"{key}: {value!r} was never put", puts.get(value, rests[-1]), rests[-1])
    missing = [r for value, r in puts.items()
               if r["outcome"] == "ok" and value not in taken and value not in rest]
    if len(missing) > len(perhaps):
        raise finding(f"{key}: {len(missing)} elements are lost, but only {len(perhaps)} takes are of "
                      "unknown outcome", *missing[:5])
    _check_empty(key, records, puts, taken, rest)


def _check_empty(key, records, puts, taken, rest):
    """Nobody finds it empty while an element is certainly there."""
    certain = [(end_of(puts[v]), taken[v]["start"], puts[v], taken[v]) for v in taken]
    certain += [(end_of(puts[v]), float("inf"), puts[v], puts[v]) for v in rest]
    certain.sort(key=lambda item: item[0])
    longest, position = None, 0
    for record in sorted(records, key=lambda r: r["start"]):
        if record["op"] != "take" or record["outcome"] != "ok" or record["result"] is not None:
            continue
        while position < len(certain) and certain[position][0] < record["start"]:
            if longest is None or certain[position][1] > longest[1]:
                longest = certain[position]
            position += 1
        if longest is not None and longest[1] > record["end"]:
            raise finding(f"{key}: found empty while {longest[2]['value']!r} was there", longest[2],
                          longest[3], record)


def _check_order(key, puts, taken):
    """First in, first out: what was put later is not taken earlier."""
    ended = sorted(taken.items(), key=lambda item: item[1]["end"])
    latest, position = None, 0
    for value, record in sorted(taken.items(), key=lambda item: item[1]["start"]):
        while position < len(ended) and ended[position][1]["end"] < record["start"]:
            other = puts[ended[position][0]]
            if latest is None or other["start"] > latest["start"]:
                latest = other
            position += 1
        if latest is not None and latest["start"] > end_of(puts[value]):
            raise finding(f"{key}: taken out of order", puts[value], latest, taken[latest["value"]],
                          record)
