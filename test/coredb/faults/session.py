"""Clients that record what they asked, when, and what is known of the outcome.

A record is a dictionary: what the workload says of the operation, and

    client, node    who asked whom
    start, end      nanoseconds of one monotonic clock; an unknown operation may last for ever
    outcome         ok: it took effect in between; failed: it never does; unknown: it may, once, or not
    result          of what is ok; error: of what is not

It enters the history when it is sent, as unknown, so that nothing that ends a client early loses it.
"""

import asyncio
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "differential"))

from resp import Incomplete, encode, is_error, parse  # noqa: E402 (the path must be set first)

# Errors that say that nothing was applied. All but -UNKNOWN do; these are the ones to be expected.
REFUSALS = (b"TRYAGAIN", b"CLUSTERDOWN", b"EXECABORT", b"MISCONF")
READ_BYTES = 1 << 16


class Lost(Exception):
    """No answer: the connection ended, or the client's patience did."""


class Step:
    """Commands that are sent together as one operation, whose last reply is its answer."""

    def __init__(self, record, *commands, decode=None):
        self.record = record
        self.commands = commands
        self.decode = decode or (lambda reply: reply)


def transaction(record, *commands, decode=None, watched=False):
    """MULTI, the commands, EXEC; the answer is the list of their replies, or None if `watched`."""
    decode = decode or (lambda replies: replies)

    def checked(replies):
        if replies is None and not watched:
            raise ValueError("EXEC refused although nothing was watched")
        return decode(replies)

    return Step(record, ("MULTI",), *commands, ("EXEC",), decode=checked)


def plain(reply):
    """A reply of either protocol as text, numbers, lists and None."""
    if isinstance(reply, bytes):
        return reply.decode("latin-1")
    if isinstance(reply, list):
        return [plain(item) for item in reply]
    if not isinstance(reply, tuple):
        return reply
    kind, content = reply
    if kind == "-":
        raise ValueError(f"an error within a reply: {content!r}")
    if kind == "#":
        return int(content == b"t")
    return plain(content)


class Link:
    """One connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.buffer = b""
        self.at = 0

    async def reply(self):
        """The next reply; raises OSError or EOFError when the connection is no more."""
        while True:
            try:
                value, self.at = parse(self.buffer, self.at)
                return value
            except Incomplete:
                chunk = await self.reader.read(READ_BYTES)
                if not chunk:
                    raise EOFError("closed by the server") from None
                self.buffer = self.buffer[self.at:] + chunk
                self.at = 0

    def close(self):
        self.writer.transport.abort()


class Session:
    """One client of the cluster; it hops between nodes, and leaves one that does not answer."""

    def __init__(self, run, name, number=0):
        self.run = run
        self.name = name
        self.number = number  # among those of its workload
        self.rng = random.Random(f"{run.seed}.{name}")
        self.link = None
        self.links = 0  # how many it has had
        self.node = None
        self.left = 0  # operations until it hops
        self.greeting = ()  # commands for every new connection

    def close(self):
        if self.link is not None:
            self.link.close()
            self.link = None

    async def connect(self, node=None, hop=True):
        """A connection, the present one or a new one; to `node`, if that is given."""
        if self.link is not None and (self.node == node if node else not hop or self.left > 0):
            self.left -= 1
            return
        self.close()
        while self.link is None:
            nodes = self.run.addresses
            self.node, (host, port) = (node, nodes[node]) if node else \
                self.rng.choice(list(nodes.items()))
            try:
                opening = asyncio.open_connection(host, port)
                self.link = Link(*await asyncio.wait_for(opening, self.run.patience))
                self.links += 1
                await self._greet()
            except (OSError, EOFError, asyncio.TimeoutError, Lost):
                self.close()
                await asyncio.sleep(0.05)
        self.left = self.rng.randrange(5, 60)

    async def _greet(self):
        commands = [("HELLO", self.rng.choice((2, 2, 3))), *self.greeting]
        self.link.writer.write(b"".join(encode(command) for command in commands))
        for command in commands:
            reply = await asyncio.wait_for(self.link.reply(), self.run.patience)
            if is_error(reply):
                if not reply[1].startswith(REFUSALS):
                    raise AssertionError(f"{command}: {reply}")
                raise Lost(reply)

    async def call(self, record, *command, decode=None, patience=None):
        """One command; returns the completed record."""
        await self.perform(Step(record, command, decode=decode), patience=patience)
        return record

    async def perform(self, *steps, patience=None):
        """Sends all steps at once, which one connection must answer in order, and records them."""
        if self.link is None:
            await self.connect()
        started = time.monotonic_ns()
        for place, step in enumerate(steps):
            step.record.update(client=self.name, node=self.node, start=started, outcome="unknown")
            if len(steps) > 1:
                step.record["place"] = place
            self.run.history.append(step.record)
        try:
            await asyncio.wait_for(self._exchange(steps), patience or self.run.patience)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            for step in steps:
                if step.record["outcome"] == "unknown" and "error" not in step.record:
                    step.record["error"] = f"lost: {error!r}"
            self.close()

    async def surely(self, build):
        """Sends what `build()` returns, reads, to the same node until all of them are answered."""
        while True:
            await self.connect(self.node)
            steps = build()
            await self.perform(*steps)
            if all(step.record["outcome"] == "ok" for step in steps):
                return
            await asyncio.sleep(0.1)

    async def _exchange(self, steps):
        link = self.link
        link.writer.write(b"".join(encode(c) for step in steps for c in step.commands))
        for step in steps:
            for _ in step.commands:
                reply = await link.reply()
            self._finish(step, reply)

    def _finish(self, step, reply):
        record = step.record
        record["end"] = time.monotonic_ns()
        if not is_error(reply):
            try:
                record["result"] = step.decode(plain(reply))
            except (ValueError, TypeError, IndexError) as error:
                self.run.violation(f"{step.commands}: {reply!r}: {error!r}")
                return
            record["outcome"] = "ok"
            return
        text = reply[1]
        record["error"] = text.decode("latin-1")
        if text.startswith(b"UNKNOWN"):
            return
        record["outcome"] = "failed"
        if not text.startswith(REFUSALS):
            self.run.violation(f"{step.commands}: {reply!r}")

    async def certain(self, *command):
        """The reply of a command that is tried again until it has one; for what may be repeated."""
        while True:
            record = {"op": "setup"}
            await self.connect(hop=False)
            await self.call(record, *command)
            self.run.history.remove(record)
            if record["outcome"] == "ok":
                return record["result"]
            if self.run.violations:
                raise AssertionError(f"{command}: {record['error']}")
            self.close()
            await asyncio.sleep(0.05)
