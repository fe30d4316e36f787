"""Every difference between coredb and Redis 7.0 that is meant, and nothing else.

Each has a name, the section of docs/compatibility.md that gives the reason, and a test of command
and replies that is as narrow as it can be. The test counts how often each was met.
"""

import collections

met = collections.Counter()


class Difference:
    def __init__(self, name, section, matches):
        self.name = name
        self.section = section
        self.matches = matches


READERS = (b"GET", b"EVAL", b"EVAL_RO", b"EVALSHA", b"EVALSHA_RO")


def only_the_cached_count_differs(arguments, a, b):
    """The bytes of HyperLogLogs, maybe read by a script: which of the two counted last."""
    return (arguments[0].upper() in READERS and type(a) is bytes and type(b) is bytes and len(a) == len(b)
            and a.startswith(b"HYLL") and a[:8] == b[:8] and a[16:] == b[16:])


def counts_nodes(arguments, a, b):
    """A lone redis-server has no replicas."""
    return arguments[0].upper() == b"WAIT" and a == 0 and type(b) is int and b > 0


def counts_nobody(arguments, a, b):
    """PUBLISH within MULTI, where the steps of pub/sub say that it is so."""
    return arguments == (b"EXEC", b"PUBLISH") and type(a) is list and b == [0]


def shared_integer(arguments, a, b):
    """Redis shares small integers, but not those that COPY, MOVE or RESTORE made."""
    return [word.upper() for word in arguments[:2]] == [b"OBJECT", b"REFCOUNT"] and (a, b) == (1, 2147483647)


ALL = [
    Difference("OBJECT REFCOUNT calls all small integers shared", "Encodings", shared_integer),
    Difference("PUBLISH within MULTI answers 0", "Pub/sub", counts_nobody),
    Difference("WAIT counts the other nodes that have the write on disk", "WAIT", counts_nodes),
    Difference("PFCOUNT does not store what it counted when it runs as a query", "HyperLogLog",
               only_the_cached_count_differs),
]


def explains(arguments, redis_reply, coredb_reply):
    for difference in ALL:
        if difference.matches(arguments, redis_reply, coredb_reply):
            met[difference.name] += 1
            return True
    return False
