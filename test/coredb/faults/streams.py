"""Streams: ids are unique and ascend in real time; of a group each entry goes to one consumer."""

from judge import agrees_with_time, by_key, finding
from session import Step

GROUP = "g"
# May be repeated, unlike the command.
CREATE = "redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM') return 1"


def number(text):
    """An id as something that can be compared."""
    ms, _, seq = text.partition("-")
    return int(ms), int(seq)


def entries(reply):
    return [[identifier, fields[1]] for identifier, fields in reply or ()]


def of_one_stream(reply):
    """[id, value] pairs of XREADGROUP's answer about one stream, in either protocol."""
    if not reply:
        return []
    return entries(reply[1] if isinstance(reply[0], str) else reply[0][1])


class Streams:
    clients = 5

    def __init__(self, run):
        self.run = run
        self.keys = [f"{run.prefix}stream:{n}" for n in range(2)]
        self.count = 0

    async def prepare(self, session):
        for key in self.keys:
            await session.certain("EVAL", CREATE, 1, key, GROUP)

    async def work(self, session):
        rng, key = session.rng, session.rng.choice(self.keys)
        choice = rng.random()
        if choice < 0.5:
            await session.perform(*(self.add(key) for _ in range(rng.choice((1, 1, 1, 4)))))
        elif choice < 0.9:
            await self.consume(session, key)
        else:
            await session.perform(self.read(key))

    def add(self, key):
        self.count += 1
        record = {"op": "add", "key": key, "value": str(self.count)}
        return Step(record, ("XADD", key, "*", "v", self.count))

    async def consume(self, session, key):
        rng, seconds = session.rng, session.rng.choice((0, 0.1, 0.5))
        block = ("BLOCK", int(seconds * 1000)) if seconds else ()
        record = {"op": "consume", "key": key}
        await session.call(record, "XREADGROUP", "GROUP", GROUP, session.name, "COUNT",
                           rng.randrange(1, 5), *block, "STREAMS", key, ">", decode=of_one_stream,
                           patience=self.run.patience + seconds)
        if record["outcome"] == "ok" and record["result"] and rng.random() < 0.5:
            await session.call({"op": "ack", "key": key, "ids": [i for i, _ in record["result"]]},
                               "XACK", key, GROUP, *(i for i, _ in record["result"]))

    @staticmethod
    def read(key):
        return Step({"op": "range", "key": key}, ("XRANGE", key, "-", "+"), decode=entries)

    @staticmethod
    def pending(key):
        return Step({"op": "pending", "key": key}, ("XPENDING", key, GROUP, "-", "+", 1000000),
                    decode=lambda reply: [item[:2] for item in reply])

    async def read_back(self, session):
        await session.surely(lambda: [make(key) for key in self.keys
                                      for make in (self.read, self.pending)])


def check(history):
    groups = by_key(history, "add", "consume", "ack", "range", "pending")
    for key, records in groups.items():
        _check_key(key, records)
    return sum(map(len, groups.values()))


def _check_key(key, records):
    adds = {r["value"]: r for r in records if r["op"] == "add"}
    ranges = [r for r in records if r["op"] == "range" and r["outcome"] == "ok"]
    longest = max(ranges, key=lambda r: len(r["result"]), default=None)
    whole = longest["result"] if longest else []
    places = {value: place for place, (_, value) in enumerate(whole)}
    _check_whole(key, whole, places, adds)
    seen = []
    for record in ranges:
        if record["result"] != whole[:len(record["result"])]:
            raise finding(f"{key}: two readers disagree ({len(record['result'])} entries)",
                          {**record, "result": record["result"][-5:]})
        seen.append((record, len(record["result"]), len(record["result"])))
    for value, record in adds.items():
        place = places.get(value)
        if record["outcome"] != "ok":
            if place is not None:
                seen.append((record, place, place + 1))
            continue
        if place is None and number(record["result"]) < number(whole[-1][0] if whole else "0-0"):
            raise finding(f"{key}: an acknowledged entry is lost", record)
        if place is not None:
            if whole[place][0] != record["result"]:
                raise finding(f"{key}: an entry has the id {whole[place][0]}", record)
            seen.append((record, place, place + 1))
    agrees_with_time(seen, key)
    ids = [(r, number(r["result"]), number(r["result"])) for r in adds.values()
           if r["outcome"] == "ok"]
    agrees_with_time(ids, f"{key}: ids")
    _check_group(key, records, places, whole)


def _check_whole(key, whole, places, adds):
    for (one, _), (other, value) in zip(whole, whole[1:]):
        if number(one) >= number(other):
            raise finding(f"{key}: id {other} follows {one}", adds[value])
    if len(places) != len(whole):
        raise finding(f"{key}: an entry is there twice", *list(adds.values())[:1])
    for _, value in whole:
        if value not in adds or adds[value]["outcome"] == "failed":
            raise finding(f"{key}: {value!r} was never added, or refused",
                          *([adds[value]] if value in adds else []))


def _check_group(key, records, places, whole):
    """No entry twice, none skipped, and those not acknowledged are pending for their consumer."""
    consumers = {}
    unknown = [r for r in records if r["op"] == "consume" and r["outcome"] == "unknown"]
    for record in records:
        if record["op"] != "consume" or record["outcome"] != "ok":
            continue
        for identifier, value in record["result"]:
            if identifier in consumers:
                raise finding(f"{key}: {identifier} went to two consumers", consumers[identifier],
                              record)
            if whole and value not in places:
                raise finding(f"{key}: {identifier} was consumed and is not in the stream", record)
            consumers[identifier] = record
    acked = {i for r in records if r["op"] == "ack" and r["outcome"] != "failed" for i in r["ids"]}
    for pending in (r for r in records if r["op"] == "pending" and r["outcome"] == "ok"):
        owners = dict(map(tuple, pending["result"]))
        for identifier, record in consumers.items():
            if identifier not in acked and owners.get(identifier) != record["client"]:
                raise finding(f"{key}: {identifier} is pending for {owners.get(identifier)}", record)
        names = {r["client"] for r in unknown}
        for identifier, owner in owners.items():
            if identifier not in consumers and owner not in names:
                raise finding(f"{key}: {identifier} is pending for {owner}, who never got it",
                              {**pending, "result": owner})
