"""What the random commands reach: how often each command was answered, and with what kind of reply."""

import collections

from compare import command_name, elements
from resp import is_error, is_null

KINDS = ("ok", "nil", "error")


def kind_of(reply):
    if is_error(reply):
        return "error"
    return "nil" if is_null(reply) or elements(reply) == [] else "ok"


class Coverage:
    """Counts replies of redis-server; `words` are arguments of commands that succeeded."""

    def __init__(self):
        self.replies = collections.Counter()
        self.words = set()
        self.queued = {}

    def note(self, connection, commands, replies):
        """Replies that came on one connection. Those within MULTI come with EXEC."""
        for command, reply in zip(commands, replies):
            if reply == ("+", b"QUEUED"):
                self.queued.setdefault(connection, []).append(command)
                continue
            name = command[0].upper()
            if name in (b"EXEC", b"DISCARD", b"MULTI"):
                waiting = self.queued.pop(connection, [])
                if name == b"EXEC" and type(reply) is list and len(reply) == len(waiting):
                    self.note(connection, waiting, reply)
            self.one(command, reply)

    def one(self, command, reply):
        name = command_name(command).decode("latin1")
        kind = kind_of(reply)
        self.replies[name, kind] += 1
        if kind != "error":
            self.words.update((name, word.upper()) for word in command[1:] if len(word) <= 16)


def tokens_of(arguments):
    """The words among the arguments of a command in COMMAND DOCS, those that are options."""
    found = set()
    for argument in arguments:
        told = dict(zip(argument[::2], argument[1::2]))
        if told.get(b"token"):
            found.add(told[b"token"].upper())
        found |= tokens_of(told.get(b"arguments", []))
    return found


def options(connection):
    """The options of each command as redis-server tells them."""
    found = {}

    def walk(items):
        for name, told in zip(items[::2], items[1::2]):
            told = dict(zip(told[::2], told[1::2]))
            key = name.decode().replace("|", " ").upper()
            found[key] = tokens_of(told.get(b"arguments", []))
            walk(told.get(b"subcommands", []))

    walk(connection.call(b"COMMAND", b"DOCS"))
    return found


def data_commands(connection):
    """Those of coredb that work on the data, by the flags that COMMAND tells; subcommands for containers."""
    found = set()

    def walk(rows):
        for row in rows:
            flags = {flag[1] for flag in elements(row[2])}
            if elements(row[9]):
                walk(elements(row[9]))
            elif flags & {b"write", b"readonly"}:
                found.add(row[0].decode().replace("|", " ").upper())

    walk(connection.call(b"COMMAND"))
    return found


def gaps(coverage, names, known):
    """What of the commands `names` was never reached: (commands never answered well, options)."""
    never = sorted(name for name in names if not coverage.replies[name, "ok"])
    missing = sorted((name, word.decode()) for name in names for word in known.get(name, ())
                     if (name, word) not in coverage.words)
    return never, missing


def table(coverage):
    """Lines: a command and its counts."""
    names = sorted({name for name, _ in coverage.replies})
    lines = [f"{'':28}" + "".join(f"{kind:>10}" for kind in KINDS)]
    for name in names:
        counts = [coverage.replies[name, kind] for kind in KINDS]
        lines.append(f"{name[:28]:28}" + "".join(f"{count:10}" for count in counts))
    return lines
