"""What each operation means: a step from one state to the next, or a contradiction.

The state of a component is a tuple with one value per key: None for an absent key, a string for a
register, an int for a counter, a tuple for a list. A step is a pure function of it and returns the
next state, or None where the answer that the client got is impossible in that state.
"""

import operator

COMPARE = {
    "equal": operator.eq,
    "greater": operator.gt,
    "less": operator.lt,
    "greater_equal": operator.ge,
    "less_equal": operator.le,
}


def keys_of(op, all_keys):
    """The keys that an operation reads or writes; a scan touches every known key of its prefix."""
    fields = op.fields
    if op.name == "txn":
        parts = fields["conditions"] + fields["if_then"] + (fields.get("else_then") or [])
        return {part["key"] for part in parts}
    if op.name == "batch":
        return {part["key"] for part in fields["operations"]}
    if op.name == "scan":
        found = {key for key in all_keys if key.startswith(fields["prefix"])}
        return found | {key for key, _ in op.result or []}
    return {fields["key"]}


class Step:
    """An operation, ready for the search.

    `observes` and `writes` are (slot, value) pairs and only ever speed the search up: an answer
    proves that each pair in `observes` held, and `writes` lists all that it could have written.
    `dynamic` are the slots whose new value depends on the old; `sensitive` those whose value may
    have mattered in a way that `observes` does not tell.
    """

    __slots__ = ("op", "apply", "slots", "observes", "writes", "dynamic", "sensitive")

    def __init__(self, op, slots):
        self.op = op
        self.slots = frozenset(slots)
        self.observes = []
        self.writes = []
        self.dynamic = frozenset()
        self.sensitive = frozenset()


def _replaced(state, slot, value):
    if len(state) == 1:
        return (value,)
    return state[:slot] + (value,) + state[slot + 1 :]


def _read(step, slot):
    op = step.op
    expected = tuple(op.result) if op.name == "list" else op.result

    def apply(state):
        value = state[slot]
        if value is None and op.name == "list":
            value = ()
        return state if value == expected else None

    if op.name == "get":
        step.observes.append((slot, expected))
    else:
        step.sensitive = frozenset((slot,))
    return apply


def _write(step, slot):
    op = step.op
    value = None if op.name == "delete" else op.fields["value"]
    step.writes.append((slot, value))
    if op.name == "getset" and op.has_result:
        old = op.result
        step.observes.append((slot, old))
        return lambda state: _replaced(state, slot, value) if state[slot] == old else None
    return lambda state: _replaced(state, slot, value)


def _cas(step, slot):
    op = step.op
    expect, value = op.fields["expect"], op.fields["value"]
    told, success = op.has_result, op.result
    if told and success:
        step.observes.append((slot, expect))
    else:
        step.sensitive = frozenset((slot,))
    if not told or success:
        step.writes.append((slot, value))

    def apply(state):
        matches = state[slot] == expect
        if told and matches != success:
            return None
        return _replaced(state, slot, value) if matches else state

    return apply


def _incr(step, slot):
    op = step.op
    by, told, result = op.fields.get("by", 1), op.has_result, op.result
    step.dynamic = step.sensitive = frozenset((slot,))

    def apply(state):
        value = (state[slot] or 0) + by
        return _replaced(state, slot, value) if not told or value == result else None

    return apply


def _append(step, slot):
    op = step.op
    element, told, result = op.fields["value"], op.has_result, op.result
    step.dynamic = step.sensitive = frozenset((slot,))

    def apply(state):
        value = (state[slot] or ()) + (element,)
        return _replaced(state, slot, value) if not told or len(value) == result else None

    return apply


def holds(condition, value):
    """One comparison of a transaction; an absent key satisfies only not_exists and not_equal."""
    kind = condition["op"]
    if kind == "exists":
        return value is not None
    if kind == "not_exists":
        return value is None
    if kind == "not_equal":
        return value is None or value != condition["value"]
    if value is None:
        return False
    if kind == "equal":
        return value == condition["value"]
    # Values compare as bytes; UTF-8 keeps the order of code points, which is how Python compares.
    return COMPARE[kind](value, condition["value"])


def _new_value(part):
    return part["value"] if part["op"] == "set" else None


def _transaction_evidence(step, branches, slots):
    """Fills in what the answer of a transaction proves."""
    op = step.op
    told = op.has_result
    for condition in op.fields["conditions"]:
        slot = slots[condition["key"]]
        if told and op.result["branch"] and condition["op"] == "equal":
            step.observes.append((slot, condition["value"]))
        else:
            step.sensitive |= {slot}
    for which, branch in branches.items():
        if not told or op.result["branch"] == which:
            step.writes.extend((slots[part["key"]], _new_value(part)) for part in branch)
    if told and op.fields.get("return_previous"):
        taken = branches[op.result["branch"]]
        for part, previous in zip(taken, op.result["prev_values"]):
            step.observes.append((slots[part["key"]], previous))


def _transaction(step, slots):
    op = step.op
    conditions = [(condition, slots[condition["key"]]) for condition in op.fields["conditions"]]
    branches = {True: op.fields["if_then"], False: op.fields.get("else_then") or []}
    wants_previous = op.fields.get("return_previous", False)
    told, result = op.has_result, op.result
    _transaction_evidence(step, branches, slots)

    def apply(state):
        branch = all(holds(condition, state[slot]) for condition, slot in conditions)
        parts = branches[branch]
        if told:
            if branch != result["branch"]:
                return None
            previous = [state[slots[part["key"]]] for part in parts] if wants_previous else []
            if previous != result["prev_values"]:
                return None
        values = list(state)
        for part in parts:
            values[slots[part["key"]]] = _new_value(part)
        return tuple(values)

    return apply


def _batch(step, slots):
    changes = [(slots[part["key"]], _new_value(part)) for part in step.op.fields["operations"]]
    step.writes.extend(changes)

    def apply(state):
        values = list(state)
        for slot, value in changes:
            values[slot] = value
        return tuple(values)

    return apply


def _scan(step, slots):
    found = {slots[key]: value for key, value in step.op.result}
    expected = [(slot, found.get(slot)) for slot in sorted(step.slots)]
    step.observes.extend(expected)
    return lambda state: (
        state if all(state[slot] == value for slot, value in expected) else None
    )


SINGLE = {
    "get": _read,
    "list": _read,
    "set": _write,
    "delete": _write,
    "getset": _write,
    "cas": _cas,
    "incr": _incr,
    "append": _append,
}
SPANNING = {"txn": _transaction, "batch": _batch, "scan": _scan}


def compile_step(op, slots, all_keys):
    """Turns an operation into a step; `slots` gives the place of each key in the state."""
    step = Step(op, (slots[key] for key in keys_of(op, all_keys)))
    if op.name in SINGLE:
        step.apply = SINGLE[op.name](step, slots[op.fields["key"]])
    else:
        step.apply = SPANNING[op.name](step, slots)
    return step
