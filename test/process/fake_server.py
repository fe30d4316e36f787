#!/usr/bin/env python3
"""An imitation of rockraft-http in memory, to try the harness and the tests on, faults included.

Not a replica of anything: the node with an empty `join` holds the data, and the others pass every
request on to it over the raft port, where it speaks the same HTTP. Acknowledged writes go to a file,
so that a kill loses nothing. FAKE_FAULT chooses something to do wrong, one time in FAKE_EVERY:

    stale_read      answers a read with the key's previous value
    lost_write      acknowledges a write and forgets it
    double_apply    applies a write a second time, a moment later
    dirty_txn       applies a transaction in two halves with a pause between
    false_refusal   applies a write and says "not_applied"
    no_outcome      fails a write without saying whether it was applied
    forget          does not write the file, so that a kill loses everything
"""

import asyncio
import base64
import json
import os
import random
import sys
import tomllib
from urllib.parse import parse_qsl, urlsplit

FAULT = os.environ.get("FAKE_FAULT", "")
EVERY = int(os.environ.get("FAKE_EVERY", "60"))
BODY_MAX = 8 << 20
COMPARISONS = ("exists", "not_exists", "equal", "not_equal", "greater", "less", "greater_equal",
               "less_equal")


class Failure(Exception):
    def __init__(self, status, text, headers=None, **members):
        super().__init__(text)
        self.status, self.headers = status, headers or {}
        self.body = {"error": text, **members}


class Store:
    def __init__(self, path):
        self.data, self.previous, self.index = {}, {}, 0
        os.makedirs(path, exist_ok=True)
        self.log = None
        name = os.path.join(path, "fake.log")
        if os.path.exists(name):
            with open(name, encoding="utf-8") as lines:
                for line in lines:
                    self.put_all(json.loads(line))
        if FAULT != "forget":
            self.log = open(name, "a", encoding="utf-8")

    def put_all(self, changes):
        self.index += 1
        for key, value in changes:
            self.previous[key] = self.data.get(key)
            if value is None:
                self.data.pop(key, None)
            else:
                self.data[key] = value

    async def apply(self, changes, spanning=False):
        unlucky = FAULT and random.randrange(EVERY) == 0
        if unlucky and FAULT == "no_outcome":
            raise Failure(500, "Failed to write: no reason")
        if unlucky and FAULT == "lost_write":
            return
        if unlucky and FAULT == "dirty_txn" and spanning and len(changes) > 1:
            self.put_all(changes[:1])
            await asyncio.sleep(0.03)
            changes = changes[1:]
        self.put_all(changes)
        if self.log:
            self.log.write(json.dumps(changes) + "\n")
            self.log.flush()
        if unlucky and FAULT == "double_apply":
            asyncio.get_running_loop().call_later(0.1, self.put_all, changes)
        if unlucky and FAULT == "false_refusal":
            raise Failure(500, "Failed to write: refused", outcome="not_applied")

    def read(self, key):
        if FAULT == "stale_read" and key in self.previous and random.randrange(EVERY) == 0:
            return self.previous[key]
        return self.data.get(key)


def text(body, name, required=True):
    """A string member, as it is or in base64; the wrong shape is 422.

    Bytes that are not UTF-8 become surrogates, so that a string can stand for any bytes.
    """
    value, encoded = body.get(name), body.get(f"{name}_base64")
    if encoded is not None:
        try:
            return base64.b64decode(encoded, validate=True).decode("utf-8", "surrogateescape")
        except (TypeError, ValueError) as error:
            raise Failure(422, f"'{name}_base64' must be base64") from error
    if value is None and not required:
        return None
    if not isinstance(value, str):
        raise Failure(422, f"'{name}' must be a string")
    return value


def encoded(value):
    return value.encode("utf-8", "surrogateescape")


def member(name, value):
    """The member of an answer: text when it is UTF-8, else base64."""
    try:
        return {name: value and value.encode().decode()}
    except UnicodeEncodeError:
        return {f"{name}_base64": base64.b64encode(encoded(value)).decode()}


def changes_of(parts, what):
    if not isinstance(parts, list):
        raise Failure(422, "operations must be an array")
    changes = []
    for part in parts:
        if not isinstance(part, dict) or part.get("op") not in ("set", "delete"):
            raise Failure(422, "an operation must be a set or a delete")
        key = text(part, "key")
        if part["op"] == "delete":
            changes.append((key, None))
        elif part.get("value", part.get("value_base64")) is None:
            raise Failure(500, what.format(key), outcome="not_applied")
        else:
            changes.append((key, text(part, "value")))
    return changes


def holds(condition, current):
    kind, value = condition["op"], condition.get("value")
    if kind not in ("exists", "not_exists") and value is None:
        raise Failure(500, f"Condition '{kind}' requires a value for key '{condition['key']}'",
                      outcome="not_applied")
    if kind == "exists":
        return current is not None
    if kind == "not_exists":
        return current is None
    if kind == "not_equal":
        return current != value
    if current is None:
        return False
    current, value = encoded(current), encoded(value)
    return {"equal": current == value, "greater": current > value, "less": current < value,
            "greater_equal": current >= value, "less_equal": current <= value}[kind]


class Server:
    def __init__(self, settings):
        self.settings = settings
        self.id = settings["node_id"]
        self.leads = not settings["raft"]["join"]
        self.store = Store(settings["rocksdb"]["data_path"])
        self.members = {}
        self.members_path = os.path.join(settings["rocksdb"]["data_path"], "fake.members")
        self.snapshot = None
        address = settings["raft"]["address"]
        host = settings["raft"]["advertise_host"] or address.rsplit(":", 1)[0]
        self.endpoint = f"{host}:{address.rsplit(':', 1)[1]}"
        if self.leads:
            self.members = {self.id: self.endpoint}
            if os.path.exists(self.members_path):
                with open(self.members_path, encoding="utf-8") as file:
                    self.members = {int(n): e for n, e in json.load(file).items()}

    ROUTES = {
        ("GET", "/get"): "get", ("POST", "/set"): "set", ("POST", "/delete"): "delete",
        ("POST", "/batch_write"): "batch", ("POST", "/txn"): "txn", ("POST", "/getset"): "getset",
        ("GET", "/prefix"): "prefix", ("POST", "/join"): "join", ("POST", "/leave"): "leave",
        ("GET", "/members"): "list_members", ("GET", "/health"): "health",
        ("GET", "/metrics"): "metrics", ("POST", "/trigger_snapshot"): "trigger_snapshot",
        ("GET", "/snapshot_status"): "snapshot_status", ("POST", "/purge_log"): "purge_log",
    }
    WRITES = ("/set", "/delete", "/batch_write", "/txn", "/getset")
    LOCAL = ("/health", "/trigger_snapshot", "/snapshot_status", "/purge_log")

    async def answer(self, method, target, headers, body):
        """(status, headers, JSON) of a request."""
        path = urlsplit(target).path
        verb = "GET" if method == "HEAD" else method
        allowed = [m for m, known in self.ROUTES if known == path]
        if not allowed:
            raise Failure(404, f"no such path: {path}")
        if verb not in allowed:
            raise Failure(405, f"{path} takes {allowed[0]}", {"allow": allowed[0]})
        if len(body) > BODY_MAX:
            raise Failure(413, f"the body has more than {BODY_MAX} bytes")
        handler = getattr(self, self.ROUTES[(verb, path)])
        if verb == "GET":
            pairs = parse_qsl(urlsplit(target).query, keep_blank_values=True,
                              errors="surrogateescape")
            argument = dict(pairs)
            if argument.get("consistency", "local") not in ("linearizable", "lease", "local"):
                raise Failure(400, "Invalid 'consistency' parameter")
        elif path == "/trigger_snapshot":
            argument = None
        else:
            argument = self.parse(headers, body)
        if not self.leads and path not in self.LOCAL:
            return await self.relay(method, target, headers, body)
        return 200, {}, await handler(argument)

    @staticmethod
    def parse(headers, body):
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            raise Failure(415, "the content type must be application/json")
        try:
            value = json.loads(body)
            json.dumps(value, ensure_ascii=False).encode()  # refuses halves of surrogate pairs
        except (ValueError, RecursionError) as error:
            raise Failure(400, f"not JSON: {error}") from error
        if not isinstance(value, dict):
            raise Failure(422, "the body must be an object")
        return value

    async def relay(self, method, target, headers, body):
        """Asks the holder of the data. What may have been applied is not sent a second time."""
        host, port = self.settings["raft"]["join"][0].rsplit(":", 1)
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except OSError as error:
            raise Failure(500, f"Failed to relay: {error}", outcome="not_applied") from error
        try:
            return await asyncio.wait_for(
                self._relay(reader, writer, method, target, headers, body), 5)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            raise Failure(500, f"Failed to relay: {error!r}", outcome="unknown") from error
        finally:
            writer.close()

    @staticmethod
    async def _relay(reader, writer, method, target, headers, body):
        kind = headers.get("content-type", "")
        writer.write(f"{method} {target} HTTP/1.1\r\ncontent-type: {kind}\r\n"
                     f"content-length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
        content = await reader.readexactly(length) if method != "HEAD" else b"{}"
        return int(head.split()[1]), {}, json.loads(content)

    async def join_others(self):
        body = json.dumps({"node_id": self.id, "endpoint": self.endpoint}).encode()
        for _ in range(100):
            try:
                await self.relay("POST", "/join", {"content-type": "application/json"}, body)
                return
            except Failure:
                await asyncio.sleep(0.1)
        sys.exit("could not join")

    # Handlers.

    async def get(self, query):
        if "key" not in query:
            raise Failure(500, "Missing 'key' parameter")
        key = query["key"]
        return {**member("key", key), **member("value", self.store.read(key))}

    async def prefix(self, query):
        if "prefix" not in query:
            raise Failure(500, "Missing 'prefix' parameter")
        wanted = query["prefix"]
        data = self.store.data.items()
        found = sorted((encoded(k), k, v) for k, v in data if k.startswith(wanted))
        items = [{**member("key", key), **member("value", value)} for _, key, value in found]
        return {"success": True, "prefix": wanted, "count": len(items), "items": items}

    async def set(self, body):
        key, value = text(body, "key"), text(body, "value")
        await self.store.apply([(key, value)])
        shown = key if member("key", key).get("key") == key else "(bytes)"
        return {"success": True, "message": f"Key '{shown}' set successfully"}

    async def delete(self, body):
        if not all(isinstance(value, str) for value in body.values()):
            raise Failure(422, "all members must be strings")
        if "key" not in body and "key_base64" not in body:
            raise Failure(500, "Missing 'key' field", outcome="not_applied")
        key = text(body, "key")
        await self.store.apply([(key, None)])
        return {"success": True, "message": f"Key '{key}' deleted successfully"}

    async def getset(self, body):
        key, value = text(body, "key"), text(body, "value")
        old = self.store.data.get(key)
        await self.store.apply([(key, value)])
        return {"success": True, "key": key, "old_value": old, "new_value": value}

    async def batch(self, body):
        changes = changes_of(body.get("operations"), "Missing 'value' for set operation on key '{}'")
        if not changes:
            return {"success": True, "message": "No operations to perform"}
        await self.store.apply(changes, True)
        return {"success": True,
                "message": f"Batch write successful: {len(changes)} operations applied"}

    async def txn(self, body):
        conditions = body.get("conditions")
        if not isinstance(conditions, list) or not isinstance(body.get("if_then"), list):
            raise Failure(422, "'conditions' and 'if_then' must be arrays")
        for condition in conditions:
            if not isinstance(condition, dict) or condition.get("op") not in COMPARISONS:
                raise Failure(422, "unknown condition")
            text(condition, "key")
            text(condition, "value", required=False)
        if not isinstance(body.get("return_previous", False), bool):
            raise Failure(422, "'return_previous' must be a boolean")
        what = "Set operation requires a value for key '{}'"
        branches = {True: changes_of(body["if_then"], what),
                    False: changes_of(body.get("else_then", []), what)}
        branch = all([holds(c, self.store.data.get(c["key"])) for c in conditions])
        changes = branches[branch]
        previous = [self.store.data.get(key) for key, _ in changes]
        if changes:
            await self.store.apply(changes, True)
        return {"success": True, "branch": branch,
                "prev_values": previous if body.get("return_previous") else []}

    async def join(self, body):
        node_id, endpoint = body.get("node_id"), text(body, "endpoint")
        if type(node_id) is not int or node_id < 0:
            raise Failure(422, "'node_id' must be an unsigned integer")
        host, _, port = endpoint.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise Failure(500, f"Invalid endpoint '{endpoint}': no port", outcome="not_applied")
        self.members.setdefault(node_id, endpoint)
        self.save_members()
        return {"success": True, "message": f"Node {node_id} joined the cluster successfully"}

    async def leave(self, body):
        node_id = body.get("node_id")
        if type(node_id) is not int or node_id < 0:
            raise Failure(422, "'node_id' must be an unsigned integer")
        self.members.pop(node_id, None)
        self.save_members()
        return {"success": True, "message": f"Node {node_id} left the cluster successfully"}

    def save_members(self):
        with open(self.members_path, "w", encoding="utf-8") as file:
            json.dump(self.members, file)

    async def list_members(self, _):
        return {"success": True, "members": {
            str(n): {"node_id": n, "endpoint": e} for n, e in self.members.items()}}

    async def health(self, _):
        leader = self.id if self.leads else 1
        return {"status": "ok", "node_id": self.id, "is_leader": self.leads,
                "current_leader": leader, "current_term": 1,
                "state": "Leader" if self.leads else "Follower"}

    async def metrics(self, query):
        if query.get("format") == "prometheus":
            return f"# TYPE rockraft_last_applied gauge\nrockraft_last_applied {self.store.index}\n"
        last = {"leader_id": {"term": 1, "node_id": 1}, "index": self.store.index}
        nodes = {}
        for n, endpoint in self.members.items():
            host, port = endpoint.rsplit(":", 1)
            nodes[str(n)] = {"node_id": n, "endpoint": {"address": host, "port": int(port)}}
        return {"node_id": self.id, "current_leader": 1, "current_term": 1, "last_applied": last,
                "last_log_index": self.store.index, "state": {"Ok": None},
                "membership": {"log_id": last, "membership": {
                    "configs": [sorted(self.members)], "nodes": nodes}}}

    async def trigger_snapshot(self, _):
        self.snapshot = {"term": 1, "index": max(self.store.index, 1)}
        return {"success": True, **self.snapshot}

    async def snapshot_status(self, _):
        return {"snapshot_exists": self.snapshot is not None,
                **(self.snapshot or {"term": None, "index": None})}

    async def purge_log(self, body):
        index = body.get("upto_index")
        if type(index) is not int or index < 0:
            raise Failure(500, "Missing or invalid 'upto_index' field")
        return {"success": True, "message": f"Logs purged up to index {index}"}

    # The wire.

    async def serve(self, reader, writer):
        try:
            while await self.one_request(reader, writer):
                pass
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def one_request(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        try:
            status, more, answer = await self.answer(method, target, headers, body)
        except Failure as failure:
            status, more, answer = failure.status, failure.headers, failure.body
            if target in self.WRITES and method == "POST":
                # What is refused before it reaches the store has not been applied.
                answer = {"outcome": "not_applied", **answer} if status < 500 else answer
        kind = "text/plain; version=0.0.4" if isinstance(answer, str) else "application/json"
        content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in more.items()]
        close = headers.get("connection", "").lower() == "close"
        lines += ["connection: close"] if close else []
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == "HEAD" else content))
        await writer.drain()
        return not close


async def run(settings):
    server = Server(settings)
    for address in (settings["raft"]["address"], settings["http_addr"]):
        host, port = address.rsplit(":", 1)
        await asyncio.start_server(server.serve, host, int(port), limit=1 << 16, backlog=1024)
        if address == settings["raft"]["address"] and not server.leads:
            await server.join_others()
    await stopped()


async def stopped():
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (2, 15):
        loop.add_signal_handler(number, event.set)
    await event.wait()


def main():
    if len(sys.argv) != 3 or sys.argv[1] != "--conf":
        sys.exit("usage: fake_server.py --conf FILE")
    with open(sys.argv[2], "rb") as file:
        asyncio.run(run(tomllib.load(file)))


if __name__ == "__main__":
    main()
