"""Runs episodes on two servers and says where they first differ."""

import select
import socket

from compare import Transcript, command_name, same
from coverage import Coverage
from resp import Closed, Connection, encode, is_error, to_bytes
from special import SPECIAL

BATCH_COMMANDS = 150
CONNECTIONS = 3  # Two that the steps use, one for questions besides.
DATABASES = (0, 1, 2)
CONTROL = CONNECTIONS - 1  # Blocked clients are on its node: who counts them must be there.
MARKER = b"so far"


class Client(Connection):
    """A connection that may lose its server without an exception."""

    def call(self, *arguments):
        try:
            return super().call(*arguments)
        except (Closed, OSError, ValueError) as error:
            return ("!", describe(error))

    def readable(self):
        return bool(self.buffer) or bool(select.select([self.socket], [], [], 0)[0])

    def send_command(self, arguments):
        self.send(encode(arguments))


def describe(error):
    if isinstance(error, Closed):
        return b"the connection was closed"
    if isinstance(error, socket.timeout):
        return b"no reply in time"
    return repr(error).encode()


class Found(Exception):
    """A difference: the command, and both replies."""

    def __init__(self, command, redis_reply, other_reply, step):
        super().__init__(f"{show(command)}: {redis_reply!r}, {other_reply!r}")
        self.command = command
        self.replies = (redis_reply, other_reply)
        self.step = step

    @property
    def signature(self):
        """What makes two findings probably the same fault."""
        return (command_name(tuple(map(to_bytes, self.command))),
                *[kind_of(reply) for reply in self.replies])


def event_name(event):
    """DEL and the like, of a message about a key or about an event."""
    return b"" if event is None else event[0].rsplit(b":", 1)[1] if b"event" in event[0] else event[1]


def kind_of(reply):
    if type(reply) is tuple:
        # Errors by their first words, without what they quote.
        return reply[0] + (" ".join(reply[1].decode("latin1").split("'")[0].split()[:6])
                           if type(reply[1]) is bytes and reply[0] in "-+!" else "")
    return type(reply).__name__


def show(command):
    """A command as redis-cli reads it."""
    words = []
    for argument in command:
        text = "".join(chr(c) if 33 <= c < 127 and c not in b"\"'\\" else f"\\x{c:02x}" for c in to_bytes(argument))
        words.append(text if text and "\\" not in text and "#" not in text[:1] else f'"{text}"')
    return " ".join(words)


class Pair:
    """Connections to both servers; `ports` of a side may be those of several nodes of a cluster."""

    def __init__(self, redis_ports, other_ports, host="127.0.0.1", timeout=60.0, notifications=False):
        self.ports = (redis_ports, other_ports)
        self.notifications = notifications
        self.listeners = []
        self.host = host
        self.timeout = timeout
        self.sides = ()
        self.extras = []
        self.transcripts = []
        self.commands = 0
        self.coverage = Coverage()
        self.connect()

    def connect(self):
        self.close()
        self.sides = tuple(
            [Client(self.host, ports[i % len(ports)], self.timeout) for i in range(CONNECTIONS)]
            for ports in self.ports)
        self.transcripts = [Transcript() for _ in range(CONNECTIONS)]

    def close(self):
        for connection in [c for side in self.sides for c in side] + self.extras + self.listeners:
            connection.close()
        self.sides, self.extras, self.listeners = (), [], []

    def reset(self):
        """Empty servers, new connections, the second of which speaks RESP3."""
        self.connect()
        for side in self.sides:
            reply = side[0].call(b"FLUSHALL")
            if reply != ("+", b"OK"):
                raise AssertionError(f"FLUSHALL answers {reply!r}")
            # While scripts are missing, this is an error.
            side[0].call(b"SCRIPT", b"FLUSH")
            side[0].call(b"FUNCTION", b"FLUSH")
        self.ask(1, (b"HELLO", b"3"))
        if self.notifications:
            self.listen()

    def extra(self, count, side):
        """New connections to one of the sides, which know their ids."""
        made = []
        for _ in range(count):
            connection = Client(self.host, self.ports[side][CONTROL % len(self.ports[side])],
                                self.timeout)
            connection.id = connection.call(b"CLIENT", b"ID")
            made.append(connection)
        self.extras += made
        return made

    def drop_extras(self):
        for connection in self.extras:
            connection.close()
        self.extras = []

    def listen(self):
        """A connection to each that hears of every change to a key."""
        for side, ports in zip(self.sides, self.ports):
            side[0].call(b"CONFIG", b"SET", b"notify-keyspace-events", b"KEA")
            listener = Client(self.host, ports[0], self.timeout)
            listener.call(b"PSUBSCRIBE", b"__key*__:*")
            listener.call(b"SUBSCRIBE", MARKER)
            self.listeners.append(listener)

    def heard(self):
        """What each has told since the last time, but for keys that came to their end by the clock."""
        for side in self.sides:
            side[2].call(b"PUBLISH", MARKER, b"")
        told = []
        for listener in self.listeners:
            events = []
            while True:
                event = listener.replies(1)[0][0]
                if event[1] == MARKER:
                    break
                if b"expired" not in (event[2].rsplit(b":", 1)[1], event[3]):
                    events.append([event[2], event[3]])
            told.append(events)
        return told

    def compare_events(self, commands):
        a, b = self.heard()
        for x, y in zip([*a, None], [*b, None]):
            if x != y:
                return (b"(notifications of a batch)", event_name(x), event_name(y), commands[0][0]), x, y
        return None

    def ask(self, number, command):
        """Both replies, unchecked."""
        self.commands += 1
        replies = [side[number].call(*command) for side in self.sides]
        self.coverage.note(number, [command], replies[:1])
        return replies

    def run_commands(self, number, commands):
        """Sends all at once and compares; None, or (command, a, b)."""
        first, second = (side[number] for side in self.sides)
        data = b"".join(map(encode, commands))
        self.commands += len(commands)
        values, raw = receive(first, data, second, len(commands))
        self.coverage.note(number, commands, values)
        transcript = self.transcripts[number]
        if len(values) < len(commands):
            return commands[len(values)], ("!", b"redis-server does not answer"), None
        equal = False
        others = values
        try:
            equal = second.same_bytes(raw)
            if not equal:
                others, _ = second.replies(len(commands))
        except (Closed, OSError, ValueError) as error:
            return self.without_end(number, commands, values, describe(error))
        if equal and transcript.queued is None and not any(c[0].upper() == b"MULTI" for c in commands):
            found = None
        else:
            found = self.check(transcript, commands, values, others)
        return found or (self.compare_events(commands) if self.listeners else None)

    @staticmethod
    def check(transcript, commands, values, others):
        previous = None
        for command, a, b in zip(commands, values, others):
            found = transcript.check(command, a, b, previous)
            if found:
                return found
            previous = (command, a, b)
        return None

    def without_end(self, number, commands, values, reason):
        """The other server stopped answering: which command was the first without a reply."""
        connection = self.sides[1][number]
        others = []
        try:
            while True:
                connection.socket.settimeout(0.2)
                others += connection.replies(1)[0]
        except (Closed, OSError, ValueError):
            pass
        found = self.check(Transcript(), commands, values, others)
        position = min(len(others), len(commands) - 1)
        return found or (commands[position], values[position], ("!", reason))

    def run(self, steps):
        """Runs the steps on empty servers; raises Found."""
        self.reset()
        batch, begin, number = [], 0, 0
        for position, step in enumerate(steps):
            plain = step.kind in ("commands", "open")
            if batch and (not plain or step.connection != number or len(batch) >= BATCH_COMMANDS):
                self.flush(number, batch, position)
                batch = []
            number = step.connection
            if plain:
                batch += step.commands
                continue
            found = SPECIAL[step.kind](self, step)
            self.drop_extras()
            if self.listeners:
                self.heard()
            if found:
                raise Found(*found, position)
        if batch:
            self.flush(number, batch, len(steps))
        self.compare_data(len(steps))

    def flush(self, number, batch, position):
        found = self.run_commands(number, batch)
        if found:
            raise Found(*found, position)

    # The whole data set.

    def compare_data(self, position):
        self.connect()
        for database in DATABASES:
            self.flush(0, [(b"SELECT", b"%d" % database), (b"DBSIZE",), (b"KEYS", b"*")], position)
            keys = self.sides[0][0].call(b"KEYS", b"*")
            types = self.types(keys)
            commands = []
            for key, kind in zip(keys, types):
                commands += [(b"TYPE", key), (b"PEXPIRETIME", key), *content(kind, key)]
                if not key.startswith(b"zsorted"):
                    commands.append((b"OBJECT", b"ENCODING", key))
                if len(commands) > 200:
                    self.flush(0, commands, position)
                    commands = []
            if commands:
                self.flush(0, commands, position)

    def types(self, keys):
        connection = self.sides[0][0]
        connection.send(b"".join(encode((b"TYPE", key)) for key in keys))
        return [reply[1] for reply in connection.replies(len(keys))[0]]


def content(kind, key):
    """The commands that read all there is of a key."""
    if kind == b"string":
        return [(b"GET", key)]
    if kind == b"list":
        return [(b"LLEN", key), (b"LRANGE", key, b"0", b"-1")]
    if kind == b"hash":
        return [(b"HLEN", key), (b"HGETALL", key)]
    if kind == b"set":
        return [(b"SCARD", key), (b"SMEMBERS", key)]
    if kind == b"zset":
        return [(b"ZCARD", key), (b"ZRANGE", key, b"0", b"-1", b"WITHSCORES")]
    return [(b"XLEN", key), (b"XRANGE", key, b"-", b"+"), (b"XINFO", b"STREAM", key),
            (b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0")]


def receive(first, data, second, count):
    """Sends to both, so that both work at the same time; the first's replies."""
    try:
        second.send(data)
    except OSError:
        pass  # It shows when its replies are missing.
    try:
        first.send(data)
        return first.replies(count)
    except (Closed, OSError):
        return [], b""


__all__ = ["Found", "Pair", "is_error", "same", "show"]
