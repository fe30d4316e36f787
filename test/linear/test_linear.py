#!/usr/bin/env python3
"""Tests of the linearizability checker: histories known to be good or bad, brute force, speed."""

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import linear  # noqa: E402 (the path must be set first)
from linear import generate, history  # noqa: E402

# One seed unless another is asked for: how far a counterexample can be shortened in the time given
# differs from one history to the next. SEED=random draws one.
SEED = os.environ.get("SEED", "20261123")
SEED = random.randrange(1 << 32) if SEED == "random" else int(SEED)


def ok(client, start, end, name, key=None, result=None, **fields):
    if key is not None:
        fields["key"] = key
    fields.update(op=name, client=client, start=start, end=end, outcome="ok", result=result)
    return history.operation(fields)


def unknown(client, start, name, key=None, **fields):
    if key is not None:
        fields["key"] = key
    fields.update(op=name, client=client, start=start, end=None, outcome="unknown")
    return history.operation(fields)


def failed(client, start, end, name, key=None, **fields):
    if key is not None:
        fields["key"] = key
    fields.update(op=name, client=client, start=start, end=end, outcome="failed")
    return history.operation(fields)


def put(key, value):
    return {"op": "set", "key": key, "value": value}


def drop(key):
    return {"op": "delete", "key": key}


def txn(conditions, if_then, else_then=(), return_previous=True):
    return {
        "conditions": list(conditions),
        "if_then": list(if_then),
        "else_then": list(else_then),
        "return_previous": return_previous,
    }


def answered(branch, *previous):
    return {"branch": branch, "prev_values": list(previous)}


def equal(key, value):
    return {"op": "equal", "key": key, "value": value}


TRANSFER = txn([equal("a", "1")], [put("a", "0"), put("b", "1")])

GOOD = {
    "nothing happened": [],
    "a read of an absent key": [ok(1, 0, 1, "get", "x", None)],
    "a read after a write": [ok(1, 0, 1, "set", "x", value="1"), ok(2, 2, 3, "get", "x", "1")],
    "a read during a write sees the old value": [
        ok(1, 0, 10, "set", "x", value="1"),
        ok(2, 2, 3, "get", "x", None),
    ],
    "a read during a write sees the new value": [
        ok(1, 0, 10, "set", "x", value="1"),
        ok(2, 2, 3, "get", "x", "1"),
    ],
    "an end and a start at the same moment count as concurrent": [
        ok(1, 0, 5, "set", "x", value="1"),
        ok(2, 5, 6, "get", "x", None),
    ],
    "an unknown write that took effect": [
        unknown(1, 0, "set", "x", value="1"),
        ok(2, 5, 6, "get", "x", "1"),
    ],
    "an unknown write that never took effect": [
        unknown(1, 0, "set", "x", value="1"),
        ok(2, 5, 6, "get", "x", None),
        ok(2, 105, 106, "get", "x", None),
    ],
    "an unknown write that took effect late": [
        unknown(1, 0, "set", "x", value="1"),
        ok(2, 5, 6, "set", "x", value="2"),
        ok(2, 7, 8, "get", "x", "2"),
        ok(2, 9, 10, "get", "x", "1"),
    ],
    "two unknown writes, the later call first": [
        unknown(1, 0, "set", "x", value="1"),
        unknown(1, 5, "set", "x", value="2"),
        ok(2, 7, 8, "get", "x", "2"),
        ok(2, 9, 10, "get", "x", "1"),
    ],
    "an unknown transaction that took effect": [
        ok(1, 0, 1, "set", "a", value="1"),
        unknown(2, 2, "txn", **TRANSFER),
        ok(1, 3, 4, "get", "b", "1"),
        ok(1, 5, 6, "get", "a", "0"),
    ],
    "an unknown compare-and-set waits for its value": [
        unknown(1, 0, "cas", "x", expect="2", value="3"),
        ok(2, 5, 6, "set", "x", value="2"),
        ok(2, 7, 8, "get", "x", "3"),
    ],
    "concurrent writes in either order": [
        ok(1, 0, 10, "set", "x", value="1"),
        ok(2, 0, 10, "set", "x", value="2"),
        ok(3, 11, 12, "get", "x", "1"),
    ],
    "a chain of getsets out of the order of their starts": [
        ok(1, 0, 10, "getset", "x", "2", value="1"),
        ok(2, 1, 9, "getset", "x", "3", value="2"),
        ok(3, 2, 8, "getset", "x", None, value="3"),
        ok(4, 11, 12, "get", "x", "1"),
    ],
    "a value written twice": [
        ok(1, 0, 1, "set", "x", value="1"),
        ok(1, 2, 3, "set", "x", value="2"),
        ok(1, 4, 5, "set", "x", value="1"),
        ok(1, 6, 7, "get", "x", "1"),
    ],
    "a failed write that nobody saw": [
        failed(1, 0, 1, "set", "x", value="1"),
        ok(2, 2, 3, "get", "x", None),
    ],
    "a failed read": [failed(1, 0, 1, "get", "x"), ok(1, 2, 3, "set", "x", value="1")],
    "an unsuccessful compare-and-set": [
        ok(1, 0, 1, "set", "x", value="1"),
        ok(2, 2, 3, "cas", "x", False, expect="2", value="3"),
        ok(2, 4, 5, "get", "x", "1"),
    ],
    "a transaction's previous values come from before it": [
        ok(1, 0, 1, "txn", result=answered(True, None, None),
           **txn([], [put("x", "1"), put("x", "2")])),
        ok(1, 2, 3, "get", "x", "2"),
    ],
    "an absent key satisfies not_equal and nothing else": [
        ok(1, 0, 1, "txn", result=answered(True),
           **txn([{"op": "not_equal", "key": "x", "value": "1"}], [])),
        ok(1, 2, 3, "txn", result=answered(False), **txn([{"op": "exists", "key": "x"}], [])),
        ok(1, 4, 5, "txn", result=answered(False),
           **txn([{"op": "less", "key": "x", "value": "z"}], [])),
    ],
    "comparisons go by bytes and a prefix is smaller": [
        ok(1, 0, 1, "set", "x", value="ab"),
        ok(1, 2, 3, "txn", result=answered(True),
           **txn([{"op": "less", "key": "x", "value": "abc"},
                  {"op": "greater", "key": "x", "value": "a"},
                  {"op": "greater_equal", "key": "x", "value": "ab"},
                  {"op": "less_equal", "key": "x", "value": "ab"}], [])),
    ],
    "a scan sees one moment": [
        ok(1, 0, 1, "batch", operations=[put("p/1", "1"), put("p/2", "1")]),
        ok(2, 2, 9, "scan", prefix="p/", result=[["p/1", "2"], ["p/2", "1"]]),
        ok(1, 3, 4, "set", "p/1", value="2"),
        ok(1, 5, 6, "set", "p/2", value="2"),
    ],
    "a batch with the same key twice": [
        ok(1, 0, 1, "batch", operations=[put("x", "1"), put("x", "2")]),
        ok(1, 2, 3, "get", "x", "2"),
    ],
    "counters and lists": [
        ok(1, 0, 1, "incr", "c", 1),
        unknown(2, 0, "incr", "c"),
        ok(1, 2, 3, "incr", "c", 3),
        ok(1, 4, 5, "append", "l", 1, value="a"),
        ok(1, 6, 7, "append", "l", 2, value="b"),
        ok(1, 8, 9, "list", "l", ["a", "b"]),
    ],
    "each key has an order of its own": [
        ok(1, 0, 10, "set", "x", value="1"),
        ok(1, 0, 10, "set", "y", value="1"),
        ok(2, 1, 2, "get", "x", "1"),
        ok(2, 3, 4, "get", "y", None),
    ],
}

BAD = {
    "a stale read": [
        ok(1, 0, 1, "set", "x", value="1"),
        ok(1, 2, 3, "set", "x", value="2"),
        ok(2, 4, 5, "get", "x", "1"),
    ],
    "a lost acknowledged write": [
        ok(1, 0, 1, "set", "x", value="1"),
        ok(2, 2, 3, "get", "x", None),
    ],
    "a deleted value comes back": [
        ok(1, 0, 1, "set", "x", value="1"),
        ok(1, 2, 3, "delete", "x"),
        ok(2, 4, 5, "get", "x", "1"),
    ],
    "a lost update": [
        ok(1, 0, 1, "set", "x", value="0"),
        ok(1, 2, 6, "cas", "x", True, expect="0", value="1"),
        ok(2, 3, 7, "cas", "x", True, expect="0", value="2"),
    ],
    "two getsets return the same old value": [
        ok(1, 0, 1, "set", "x", value="0"),
        ok(1, 2, 6, "getset", "x", "0", value="1"),
        ok(2, 3, 7, "getset", "x", "0", value="2"),
    ],
    "a read of a failed write": [
        failed(1, 0, 1, "set", "x", value="1"),
        ok(2, 2, 3, "get", "x", "1"),
    ],
    "a read of a value that nobody wrote": [ok(1, 0, 1, "get", "x", "7")],
    "a read before the write began": [
        ok(2, 0, 1, "get", "x", "1"),
        ok(1, 2, 3, "set", "x", value="1"),
    ],
    "a read before the unknown write began": [
        ok(2, 0, 1, "get", "x", "1"),
        unknown(1, 2, "set", "x", value="1"),
    ],
    "a getset applied twice": [
        ok(1, 0, 1, "set", "x", value="0"),
        ok(1, 2, 3, "getset", "x", "1", value="1"),
    ],
    "an unknown write applied twice": [
        unknown(1, 0, "set", "x", value="1"),
        ok(2, 2, 3, "get", "x", "1"),
        ok(2, 4, 5, "set", "x", value="2"),
        ok(2, 6, 7, "get", "x", "2"),
        ok(2, 8, 9, "get", "x", "1"),
    ],
    "an acknowledged write applied again later": [
        ok(1, 0, 1, "set", "x", value="1"),
        ok(1, 2, 3, "set", "x", value="2"),
        ok(1, 4, 5, "get", "x", "2"),
        ok(1, 6, 7, "get", "x", "1"),
    ],
    "two clients disagree on the order": [
        ok(1, 0, 100, "set", "x", value="1"),
        ok(2, 0, 100, "set", "x", value="2"),
        ok(3, 10, 20, "get", "x", "1"),
        ok(3, 30, 40, "get", "x", "2"),
        ok(4, 50, 60, "get", "x", "1"),
    ],
    "a new value, then the old one, during one write": [
        ok(1, 0, 100, "set", "x", value="1"),
        ok(3, 10, 20, "get", "x", "1"),
        ok(4, 30, 40, "get", "x", None),
    ],
    "a dirty read: half of a transaction": [
        ok(1, 0, 1, "batch", operations=[put("a", "1"), put("b", "0")]),
        ok(2, 2, 20, "txn", result=answered(True, "1", "0"), **TRANSFER),
        ok(3, 3, 4, "get", "b", "1"),
        ok(3, 5, 6, "get", "a", "1"),
    ],
    "half of an unknown transaction": [
        ok(1, 0, 1, "set", "a", value="1"),
        unknown(2, 2, "txn", **TRANSFER),
        ok(3, 3, 4, "get", "b", "1"),
        ok(3, 5, 6, "get", "a", "1"),
    ],
    "a scan that sees half of a batch": [
        ok(1, 0, 10, "batch", operations=[put("p/1", "1"), put("p/2", "1")]),
        ok(2, 2, 9, "scan", prefix="p/", result=[["p/1", "1"]]),
    ],
    "a scan of two moments": [
        ok(1, 0, 1, "batch", operations=[put("p/1", "1"), put("p/2", "1")]),
        ok(2, 2, 9, "scan", prefix="p/", result=[["p/1", "1"], ["p/2", "2"]]),
        ok(1, 3, 4, "set", "p/1", value="2"),
        ok(1, 5, 6, "set", "p/2", value="2"),
    ],
    "a transaction applied twice": [
        ok(1, 0, 1, "set", "a", value="1"),
        ok(2, 2, 3, "txn", result=answered(False),
           **txn([equal("a", "1")], [put("a", "0")])),
    ],
    "the wrong branch": [
        ok(1, 0, 1, "set", "a", value="1"),
        ok(2, 2, 3, "txn", result=answered(True),
           **txn([{"op": "not_exists", "key": "a"}], [])),
    ],
    "previous values from inside the transaction": [
        ok(1, 0, 1, "txn", result=answered(True, None, "1"),
           **txn([], [put("x", "1"), put("x", "2")])),
    ],
    "write skew": [
        ok(1, 0, 1, "batch", operations=[put("a", "1"), put("b", "1")]),
        ok(1, 2, 9, "txn", result=answered(True), **txn([equal("a", "1")], [drop("b")], [], False)),
        ok(2, 3, 8, "txn", result=answered(True), **txn([equal("b", "1")], [drop("a")], [], False)),
    ],
    "a compare-and-set that failed for no reason": [
        ok(1, 0, 1, "set", "x", value="1"),
        ok(2, 2, 3, "cas", "x", False, expect="1", value="2"),
    ],
    "a counter that skips": [ok(1, 0, 1, "incr", "c", 1), ok(1, 2, 3, "incr", "c", 3)],
    "a counter incremented twice by one unknown call": [
        unknown(2, 0, "incr", "c"),
        ok(1, 2, 3, "incr", "c", 3),
    ],
    "a list that lost an element": [
        ok(1, 0, 1, "append", "l", 1, value="a"),
        ok(1, 2, 3, "append", "l", 2, value="b"),
        ok(1, 4, 5, "list", "l", ["b"]),
    ],
    "a list in the wrong order": [
        ok(1, 0, 1, "append", "l", value="a"),
        ok(1, 2, 3, "append", "l", value="b"),
        ok(1, 4, 5, "list", "l", ["b", "a"]),
    ],
    "two keys whose orders contradict each other": [
        ok(1, 0, 100, "batch", operations=[put("a", "1"), put("b", "1")]),
        ok(2, 0, 100, "batch", operations=[put("a", "2"), put("b", "2")]),
        ok(3, 101, 102, "get", "a", "1"),
        ok(3, 103, 104, "get", "b", "2"),
    ],
}


class KnownHistories(unittest.TestCase):
    def test_good_histories_are_accepted(self):
        for name, operations in GOOD.items():
            with self.subTest(name):
                verdict = linear.check(operations)
                self.assertTrue(verdict.valid, verdict.report)

    def test_bad_histories_are_refused(self):
        for name, operations in BAD.items():
            with self.subTest(name):
                verdict = linear.check(operations)
                self.assertEqual(verdict.status, "not linearizable")
                self.assertIn("\n> ", verdict.report)

    def test_known_verdicts_agree_with_brute_force(self):
        for name, operations in itertools.chain(GOOD.items(), BAD.items()):
            with self.subTest(name):
                self.assertEqual(brute_force(operations), name in GOOD)


class Explanations(unittest.TestCase):
    def test_what_a_kept_transaction_depends_on_is_kept_with_it(self):
        operations = [
            ok(1, 0, 1, "set", "x", value="1"),
            ok(1, 2, 3, "txn", result=answered(False),
               **txn([{"op": "not_exists", "key": "x"}], [])),
            ok(1, 4, 5, "set", "x", value="2"),
            ok(1, 6, 7, "get", "x", None),
        ]
        verdict = linear.check(operations)
        # Without the first write the transaction would be the one that nothing explains.
        self.assertIn(">        1              +6", verdict.report)


def brute_force(operations):
    """Tries every order of every choice of unknown operations on the plain store."""
    sure = [op for op in operations if op.outcome == "ok"]
    perhaps = [op for op in operations if op.outcome == "unknown"]
    for size in range(len(perhaps) + 1):
        for chosen in itertools.combinations(perhaps, size):
            if _some_order(sure + list(chosen), generate.Store()):
                return True
    return False


def _some_order(left, store):
    if not left:
        return True
    for op in left:
        if any(other.end < op.start for other in left):
            continue
        copy = generate.Store()
        copy.data = dict(store.data)
        result = copy.call(op.fields)
        said = not op.has_result or op.result == result
        if op.name in ("set", "delete", "batch"):
            said = True
        elif op.name in ("append", "incr") and op.result is None:
            said = True
        if said and _some_order([other for other in left if other is not op], copy):
            return True
    return False


def small_call(rng, client, number):
    """Few keys and few values, so that values repeat and answers are often ambiguous."""
    key, value = rng.choice("ab"), rng.choice("12")
    name = rng.choice(("get", "get", "set", "getset", "delete", "cas", "txn", "batch", "scan"))
    if name == "scan":
        return {"op": "scan", "prefix": rng.choice(("", "a"))}
    if name == "batch":
        return {"op": "batch", "operations": [put(key, value), put("a", rng.choice("12"))]}
    if name == "txn":
        kind = rng.choice(("equal", "not_equal", "exists", "not_exists", "less", "greater_equal"))
        condition = {"op": kind, "key": rng.choice("ab"), "value": rng.choice("12")}
        otherwise = [drop(key)] if rng.random() < 0.5 else []
        return {"op": "txn", **txn([condition], [put(key, value)], otherwise, rng.random() < 0.7)}
    fields = {"op": name, "key": key, "value": value}
    if name == "cas":
        fields["expect"] = rng.choice(("1", "2", None))
    return fields


def collection_call(rng, client, number):
    if rng.random() < 0.5:
        return {"op": rng.choice(("incr", "get")), "key": "c"}
    return {"op": rng.choice(("append", "list")), "key": "l", "value": rng.choice("12")}


def unique_call(rng, client, number):
    return generate.register_call(2)(rng, client, number)


def falsify(rng, operations):
    """Changes one answer, so that the history may or may not still be linearizable."""
    candidates = [op for op in operations if op.has_result and op.result is not None]
    if not candidates:
        return
    op = rng.choice(candidates)
    other = rng.choice(operations)
    if op.name in ("get", "getset"):
        op.result = rng.choice((None, "1", "2", other.fields.get("value")))
        if op.fields["key"] == "c":
            op.result = rng.randrange(4)
    elif op.name == "cas":
        op.result = not op.result
    elif op.name == "txn" and op.result["prev_values"]:
        op.result = {**op.result, "prev_values": [rng.choice((None, "1", "2"))]}
    elif op.name == "scan":
        op.result = op.result[1:]
    elif op.name == "list":
        op.result = op.result[::-1]
    elif op.name in ("incr", "append"):
        op.result += rng.choice((-1, 1))


class AgainstBruteForce(unittest.TestCase):
    def test_random_small_histories_get_the_verdict_of_brute_force(self):
        verdicts = {True: 0, False: 0}
        for number in range(3000):
            seed = f"{SEED}.{number}"
            rng = random.Random(seed)
            call = rng.choice((small_call, small_call, collection_call, unique_call))
            operations = generate.run(
                rng, call, clients=rng.randrange(2, 5), count=rng.randrange(3, 8),
                unknown=rng.choice((0, 0.3)), failed=0.05, spread=rng.choice((5, 30)),
            )
            if rng.random() < 0.6:
                falsify(rng, operations)
            expected = brute_force(operations)
            verdict = linear.check(operations, explain_limit=0.5)
            self.assertEqual(
                verdict.valid, expected, f"seed {seed}\n{verdict.report}\n{dump(operations)}"
            )
            if not verdict.valid:
                self.assertFalse(
                    brute_force(verdict.operations),
                    f"seed {seed}: the reduced history is fine\n{dump(verdict.operations)}",
                )
            verdicts[verdict.valid] += 1
        self.assertGreater(min(verdicts.values()), 300, f"one-sided test: {verdicts}")


def dump(operations):
    return "\n".join(json.dumps({**op.fields, "result": op.result}) for op in operations)


class LargeHistories(unittest.TestCase):
    """20,000 operations over 20 keys by 16 clients, within a minute on a busy machine."""

    LIMIT = 60

    def measure(self, what, operations, valid=True):
        begin = time.monotonic()
        verdict = linear.check(operations, self.LIMIT)
        seconds = time.monotonic() - begin
        print(f"  {what}: {len(operations)} operations, {verdict.status}, {seconds:.1f} s")
        self.assertEqual(verdict.status, "linearizable" if valid else "not linearizable",
                         f"seed {SEED}\n{verdict.report}")
        return verdict

    def test_registers(self):
        rng = random.Random(SEED)
        operations = generate.run(rng, generate.register_call(20), 16, 20000)
        self.measure("registers", operations)

    def test_one_hot_key(self):
        rng = random.Random(SEED)
        operations = generate.run(rng, generate.register_call(1), 16, 5000)
        self.measure("one hot key", operations)

    def test_transactions_in_groups(self):
        rng = random.Random(SEED)
        operations = generate.run(rng, generate.mixed_call(21), 16, 20000)
        self.measure("transactions in groups of 3", operations)

    def test_transactions_over_all_keys(self):
        rng = random.Random(SEED)
        # With unknown operations as well, a component of 20 keys may end undecided; see README.md.
        operations = generate.run(rng, generate.mixed_call(20, group=20), 16, 20000, unknown=0)
        self.measure("transactions over all of 20 keys", operations)

    def test_many_unknown_operations(self):
        rng = random.Random(SEED)
        operations = generate.run(rng, generate.mixed_call(21), 16, 20000, unknown=0.1)
        self.measure("one in ten unknown", operations)

    def test_a_single_stale_read_is_found_and_shown_small(self):
        rng = random.Random(SEED)
        operations = generate.run(rng, generate.register_call(20), 16, 20000)
        make_stale(operations)
        verdict = self.measure("one stale read", operations, valid=False)
        self.assertLess(len(verdict.operations), 15, verdict.report)

    def test_a_lost_write_among_transactions_is_found(self):
        rng = random.Random(SEED)
        operations = generate.run(rng, generate.mixed_call(21), 16, 20000)
        make_stale(operations)
        self.measure("one stale read among transactions", operations, valid=False)


def make_stale(operations):
    """Lets one read in the middle return a value that was certainly replaced before it began."""
    ordered = sorted(operations, key=lambda op: op.start)
    for op in ordered[len(ordered) // 2 :]:
        if op.name != "get" or op.outcome != "ok":
            continue
        sets = [
            other for other in ordered
            if other.name in ("set", "getset") and other.fields["key"] == op.fields["key"]
            and other.outcome == "ok" and other.end < op.start
        ]
        if len(sets) < 20:
            continue
        old = sets[-10]
        if any(other.start > old.end for other in sets):
            op.result = op.fields["result"] = old.fields["value"]
            return
    raise AssertionError("no read could be made stale")


class TimeBound(unittest.TestCase):
    def test_a_check_ends_in_time_and_says_that_it_is_undecided(self):
        # Concurrent transactions and unknown ones in a chain, and a value that none of them wrote.
        operations = [
            unknown(n, 0, "cas", "x", expect=f"{a}", value=f"{b}")
            for n, (a, b) in enumerate(itertools.permutations(range(9), 2))
        ]
        operations += [ok(1, 5, 6, "set", "x", value="0"), ok(1, 7, 8, "get", "x", "8")]
        operations += [
            ok(100 + n, 10, 100, "txn", result=answered(True),
               **txn([], [put(f"y{n}", "1"), put(f"y{n + 1}", "2")], [], False))
            for n in range(40)
        ]
        operations.append(ok(1, 200, 201, "get", "y7", "none of them"))
        begin = time.monotonic()
        verdict = linear.check(operations, time_limit=2)
        self.assertLess(time.monotonic() - begin, 30)
        self.assertNotEqual(verdict.status, "linearizable")


class CommandLine(unittest.TestCase):
    def run_check(self, lines):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write("\n".join(lines))
            file.flush()
            return subprocess.run(
                [sys.executable, os.path.join(HERE, "check.py"), file.name],
                capture_output=True, text=True, timeout=60, check=False,
            )

    def test_exit_codes_tell_good_bad_and_malformed_apart(self):
        good = [json.dumps(op.fields) for op in GOOD["a read after a write"]]
        bad = [json.dumps(op.fields) for op in BAD["a stale read"]]
        self.assertEqual(self.run_check(good).returncode, 0)
        done = self.run_check(bad)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no order of the operations below explains", done.stdout)
        for line in ("{", "[]", '{"op":"get"}', '{"op":"jump","client":1}',
                     '{"op":"get","client":1,"key":"x","start":1,"outcome":"ok"}',
                     '{"op":"get","client":1,"key":"x","start":1,"end":0,"outcome":"ok"}',
                     '{"op":"get","client":1,"key":"x","start":0,"end":1,"outcome":"ok"}'):
            done = self.run_check([line])
            self.assertEqual(done.returncode, 2, line)
            self.assertIn("line 1", done.stderr)


if __name__ == "__main__":
    print(f"seed {SEED} (repeat with SEED={SEED})")
    unittest.main(verbosity=2)
