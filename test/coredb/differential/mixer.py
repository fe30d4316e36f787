"""Puts commands of all groups together into episodes: lists of steps that begin with empty servers."""

import itertools

from groups_basic import BITMAP, HYPERLOGLOG, STRING
from groups_blocking import blocking
from groups_collections import HASH, LIST, SET
from groups_other import CONNECTION, GENERIC, STREAM, transaction
from groups_pubsub import pubsub
from groups_script import FUNCTION, SCRIPT
from groups_sorted import GEO, ZSET
from maker import Maker, Step, mutate

# The weight of a group among all, and its rows.
GROUPS = {
    "string": (12, STRING), "list": (12, LIST), "hash": (10, HASH), "set": (10, SET), "zset": (16, ZSET),
    "bitmap": (6, BITMAP), "hyperloglog": (4, HYPERLOGLOG), "geo": (6, GEO), "stream": (14, STREAM),
    "generic": (12, GENERIC), "connection": (2, CONNECTION), "script": (3, SCRIPT),
    "function": (1, FUNCTION),
}
SCENARIOS = {"transaction": (0.008, transaction), "blocking": (0.006, blocking),
             "pubsub": (0.0015, pubsub)}
# coredb has no functions.
SERVED = [name for name in (*GROUPS, *SCENARIOS) if name != "function"]
MUTATED = 0.03


class Mixer(Maker):
    """Draws whole commands. `groups` chooses some; `unknown` names commands that are left out."""

    def __init__(self, seed, groups=None, unknown=()):
        super().__init__(seed)
        chosen = groups or [*GROUPS, *SCENARIOS]
        self.unknown = unknown
        self.restores = "generic" in chosen
        self.rows, weights = [], []
        for name, (weight, rows) in GROUPS.items():
            if name in chosen:
                total = sum(row[0] for row in rows)
                self.rows += [row[1] for row in rows]
                weights += [weight * row[0] / total for row in rows]
        self.cumulated = list(itertools.accumulate(weights))
        self.scenarios = [SCENARIOS[name] for name in SCENARIOS if name in chosen]
        self.drawn = []

    def row(self):
        if not self.drawn:
            self.drawn = self.random.choices(self.rows, cum_weights=self.cumulated, k=256)
        return self.drawn.pop()

    def unknown_in(self, commands):
        return self.unknown and any(command[0].upper() in self.unknown for command in commands)

    def any_plain(self):
        """One command of any group that stands by itself."""
        while True:
            made = self.row()(self)
            if type(made) is tuple and not self.unknown_in((made,)):
                return mutate(self, made) if self.rand() < MUTATED else made

    def steps(self):
        """The next step, or those of a scenario."""
        for chance, scenario in self.scenarios:
            if self.rand() < chance:
                steps = scenario(self)
                if not any(self.unknown_in(step.commands) for step in steps):
                    return steps
        while True:
            made = self.row()(self)
            if type(made) is tuple:
                if self.rand() < MUTATED:
                    made = mutate(self, made)
                made = Step("commands", self.connection, (made,))
            if not self.unknown_in(made.commands):
                return (made,)

    def episode(self, count):
        """At least `count` commands, beginning on empty servers."""
        steps = []
        made = until = 0
        while made < count:
            if made >= until:
                until = made + self.between(20, 150)
                self.connection = self.below(2)
            for step in self.steps():
                steps.append(step)
                made += max(1, len(step.commands))
        return steps
