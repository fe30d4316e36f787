"""Projects operations that span keys onto one key.

If a history is linearizable, so is what each key saw of it. The converse does not hold, but most
faults show on a single key, where the search is quick and its counterexample short.
"""

from .history import Operation


def onto(key, operations):
    """What `key` saw of each operation, as operations on that key alone."""
    projected = []
    for op in operations:
        if op.name == "txn":
            projected.extend(_transaction(key, op))
        elif op.name == "batch":
            projected.extend(_writes(op, _parts(key, op.fields["operations"])))
        elif op.name == "scan":
            if key.startswith(op.fields["prefix"]):
                value = dict(op.result or ()).get(key)
                projected.append(_derived(op, op="get", key=key, result=value))
        elif op.fields["key"] == key:
            projected.append(op)
    return projected


def _parts(key, parts):
    return [part for part in parts or () if part["key"] == key]


def _derived(origin, **members):
    kept = ("client", "start", "end", "outcome", "node")
    fields = {name: origin.fields[name] for name in kept if name in origin.fields}
    if origin.outcome == "unknown":
        members.pop("result", None)
    return Operation({**fields, **members, "within": origin.name})


def _writes(op, parts, previous=()):
    """The effect of a branch whose conditions are known to hold; `previous` may be empty."""
    if not parts:
        return []
    last = parts[-1]
    value = last["value"] if last["op"] == "set" else None
    if previous and value is not None:
        return [_derived(op, op="getset", key=last["key"], value=value, result=previous[0])]
    if previous:
        return [_as_transaction(op, [], parts, [], True, previous)]
    if value is None:
        return [_derived(op, op="delete", key=last["key"])]
    return [_derived(op, op="set", key=last["key"], value=value)]


def _as_transaction(op, conditions, if_then, else_then, branch, previous):
    return _derived(
        op,
        op="txn",
        conditions=conditions,
        if_then=if_then,
        else_then=else_then,
        return_previous=bool(previous),
        result={"branch": branch, "prev_values": list(previous)},
    )


def _transaction(key, op):
    fields = op.fields
    conditions = _parts(key, fields["conditions"])
    if_then, else_then = _parts(key, fields["if_then"]), _parts(key, fields.get("else_then"))
    if op.outcome == "unknown":
        # Either branch may have run; that both might is wrong, but it only forgives.
        first = _as_transaction(op, conditions, if_then, [], True, ())
        return ([first] if if_then else []) + _writes(op, else_then)
    if not op.has_result:
        return []
    branch = op.result["branch"]
    previous = ()
    if fields.get("return_previous"):
        taken = fields["if_then"] if branch else fields.get("else_then") or []
        pairs = zip(taken, op.result["prev_values"])
        previous = [value for part, value in pairs if part["key"] == key]
    if branch and conditions:
        return [_as_transaction(op, conditions, if_then, [], True, previous)]
    if branch:
        return _writes(op, if_then, previous)
    if conditions and len(fields["conditions"]) == 1:
        return [_as_transaction(op, conditions, [], else_then, False, previous)]
    return _writes(op, else_then, previous)
