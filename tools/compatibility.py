#!/usr/bin/python3
"""Writes the tables of docs/compatibility.md, from what `coredb --commands` prints.

Usage: compatibility.py COREDB [--check]

What stands above the mark is written by hand and stays. tools/redis-commands.tsv lists the commands of
Redis 7.0: name, group, since, and why coredb does not have it. With --check nothing is written, and the
exit status is 1 if the document is not up to date.
"""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
DOCUMENT = SOURCE / "docs" / "compatibility.md"
REDIS = SOURCE / "tools" / "redis-commands.tsv"
MARK = "<!-- From here on tools/compatibility.py writes; change the rows of the command table instead. -->\n"
ORDER = ["string", "bitmap", "hyperloglog", "list", "hash", "set", "sorted-set", "geo", "stream", "generic",
         "transactions", "pubsub", "scripting", "connection", "server", "cluster", "raft"]


def rows(text, width):
    """Lines of fields between tabs, filled up to `width`."""
    for line in text.splitlines():
        fields = line.split("\t")
        yield fields + [""] * (width - len(fields))


def sentence(text):
    """A note as a sentence for a cell of a table."""
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return (text if text.endswith(".") else text + ".").replace("|", "\\|")


def by_group(items):
    groups = defaultdict(list)
    for item in items:
        groups[item[1]].append(item)
    unknown = sorted(set(groups) - set(ORDER))
    return [(group, sorted(groups[group])) for group in ORDER + unknown if groups[group]]


def supported(commands):
    lines = []
    for group, members in by_group(commands):
        lines += [f"\n### {group}\n", "| command | since | arity | works on | differs |", "|---|---|---|---|---|"]
        for name, _, since, arity, place, _, note in members:
            lines.append(f"| {name.upper()} | {since} | {arity} | {place} | {sentence(note)} |")
    return lines


def missing(commands):
    """Redis's commands that coredb does not have. A container's reason holds for its subcommands."""
    have = {row[0] for row in commands}
    redis = list(rows(REDIS.read_text(encoding="ascii"), 4))
    reasons = {row[0]: row[3] for row in redis}
    lines = ["| command | group | since | why |", "|---|---|---|---|"]
    for name, group, since, _ in redis:
        container = name.split(" ")[0]
        reason = reasons[name] or reasons.get(container, "")
        if name in have:
            continue
        if not reason:
            sys.exit(f"compatibility.py: coredb has no {name}; say why in {REDIS.name}")
        lines.append(f"| {name.upper()} | {group} | {since} | {sentence(reason)} |")
    return lines


def tables(program):
    listing = subprocess.run([program, "--commands"], check=True, capture_output=True, text=True).stdout
    commands = list(rows(listing, 7))
    redis = {row[0] for row in rows(REDIS.read_text(encoding="ascii"), 4)}
    common = [row for row in commands if row[0] in redis]
    own = [row for row in commands if row[0] not in redis]
    lines = ["\n## Commands", "",
             f"{len(common)} of the {len(redis)} commands and subcommands of Redis 7.0. *Works on*: a *write* runs from",
             "the log, on all nodes; a *read* on the data of the node that is asked, *data* on either;",
             "*connection* needs no data; a *container* has subcommands."]
    lines += supported(common)
    lines += ["\n## Commands that Redis 7.0 has and coredb does not", ""] + missing(commands)
    lines += ["\n## Commands that Redis 7.0 does not have", "", "| command | arity | |", "|---|---|---|"]
    lines += [f"| {row[0].upper()} | {row[3]} | {sentence(row[5])} |" for row in sorted(own)]
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--check"]):
        sys.exit(__doc__)
    before = DOCUMENT.read_text(encoding="utf-8")
    above, mark, _ = before.partition(MARK)
    if not mark:
        sys.exit(f"compatibility.py: {DOCUMENT.name} has lost its mark: {MARK.strip()}")
    after = above + MARK + tables(sys.argv[1])
    if len(sys.argv) == 3:
        if before != after:
            sys.exit("docs/compatibility.md is not up to date; run tools/compatibility.py build/bin/coredb")
    elif before != after:
        DOCUMENT.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
