"""Concurrent clients that record what they asked and what they were told.

Registers are single keys; groups are three keys that transactions, batches and scans span. All
written values differ. The clients run on an event loop in a thread of their own, so that the test's
main thread is free to hurt the cluster.
"""

import asyncio
import json
import os
import random
import sys
import threading
import time
from collections import Counter

from http_client import AsyncClient, CallError, ProtocolError

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import linear  # noqa: E402 (the path must be set first)

REGISTERS, GROUPS, GROUP_KEYS = 12, 4, "abc"

CALLS = {
    "get": 34, "set": 14, "getset": 12, "delete": 4, "cas": 9, "txn": 14, "batch": 6, "scan": 7,
}


class Workload:
    """Clients against `addresses()`, a function that gives [(node id, host, port)] at any time."""

    def __init__(self, addresses, seed, clients=12, pause=0.02, timeout=6.0, prefix="", calls=None):
        self.addresses = addresses
        self.seed = seed
        self.clients = clients
        self.pause = pause
        self.timeout = timeout
        self.prefix = prefix
        self.calls = calls or CALLS
        self.history = []
        self.violations = []
        self.stopping = threading.Event()
        self.thread = None
        self.failure = None

    @property
    def keys(self):
        registers = [self.register(n) for n in range(REGISTERS)]
        return registers + [self.group_key(g, k) for g in range(GROUPS) for k in GROUP_KEYS]

    def register(self, number):
        return f"{self.prefix}r{number}"

    def group_key(self, group, name):
        return f"{self.prefix}g{group}/{name}"

    def start(self):
        self.thread = threading.Thread(target=self._thread, name="workload", daemon=True)
        self.thread.start()
        return self

    def stop(self):
        """Lets the clients finish what they have begun; returns the history."""
        self.stopping.set()
        self.thread.join(self.timeout * 4 + 30)
        assert not self.thread.is_alive(), "a client does not end"
        if self.failure is not None:
            raise self.failure
        return self.history

    def succeeded(self):
        return sum(1 for fields in self.history if fields["outcome"] == "ok")

    def counts(self):
        return Counter(fields["outcome"] for fields in self.history)

    def _thread(self):
        try:
            asyncio.run(self._run())
        except Exception as error:  # Shown by the main thread.
            self.failure = error

    async def _run(self):
        await asyncio.gather(*(self._client(number) for number in range(self.clients)))

    async def _client(self, number):
        rng = random.Random(f"{self.seed}.client.{number}")
        connections, seen = {}, {}
        try:
            count = 0
            while not self.stopping.is_set():
                count += 1
                fields, consistency = self.make_call(rng, f"{number}.{count}", seen)
                addresses = self.addresses()
                if not addresses:
                    await asyncio.sleep(0.05)
                    continue
                node_id, host, port = rng.choice(addresses)
                connection = connections.get((host, port))
                if connection is None:
                    connection = connections[(host, port)] = AsyncClient(host, port)
                fields.update(client=number, node=node_id)
                await self._perform(connection, fields, consistency, seen)
                # A node that refuses at once must not become a busy loop.
                pause = self.pause if fields["outcome"] == "ok" else max(self.pause, 0.05)
                await asyncio.sleep(rng.uniform(0, 2 * pause))
        finally:
            for connection in connections.values():
                connection.close()

    async def _perform(self, connection, fields, consistency, seen):
        fields["start"] = time.monotonic_ns()
        fields["outcome"] = "unknown"
        if consistency is not None:
            fields["consistency"] = consistency
        self.history.append(fields)
        try:
            result = await connection.call(fields, self.timeout, consistency)
        except CallError as error:
            fields["outcome"] = error.outcome
            fields["error"] = str(error)
        except ProtocolError as error:
            self.violations.append(str(error))
        else:
            fields["outcome"] = "ok"
            fields["result"] = result
            self._remember(fields, seen)
        fields["end"] = time.monotonic_ns()

    @staticmethod
    def _remember(fields, seen):
        if fields["op"] == "get":
            seen[fields["key"]] = fields["result"]
        elif fields["op"] in ("set", "getset"):
            seen[fields["key"]] = fields["value"]

    def make_call(self, rng, value, seen):
        """The members of a call, and the read level to ask for (None is the default)."""
        name = rng.choices(list(self.calls), self.calls.values())[0]
        group = rng.randrange(GROUPS)
        if name == "scan":
            return {"op": "scan", "prefix": f"{self.prefix}g{group}/"}, self._level(rng)
        if name in ("txn", "batch"):
            parts = [
                self._part(rng, self.group_key(group, key), f"{value}.{key}")
                for key in rng.sample(GROUP_KEYS, rng.randrange(1, 4))
            ]
            if name == "batch":
                return {"op": "batch", "operations": parts}, None
            return self._transaction(rng, group, parts, value), None
        key = self.register(rng.randrange(REGISTERS))
        if rng.random() < 0.25:
            key = self.group_key(group, rng.choice(GROUP_KEYS))
        fields = {"op": name, "key": key}
        if name in ("set", "getset", "cas"):
            fields["value"] = value
        if name == "cas":
            fields["expect"] = seen.get(key)
        return fields, self._level(rng) if name == "get" else None

    @staticmethod
    def _level(rng):
        return rng.choice((None, None, None, "linearizable", "lease"))

    @staticmethod
    def _part(rng, key, value):
        if rng.random() < 0.15:
            return {"op": "delete", "key": key}
        return {"op": "set", "key": key, "value": value}

    def _transaction(self, rng, group, parts, value):
        conditions = []
        for _ in range(rng.randrange(3)):
            condition = {
                "key": self.group_key(group, rng.choice(GROUP_KEYS)),
                "op": rng.choice(("exists", "not_exists", "less", "greater_equal", "not_equal")),
            }
            if not condition["op"].endswith("exists"):
                condition["value"] = str(rng.randrange(10))
            conditions.append(condition)
        otherwise = self._part(rng, self.group_key(group, rng.choice(GROUP_KEYS)), f"{value}.e")
        return {
            "op": "txn",
            "conditions": conditions,
            "if_then": parts,
            "else_then": [otherwise],
            "return_previous": rng.random() < 0.9,
        }

    # After the run.

    def read_back(self, nodes):
        """Reads every key through every node, as part of the history."""
        for node in nodes:
            with node.client() as client:
                for key in self.keys:
                    fields = {"op": "get", "key": key, "client": "final", "node": node.id,
                              "outcome": "ok", "start": time.monotonic_ns()}
                    fields["result"] = client.get(key)
                    fields["end"] = time.monotonic_ns()
                    self.history.append(fields)

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            for fields in self.history:
                file.write(json.dumps(fields) + "\n")

    def verdict(self, time_limit=90.0):
        operations = [linear.history.operation(fields) for fields in self.history]
        return linear.check(operations, time_limit)
