#!/usr/bin/env python3
"""Checks history files: `check.py [--time-limit SECONDS] FILE...` ('-' is standard input).

Exit status: 0 all linearizable, 1 some are not, 2 a file is malformed, 3 out of time.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import linear  # noqa: E402 (the path must be set first)


def check_file(name, time_limit):
    try:
        if name == "-":
            operations = linear.load(sys.stdin)
        else:
            with open(name, encoding="utf-8") as lines:
                operations = linear.load(lines)
    except (OSError, linear.HistoryError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    verdict = linear.check(operations, time_limit)
    print(f"{name}: {len(operations)} operations, {verdict.status}, {verdict.seconds:.2f} s")
    if verdict.report:
        print(verdict.report)
    return {"linearizable": 0, "not linearizable": 1, "undecided": 3}[verdict.status]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time-limit", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("files", nargs="+", metavar="FILE")
    arguments = parser.parse_args()
    return max(check_file(name, arguments.time_limit) for name in arguments.files)


if __name__ == "__main__":
    sys.exit(main())
