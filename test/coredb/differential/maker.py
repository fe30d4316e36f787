"""What commands are made of: keys, values, numbers and options, drawn by a seed.

A step is what is run or left out as a whole: one command, or a few that belong together, on one of
two connections. `kind` "commands" is plain; the others are in special.py.
"""

import random

LONG_MAX = 9223372036854775807
CONNECTIONS = 2
FAR_SECONDS = 4102444800  # The year 2100, which no run reaches.


class Step:
    __slots__ = ("kind", "connection", "commands", "data")

    def __init__(self, kind, connection, commands=(), data=None):
        self.kind = kind
        self.connection = connection
        self.commands = commands
        self.data = data

    def __len__(self):
        return len(self.commands)


KINDS = "slhtzbpgxn"
# Sorted sets that were not made of places have many at the same one, HyperLogLogs that others wrote to are broken.
OTHERS = KINDS.replace("g", "").replace("p", "")
WORDS = [b"a", b"b", b"c", b"d", b"e", b"f", b"foo", b"bar", b"hello world", b"A"]
NUMBERS = [b"0", b"1", b"2", b"5", b"10", b"-1", b"-7", b"100", b"12345", b"9223372036854775807",
           b"-9223372036854775808", b"4294967296", b"32767", b"-32769"]
NOT_QUITE = [b"007", b"+1", b" 1", b"1 ", b"-0", b"1.5", b"3.0", b"1e3", b"0x10", b"9223372036854775808",
             b"inf", b"nan", b"-9223372036854775809", b"18446744073709551615", b"1.0e-7"]
ODD = [b"", b"\x00", b"\x00\xff\r\n", b"\xff\xfe", b"\r\n", b"$5\r\nhello\r\n", "\u00e9\u6f22".encode(),
       b"a b",
       b"x" * 63, b"x" * 64, b"y" * 65, b"z" * 200, b"[a", b"(a", b"-", b"+", b"*", b"\\", b"\""]
VALUES = WORDS * 5 + NUMBERS * 3 + NOT_QUITE + ODD * 2
MEMBERS = WORDS * 6 + NUMBERS * 2 + ODD + NOT_QUITE[:4]
INTEGERS = [b"0", b"1", b"-1", b"2", b"3", b"-2", b"5", b"-5", b"10", b"-100", b"100"]
BAD_INTEGERS = [b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"abc", b"",
                b"1.5",
                b"1e3", b" 1", b"1 ", b"+1", b"-0", b"00", b"0x1", b"18446744073709551616", b"-",
                b"4294967295", b"-2147483649", b"nan", b"1\x00", b"9999999999999999999999"]
FLOATS = [b"0", b"1", b"-1", b"1.5", b"3.14", b"-2.75", b"10", b"1e3", b"0.1", b"0.2", b"2", b"3", b"100",
          b"-100.5", b"5.0e3", b"123456789.123", b"7"]
EDGE_FLOATS = [b"inf", b"-inf", b"+inf", b"-0", b"1e300", b"-1e300", b"1e-300", b"1e17", b"1e16",
               b"17179869184.5",
               b"9007199254740993", b"0.30000000000000004", b"1e21", b"1e-7", b"123456789012345678",
               b"9223372036854775807", b"4.9e-324", b"1.7976931348623157e308", b".5", b"5.", b"Infinity",
               b"0x1p3", b"1e5000", b"1e-5000"]
BAD_FLOATS = [b"nan", b"abc", b"", b" 1", b"1 ", b"1e", b"1.5.5", b"--1", b"1,5", b"NaN", b"-nan", b"1\x00",
              b"infx"]
PATTERNS = [b"*", b"?", b"a*", b"*a*", b"[a-c]*", b"[^a]*", b"[a", b"\\*", b"s*", b"l?", b"*[0-2]", b"",
            b"**",
            b"[b-a]*", b"[\\a]*", b"*\\", b"h[1-", b"[a-", b"f?o*", b"[^", b"[]", b"x" * 70 + b"*"]


class Maker:
    """Draws. Everything it makes follows from the seed alone, never from a reply."""

    def __init__(self, seed, known=None):
        self.random = random.Random(seed)
        self.rand = self.random.random
        self.known = known
        self.connection = 0
        self.clock = 0  # Stream ids grow with it.
        self.ids = []  # The last of them.
        self.restores = False

    def below(self, limit):
        return int(self.rand() * limit)

    def between(self, low, high):
        return low + int(self.rand() * (high - low + 1))

    def pick(self, items):
        return items[int(self.rand() * len(items))]

    def one(self, *items):
        return items[int(self.rand() * len(items))]

    def maybe(self, chance, *items):
        return items if self.rand() < chance else ()

    def key(self, kind):
        r = self.rand()
        if r < 0.97:
            return b"%c%d" % (ord(kind), int(r * 1000) % 5)
        if r < 0.995:
            return b"%c%d" % (ord(self.pick(OTHERS)), int(self.rand() * 6))
        return self.one(b"", b"\x00\xff", b"{tag}1", b"a b", b"k" * 300, b"nokey", b"\r\n")

    def any_key(self):
        return b"%c%d" % (ord(self.pick(KINDS)), int(self.rand() * 5))

    def two_keys(self):
        """Two keys, mostly of the same kind, so that not all kinds end up everywhere."""
        if self.rand() < 0.1:
            return self.any_key(), self.key(self.pick(OTHERS))
        kind = self.pick(KINDS)
        return self.key(kind), self.key(kind)

    def keys(self, kind, low=1, high=3):
        return [self.key(kind) for _ in range(self.between(low, high))]

    def value(self):
        return VALUES[int(self.rand() * len(VALUES))]

    def member(self):
        return MEMBERS[int(self.rand() * len(MEMBERS))]

    def members(self, low=1, high=4):
        return [self.member() for _ in range(self.between(low, high))]

    def values(self, low=1, high=4):
        return [self.value() for _ in range(self.between(low, high))]

    def many(self, count):
        """Enough distinct names to outgrow the compact encodings."""
        first = self.below(400)
        return [b"m%d" % (first + i) for i in range(count)]

    def integer(self):
        r = self.rand()
        if r < 0.85:
            return INTEGERS[int(self.rand() * len(INTEGERS))]
        if r < 0.93:
            return b"%d" % self.between(-300, 300)
        return BAD_INTEGERS[int(self.rand() * len(BAD_INTEGERS))]

    def index(self):
        r = self.rand()
        if r < 0.9:
            return b"%d" % self.between(-6, 8)
        if r < 0.96:
            return self.one(b"-1000", b"1000", b"0", b"-1", b"100")
        return BAD_INTEGERS[int(self.rand() * len(BAD_INTEGERS))]

    def count(self):
        r = self.rand()
        if r < 0.9:
            return b"%d" % self.between(0, 5)
        return self.one(b"-1", b"0", b"1000", b"-3", b"abc", b"1.5", b"9223372036854775808", b"")

    def number(self):
        r = self.rand()
        if r < 0.8:
            return FLOATS[int(self.rand() * len(FLOATS))]
        if r < 0.95:
            number = EDGE_FLOATS[int(self.rand() * len(EDGE_FLOATS))]
            # Whether RESTORE keeps the sign of a zero depends on the order of the members.
            return b"0" if number == b"-0" and self.restores else number
        return BAD_FLOATS[int(self.rand() * len(BAD_FLOATS))]

    def pattern(self):
        return PATTERNS[int(self.rand() * len(PATTERNS))]

    def seconds(self):
        """A relative expiry: far enough that it does not come, rarely one that is over or wrong."""
        r = self.rand()
        if r < 0.9:
            return b"%d" % self.between(10000, 10000000)
        if r < 0.93:
            return self.one(b"0", b"-1", b"-1000")
        return self.one(b"9223372036854775807", b"-9223372036854775808", b"9223372036854775", b"abc", b"",
                        b"1.5", b"9223372036854775808", b"9223370399119966")

    def milliseconds(self):
        r = self.rand()
        if r < 0.9:
            return b"%d" % self.between(10000000, 10000000000)
        return self.one(b"0", b"-1", b"-1000", b"9223372036854775807", b"-9223372036854775808", b"abc", b"",
                        b"1.5")

    def when_seconds(self):
        """An absolute expiry."""
        r = self.rand()
        if r < 0.9:
            return b"%d" % (FAR_SECONDS + self.below(100))
        return self.one(b"0", b"1", b"-1", b"1000", b"abc", b"9223372036854775807", b"9223372036854776",
                        b"-9223372036854775808")

    def when_milliseconds(self):
        r = self.rand()
        if r < 0.9:
            return b"%d" % (FAR_SECONDS * 1000 + self.below(100000))
        return self.one(b"0", b"1", b"-1", b"1000", b"abc", b"9223372036854775807", b"-9223372036854775808")

    def expiry(self):
        """An option of SET and GETEX."""
        which = self.below(4)
        if which == 0:
            return (b"EX", self.seconds())
        if which == 1:
            return (b"PX", self.milliseconds())
        if which == 2:
            return (b"EXAT", self.when_seconds())
        return (b"PXAT", self.when_milliseconds())

    def step(self, *commands):
        """Commands that belong together."""
        return Step("commands", self.connection, commands)

    def special(self, kind, *commands, data=None):
        return Step(kind, self.connection, commands, data)


# Commands that a changed argument could make block, reply without end or fill the memory.
FRAGILE = {b"BLPOP", b"BRPOP", b"BLMOVE", b"BLMPOP", b"BRPOPLPUSH", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP",
           b"WAIT", b"SPOP", b"RANDOMKEY", b"XREAD", b"XREADGROUP", b"HELLO", b"SELECT", b"MULTI",
           b"EXEC", b"SWAPDB", b"FLUSHALL", b"FLUSHDB", b"DUMP", b"RESTORE", b"XADD", b"XTRIM", b"MOVE",
           b"EVAL",
           b"EVAL_RO", b"FUNCTION", b"GEOADD"}
# Ranges by name mean nothing among different scores, so these keys hold one score alone.
LEX_KEYS = (b"y0", b"y1", b"y2", b"ywrong", b"ynone")
# SETRANGE of these is about the head alone.
SPARED = [(b"p%d" % i,) for i in range(6)]
SPOILS = VALUES + BAD_INTEGERS + INTEGERS + BAD_FLOATS + [
    b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR", b"COUNT", b"LIMIT", b"WITHSCORES", b"GET", b"EX",
    b"KEEPTTL",
    b"MATCH", b"REV", b"BYSCORE", b"LEFT", b"RIGHT", b"STORE", b"ASC", b"AGGREGATE", b"WEIGHTS", b"MAX"]


# A short time would end while the commands run.
RELATIVE = (b"EXPIRE", b"PEXPIRE", b"SETEX", b"PSETEX", b"SET", b"GETEX")


def safe(arguments):
    """False for what would take hundreds of megabytes, or end with the time."""
    name = arguments[0].upper()
    if name in (b"SETBIT", b"BITFIELD", b"SETRANGE", b"GETBIT", b"BITFIELD_RO"):
        limit = 4000000 if name == b"SETRANGE" else 1000000
        for argument in arguments[2:]:
            digits = argument.lstrip(b"#")
            if digits.isdigit() and limit < int(digits) < 1 << 37:
                return False
    if name in RELATIVE and any(relative.isdigit() and 0 < int(relative) < 10000 for relative in (
            arguments[i + 1] for i in range(len(arguments) - 1)
            if i == 1 or arguments[i].upper() in (b"EX", b"PX"))):
        return False
    if name in (b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER") and len(arguments) > 2:
        digits = arguments[2].lstrip(b"-")
        if digits.isdigit() and -(1 << 63) < int(arguments[2]) < -300 and int(digits) < 1 << 63:
            return False
    return True


def mutate(maker, arguments):
    """The command with one thing wrong, which may turn out to be right."""
    name = arguments[0].upper()
    if name in FRAGILE or (name == b"ZADD" and arguments[1] in LEX_KEYS) or arguments[1:2] in SPARED:
        return arguments
    changed = list(arguments)
    which = maker.below(6)
    if which == 0 and len(changed) > 1:
        del changed[maker.between(1, len(changed) - 1)]
    elif which == 1:
        changed.insert(maker.between(1, len(changed)), maker.pick(SPOILS))
    elif which == 2 and len(changed) > 1:
        changed[maker.between(1, len(changed) - 1)] = maker.pick(SPOILS)
    elif which == 3 and len(changed) > 1:
        position = maker.between(1, len(changed) - 1)
        changed.insert(position, changed[position])
    elif which == 4:
        changed = [argument.lower() if maker.rand() < 0.5 else argument for argument in changed]
    elif which == 5 and len(changed) > 2:
        i, j = maker.between(1, len(changed) - 1), maker.between(1, len(changed) - 1)
        changed[i], changed[j] = changed[j], changed[i]
    changed = tuple(changed)
    return changed if safe(changed) else arguments
