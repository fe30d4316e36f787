"""HTTP clients of the server: a blocking one, one for asyncio, and the calls of the interface.

A call is given in the members of the history format (test/linear/README.md), so that what was sent
can be recorded as it is. Its fate is an answer, or a CallError that says whether the call certainly
did not take effect ("failed") or perhaps did ("unknown").
"""

import asyncio
import http.client
import json
from urllib.parse import urlencode

WRITES = ("set", "delete", "getset", "cas", "txn", "batch")


class CallError(Exception):
    def __init__(self, outcome, text, status=None):
        super().__init__(f"{text} ({outcome})")
        self.outcome = outcome
        self.status = status


class ProtocolError(Exception):
    """An answer that the interface does not allow, whatever happened to the cluster."""


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ProtocolError(f"{self.status} with a body that is not JSON: {self.body[:200]!r}") from error

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


def encode(fields, consistency=None):
    """(method, path, JSON body or None) of a call."""
    name = fields["op"]
    if name == "get":
        return "GET", _query("/get", {"key": fields["key"]}, consistency), None
    if name == "scan":
        return "GET", _query("/prefix", {"prefix": fields["prefix"]}, consistency), None
    if name in ("set", "getset"):
        return "POST", f"/{name}", {"key": fields["key"], "value": fields["value"]}
    if name == "delete":
        return "POST", "/delete", {"key": fields["key"]}
    if name == "batch":
        return "POST", "/batch_write", {"operations": fields["operations"]}
    if name == "txn":
        members = ("conditions", "if_then", "else_then", "return_previous")
        return "POST", "/txn", {key: fields[key] for key in members if key in fields}
    if name == "cas":
        key, expect = fields["key"], fields["expect"]
        condition = {"key": key, "op": "not_exists"}
        if expect is not None:
            condition = {"key": key, "op": "equal", "value": expect}
        write = {"op": "set", "key": key, "value": fields["value"]}
        return "POST", "/txn", {"conditions": [condition], "if_then": [write]}
    raise ValueError(f"no HTTP form of {name}")


def _query(path, members, consistency):
    if consistency is not None:
        members["consistency"] = consistency
    return f"{path}?{urlencode(members)}"


def _expect(condition, fields, reply):
    if not condition:
        raise ProtocolError(f"{fields['op']}: unexpected answer {reply!r}")


def decode(fields, reply):
    """The result of a call in the history's terms; raises CallError or ProtocolError."""
    body = reply.json()
    _expect(isinstance(body, dict), fields, reply)
    if reply.status != 200:
        raise _refusal(fields, reply, body)
    name = fields["op"]
    if name == "get":
        _expect(body.get("key") == fields["key"] and "value" in body, fields, reply)
        return body["value"]
    _expect(body.get("success") is True, fields, reply)
    if name == "getset":
        _expect(body.get("key") == fields["key"], fields, reply)
        _expect(body.get("new_value") == fields["value"] and "old_value" in body, fields, reply)
        return body["old_value"]
    if name in ("txn", "cas"):
        _expect(isinstance(body.get("branch"), bool), fields, reply)
        _expect(isinstance(body.get("prev_values"), list), fields, reply)
        if name == "cas":
            return body["branch"]
        return {"branch": body["branch"], "prev_values": body["prev_values"]}
    if name == "scan":
        items = [[item["key"], item["value"]] for item in body["items"]]
        keys = [key.encode() for key, _ in items]
        _expect(body["count"] == len(items) and body["prefix"] == fields["prefix"], fields, reply)
        _expect(keys == sorted(set(keys)), fields, reply)
        return items
    _expect(isinstance(body.get("message"), str), fields, reply)
    return None


def _refusal(fields, reply, body):
    """The CallError for an error body; every error has a text, a failed write also its outcome."""
    _expect(isinstance(body.get("error"), str) and body["error"], fields, reply)
    if fields["op"] not in WRITES:
        return CallError("failed", body["error"], reply.status)
    said = body.get("outcome")
    if reply.status >= 500 or said is not None:
        _expect(said in ("unknown", "not_applied"), fields, reply)
    outcome = "unknown" if said == "unknown" else "failed"
    return CallError(outcome, body["error"], reply.status)


class Client:
    """A blocking client with one kept connection, for one thread."""

    def __init__(self, host, port, timeout=30.0):
        self.connection = http.client.HTTPConnection(host, port, timeout=timeout)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def request(self, method, path, body=None, headers=None):
        """One request; `body` may be bytes, or anything that JSON can say."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("content-type", "application/json")
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            content = response.read()
        except BaseException:
            self.connection.close()
            raise
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, names, content)

    def get_json(self, path):
        reply = self.request("GET", path)
        if reply.status != 200:
            raise CallError("failed", f"GET {path}: {reply!r}", reply.status)
        return reply.json()

    def post_json(self, path, body=None):
        reply = self.request("POST", path, body)
        if reply.status != 200:
            error = reply.json()
            outcome = "failed" if error.get("outcome") == "not_applied" else "unknown"
            raise CallError(outcome, f"POST {path}: {reply!r}", reply.status)
        return reply.json()

    def call(self, fields, consistency=None):
        try:
            self.connection.connect() if self.connection.sock is None else None
        except OSError as error:
            raise CallError("failed", f"no connection: {error}") from error
        try:
            reply = self.request(*encode(fields, consistency))
        except (OSError, http.client.HTTPException) as error:
            raise CallError("unknown", f"lost: {error!r}") from error
        return decode(fields, reply)

    # Shorthands for tests.

    def get(self, key, consistency=None):
        return self.call({"op": "get", "key": key}, consistency)

    def set(self, key, value):
        return self.call({"op": "set", "key": key, "value": value})

    def delete(self, key):
        return self.call({"op": "delete", "key": key})

    def scan(self, prefix="", consistency=None):
        return self.call({"op": "scan", "prefix": prefix}, consistency)

    def batch(self, operations):
        return self.call({"op": "batch", "operations": operations})


class AsyncClient:
    """A client for asyncio with one kept connection; made for thousands of them at once."""

    def __init__(self, host, port):
        self.host, self.port = host, port
        self.reader = self.writer = None

    def close(self):
        if self.writer is not None:
            self.writer.close()
            self.reader = self.writer = None

    async def call(self, fields, timeout, consistency=None):
        deadline = asyncio.get_running_loop().time() + timeout
        sent = False
        try:
            if self.writer is None:
                opening = asyncio.open_connection(self.host, self.port, limit=1 << 20)
                self.reader, self.writer = await asyncio.wait_for(opening, timeout)
            request = self._format(*encode(fields, consistency))
            sent = True
            self.writer.write(request)
            left = deadline - asyncio.get_running_loop().time()
            reply = await asyncio.wait_for(self._receive(), left)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            self.close()
            outcome = "unknown" if sent else "failed"
            raise CallError(outcome, f"lost: {error!r}") from error
        except asyncio.CancelledError:
            self.close()
            raise
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return decode(fields, reply)

    def _format(self, method, path, body):
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\n"
        if body is not None:
            head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
        return head.encode() + b"\r\n" + content

    async def _receive(self):
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return Reply(status, headers, await self._chunks())
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(status, headers, body)

    async def _chunks(self):
        parts = []
        while True:
            size = int((await self.reader.readline()).split(b";")[0], 16)
            parts.append(await self.reader.readexactly(size))
            await self.reader.readline()
            if size == 0:
                return b"".join(parts)
