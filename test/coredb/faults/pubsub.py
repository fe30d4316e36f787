"""Messages reach each subscriber of a node at most once, and those of one connection in its order."""

import asyncio

from judge import by_key, finding
from session import encode, plain, transaction

CHANNELS = 2


class Messages:
    """The first half publishes, the rest listens; every listener's connection is one record."""

    clients = 6

    def __init__(self, run):
        self.run = run
        self.channels = [f"{run.prefix}channel:{n}" for n in range(CHANNELS)]
        self.count = 0

    async def work(self, session):
        if session.number % 2:
            await self.listen(session)
        else:
            await self.publish(session)

    async def publish(self, session):
        self.count += 1
        channel = session.rng.choice(self.channels)
        within = session.rng.random() < 0.3
        # Of a transaction it is part of the entry, else it goes past the log: no order between them.
        record = {"op": "publish", "key": channel, "message": str(self.count),
                  "sender": f"{session.name}.{session.links}.{within}"}
        if within:
            await session.perform(transaction(record, ("PUBLISH", channel, self.count)))
        else:
            await session.call(record, "PUBLISH", channel, self.count)

    async def listen(self, session):
        """Receives for a while, or until the connection ends."""
        record = {"op": "listen", "key": "", "client": session.name, "node": session.node,
                  "start": self.run.now(), "outcome": "ok", "result": []}
        self.run.history.append(record)
        link = session.link
        link.writer.write(encode(("SUBSCRIBE", *self.channels)))
        until = asyncio.get_running_loop().time() + session.rng.uniform(2, 10)
        try:
            while not self.run.stopping.is_set():
                left = min(until - asyncio.get_running_loop().time(), 0.5)
                if left <= 0:
                    break
                try:
                    reply = await asyncio.wait_for(link.reply(), left)
                except asyncio.TimeoutError:
                    continue
                kind, *rest = plain(reply)
                if kind == "message":
                    record["result"].append([rest[0], rest[1]])
        except (OSError, EOFError):
            pass
        record["end"] = self.run.now()
        session.close()

    async def read_back(self, session):
        """Nothing is kept that could be read."""


def check(history):
    published = {r["message"]: r for r in history if r["op"] == "publish"}
    heard = {}
    for record in by_key(history, "listen").get("", ()):
        last = {}
        for channel, message in record["result"]:
            origin = published.get(message)
            shown = {**record, "result": message}
            if origin is None or origin["key"] != channel:
                raise finding(f"{message!r} was never published on {channel}", shown)
            if origin["outcome"] == "failed":
                raise finding("a refused message was delivered", origin, shown)
            if origin["start"] > record["end"]:
                raise finding("delivered before it was published", origin, shown)
            # Who goes on to a node that is behind may hear there what a transaction has published.
            before = heard.setdefault((record["client"], record["node"], message), record)
            if before is not record or message in last.get("all", ()):
                raise finding(f"{message!r} was delivered twice", origin, shown)
            last.setdefault("all", set()).add(message)
            sender = origin["sender"], origin["key"]
            if int(last.get(sender, 0)) > int(message):
                raise finding("messages of one sender out of order", published[last[sender]], origin,
                              shown)
            last[sender] = message
    return len(history)
