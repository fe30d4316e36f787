#!/usr/bin/env python3
# ctest: timeout=240 label=slow
"""Broken and odd bytes to redis-server and coredb: the same bytes back, and the same end.

    test_protocol.py                      both, with TEST_SEED to repeat
    DIFFERENTIAL_REDIS=1 test_protocol.py redis-server against itself
"""

import os
import random
import re
import select
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import coredb_cluster  # noqa: E402 (the path must be set first)
from maker import VALUES  # noqa: E402
from resp import encode  # noqa: E402

AGAINST_REDIS = bool(os.environ.get("DIFFERENTIAL_REDIS"))
SEED = os.environ.get("TEST_SEED") or str(random.SystemRandom().randrange(1 << 32))
ROUNDS = int(os.environ.get("DIFFERENTIAL_ROUNDS", "3000"))
PATIENCE_S = 20 * coredb_cluster.SCALE
WAITS = b"<waits>"
PING = b"*2\r\n$4\r\nECHO\r\n$11\r\nstill there\r\n"

CASES = {
    "huge multibulk count": b"*2147483648\r\n", "multibulk count no number": b"*abc\r\n",
    "negative multibulk count": b"*-10\r\n", "null multibulk": b"*-1\r\n", "empty multibulk": b"*0\r\n",
    "count at the limit": b"*1048577\r\n", "count of LONG_MAX": b"*9223372036854775807\r\n",
    "count over LONG_MAX": b"*9223372036854775808\r\n", "count with a blank": b"* 1\r\n",
    "count with a plus": b"*+1\r\n$4\r\nPING\r\n", "count with a leading zero": b"*01\r\n$4\r\nPING\r\n",
    "empty count": b"*\r\n", "a count and a minus": b"*1-\r\n",
    "bulk over the limit": b"*1\r\n$536870913\r\n", "bulk of 2^63": b"*1\r\n$9223372036854775808\r\n",
    "null bulk": b"*1\r\n$-1\r\n", "bulk no number": b"*1\r\n$xx\r\n", "bulk of nothing": b"*1\r\n$\r\n",
    "bulk with a plus": b"*1\r\n$+4\r\nPING\r\n", "bulk with a leading zero": b"*1\r\n$04\r\nPING\r\n",
    "no dollar": b"*1\r\nfoo\r\n", "no dollar, a star": b"*1\r\n*1\r\n",
    "no dollar, a byte": b"*1\r\n\x00\r\n",
    "no dollar, end of line": b"*1\r\n\r\n", "second argument without dollar": b"*2\r\n$3\r\nGET\r\n+x\r\n",
    "bulk longer than said": b"*1\r\n$3\r\nPING\r\n",
    "bulk shorter than said": b"*2\r\n$4\r\nECHO\r\n$3\r\nab\r\n\r\n",
    "empty command name": b"*1\r\n$0\r\n\r\n", "inline": b"PING\r\n", "inline without return": b"PING\n",
    "inline with blanks": b"   PING   \r\n", "inline empty": b"\r\n", "inline only blanks": b"   \r\n",
    "inline quotes": b"ECHO \"a b\\x41\\n\\t\\\"\"\r\n", "inline single quotes": b"ECHO 'a b\\'c\\n'\r\n",
    "inline unbalanced": b"ECHO \"abc\r\n", "inline unbalanced single": b"ECHO 'abc\r\n",
    "inline quote and more": b"ECHO \"abc\"def\r\n", "inline quote in the middle": b"ECHO ab\"c d\"\r\n",
    "inline bad escape": b"ECHO \"\\xzz\\q\"\r\n", "inline tab": b"ECHO\ta\r\n",
    "inline zero byte": b"ECHO a\x00b\r\n",
    "inline empty quotes": b"ECHO \"\"\r\n", "inline unknown": b"NOSUCH a b c\r\n",
    "cross-protocol POST": b"POST / HTTP/1.1\r\n", "cross-protocol Host": b"Host: localhost\r\n",
    "GET as in HTTP": b"GET / HTTP/1.1\r\n",
    "post as an array": b"*2\r\n$4\r\npost\r\n$1\r\n/\r\n", "big inline": b"x" * 70000,
    "big inline ended": b"ECHO " + b"x" * 60000 + b"\r\n",
 "big count": b"*" + b"1" * 70000,
    "big bulk count": b"*1\r\n$" + b"1" * 70000,
    "unknown, many arguments": encode([b"NOSUCH"] + [b"y" * 50] * 20),
    "unknown, long name": encode([b"n" * 500, b"a"]),
    "unknown with bytes": encode([b"no\r\nsuch\x00", b"a\r\nb"]), "wrong arity": encode([b"GET"]),
    "wrong arity of a subcommand": encode([b"OBJECT", b"ENCODING"]),
    "unknown subcommand of COMMAND": encode([b"COMMAND", b"NOSUCH", b"x"]),
    "unknown subcommand": encode([b"OBJECT", b"NOSUCH"]),
    "unknown subcommand of client": encode([b"CLIENT", b"NOSUCH", b"x"]), "QUIT": encode([b"QUIT"]),
    "QUIT and more": encode([b"QUIT"]) + encode([b"PING"]),
}


class Side:
    def __init__(self, port):
        self.port = port
        self.socket = None
        self.fresh()

    def fresh(self):
        if self.socket:
            self.socket.close()
        self.socket = socket.create_connection((coredb_cluster.HOST, self.port), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, pieces):
        """All that comes back until the connection ends, or until the question at the end is answered.

        If there is no answer because the bytes left a request unfinished, only a bound on the time can tell.
        """
        try:
            for piece in pieces:
                self.socket.sendall(piece)
            # Whether a line is too long is decided before its end comes.
            if len(pieces[0]) < 65000:
                self.socket.sendall(PING)
        except OSError:
            pass  # What the server said before it closed is still to be read.
        return self.receive(b"", self.quiet)

    def receive(self, got, quiet):
        while not got.endswith(b"$11\r\nstill there\r\n"):
            ready, _, _ = select.select([self.socket], [], [], quiet)
            if not ready:
                return got + WAITS
            try:
                chunk = self.socket.recv(1 << 16)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                return got + b"<closed>"
            got += chunk
        return got

    def patiently(self, answer):
        """The answer, if it was only late."""
        return self.receive(answer[:-len(WAITS)], PATIENCE_S) if answer.endswith(WAITS) else answer

    quiet = 0.3 * coredb_cluster.SCALE


def requests(choose):
    """A few good requests, on keys that the test has to itself."""
    made = []
    for _ in range(choose.randrange(1, 5)):
        key = b"p%d" % choose.randrange(4)
        made.append(encode(choose.choice([
            (b"SET", key, choose.choice(VALUES)), (b"GET", key), (b"APPEND", key, choose.choice(VALUES)),
            (b"PING",),
            (b"ECHO", choose.choice(VALUES)), (b"DEL", key), (b"MGET", key, key), (b"STRLEN", key)])))
    return b"".join(made)


def spoil(choose, data):
    """Changes a few bytes, so that the framing breaks here and there."""
    data = bytearray(data)
    for _ in range(choose.choice((0, 1, 1, 1, 2, 4))):
        at = choose.randrange(len(data))
        which = choose.randrange(6)
        if which == 0:
            data[at] = choose.randrange(256)
        elif which == 1:
            del data[at:at + choose.randrange(1, 4)]
        elif which == 2:
            data[at:at] = choose.choice((b"\r\n", b"*", b"$", b"-", b"1", b"\n", b"\"", b"'", b"$-1\r\n",
                                         b"*3\r\n", b" ", b"\x00"))
        elif which == 3:
            data[at:at] = data[max(0, at - 5):at]
        elif which == 4:
            data[at:at] = str(choose.choice((0, 1, -1, 1 << 31, 1 << 63, 1 << 64))).encode()
        if not data:
            data = bytearray(b"\n")
    return bytes(data)


def cut(choose, data):
    pieces = []
    while data:
        size = choose.choice((1, 2, 3, 7, 20, 100, 5000))
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@unittest.skipUnless(AGAINST_REDIS or coredb_cluster.coredb_program(), "coredb is not built")
class Protocol(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.group = coredb_cluster.Group()
        other = cls.group.redis() if AGAINST_REDIS else cls.group.coredb()[0]
        cls.sides = [Side(cls.group.redis().port), Side(other.port)]

    @classmethod
    def tearDownClass(cls):
        for side in cls.sides:
            side.socket.close()
        cls.group.close()

    def compare(self, pieces, what):
        answers = [side.exchange(pieces) for side in self.sides]
        if answers[0] != answers[1]:
            answers = [side.patiently(answer) for side, answer in zip(self.sides, answers)]
        # A value that turns into the command HELLO tells the number of its connection.
        answers = [re.sub(rb"\$2\r\nid\r\n:\d+", b"(id)", answer) for answer in answers]
        self.assertEqual(answers[1], answers[0],
                         f"{what}: second is redis-server's; sent {b''.join(pieces)[:400]!r}")
        return answers[0]

    def test_each_known_case(self):
        for name, data in CASES.items():
            with self.subTest(name):
                for side in self.sides:
                    side.fresh()
                self.compare([data], name)

    def test_before_authentication(self):
        for side in self.sides:
            side.fresh()
            side.socket.sendall(encode([b"CONFIG", b"SET", b"requirepass", b"secret"]))
            self.assertEqual(side.socket.recv(100), b"+OK\r\n")
        try:
            for name, data in {
                "many arguments": b"*11\r\n", "a big argument": b"*1\r\n$16385\r\n",
                "ten arguments": encode([b"SET"] + [b"x"] * 9),
                "an argument at the limit": encode([b"SET", b"k", b"x" * 16384]),
                "GET": encode([b"GET", b"k"]), "PING": b"PING\r\n",
                "unknown": encode([b"NOSUCH"]), "arity": encode([b"GET"]),
                "wrong password": encode([b"AUTH", b"x"]),
                "wrong user": encode([b"AUTH", b"u", b"x"]),
                "too many for AUTH": encode([b"AUTH", b"u", b"x", b"y"]),
                "HELLO": encode([b"HELLO", b"3"]),
                "HELLO with a wrong password": encode([b"HELLO", b"3", b"AUTH", b"default", b"x"]),
                "HELLO of a bad version": encode([b"HELLO", b"9"]), "MULTI": encode([b"MULTI"]),
                "RESET": encode([b"RESET"]),
                "QUIT": encode([b"QUIT"]), "right password": encode([b"AUTH", b"secret"]),
                "default user": encode([b"AUTH", b"default", b"secret"]),
            }.items():
                with self.subTest(name):
                    for side in self.sides:
                        side.fresh()
                    self.compare([data], name)
        finally:
            for side in self.sides:
                side.fresh()
                side.socket.sendall(encode([b"AUTH", b"secret"]) + encode([b"CONFIG", b"SET",
                                                                           b"requirepass", b""]))
                self.assertEqual(side.socket.recv(100)[:5], b"+OK\r\n")

    def test_spoiled_requests(self):
        choose = random.Random(SEED)
        for side in self.sides:
            side.fresh()
            side.socket.sendall(encode([b"FLUSHALL"]))
            side.socket.recv(100)
            side.quiet = 0.05
        waited = 0
        for number in range(ROUNDS):
            data = spoil(choose, requests(choose))
            answer = self.compare(cut(choose, data), f"round {number} of seed {SEED}")
            if answer.endswith(b">"):
                waited += answer.endswith(WAITS)
                for side in self.sides:
                    side.fresh()
        self.assertLess(waited, ROUNDS)


def main():
    if coredb_cluster.redis_program() is None:
        print("skipped: redis-server is not installed")
        sys.exit(coredb_cluster.SKIPPED)
    print(f"TEST_SEED={SEED} repeats this run", flush=True)
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
