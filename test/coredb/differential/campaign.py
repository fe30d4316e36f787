#!/usr/bin/env python3
"""Compares coredb with redis-server by random commands, for as long as one likes.

    campaign.py --commands 1000000 [--seed 7] [--processes 2] [--groups zset,geo] [--nodes 3]
    campaign.py --seed 7 --episode 12 --groups zset       repeats one episode
    campaign.py --redis ...                               redis-server against itself: no difference

A difference is shrunk to the shortest list of commands that shows it. The run goes on until --differences
of different kinds have been found, and fails if there was any.
"""

import argparse
import multiprocessing
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import coredb_cluster  # noqa: E402 (the path must be set first)
import coverage  # noqa: E402
import differences  # noqa: E402
from mixer import GROUPS, SCENARIOS, SERVED, Mixer  # noqa: E402
from resp import is_error  # noqa: E402
from runner import Found, Pair, show  # noqa: E402
from shrink import shrink  # noqa: E402

EPISODE_COMMANDS = 3000


def unknown_commands(pair, names):
    """Those of `names` that the other server does not have, while it is being written."""
    unknown = set()
    for name in sorted(names):
        reply = pair.sides[1][0].call(name)
        if is_error(reply) and reply[1].startswith(b"ERR unknown command"):
            unknown.add(name)
    return unknown


def all_names():
    """Every command that the groups make, found by making many."""
    mixer = Mixer(0)
    names = {command[0] for step in mixer.episode(60000) for command in step.commands}
    return {name for name in names if name.isalpha() or b"_" in name} - {b"NOSUCH", b"GETX",
                                                                         b"NOSUCHCOMMAND"}


def report(seed, number, steps, found, groups, out=sys.stdout):
    """Everything that is needed to repeat and to understand it."""
    chosen = ", groups " + ",".join(groups) if groups and groups != SERVED else ""
    lines = [f"\nDIFFERENCE (seed {seed}, episode {number}{chosen})",
             f"  command   {show(found.command)}", f"  redis     {found.replies[0]!r}",
             f"  coredb    {found.replies[1]!r}", "  after:"]
    for step in steps:
        for command in step.commands:
            what = "" if step.kind in ("commands", "open") else f"   ({step.kind} {step.data!r})"
            lines.append(f"    [{step.connection}] {show(command)}{what}")
        if not step.commands:
            lines.append(f"    [{step.connection}] {step.kind} {step.data!r}")
        if step.kind == "block":
            lines += [f"    [{step.connection}]     {show(command)}" for command in step.data]
    print("\n".join(lines), file=out, flush=True)


class Campaign:
    """Episodes on one pair of servers."""

    def __init__(self, pair, seed, groups=None, unknown=(), length=EPISODE_COMMANDS, differences_max=1,
                 shrink_s=60.0):
        self.pair = pair
        self.seed = seed
        self.groups = groups
        self.unknown = unknown
        self.length = length
        self.differences_max = differences_max
        self.shrink_s = shrink_s
        self.signatures = {}

    def episode(self, number):
        mixer = Mixer(f"{self.seed}/{number}", self.groups, self.unknown)
        steps = mixer.episode(self.length)
        try:
            self.pair.run(steps)
        except Found as found:
            self.found(number, steps, found)

    def found(self, number, steps, found):
        signature = found.signature
        self.signatures[signature] = self.signatures.get(signature, 0) + 1
        if self.signatures[signature] > 1:
            return
        shorter = shrink(self.pair, steps, found, self.shrink_s) if self.shrink_s else None
        if shorter:
            report(self.seed, number, shorter[0], shorter[1], self.groups)
        else:
            near = steps[max(0, found.step - 30):found.step + 1]
            print("\n(shrinking did not show it again; the last steps before it)")
            report(self.seed, number, near, found, self.groups)

    @property
    def done(self):
        return len(self.signatures) >= self.differences_max


def report_coverage(pair):
    never, missing = coverage.gaps(pair.coverage, coverage.data_commands(pair.sides[1][0]),
                                   coverage.options(pair.sides[0][0]))
    print("\n".join(coverage.table(pair.coverage)))
    print("never answered but by errors:", ", ".join(never) or "none")
    print("options never used:", ", ".join(map(" ".join, missing)) or "none")


def work(options, process):
    """One process with servers of its own; returns (commands, differences)."""
    with coredb_cluster.Group() as group:
        redis = group.redis()
        if options.port:
            ports = [options.port]
        else:
            others = [group.redis()] if options.redis else group.coredb(options.nodes)
            ports = [server.port for server in others]
        pair = Pair([redis.port], ports, notifications=options.notifications)
        unknown = unknown_commands(pair, all_names()) if options.known_only else set()
        if unknown and process == 0:
            print("left out:", " ".join(sorted(name.decode() for name in unknown)), flush=True)
        campaign = Campaign(pair, options.seed, options.groups, unknown, options.length,
                            options.differences, options.shrink)
        begin = time.monotonic()
        number, step = (options.episode, 0) if options.episode is not None else (process, options.processes)
        said = 0
        while not campaign.done:
            campaign.episode(number)
            number += step
            seconds = time.monotonic() - begin
            if seconds - said > 30:
                said = seconds
                print(f"process {process}: episode {number}, {pair.commands} commands, "
                      f"{pair.commands / seconds:.0f}/s", flush=True)
            enough = pair.commands * options.processes >= options.commands
            if not step or enough or (options.minutes and seconds > options.minutes * 60):
                break
        seconds = time.monotonic() - begin
        print(f"process {process}: {pair.commands} commands in {seconds:.1f} s, "
              f"{pair.commands / seconds:.0f}/s, "
              f"{len(campaign.signatures)} kinds of differences", flush=True)
        for name, count in differences.met.most_common():
            print(f"    meant: {name} ({count} times)")
        for signature, count in campaign.signatures.items():
            print(f"    {count:4} x {signature}")
        if options.coverage:
            report_coverage(pair)
        sys.stdout.flush()
        pair.close()
        return pair.commands, len(campaign.signatures)


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=1000000)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--seed", default=str(time.time_ns() % 1000000))
    parser.add_argument("--episode", type=int)
    parser.add_argument("--length", type=int, default=EPISODE_COMMANDS, help="commands of an episode")
    parser.add_argument("--groups", type=lambda text: text.split(","),
                        help=",".join([*GROUPS, *SCENARIOS]) + "; all but function unless given")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--differences", type=int, default=1, help="stop after so many kinds")
    parser.add_argument("--shrink", type=float, default=60.0, help="seconds to spend on shrinking each")
    parser.add_argument("--port", type=int, help="of a server that runs already")
    parser.add_argument("--redis", action="store_true")
    parser.add_argument("--notifications", action="store_true", help="compare keyspace notifications too")
    parser.add_argument("--coverage", action="store_true",
                        help="print what each command was answered, and what was never reached")
    parser.add_argument("--known-only", action="store_true",
                        help="leave out commands that coredb does not have")
    options = parser.parse_args(arguments)
    for name in options.groups or ():
        if name not in GROUPS and name not in SCENARIOS:
            parser.error(f"no group {name}")
    if options.groups is None and not options.redis:
        options.groups = SERVED
    return options


def main():
    options = parse_options(sys.argv[1:])
    print(f"seed {options.seed}", flush=True)
    if options.processes == 1:
        results = [work(options, 0)]
    else:
        with multiprocessing.Pool(options.processes) as pool:
            results = pool.starmap(work, [(options, i) for i in range(options.processes)])
    commands, found = (sum(column) for column in zip(*results))
    print(f"{commands} commands, {found} kinds of differences")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
