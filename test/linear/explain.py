"""Turns a failed search into something that a person can read: a small history and a table.

Every reduction here keeps the fault real: from a linearizable history it would make another
linearizable one, so what still fails afterwards fails by its own.
"""

import math
import time

from .model import keys_of

# How many of the last operations a report shows at least.
WINDOW = 20


class Small:
    """A reduced history that still fails, the return that nothing explains, and the states."""

    def __init__(self, operations, culprit, states, keys):
        self.operations = operations
        self.culprit = culprit
        self.states = states
        self.keys = keys


def minimize(operations, failure, deadline):
    """Cuts the history off at the failure, then drops what the failure does not need."""
    from . import search  # The two modules need each other; this is the lighter direction.

    def fails(candidate):
        # Without its foresight the search fails where a client got the impossible answer, and not
        # already where the value that this client saw was replaced.
        for foresight in (False, True):
            problem = search.Problem(candidate, foresight)
            try:
                return search.find_failure(problem, min(deadline, time.monotonic() + 2.0))
            except search.OutOfTime:
                continue
        return None

    failure = fails(operations) or failure
    current, last = _shortest_failing_prefix(list(operations), failure, fails)
    size = max(len(current) // 2, 1)
    while time.monotonic() < deadline:
        removed = False
        at = len(current)
        while at > 0 and time.monotonic() < deadline:
            at -= size
            candidate = _without(current, max(at, 0), max(at + size, 0))
            if candidate is None:
                continue
            found = fails(candidate)
            if found is not None:
                current, last = _shortest_failing_prefix(candidate, found, fails)
                removed = True
                at = min(at, len(current))
        if size == 1 and not removed:
            break
        size = max(size // 2, 1)
    culprit = last.problem.certain[last.position].op
    return Small(current, culprit, last.states, last.problem.keys)


def _shortest_failing_prefix(operations, failure, fails):
    """Cuts the history off at the failure, or soon after it.

    A prefix of a linearizable history is linearizable, so a prefix that fails is as good. Not every
    cut fails, because an operation that is cut in two has lost its answer; then all is kept.
    """
    certain = failure.problem.certain
    for position in range(failure.position, min(failure.position + 8, len(certain))):
        candidate = _cut_off(operations, certain[position].op.end)
        found = fails(candidate)
        if found is not None:
            return candidate, found
    return operations, failure


def _cut_off(operations, end):
    """The history as it was known at the time `end`."""
    kept = []
    for op in operations:
        if op.start > end:
            continue
        if op.outcome == "ok" and op.end > end:
            if op.is_read:
                continue
            op = op.forever_pending()
        kept.append(op)
    return kept


def _written(op):
    fields = op.fields
    if op.name in ("set", "getset", "cas"):
        return [(fields["key"], fields["value"])]
    if op.name == "delete":
        return [(fields["key"], None)]
    parts = {"txn": ("if_then", "else_then"), "batch": ("operations",)}.get(op.name, ())
    return [
        (part["key"], part["value"] if part["op"] == "set" else None)
        for name in parts
        for part in fields.get(name) or []
    ]


def _observed(op):
    """The (key, value) pairs whose presence an operation's course depended on, or None: any."""
    fields, result = op.fields, op.result
    if op.name in ("get", "getset"):
        return {(fields["key"], result)} if op.has_result else set()
    if op.name in ("set", "delete", "batch"):
        return set()
    if op.name == "scan":
        found = set(map(tuple, result or []))
        return found
    return None


def _without(operations, begin, end):
    """The history without the removable operations of a range; None when there are none.

    A read can always go. A write can go when nobody saw what it wrote and nothing else may have
    looked, since then it leaves no trace in any order.
    """
    # What of the range may have to stay counts as well; reads can go in any case.
    rest = operations[:begin] + operations[end:]
    rest += [op for op in operations[begin:end] if not op.is_read]
    seen, anything_seen = set(), False
    for op in rest:
        pairs = _observed(op)
        if pairs is None or op.name == "scan":
            anything_seen = True
        seen |= pairs or set()
    kept = list(operations[:begin])
    for op in operations[begin:end]:
        removable = op.is_read or (
            not anything_seen
            and _observed(op) is not None
            and not any(pair in seen for pair in _written(op))
        )
        if not removable:
            kept.append(op)
    kept += operations[end:]
    return kept if len(kept) < len(operations) else None


def key_list(operations):
    keys = set()
    for op in operations:
        keys |= keys_of(op, ())
    names = sorted(keys)
    shown = ", ".join(repr(key) for key in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _call(op):
    fields = op.fields
    shown = {
        name: value
        for name, value in fields.items()
        if name not in ("client", "start", "end", "outcome", "op", "result", "node", "error")
    }
    return f"{op.name}(" + ", ".join(f"{name}={value!r}" for name, value in shown.items()) + ")"


def _answer(op):
    if op.outcome == "unknown":
        return "unknown"
    return f"{op.result!r}" if op.has_result else "ok"


def _state_text(keys, state):
    return "{" + ", ".join(f"{key}: {value!r}" for key, value in zip(keys, state)) + "}"


def _window(shown, culprit):
    """The indexes of the operations to print: the last ones, and whoever wrote what was seen."""
    seen = _observed(culprit) or set()
    window = set(range(max(len(shown) - WINDOW, 0), len(shown)))
    for number, op in enumerate(shown):
        if op.fields is culprit.fields or any(pair in seen for pair in _written(op)):
            # With their neighbours, which tell what happened to the value.
            window |= {n for n in range(number - 2, number + 3) if 0 <= n < len(shown)}
    return sorted(window)[-3 * WINDOW :]


def report(operations, small):
    """The window of operations around the failure, oldest first, the culprit marked."""
    culprit = small.culprit
    shown = sorted(small.operations, key=lambda op: (op.start, op.end))
    origin = shown[0].start
    lines = [
        f"not linearizable: keys {key_list(small.operations)}",
        f"no order of the operations below explains the one marked '>' "
        f"({len(shown)} of {len(operations)} operations are left):",
        "  {:>8}  {:>14}  {:>14}  {}".format("client", "start", "end", "call -> answer"),
    ]
    previous = -1
    for number in _window(shown, culprit):
        op = shown[number]
        if number != previous + 1:
            lines.append(f"  ... {number - previous - 1} operations")
        previous = number
        mark = ">" if op.fields is culprit.fields else " "
        end = "never" if op.end == math.inf else f"+{op.end - origin}"
        node = f"  [node {op.fields['node']}]" if "node" in op.fields else ""
        lines.append(
            f"{mark} {op.client!s:>8}  {f'+{op.start - origin}':>14}  {end:>14}  "
            f"{_call(op)} -> {_answer(op)}{node}"
        )
    states = sorted(_state_text(small.keys, state) for state in small.states)
    lines.append("possible states before the marked operation's return:")
    lines.extend(f"    {text}" for text in states[:8])
    if len(states) > 8:
        lines.append(f"    ... and {len(states) - 8} more")
    return "\n".join(lines)
