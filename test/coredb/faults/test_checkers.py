#!/usr/bin/env python3
"""The checkers find what they are for: small histories, each right, and wrong in one thing.

ctest: timeout=180
"""

import copy
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bank  # noqa: E402 (the path must be set first)
import counters  # noqa: E402
import expiry  # noqa: E402
import lists  # noqa: E402
import pubsub  # noqa: E402
import queues  # noqa: E402
import registers  # noqa: E402
import scans  # noqa: E402
import streams  # noqa: E402
from judge import Finding  # noqa: E402

MS = 1000000


def ok(name, start, end, op, result=None, **fields):
    """An operation that took effect; times are in milliseconds."""
    return {"client": name, "node": 1, "start": start * MS, "end": end * MS, "outcome": "ok", "op": op,
            "key": "k", "result": result, **fields}


def unknown(name, start, op, **fields):
    record = ok(name, start, start, op, **fields)
    del record["result"], record["end"]
    return {**record, "outcome": "unknown"}


def failed(name, start, end, op, **fields):
    record = ok(name, start, end, op, **fields)
    del record["result"]
    return {**record, "outcome": "failed", "error": "TRYAGAIN"}


class Case:
    """A right history and what makes it wrong: {what must be found: change}."""

    def __init__(self, check, history, wrong):
        self.check = check
        self.history = history
        self.wrong = wrong


def put(place, **members):
    """Changes one record."""
    def change(history):
        history[place].update(members)
    return change


def refuse(place):
    def change(history):
        history[place].update(outcome="failed", error="TRYAGAIN")
        history[place].pop("result", None)
    return change


def drop(place):
    return lambda history: history.pop(place)


COUNTERS = Case(counters.check, [
    ok("a", 0, 1, "add", 2, by=2),
    ok("b", 2, 5, "add", 5, by=3),
    unknown("c", 3, "add", by=4),
    ok("a", 6, 7, "read", 5),
    ok("a", 8, 9, "add", 10, by=1),
    failed("a", 9, 10, "add", by=100),
    ok("a", 12, 13, "read", 10),
], {
    "took the same number": put(1, result=4),
    "never reached": put(3, result=4),
    "not the sum": put(6, result=19),
    "comes before it": put(6, result=5),
    "not the sum of the certain": drop(2),
})

LISTS = Case(lists.check, [
    ok("a", 0, 1, "push", 2, values=["1", "2"]),
    ok("b", 0, 3, "push", 3, values=["3"], place=0),
    ok("b", 0, 4, "push", 4, values=["4"], place=1),
    unknown("c", 3, "push", values=["5"]),
    ok("d", 2, 4, "list", ["1", "2", "3"]),
    ok("d", 5, 6, "length", 4),
    failed("e", 5, 6, "push", values=["6"]),
    ok("e", 7, 8, "list", ["1", "2", "3", "4", "5"]),
    ok("f", 7, 8, "local", 2, link=1),
    ok("f", 9, 10, "local", 3, link=1),
    ok("f", 11, 12, "local", 2, link=2),
], {
    "is there twice": put(7, result=["1", "2", "3", "4", "5", "5"]),
    "two readers disagree": put(4, result=["1", "3", "2"]),
    "nobody has pushed": put(7, result=["1", "2", "3", "4", "5", "77"]),
    "was refused, and is there": refuse(1),
    "a push is lost": put(7, result=["1", "2", "3", "5"]),
    "not in one piece": lambda h: (h[0].update(values=["1", "3"]), h[1].update(values=["2"])),
    "was told length": put(2, result=3),
    "comes before it": put(5, result=2),
    "went back": put(9, result=1),
    "ran ahead": lambda h: h[8].update(start=-2 * MS, end=-1 * MS),
    "not kept in order": lambda h: (h[1].update(result=4), h[2].update(result=3),
                                    h[4].update(result=["1", "2"]),
                                    h[7].update(result=["1", "2", "4", "3", "5"])),
})

BANK = Case(bank.check, [
    ok("a", 0, 1, "transfer", [990, 1010, 1], id="1", amount=10, **{"from": 0, "to": 1}),
    unknown("b", 1, "transfer", id="2", amount=5, **{"from": 1, "to": 2}),
    ok("a", 3, 4, "balances", [[990, 1005, 1005, 1000, 1000], 2]),
    ok("c", 5, 6, "transfer", [989, 1006, 3], id="3", amount=1, watched=[990, 1005],
       **{"from": 0, "to": 1}),
    ok("c", 5, 6, "transfer", None, id="4", amount=1, **{"from": 0, "to": 1}),
    ok("a", 7, 8, "balances", [[989, 1006, 1005, 1000, 1000]]),
    ok("a", 9, 10, "log", ["1", "2", "3"]),
    failed("c", 5, 6, "transfer", id="5", amount=1, **{"from": 0, "to": 1}),
], {
    "the sum of all": put(5, result=[[989, 1006, 1006, 1000, 1000]]),
    "never stood at one moment": put(5, result=[[989, 1005, 1006, 1000, 1000]]),
    "the balances are not these": put(2, result=[[990, 1010, 1000, 1000, 1000], 2]),
    "was told": put(3, result=[989, 1006, 4]),
    "is lost": put(4, result=[980, 1006, 4]),
    "although a watched key": put(3, watched=[990, 1010]),
    "said not to be executed": put(3, result=None),
    "refused transfer": refuse(3),
    "comes before it": put(2, result=[[990, 1010, 1000, 1000, 1000], 1], start=int(6.5 * MS),
                           end=int(6.6 * MS)),
    "never asked for": put(6, result=["1", "2", "3", "9"]),
    "took effect twice": put(6, result=["1", "2", "3", "3"]),
})

QUEUES = Case(queues.check, [
    ok("a", 0, 1, "put", 1, key=":list:", value="1"),
    ok("a", 2, 3, "put", 2, key=":list:", value="2"),
    ok("a", 4, 5, "put", 3, key=":list:", value="3"),
    ok("b", 6, 7, "take", "1", key=":list:"),
    unknown("b", 8, "take", key=":list:"),
    ok("c", 9, 12, "take", "3", key=":list:"),
    ok("c", 13, 14, "take", None, key=":list:"),
    failed("a", 13, 14, "put", key=":list:", value="4"),
    ok("a", 20, 21, "rest", [], key=":list:"),
], {
    "to two clients": put(5, result="1"),
    "a refused element": put(5, result="4"),
    "nobody has put": put(5, result="9"),
    "out of order": lambda h: (h[3].update(result="3"), h[5].update(result="1")),
    "elements are lost": drop(4),
    "still there": put(8, result=["1"]),
    "found empty": put(6, start=int(5.1 * MS), end=int(5.2 * MS)),
    "was never put": put(8, result=["4"]),
    "before it was put": lambda h: (h[3].update(start=-2 * MS, end=-1 * MS)),
})

STREAMS = Case(streams.check, [
    ok("a", 0, 1, "add", "1-0", value="1"),
    ok("a", 2, 3, "add", "3-0", value="2"),
    unknown("b", 2, "add", value="3"),
    ok("c", 4, 5, "consume", [["1-0", "1"], ["3-0", "2"]]),
    ok("c", 6, 7, "ack", 1, ids=["1-0"]),
    ok("a", 8, 9, "range", [["1-0", "1"], ["3-0", "2"], ["4-0", "3"]]),
    ok("a", 8, 9, "pending", [["3-0", "c"]]),
    ok("d", 6, 7, "consume", []),
    ok("e", 2, 5, "range", [["1-0", "1"], ["3-0", "2"]]),
], {
    "follows": put(5, result=[["1-0", "1"], ["3-0", "2"], ["2-0", "3"]]),
    "acknowledged entry is lost": lambda h: (put(5, result=[["1-0", "1"], ["4-0", "3"]])(h), h.pop(8),
                                              h.pop(3)),
    "two readers disagree": put(8, result=[["3-0", "2"]]),
    "comes before it": put(8, result=[["1-0", "1"]], start=4 * MS),
    "has the id": put(0, result="1-1"),
    "to two consumers": put(7, result=[["3-0", "2"]]),
    "is pending for None": put(6, result=[]),
    "who never got it": put(6, result=[["3-0", "c"], ["4-0", "e"]]),
    "or refused": put(2, outcome="failed", end=3 * MS),
})

EXPIRY = Case(expiry.check, [
    ok("a", 0, 10, "create", "OK", ttl_ms=100, skewed=False),
    ok("b", 20, 30, "look", True),
    ok("b", 90, 111, "look", False),
    ok("c", 90, 111, "look", True),
    ok("b", 120, 130, "look", False),
], {
    "there after its end": put(4, result=True),
    "gone before its end": put(1, result=False),
    "back after it had been gone": lambda h: (h[2].update(end=102 * MS), h[3].update(start=103 * MS)),
    "a refused key": refuse(0),
})

UNSURE = Case(expiry.check, [
    unknown("a", 0, "create", ttl_ms=100, skewed=False),
    ok("b", 20, 30, "look", False),
    ok("b", 40, 50, "look", True),
    ok("b", 220, 230, "look", False),
    ok("b", 240, 250, "look", False),
], {
    "back after it had been gone": put(4, result=True),
})

SKEWED = Case(expiry.check, [
    ok("a", 0, 10, "create", "OK", ttl_ms=100, skewed=True),
    ok("b", 2020, 2030, "look", True),
    ok("b", 2040, 2050, "look", False),
    ok("c", 2060, 2070, "look", False),
], {
    "back after it had been gone": put(3, result=True),
})

LOCKS = Case(expiry.check_locks, [
    ok("a", 0, 10, "lock", True, token="1", ttl_ms=100),
    ok("b", 20, 30, "lock", False, token="2", ttl_ms=100),
    ok("c", 20, 30, "holder", "1"),
    ok("a", 40, 50, "unlock", True, token="1"),
    ok("b", 45, 55, "lock", True, token="3", ttl_ms=10),
    ok("a", 70, 80, "lock", True, token="4", ttl_ms=10),
    ok("b", 70, 90, "unlock", False, token="3"),
    failed("b", 70, 90, "lock", token="5", ttl_ms=10),
    ok("b", 200, 210, "holder", None),
], {
    "two holders": put(1, result=True),
    "but seen as None": put(2, result=None),
    "who never got it": put(8, result="5"),
    "lost before its time": put(3, result=False),
    "held after its end": put(6, result=True),
    "released by another": lambda h: (h.append(ok("x", 20, 30, "unlock", True, token="2"))),
})

MESSAGES = Case(pubsub.check, [
    ok("a", 0, 1, "publish", 1, key="c", message="1", sender="a"),
    ok("a", 2, 3, "publish", 1, key="c", message="2", sender="a"),
    failed("b", 2, 3, "publish", key="c", message="3", sender="b"),
    ok("s", 0, 10, "listen", [["c", "1"], ["c", "2"]], key=""),
    ok("s", 11, 20, "listen", [], key=""),
    ok("b", 30, 31, "publish", 1, key="c", message="4", sender="b"),
], {
    "delivered twice": put(3, result=[["c", "1"], ["c", "1"]]),
    "was delivered twice": put(4, result=[["c", "1"]]),
    "out of order": put(3, result=[["c", "2"], ["c", "1"]]),
    "a refused message": put(3, result=[["c", "3"]]),
    "never published": put(3, result=[["c", "9"]]),
    "before it was published": put(3, result=[["c", "4"]]),
})

REGISTERS = Case(registers.check, [
    ok("a", 0, 1, "set", key="x", value="1"),
    unknown("b", 2, "set", key="x", value="2"),
    ok("a", 3, 4, "get", "2", key="x"),
    ok("a", 5, 6, "cas", False, key="x", expect="1", value="3"),
    failed("b", 7, 8, "set", key="x", value="4"),
    ok("a", 9, 10, "get", "2", key="x"),
    ok("a", 0, 1, "cas", True, key="s/m", expect=None, value="1"),
    ok("b", 2, 3, "scan", [["s/m", "1"]], prefix="s/"),
    ok("b", 4, 5, "cas", True, key="s/m", expect="1", value=None),
    ok("b", 6, 7, "scan", [], prefix="s/"),
], {
    "keys 'x'": put(5, result="1"),
    "no order": put(5, result="4"),
    "one marked": put(3, result=True),
    "keys 's/m'": put(9, result=[["s/m", "1"]]),
    "'s/m'": put(7, result=[]),
})


def step(start, end, cursor, following, *members):
    return ok("s", start, end, "step", [following, list(members)], iteration=1, cursor=cursor)


SCANS = Case(scans.check, [
    ok("a", 0, 1, "add", 3, members=["1", "2", "3"]),
    unknown("a", 2, "add", members=["4"]),
    failed("a", 2, 3, "add", members=["5"]),
    step(4, 5, "0", "70", "1", "4"),
    ok("b", 4, 6, "remove", 1, members=["2"]),
    ok("a", 6, 7, "add", 1, members=["6"]),
    step(8, 9, "70", "80", "1"),
    step(10, 11, "80", "0", "3"),
    ok("a", 12, 13, "add", 1, members=["7"]),
    failed("b", 12, 13, "remove", members=["3"]),
], {
    "'3' was there throughout": put(7, result=["0", []]),
    "'1' was there throughout": lambda h: (put(3, result=["70", []])(h), put(6, result=["80", []])(h)),
    "and 3 steps did not return it": put(4, outcome="failed", error="TRYAGAIN"),
    "'2' was there throughout": put(4, start=12 * MS, end=13 * MS),
    "after it was removed": put(6, result=["80", ["2"]]),
    "nobody has added '9'": put(6, result=["80", ["9"]]),
    "was refused": put(6, result=["80", ["5"]]),
    "before it was added": put(6, result=["80", ["7"]]),
    "of 1 elements 0 were": put(4, result=0),
})

CASES = {"counters": COUNTERS, "lists": LISTS, "bank": BANK, "queues": QUEUES, "streams": STREAMS,
         "expiry": EXPIRY, "unsure": UNSURE, "skewed": SKEWED, "locks": LOCKS, "messages": MESSAGES,
         "registers": REGISTERS, "scans": SCANS}


class Checkers(unittest.TestCase):
    def test_right_histories_are_accepted(self):
        for name, case in CASES.items():
            with self.subTest(name):
                self.assertGreater(case.check(case.history), 0)

    def test_each_fault_is_found_and_named(self):
        for name, case in CASES.items():
            for expected, change in case.wrong.items():
                with self.subTest(name, expected=expected):
                    history = copy.deepcopy(case.history)
                    change(history)
                    with self.assertRaises(Finding) as caught:
                        case.check(history)
                    self.assertIn(expected, str(caught.exception))


if __name__ == "__main__":
    unittest.main(verbosity=2)
