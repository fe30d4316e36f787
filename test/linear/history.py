"""The history format: one JSON object per line, one line per operation. README.md documents it.

This file reads and validates; what an operation means is model.py's subject.
"""

import json
import math

# What every operation must carry besides client, start and outcome.
REQUIRED = {
    "get": ("key",),
    "set": ("key", "value"),
    "delete": ("key",),
    "getset": ("key", "value"),
    "cas": ("key", "expect", "value"),
    "txn": ("conditions", "if_then"),
    "batch": ("operations",),
    "scan": ("prefix",),
    "incr": ("key",),
    "append": ("key", "value"),
    "list": ("key",),
}

OUTCOMES = ("ok", "failed", "unknown")
READS = ("get", "scan", "list")
MUST_HAVE_RESULT = ("get", "getset", "cas", "txn", "scan", "list")


class HistoryError(Exception):
    """The history itself is malformed, so nothing can be said about it."""


class Operation:
    """One call of one client: what it asked, when, and what it was told."""

    __slots__ = ("fields", "name", "client", "start", "end", "outcome", "has_result", "result")

    def __init__(self, fields):
        self.fields = fields
        self.name = fields["op"]
        self.client = fields["client"]
        self.start = fields["start"]
        self.outcome = fields["outcome"]
        # An unknown operation may take effect at any time after its start, so it never ends.
        self.end = fields["end"] if self.outcome != "unknown" else math.inf
        self.has_result = self.outcome == "ok" and "result" in fields
        self.result = fields.get("result")

    @property
    def is_read(self):
        return self.name in READS

    def forever_pending(self):
        """The same call as if its answer had never arrived."""
        copy = Operation(self.fields)
        copy.outcome, copy.end, copy.has_result = "unknown", math.inf, False
        return copy


def operation(fields):
    """Validates the members of one operation; raises HistoryError."""
    if not isinstance(fields, dict):
        raise HistoryError("an operation must be a JSON object")
    name = fields.get("op")
    if name not in REQUIRED:
        raise HistoryError(f"unknown op {name!r}")
    for member in ("client", "start", "outcome") + REQUIRED[name]:
        if member not in fields:
            raise HistoryError(f"{name} without {member!r}")
    if fields["outcome"] not in OUTCOMES:
        raise HistoryError(f"unknown outcome {fields['outcome']!r}")
    if fields["outcome"] != "unknown":
        if fields.get("end") is None:
            raise HistoryError(f"{name} with outcome {fields['outcome']!r} has no end")
        if fields["end"] < fields["start"]:
            raise HistoryError(f"{name} ends before it starts")
    if fields["outcome"] == "ok" and name in MUST_HAVE_RESULT and "result" not in fields:
        raise HistoryError(f"{name} with outcome 'ok' has no result")
    return Operation(fields)


def parse_line(line):
    try:
        return operation(json.loads(line))
    except ValueError as error:
        raise HistoryError(f"not JSON: {error}") from error


def load(lines):
    """Reads a whole history from an iterable of lines; blank lines are skipped."""
    operations = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            operations.append(parse_line(line))
        except HistoryError as error:
            raise HistoryError(f"line {number}: {error}") from error
    return operations
