"""What all checkers share: the form of a finding, and the order that real time imposes."""

import math


class Finding(Exception):
    """Something that no correct server does; its text names the few operations that show it."""


def end_of(record):
    return record["end"] if record["outcome"] != "unknown" else math.inf


def show(record, origin=0):
    """One operation as a line."""
    hidden = ("client", "node", "start", "end", "outcome", "result", "error", "kind", "place")
    what = ", ".join(f"{name}={value!r}" for name, value in record.items() if name not in hidden)
    start = (record["start"] - origin) / 1e9
    end = "never" if end_of(record) == math.inf else f"{(record['end'] - origin) / 1e9:.6f}"
    answer = repr(record["result"]) if record["outcome"] == "ok" else record["outcome"]
    if "error" in record:
        answer += f" ({record['error']})"
    return (f"  {record.get('client')} on node {record.get('node')}  {start:.6f} to {end}  "
            f"{what} -> {answer}")


def finding(text, *records):
    """A Finding about these operations, in the order of their starts."""
    records = sorted(records, key=lambda record: record["start"])
    return Finding("\n".join([text, *(show(record) for record in records)]))


def by_key(history, *operations):
    """{key: records} of these operations."""
    groups = {}
    for record in history:
        if record["op"] in operations:
            groups.setdefault(record["key"], []).append(record)
    return groups


def agrees_with_time(seen, what):
    """Checks that places in one order follow real time.

    `seen` has (record, before, after): the operation took place at `before` and left `after`, which
    is more for a write and the same for a read. What ended before another began has its place no
    later; checked for all pairs at once, with the furthest place among those that have ended.
    """
    ends = sorted(seen, key=lambda item: end_of(item[0]))
    furthest, position = None, 0
    for record, before, after in sorted(seen, key=lambda item: item[0]["start"]):
        while position < len(ends) and end_of(ends[position][0]) < record["start"]:
            if furthest is None or ends[position][2] > furthest[2]:
                furthest = ends[position]
            position += 1
        if furthest is not None and furthest[2] > before:
            raise finding(f"{what}: the second began when the first had ended, but comes before it "
                          f"(first up to {furthest[2]}, second from {before})", furthest[0], record)
