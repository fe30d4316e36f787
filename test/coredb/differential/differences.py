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


ALL = [
]


def explains(arguments, redis_reply, coredb_reply):
    for difference in ALL:
        if difference.matches(arguments, redis_reply, coredb_reply):
            met[difference.name] += 1
            return True
    return False
