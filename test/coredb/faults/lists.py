"""Lists that only grow at their end: all readers must see beginnings of one and the same list.

One of them is a string of numbers of one width, grown by APPEND.
"""

from judge import agrees_with_time, by_key, finding
from session import Step, transaction

SCRIPT = "return redis.call('RPUSH', KEYS[1], unpack(ARGV))"
LENGTH = 250  # about; then clients go on to the next list
WIDTH = 7  # of an element of a string
KINDS = ("list", "list", "string")


def pieces(text):
    return [text[at:at + WIDTH] for at in range(0, len(text or ""), WIDTH)]


class Lists:
    """The last client reads what its node has, be that old: only that must not go back."""

    clients = 6

    def __init__(self, run):
        self.run = run
        self.number = [0] * len(KINDS)
        self.count = 0

    def greeting(self, number):
        return (("RAFT.READ", "local"),) if number == self.clients - 1 else ()

    def key(self, which, number=None):
        number = self.number[which] if number is None else number
        return f"{self.run.prefix}{KINDS[which]}:{which}:{number}"

    def keys(self):
        return [self.key(which, number)
                for which, last in enumerate(self.number) for number in range(last + 1)]

    def push(self, rng, key):
        values = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            self.count += 1
            values.append(f"{self.count:0{WIDTH}}")
        record = {"op": "push", "key": key, "values": values}
        choice = rng.random()
        if "string:" in key:
            return Step(record, ("APPEND", key, "".join(values)), decode=lambda size: size // WIDTH)
        if choice < 0.1:
            return Step(record, ("EVAL", SCRIPT, 1, key, *values))
        if choice < 0.2:
            return transaction(record, *(("RPUSH", key, value) for value in values),
                               decode=lambda replies: replies[-1])
        return Step(record, ("RPUSH", key, *values))

    @staticmethod
    def read(key):
        record = {"op": "list", "key": key}
        if "string:" in key:
            return Step(record, ("GET", key), decode=pieces)
        return Step(record, ("LRANGE", key, 0, -1))

    @staticmethod
    def length(key):
        record = {"op": "length", "key": key}
        if "string:" in key:
            return Step(record, ("STRLEN", key), decode=lambda size: size // WIDTH)
        return Step(record, ("LLEN", key))

    async def work(self, session):
        rng = session.rng
        which = rng.randrange(len(self.number))
        key = self.key(which)
        if session.greeting:
            step = self.length(key)
            step.record.update(op="local", link=session.links)
            await session.perform(step)
            return
        choice = rng.random()
        if choice < 0.2:
            steps = [self.read(key)]
        elif choice < 0.3:
            steps = [self.length(key)]
        elif choice < 0.5:
            steps = [self.push(rng, key) for _ in range(rng.randrange(2, 10))]
            steps += [self.read(key)] if rng.random() < 0.3 else []
        else:
            steps = [self.push(rng, key)]
        await session.perform(*steps)
        record = steps[-1].record
        if record["outcome"] == "ok" and record["op"] == "push" and record["result"] > LENGTH:
            if key == self.key(which):
                self.number[which] += 1

    async def read_back(self, session):
        await session.surely(lambda: [self.read(key) for key in self.keys()])


def check(history):
    groups = by_key(history, "push", "list", "length", "local")
    for key, records in groups.items():
        check_key(key, records)
    return sum(map(len, groups.values()))


def check_key(key, records):
    """Of the records of one list; raises a Finding."""
    reads = [r for r in records if r["op"] == "list" and r["outcome"] == "ok"]
    longest = max(reads, key=lambda r: len(r["result"]), default=None)
    elements = longest["result"] if longest else []
    places = {value: place for place, value in enumerate(elements)}
    pushes = {value: r for r in records if r["op"] == "push" for value in r["values"]}
    if len(places) != len(elements):
        twice = next(v for v in elements if elements.count(v) > 1)
        raise finding(f"{key}: {twice!r} is there twice", pushes[twice], _short(longest))
    for record in reads:
        if record["result"] != elements[:len(record["result"])]:
            at = next(i for i, v in enumerate(record["result"]) if v != elements[i])
            raise finding(f"{key}: two readers disagree at place {at}: {record['result'][at]!r} and "
                          f"{elements[at]!r}", _short(record), _short(longest))
    for value in elements:
        if value not in pushes:
            raise finding(f"{key}: nobody has pushed {value!r}", _short(longest))
        if pushes[value]["outcome"] == "failed":
            raise finding(f"{key}: {value!r} was refused, and is there", pushes[value],
                          _short(longest))
    agrees_with_time(_places(key, records, places, len(elements), longest), key)
    _check_sessions(key, records, places)
    _check_local(key, records, elements, pushes)


def _places(key, records, places, size, longest):
    """(record, before, after) of all that has a place in the list."""
    seen = []
    for record in records:
        if record["op"] == "push":
            at = [places.get(value) for value in record["values"]]
            first = at[0]
            if first is None and record["outcome"] == "ok":
                first = record["result"] - len(at)
                if first < size:
                    raise finding(f"{key}: a push is lost", record, _short(longest))
                at = list(range(first, first + len(at)))
            if any(at[i] != first + i for i in range(len(at)) if first is not None):
                raise finding(f"{key}: one push is not in one piece", record, _short(longest))
            if first is None:
                continue
            after = first + len(at)
            if record["outcome"] == "ok" and record["result"] != after:
                raise finding(f"{key}: a push was told length {record['result']}, but ends at "
                              f"{after}", record, _short(longest))
            seen.append((record, first, after))
        elif record["outcome"] == "ok" and record["op"] != "local":
            length = len(record["result"]) if record["op"] == "list" else record["result"]
            seen.append((record, length, length))
    return seen


def _check_sessions(key, records, places):
    """Pushes of one pipeline are in its order."""
    previous = None
    for record in records:
        if record["op"] != "push" or record["values"][0] not in places:
            continue
        if (previous is not None and record.get("place", 0) > previous.get("place", 0)
                and all(record[name] == previous[name] for name in ("client", "start"))
                and places[record["values"][0]] < places[previous["values"][0]]):
            raise finding(f"{key}: a pipeline was not kept in order", previous, record)
        previous = record


def _check_local(key, records, elements, pushes):
    """What one connection reads of its node only grows, and comes from nowhere else."""
    last = {}
    for record in records:
        if record["op"] != "local" or record["outcome"] != "ok":
            continue
        before = last.setdefault((record["client"], record["link"]), record)
        if record["result"] < before["result"]:
            raise finding(f"{key}: a local read went back", before, record)
        last[record["client"], record["link"]] = record
        size = min(record["result"], len(elements))
        if size > 0 and pushes[elements[size - 1]]["start"] > record["end"]:
            raise finding(f"{key}: a local read ran ahead", record, pushes[elements[size - 1]])


def _short(record):
    """A reader whose list would fill the screen, with the end of it."""
    if record is None or len(record["result"]) <= 12:
        return record or {"op": "nobody has read it", "start": 0, "end": 0, "outcome": "ok",
                          "result": None}
    return {**record, "result": ["...", *record["result"][-12:]], "length": len(record["result"])}
