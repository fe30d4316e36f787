"""Decides whether a history is linearizable.

The search is Wing and Gong's with Lowe's memory of (linearized set, state), walked from one return
to the next: an operation is put into the order no sooner than something needs it. Four facts keep
it small, and none of them changes a verdict:

1. Keys that no operation joins are independent, so each such component is decided alone.
2. An unknown operation may also never happen. So of two ways to the same state, the one that spent
   fewer unknown operations can do all that the other can.
3. Operations without a common key commute, so before a return only operations that reach its keys
   through common keys need to be tried.
4. A value with a single writer is gone for good once replaced. Replacing it while some operation
   that saw it is still to come leads nowhere.
"""

import bisect
import time
from collections import defaultdict

from . import explain, project
from .model import compile_step, keys_of

VALID, INVALID, UNDECIDED = "linearizable", "not linearizable", "undecided"


class Verdict:
    """The outcome of a check; `report` is the readable counterexample of an invalid history."""

    def __init__(self, status, report="", operations=(), seconds=0.0):
        self.status = status
        self.report = report
        self.operations = list(operations)
        self.seconds = seconds

    @property
    def valid(self):
        return self.status == VALID

    def __repr__(self):
        return f"<Verdict {self.status}>"


class OutOfTime(Exception):
    pass


class Failure:
    """How far the search came: the return that no order explains, and the states before it."""

    def __init__(self, position, states, problem):
        self.position = position
        self.states = states
        self.problem = problem


class Problem:
    """One component of a history, prepared for the search; `foresight` is fact 4."""

    def __init__(self, operations, foresight=True):
        operations = [op for op in operations if is_relevant(op)]
        all_keys = set()
        for op in operations:
            all_keys |= keys_of(op, ())
        self.keys = sorted(all_keys)
        slots = {key: slot for slot, key in enumerate(self.keys)}
        steps = [compile_step(op, slots, all_keys) for op in operations]

        certain = [step for step in steps if step.op.outcome == "ok"]
        certain.sort(key=lambda step: (step.op.end, step.op.start))
        self.certain = certain
        ends = [step.op.end for step in certain]
        self.observers = self._observers(certain)
        self.unknown = self._useful(steps)

        # A step may be taken before the return at `position` when nothing that is still to come
        # had returned before it started: from `first` on, and up to its own return.
        self.first = [bisect.bisect_left(ends, step.op.start) for step in certain]
        self.unknown_first = [bisect.bisect_left(ends, step.op.start) for step in self.unknown]
        self.bits = self._assign_bits()
        self.unique = self._unique_values(certain + self.unknown) if foresight else {}
        self.moves, self.moves_by_unknown = {}, {}
        self._pending = self._pending_lists()

    @staticmethod
    def _observers(certain):
        observers = defaultdict(list)
        for position, step in enumerate(certain):
            for pair in set(step.observes):
                observers[pair].append(position)
        return observers

    def _useful(self, steps):
        """Unknown steps, without those whose happening nobody could have noticed."""
        sensitive = set()
        for step in steps:
            sensitive |= step.sensitive
        return [
            step
            for step in steps
            if step.op.outcome == "unknown"
            and (step.slots & sensitive or any(pair in self.observers for pair in step.writes))
        ]

    def _assign_bits(self):
        """A bit per certain step, used again after its return, so that masks stay short."""
        order = sorted(range(len(self.certain)), key=lambda position: self.first[position])
        bits = [0] * len(self.certain)
        free, held, top, returned = [], {}, 0, 0
        for position in order:
            while returned < self.first[position]:
                free.append(held.pop(returned))
                returned += 1
            bit = free.pop() if free else top
            top = max(top, bit + 1)
            held[position] = bit
            bits[position] = 1 << bit
        return bits

    def _unique_values(self, steps):
        """The observed (slot, value) pairs that can come about only once."""
        writers = defaultdict(int)
        dynamic = set()
        for step in steps:
            dynamic |= step.dynamic
            for pair in set(step.writes):
                writers[pair] += 1
        for slot in range(len(self.keys)):
            writers[(slot, None)] += 1
        return {
            pair: positions
            for pair, positions in self.observers.items()
            if writers[pair] <= 1 and pair[0] not in dynamic
        }

    def _pending_lists(self):
        """For each position, the certain steps that may be taken before that return."""
        lists = [[] for _ in self.certain]
        for position, first in enumerate(self.first):
            for place in range(first, position + 1):
                lists[place].append(position)
        return lists

    def near_moves(self, position):
        """Certain steps that reach the return at `position` through certain steps alone."""
        moves = self.moves.get(position)
        if moves is None:
            # `position` is the least of the pending ones, so the returning step is tried first.
            moves = sorted(self._connected(position, self._pending[position], ())[0])
            self.moves[position] = moves
        return moves

    def far_moves(self, position):
        """(certain, unknown) steps that come into play once unknown ones are considered."""
        moves = self.moves_by_unknown.get(position)
        if moves is None:
            unknown = [n for n, first in enumerate(self.unknown_first) if first <= position]
            certain, unknown = self._connected(position, self._pending[position], unknown)
            near = set(self.near_moves(position))
            moves = sorted(n for n in certain if n not in near), unknown
            self.moves_by_unknown[position] = moves
        return moves

    def _connected(self, position, certain, unknown):
        """The steps that share keys with the returning one, directly or through one another."""
        if len(self.keys) == 1:
            return certain, unknown
        reach = set(self.certain[position].slots)
        left = [(False, n) for n in certain] + [(True, n) for n in unknown]
        found = ([], [])
        grew = True
        while grew and left:
            grew, rest = False, []
            for item in left:
                is_unknown, number = item
                step = self.unknown[number] if is_unknown else self.certain[number]
                if reach.isdisjoint(step.slots):
                    rest.append(item)
                    continue
                reach |= step.slots
                found[is_unknown].append(number)
                grew = True
            left = rest
        return found

    def leads_nowhere(self, old, new, slots, position, mask, taken):
        """Fact 4: a value that a later operation saw is being replaced and cannot come back."""
        for slot in slots:
            value = old[slot]
            if value == new[slot]:
                continue
            positions = self.unique.get((slot, value))
            if positions is None:
                continue
            for later in positions[bisect.bisect_left(positions, position) :]:
                if later == taken:
                    continue
                if self.first[later] > position or not mask & self.bits[later]:
                    return True
        return False


def is_relevant(op):
    """What failed for certain changed nothing, and a read without an answer says nothing."""
    return op.outcome == "ok" or (op.outcome == "unknown" and not op.is_read)


def successors(problem, position, mask, state, used):
    """Every configuration one step further, the returning step before all others.

    Yields (mask, state, used); what needs an unknown operation comes last.
    """
    yield from _take_certain(problem, problem.near_moves(position), position, mask, state, used)
    if not problem.unknown:
        return
    certain, unknown = problem.far_moves(position)
    yield from _take_certain(problem, certain, position, mask, state, used)
    for number in unknown:
        bit = 1 << number
        if used & bit:
            continue
        step = problem.unknown[number]
        new = step.apply(state)
        if new is None or new == state:
            continue
        if not problem.leads_nowhere(state, new, step.slots, position, mask, None):
            yield mask, new, used | bit


def _take_certain(problem, numbers, position, mask, state, used):
    for number in numbers:
        bit = problem.bits[number]
        if mask & bit:
            continue
        step = problem.certain[number]
        new = step.apply(state)
        if new is None:
            continue
        if new != state and problem.leads_nowhere(
            state, new, step.slots, position, mask, number
        ):
            continue
        yield mask | bit, new, used


def advance(problem, position, mask):
    """Walks over the returns of steps that the order already holds, and frees their bits."""
    count = len(problem.certain)
    while position < count and mask & problem.bits[position]:
        mask &= ~problem.bits[position]
        position += 1
    return position, mask


def find_failure(problem, deadline):
    """None if some order explains the component, else the Failure; raises OutOfTime."""
    count = len(problem.certain)
    seen = {}
    furthest, states = 0, set()
    start = (0, 0, (None,) * len(problem.keys), 0)
    stack = [iter((start,))]
    work = 0
    while stack:
        configuration = next(stack[-1], None)
        if configuration is None:
            stack.pop()
            continue
        position, mask, state, used = configuration
        if position == count:
            return None
        work += 1
        if work % 256 == 0 and time.monotonic() > deadline:
            raise OutOfTime()
        spent = seen.setdefault((position, mask, state), [])
        if any(before & used == before for before in spent):
            continue
        spent.append(used)
        if position > furthest:
            furthest, states = position, set()
        if position == furthest and len(states) < 20:
            states.add(state)
        stack.append(_next_configurations(problem, position, mask, state, used))
    return Failure(furthest, states, problem)


def _next_configurations(problem, position, mask, state, used):
    for new_mask, new, new_used in successors(problem, position, mask, state, used):
        yield (*advance(problem, position, new_mask), new, new_used)


def components(operations):
    """Splits a history into parts that share no key (the property is local to each of them)."""
    operations = [op for op in operations if is_relevant(op)]
    all_keys = set()
    for op in operations:
        all_keys |= keys_of(op, ())
    parent = {key: key for key in all_keys}

    def root(key):
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    touched = [sorted(keys_of(op, all_keys)) for op in operations]
    for keys in touched:
        for key in keys[1:]:
            parent[root(key)] = root(keys[0])
    groups = defaultdict(list)
    for op, keys in zip(operations, touched):
        if keys:
            groups[root(keys[0])].append(op)
    return [groups[key] for key in sorted(groups)]


def check(operations, time_limit=60.0, explain_limit=15.0):
    """Checks a history (a list of Operation) and returns a Verdict within the time limit.

    Each key is looked at alone first, because most faults show there and quickly. All the rest is
    searched even when an earlier part ran out of time: certainly wrong says more than undecided.
    """
    begin = time.monotonic()
    undecided = []
    parts = sorted(components(operations), key=len)
    pieces = [piece for part in parts for piece in projections(part)] + parts
    for done, piece in enumerate(pieces):
        left = begin + time_limit - time.monotonic()
        share = max(left / (len(pieces) - done), 0.05)
        try:
            failure = find_failure(Problem(piece), time.monotonic() + share)
        except OutOfTime:
            undecided.append(piece)
            continue
        if failure is not None:
            small = explain.minimize(piece, failure, time.monotonic() + explain_limit)
            report = explain.report(piece, small)
            return Verdict(INVALID, report, small.operations, time.monotonic() - begin)
    if undecided:
        text = "\n".join(
            f"out of time on {len(piece)} operations on {explain.key_list(piece)}"
            for piece in undecided
        )
        return Verdict(UNDECIDED, text, seconds=time.monotonic() - begin)
    return Verdict(VALID, seconds=time.monotonic() - begin)


def projections(part):
    """What each key of a component saw, if there are several; see project.py."""
    keys = Problem(part).keys
    return [project.onto(key, part) for key in keys] if len(keys) > 1 else []
