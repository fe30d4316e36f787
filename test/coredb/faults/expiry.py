"""Keys that expire, and locks made of them.

All times are of one clock of this machine. A key that was set with a time to live is there for at
least so long after the command began, and gone for good at the latest so long after it ended.
"""

from judge import by_key, end_of, finding
from session import Step, transaction

UNLOCK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
# Times to live count in whole milliseconds, at both ends.
ROUNDING_NS = 2 * 1000 * 1000
LOCKS = 2


class Expiry:
    """Each key is set once; everybody looks at the latest ones until long after their end."""

    clients = 5
    skewed = False  # the nodes' clocks differ: when a key ends is open, but not that it ends once

    def __init__(self, run):
        self.run = run
        self.count = 0
        self.watched = []

    async def work(self, session):
        rng = session.rng
        if rng.random() < 0.2 or not self.watched:
            await session.perform(self.create(rng))
            return
        key = rng.choice(self.watched[-12:])
        await session.perform(self.look(rng, key))
        await self.run.pause(rng.uniform(0, 0.02))

    def create(self, rng):
        self.count += 1
        key = f"{self.run.prefix}expiring:{self.count}"
        ttl = rng.choice((1, 50, 200, 1000, 3000))
        record = {"op": "create", "key": key, "ttl_ms": ttl, "skewed": self.skewed}
        self.watched.append(key)
        return rng.choice((
            lambda: Step(record, ("SET", key, "v", "PX", ttl)),
            lambda: Step(record, ("PSETEX", key, ttl, "v")),
            lambda: Step(record, ("SET", key, "v", "NX", "PX", ttl)),
            lambda: transaction(record, ("SET", key, "v"), ("PEXPIRE", key, ttl)),
        ))()

    @staticmethod
    def look(rng, key):
        record = {"op": "look", "key": key}
        return rng.choice((
            lambda: Step(record, ("GET", key), decode=lambda r: r is not None),
            lambda: Step(record, ("EXISTS", key), decode=bool),
            lambda: Step(record, ("TYPE", key), decode=lambda r: r != "none"),
            lambda: Step(record, ("PTTL", key), decode=lambda r: r != -2),
            # Looks at apply, not in a query.
            lambda: transaction(record, ("PERSIST", f"{key}:no"), ("STRLEN", key),
                                decode=lambda r: r[1] == 1),
        ))()

    async def read_back(self, session):
        await session.surely(lambda: [self.look(session.rng, key) for key in self.watched[-30:]])


class SkewedExpiry(Expiry):
    skewed = True


def check(history):
    groups = by_key(history, "create", "look")
    for key, records in groups.items():
        _check_key(key, records)
    return sum(map(len, groups.values()))


def _check_key(key, records):
    create = next(r for r in records if r["op"] == "create")
    looks = [r for r in records if r["op"] == "look" and r["outcome"] == "ok"]
    ttl_ns = create["ttl_ms"] * 1000000
    gone = None  # the first that ended and had found it gone, after it had surely been there
    for record in sorted(looks, key=lambda r: r["end"]):
        there = record["result"]
        if there and create["outcome"] == "failed":
            raise finding(f"{key}: a refused key is there", create, record)
        late = record["start"] > end_of(create) + ttl_ns + ROUNDING_NS
        if there and late and not create["skewed"]:
            raise finding(f"{key}: there after its end", create, record)
        created = create["outcome"] == "ok" and record["start"] > create["end"]
        if not there and created:
            early = record["end"] < create["start"] + ttl_ns - ROUNDING_NS
            if early and not create["skewed"]:
                raise finding(f"{key}: gone before its end", create, record)
            gone = gone or record
    seen = [r for r in looks if r["result"]]
    for record in seen:
        if gone is not None and record["start"] > gone["end"]:
            raise finding(f"{key}: back after it had been gone", create, gone, record)
    # Of a creation of unknown outcome: there, gone, there.
    first = min((r["end"] for r in seen), default=None)
    for record in looks:
        if first is None or record["result"] or record["start"] < first:
            continue
        for later in seen:
            if later["start"] > record["end"]:
                raise finding(f"{key}: back after it had been gone", record, later)


class Locks:
    """SET NX PX with a token of one's own; released by a script or by WATCH, or left to expire."""

    clients = 5

    def __init__(self, run):
        self.run = run
        self.keys = [f"{run.prefix}lock:{n}" for n in range(LOCKS)]
        self.count = 0

    async def work(self, session):
        rng = session.rng
        key, ttl = rng.choice(self.keys), rng.choice((100, 300, 1000, 2500))
        self.count += 1
        token = str(self.count)
        record = {"op": "lock", "key": key, "token": token, "ttl_ms": ttl}
        await session.call(record, "SET", key, token, "NX", "PX", ttl, decode=lambda r: r == "OK")
        if record["outcome"] == "ok" and not record["result"]:
            await self.run.pause(rng.uniform(0, 0.03))
            return
        await self.run.pause(rng.uniform(0, 1.2 * ttl / 1000) if rng.random() < 0.5 else 0)
        # Also those that do not know whether they have it may give it back.
        choice = rng.random()
        if choice < 0.4:
            await session.call({"op": "unlock", "key": key, "token": token}, "EVAL", UNLOCK, 1, key,
                               token, decode=bool)
        elif choice < 0.8:
            await self.unlock_by_watch(session, key, token)

    async def unlock_by_watch(self, session, key, token):
        seen = {"op": "holder", "key": key}
        await session.connect(hop=False)
        await session.perform(Step({"op": "watch"}, ("WATCH", key)), Step(seen, ("GET", key)))
        if seen["outcome"] != "ok" or seen["result"] != token or session.link is None:
            session.close()  # and with it what is watched
            return
        record = {"op": "unlock", "key": key, "token": token}
        await session.perform(transaction(record, ("DEL", key), decode=lambda r: r and bool(r[0]),
                                          watched=True))
        if record["outcome"] == "ok" and record["result"] is None:
            # WATCH may have failed: it does not say who holds the lock.
            record["outcome"], record["error"] = "failed", "EXEC refused"

    async def read_back(self, session):
        await session.surely(lambda: [Step({"op": "holder", "key": key}, ("GET", key))
                                      for key in self.keys])


def check_locks(history):
    groups = by_key(history, "lock", "unlock", "holder")
    for key, records in groups.items():
        _check_lock(key, records)
    return sum(map(len, groups.values()))


class Hold:
    """When a token surely held the lock: from its acknowledgement to the first possible end."""

    def __init__(self, lock):
        self.lock = lock
        self.begin = lock["end"]
        self.end = lock["start"] + lock["ttl_ms"] * 1000000 - ROUNDING_NS
        self.latest = lock["end"] + lock["ttl_ms"] * 1000000 + ROUNDING_NS

    def contains(self, record):
        return self.begin < record["start"] and end_of(record) < self.end


def _check_lock(key, records):
    locks = {r["token"]: r for r in records if r["op"] == "lock"}
    holds = {token: Hold(r) for token, r in locks.items() if r["outcome"] == "ok" and r["result"]}
    for record in records:
        if record["op"] == "unlock" and record["token"] in holds and record["outcome"] != "failed":
            hold = holds[record["token"]]
            refused = record["outcome"] == "ok" and not record["result"]
            if refused and hold.contains(record):
                raise finding(f"{key}: a lock was lost before its time", hold.lock, record)
            if not refused:
                hold.end = min(hold.end, record["start"])
    _check_exclusion(key, records, locks, holds)
    for record in records:
        if record["op"] == "unlock" and record["outcome"] == "ok" and record["result"]:
            lock = locks[record["token"]]
            if lock["outcome"] == "failed":
                raise finding(f"{key}: a refused lock was held", lock, record)
            late = end_of(lock) + lock["ttl_ms"] * 1000000 + ROUNDING_NS
            if record["start"] > late:
                raise finding(f"{key}: a lock was held after its end", lock, record)


def _check_exclusion(key, records, locks, holds):
    """While one surely holds it, nobody else gets it, sees another holder or sees it free."""
    spans = sorted(holds.items(), key=lambda item: item[1].begin)
    position, longest = 0, None
    for record in sorted(records, key=lambda r: r["start"]):
        while position < len(spans) and spans[position][1].begin < record["start"]:
            if longest is None or spans[position][1].end > longest[1].end:
                longest = spans[position]
            position += 1
        if record["outcome"] != "ok":
            continue
        if record["op"] == "holder" and record["result"] is not None:
            lock = locks.get(record["result"])
            if lock is None or lock["outcome"] == "failed":
                raise finding(f"{key}: held by {record['result']!r}, who never got it", record)
        if longest is None or not longest[1].contains(record):
            continue
        token, hold = longest
        if record["op"] == "lock" and record["result"]:
            raise finding(f"{key}: two holders at once", hold.lock, record)
        if record["op"] == "holder" and record["result"] != token:
            raise finding(f"{key}: held by {token!r}, but seen as {record['result']!r}", hold.lock,
                          record)
        if record["op"] == "unlock" and record["result"] and record["token"] != token:
            raise finding(f"{key}: released by another than its holder", hold.lock, record)
