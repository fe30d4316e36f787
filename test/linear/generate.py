"""Histories from an imaginary store, for the checker's own tests: linearizable unless told not to.

Virtual clients call a store that exists in one thread; every call takes effect at one moment
between its start and its end, so that the history is linearizable by construction.
"""

import heapq
import itertools

from .history import Operation


class Store:
    """A plain dictionary with every operation of the format, written apart from model.py."""

    def __init__(self):
        self.data = {}

    def condition(self, part):
        current, kind = self.data.get(part["key"]), part["op"]
        if kind == "exists":
            return current is not None
        if kind == "not_exists":
            return current is None
        if kind == "equal":
            return current == part["value"]
        if kind == "not_equal":
            return current != part["value"]
        if current is None:
            return False
        return {
            "greater": current > part["value"],
            "less": current < part["value"],
            "greater_equal": current >= part["value"],
            "less_equal": current <= part["value"],
        }[kind]

    def put(self, key, value):
        if value is None:
            self.data.pop(key, None)
        else:
            self.data[key] = value

    def apply_parts(self, parts):
        for part in parts:
            self.put(part["key"], part.get("value") if part["op"] == "set" else None)

    def call(self, fields):
        """Performs one call and returns its result."""
        name, key = fields["op"], fields.get("key")
        old = self.data.get(key)
        if name == "get":
            return old
        if name == "list":
            return list(old or ())
        if name in ("set", "getset", "delete"):
            self.put(key, fields.get("value") if name != "delete" else None)
            return old if name == "getset" else None
        if name == "cas":
            if old == fields["expect"]:
                self.put(key, fields["value"])
                return True
            return False
        if name == "incr":
            self.data[key] = (old or 0) + fields.get("by", 1)
            return self.data[key]
        if name == "append":
            self.data[key] = (old or ()) + (fields["value"],)
            return len(self.data[key])
        if name == "batch":
            self.apply_parts(fields["operations"])
            return None
        if name == "scan":
            found = [item for item in self.data.items() if item[0].startswith(fields["prefix"])]
            return sorted(map(list, found))
        branch = all(self.condition(part) for part in fields["conditions"])
        parts = fields["if_then"] if branch else fields.get("else_then", [])
        previous = [self.data.get(part["key"]) for part in parts]
        self.apply_parts(parts)
        if not fields.get("return_previous"):
            previous = []
        return {"branch": branch, "prev_values": previous}


def run(random, make_call, clients, count, unknown=0.02, failed=0.01, spread=100):
    """A history of `count` calls; make_call(random, client, number) gives each call's members."""
    store = Store()
    events, operations, order = [], [], itertools.count()

    def push(when, client, what, fields=None):
        heapq.heappush(events, (when, next(order), client, what, fields))

    for client in range(clients):
        push(random.randrange(spread), client, "start")
    while events:
        now, _, client, what, fields = heapq.heappop(events)
        if what == "start":
            if len(operations) == count:
                continue
            fields = {**make_call(random, client, len(operations)), "client": client, "start": now}
            operations.append(fields)
            fate = random.random()
            delay = random.randrange(1, spread)
            if fate < failed:
                fields.update(outcome="failed", end=now + delay)
                push(now + delay + 1, client, "start")
            elif fate < failed + unknown:
                # It may take effect long after its client gave up, or never.
                fields["outcome"] = "unknown"
                push(now + spread, client, "start")
                if random.random() < 0.7:
                    push(now + delay * random.choice((1, 1, 10, 100)), client, "apply", fields)
            else:
                fields["outcome"] = "ok"
                push(now + delay, client, "apply", fields)
        else:
            result = store.call(fields)
            if fields["outcome"] == "ok":
                end = now + random.randrange(1, spread)
                fields.update(result=result, end=end)
                push(end + random.randrange(1, spread), client, "start")
    return [Operation(fields) for fields in operations]


def register_call(keys):
    """Calls on single keys, every written value different."""

    def make(random, client, number):
        key, value = f"k{random.randrange(keys)}", f"{client}.{number}"
        kind = random.choice(("get", "get", "get", "set", "set", "getset", "delete"))
        fields = {"op": kind, "key": key}
        if kind in ("set", "getset"):
            fields["value"] = value
        return fields

    return make


def mixed_call(keys, group=3):
    """Calls on single keys and transactions and batches within groups of keys."""
    single = register_call(keys)

    def part(random, base, value):
        key = f"k{base + random.randrange(group)}"
        if random.random() < 0.2:
            return {"op": "delete", "key": key}
        return {"op": "set", "key": key, "value": value}

    def make(random, client, number):
        kind = random.random()
        if kind < 0.6:
            return single(random, client, number)
        base = random.randrange(keys // group) * group
        parts = [part(random, base, f"{client}.{number}.{n}") for n in range(2)]
        if kind < 0.7:
            return {"op": "batch", "operations": parts}
        condition = {"op": "exists", "key": f"k{base}"}
        if random.random() < 0.5:
            condition = {"op": "less", "key": f"k{base}", "value": f"{random.randrange(16)}"}
        return {
            "op": "txn",
            "conditions": [condition] if random.random() < 0.5 else [],
            "if_then": parts,
            "else_then": [part(random, base, f"{client}.{number}.e")],
            "return_previous": random.random() < 0.8,
        }

    return make
