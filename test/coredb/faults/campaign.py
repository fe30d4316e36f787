#!/usr/bin/env python3
"""Linearizability of coredb under faults, for as long as one likes.

    campaign.py --minutes 30 --seed 7 [--nodes 5] [--faults kill_leader,...] [--kinds bank,lists,...]
    campaign.py --minutes 1 --seed 7 --first 17      repeats the choices of one round

Every round takes new keys, hurts the cluster, heals it, reads everything back through every node and
checks what the clients were told: registers, members of collections, counters, lists, transfers,
queues, streams, expiry, locks, iterations, messages. The first fault that is found ends it, with the
seed, the schedule of faults, the history and the data kept. A seed repeats the choices; the timing is
the machine's own.
"""

import argparse
import os
import signal
import sys
import time
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nemesis  # noqa: E402 (the path must be set first)
import rounds  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                     epilog="\n".join(__doc__.splitlines()[5:]),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--first", type=int, default=1, help="number of the first round")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--round", type=float, default=45, help="seconds of faults per round")
    parser.add_argument("--faults", help=f"comma-separated, of {', '.join(nemesis.NAMES)}")
    parser.add_argument("--kinds",
                        help=f"comma-separated, of {', '.join(name for name, *_ in rounds.KINDS)}")
    parser.add_argument("--skew", default="", metavar="MS,...",
                        help="how far the nodes' wall clocks are ahead, in turn: --skew=0,1500,-2500")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    names = arguments.faults.split(",") if arguments.faults else list(nemesis.NAMES)
    kinds = arguments.kinds.split(",") if arguments.kinds else None
    skews_ms = [int(text) for text in arguments.skew.split(",")] if arguments.skew else []
    if skews_ms:
        rounds.KINDS = rounds.SKEWED_KINDS
    begin = time.monotonic()
    number, counts, faults = arguments.first - 1, Counter(), Counter()
    print(f"campaign.py --minutes {arguments.minutes} --seed {arguments.seed} "
          f"--first {arguments.first} --nodes {arguments.nodes}", flush=True)
    with nemesis.Cluster(arguments.nodes, skews_ms) as cluster:
        cluster.start()
        while time.monotonic() - begin < 60 * arguments.minutes:
            number += 1
            seed = f"{arguments.seed}.{number}"
            print(f"round {number}, seed {seed}", flush=True)
            found, done = rounds.run_round(cluster, seed, arguments.round, f"{number}/", names, kinds,
                                           say=lambda text: print(text, flush=True))
            counts.update(found)
            faults.update(done)
    print(f"{number - arguments.first + 1} rounds in {(time.monotonic() - begin) / 60:.0f} minutes, "
          f"{sum(counts.values())} operations ({dict(counts)}), {sum(faults.values())} faults "
          f"({dict(faults)}); nothing found")


if __name__ == "__main__":
    main()
