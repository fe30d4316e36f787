"""Transfers between accounts by MULTI, by WATCH and by EVAL; each leaves its number in a log list.

The log is the order in which all transfers took effect, those of unknown outcome included, so every
answer can be recomputed: nothing is left to search.
"""

from judge import agrees_with_time, finding
from session import Step, transaction

ACCOUNTS = 5
INITIAL = 1000
SCRIPT = """
local from, to = tonumber(redis.call('GET', KEYS[1])), tonumber(redis.call('GET', KEYS[2]))
if from < tonumber(ARGV[1]) then return false end
redis.call('SET', KEYS[1], from - ARGV[1])
redis.call('INCRBY', KEYS[2], ARGV[1])
return {from - ARGV[1], to + ARGV[1], redis.call('RPUSH', KEYS[3], ARGV[2])}
"""


class Bank:
    clients = 5

    def __init__(self, run):
        self.accounts = [f"{run.prefix}bank:{n}" for n in range(ACCOUNTS)]
        self.log = f"{run.prefix}bank:log"
        self.count = 0

    async def prepare(self, session):
        await session.certain("MSET", *(part for a in self.accounts for part in (a, INITIAL)))

    async def work(self, session):
        rng = session.rng
        one, other = rng.sample(range(ACCOUNTS), 2)
        self.count += 1
        record = {"op": "transfer", "id": str(self.count), "from": one, "to": other,
                  "amount": rng.randrange(1, 100)}
        await rng.choice((self.read, self.by_multi, self.by_watch, self.by_script))(session, record)

    async def read(self, session, _):
        record = {"op": "balances"}
        if session.rng.random() < 0.5:
            await session.call(record, "MGET", *self.accounts, decode=lambda r: [list(map(int, r))])
            return
        await session.perform(self.all_balances(record))

    def all_balances(self, record):
        return transaction(
            record, ("LLEN", self.log), *(("GET", account) for account in self.accounts),
            decode=lambda replies: [list(map(int, replies[1:])), replies[0]])

    async def by_multi(self, session, record):
        await session.perform(transaction(
            record, ("DECRBY", self.accounts[record["from"]], record["amount"]),
            ("INCRBY", self.accounts[record["to"]], record["amount"]),
            ("RPUSH", self.log, record["id"])))

    async def by_script(self, session, record):
        keys = [self.accounts[record["from"]], self.accounts[record["to"]], self.log]
        await session.call(record, "EVAL", SCRIPT, 3, *keys, record["amount"], record["id"])

    async def by_watch(self, session, record):
        """Leaves time between WATCH and EXEC, in which others write and leaders fall."""
        keys = [self.accounts[record["from"]], self.accounts[record["to"]]]
        before = {"op": "two balances", "of": [record["from"], record["to"]]}
        await session.perform(Step({"op": "watch"}, ("WATCH", *keys)),
                              Step(before, ("MGET", *keys), decode=lambda r: list(map(int, r))))
        if before["outcome"] != "ok" or session.link is None:
            session.close()  # and with it what is watched
            return
        if session.rng.random() < 0.3:
            await session.run.pause(session.rng.uniform(0, 1))
        left, right = before["result"]
        amount = record["amount"]
        record["watched"] = [left, right]
        await session.perform(transaction(
            record, ("SET", keys[0], left - amount), ("SET", keys[1], right + amount),
            ("RPUSH", self.log, record["id"]),
            decode=lambda r: r and [left - amount, right + amount, r[2]], watched=True))

    async def read_back(self, session):
        await session.surely(lambda: [Step({"op": "log"}, ("LRANGE", self.log, 0, -1)),
                                      self.all_balances({"op": "balances"})])


def check(history):
    """The history of one bank; raises a Finding."""
    logs = [r for r in history if r["op"] == "log" and r["outcome"] == "ok"]
    for log in logs:
        if log["result"] != logs[0]["result"]:
            raise finding("the log of transfers differs between readers", log, logs[0])
    transfers = {r["id"]: r for r in history if r["op"] == "transfer"}
    order = logs[0]["result"] if logs else []
    states = _replay(order, transfers)
    seen = []
    for place, number in enumerate(order):
        seen.append((transfers[number], place, place + 1))
    places = {number: place for place, number in enumerate(order)}
    for record in transfers.values():
        _check_transfer(record, places.get(record["id"]), states)
    known = {}
    for place, state in enumerate(states):
        known.setdefault(tuple(state), []).append(place)
    for record in history:
        if record["outcome"] == "ok" and record["op"] == "balances":
            place = _check_balances(record, states, known)
            if place is not None:
                seen.append((record, place, place))
    agrees_with_time(seen, "the bank")
    return len(history)


def _replay(order, transfers):
    """The balances after 0, 1, 2... transfers."""
    balances = [INITIAL] * ACCOUNTS
    states = [list(balances)]
    for place, number in enumerate(order):
        if number not in transfers:
            raise finding(f"transfer {number!r} of the log was never asked for")
        record = transfers[number]
        if record["outcome"] == "failed":
            raise finding("a refused transfer took effect", record)
        if number in order[:place]:
            raise finding("a transfer took effect twice", record)
        balances[record["from"]] -= record["amount"]
        balances[record["to"]] += record["amount"]
        watched = record.get("watched")
        if watched:
            now = [states[-1][record["from"]], states[-1][record["to"]]]
            if now != watched:
                raise finding(f"EXEC ran although a watched key had changed: {watched} before it "
                              f"and {now} at it", record)
        states.append(list(balances))
    return states


def _check_transfer(record, place, states):
    if record["outcome"] != "ok":
        return
    if record["result"] is None:
        if place is not None:
            raise finding("a transfer that was said not to be executed took effect", record)
        return
    if place is None:
        raise finding("an acknowledged transfer is lost", record)
    state = states[place + 1]
    expected = [state[record["from"]], state[record["to"]], place + 1]
    if record["result"] != expected:
        raise finding(f"a transfer was told {record['result']}, but its place in the log means "
                      f"{expected}", record)


def _check_balances(record, states, known):
    """Where the log was when this was read; None when that is not clear."""
    balances = record["result"][0]
    if sum(balances) != ACCOUNTS * INITIAL:
        raise finding(f"the sum of all balances is {sum(balances)}", record)
    if len(record["result"]) == 2:
        place = record["result"][1]
        if place >= len(states) or states[place] != balances:
            raise finding(f"after {place} transfers of the log the balances are not these", record)
        return place
    places = known.get(tuple(balances))
    if places is None:
        raise finding("these balances never stood at one moment", record)
    return places[0] if len(places) == 1 else None
