"""Redis's protocol over a raw socket: requests as bytes, replies as values that keep their type.

A bulk string is `bytes`, an integer `int`, an array `list`, RESP2's null bulk None. All else is a
tuple of the type's character and the content: ("+", b"OK"), ("-", b"ERR ..."), ("*", None) is
RESP2's null array, ("_", None) RESP3's null, ("%", [k, v, ...]) a map, ("~", [...]) a set,
(">", [...]) a push, (",", b"1.5") a double, ("#", b"t"), ("=", b"txt:..."), ("(", b"...").
"""

import socket

CRLF = b"\r\n"
BUFFER_BYTES = 1 << 18


class Closed(Exception):
    """The server ended the connection."""


def to_bytes(value):
    if isinstance(value, bytes):
        return value
    return str(value).encode()


def encode(arguments):
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        if not isinstance(argument, bytes):
            argument = str(argument).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(argument), argument))
    return b"".join(parts)


class Incomplete(Exception):
    """The buffer ends before the value does."""


def parse(buffer, at):
    """The value that starts at `at`, and where the next one does."""
    end = buffer.find(CRLF, at)
    if end < 0:
        raise Incomplete
    kind = buffer[at]
    line = buffer[at + 1:end]
    at = end + 2
    if kind == 36:  # $
        size = int(line)
        if size < 0:
            return None, at
        end = at + size
        if len(buffer) < end + 2:
            raise Incomplete
        return bytes(buffer[at:end]), end + 2
    if kind == 58:  # :
        return int(line), at
    if kind == 43:  # +
        return ("+", bytes(line)), at
    if kind == 45:  # -
        return ("-", bytes(line)), at
    if kind == 42:  # *
        count = int(line)
        if count < 0:
            return ("*", None), at
        return parse_many(buffer, at, count)
    if kind == 37:  # %
        items, at = parse_many(buffer, at, 2 * int(line))
        return ("%", items), at
    if kind in b"~>":
        items, at = parse_many(buffer, at, int(line))
        return (chr(kind), items), at
    if kind == 95:  # _
        return ("_", None), at
    if kind in b",#(":
        return (chr(kind), bytes(line)), at
    if kind == 61:  # =
        end = at + int(line)
        if len(buffer) < end + 2:
            raise Incomplete
        return ("=", bytes(buffer[at:end])), end + 2
    raise ValueError(f"no reply begins with {chr(kind)!r}: {bytes(buffer[at - 20:at + 60])!r}")


def parse_many(buffer, at, count):
    items = []
    for _ in range(count):
        item, at = parse(buffer, at)
        items.append(item)
    return items, at


def is_error(reply):
    return type(reply) is tuple and reply[0] == "-"


def is_null(reply):
    return reply is None or (type(reply) is tuple and reply[1] is None)


class Connection:
    """One connection; replies come as raw bytes too, which is the quick way to find them equal."""

    def __init__(self, host, port, timeout):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        chunk = self.socket.recv(BUFFER_BYTES)
        if not chunk:
            raise Closed
        self.buffer += chunk

    def replies(self, count):
        """The next `count` replies and their bytes."""
        values, at = [], 0
        while len(values) < count:
            try:
                value, at = parse(self.buffer, at)
                values.append(value)
            except Incomplete:
                self._more()
        raw, self.buffer = self.buffer[:at], self.buffer[at:]
        return values, raw

    def same_bytes(self, raw):
        """Whether the next bytes to come are `raw`, which are then consumed."""
        while True:
            have = min(len(self.buffer), len(raw))
            if self.buffer[:have] != raw[:have]:
                return False
            if have == len(raw):
                self.buffer = self.buffer[have:]
                return True
            self._more()

    def call(self, *arguments):
        self.send(encode(arguments))
        return self.replies(1)[0][0]
