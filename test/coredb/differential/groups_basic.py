"""Commands on strings, bits and HyperLogLogs. A row is a weight and what makes one command."""

from maker import FLOATS, NUMBERS


def future(g):
    """SET with a moment that is over leaves a key that DBSIZE counts until someone looks at it."""
    option, when = g.expiry()
    return (option, b"4102444800000" if option in (b"EXAT", b"PXAT") and when in (b"1", b"1000") else when)


def set_options(g):
    options = []
    if g.rand() < 0.3:
        options.append(g.one(b"NX", b"XX"))
    if g.rand() < 0.25:
        options.append(b"GET")
    if g.rand() < 0.3:
        options += future(g)
    if g.rand() < 0.1:
        options.append(g.one(b"KEEPTTL", b"NX", b"XX", b"GET", b"EX"))
    g.random.shuffle(options) if g.rand() < 0.05 else None
    return options


def lcs(g):
    options = []
    if g.rand() < 0.3:
        options.append(b"LEN")
    if g.rand() < 0.5:
        options.append(b"IDX")
        if g.rand() < 0.5:
            options += [b"MINMATCHLEN", g.count()]
        if g.rand() < 0.5:
            options.append(b"WITHMATCHLEN")
    return (b"LCS", g.key("s"), g.key("s"), *options)


def number_text(g):
    return g.pick(NUMBERS) if g.rand() < 0.7 else g.pick(FLOATS)


# Keys n0 to n4 mostly hold numbers.
STRING = [
    (8, lambda g: (g.one(b"SET", b"GETSET"), g.key("n"), number_text(g))),
    (5, lambda g: (g.one(b"INCR", b"DECR"), g.key("n"))),
    (6, lambda g: (g.one(b"INCRBY", b"DECRBY"), g.key("n"), g.integer())),
    (7, lambda g: (b"INCRBYFLOAT", g.key("n"), g.number())),
    (20, lambda g: (b"SET", g.key("s"), g.value())),
    (16, lambda g: (b"SET", g.key("s"), g.value(), *set_options(g))),
    (10, lambda g: (b"GET", g.key("s"))),
    (5, lambda g: (b"GETSET", g.key("s"), g.value())),
    (3, lambda g: (b"GETDEL", g.key("s"))),
    (5, lambda g: (b"GETEX", g.key("s"), *(g.maybe(0.7, *g.expiry()) or g.maybe(0.6, b"PERSIST")))),
    (6, lambda g: (b"APPEND", g.key("s"), g.value())),
    (6, lambda g: (b"STRLEN", g.key("s"))),
    (1, lambda g: (g.one(b"INCR", b"DECR"), g.key("s"))),
    (1, lambda g: (g.one(b"INCRBY", b"DECRBY"), g.key("s"), g.integer())),
    (1, lambda g: (b"INCRBYFLOAT", g.key("s"), g.number())),
    (5, lambda g: (b"GETRANGE", g.key("s"), g.index(), g.index())),
    (2, lambda g: (b"SUBSTR", g.key("s"), g.index(), g.index())),
    (4, lambda g: (b"SETRANGE", g.key("s"), g.one(b"0", b"1", b"5", b"70", b"3"), g.value())),
    (1, lambda g: (b"SETRANGE", g.key("s"), g.one(b"-1", b"536870912", b"x"), g.value())),
    (4, lambda g: (b"MGET", *g.keys("s", 1, 5))),
    (4, lambda g: (b"MSET", *[x for _ in range(g.between(1, 3)) for x in (g.key("s"), g.value())])),
    (3, lambda g: (b"MSETNX", *[x for _ in range(g.between(1, 3)) for x in (g.key("s"), g.value())])),
    (4, lambda g: (b"SETNX", g.key("s"), g.value())),
    (3, lambda g: (b"SETEX", g.key("s"), g.seconds(), g.value())),
    (3, lambda g: (b"PSETEX", g.key("s"), g.milliseconds(), g.value())),
    (4, lcs),
    (1, lambda g: g.step((b"SET", b"past", g.value(), g.one(b"EXAT", b"PXAT"), g.one(b"1", b"1000")),
                         (g.one(b"GET", b"TTL", b"TYPE"), b"past"))),
]


def offset(g):
    r = g.rand()
    if r < 0.9:
        return b"%d" % g.below(300)
    return g.one(b"-1", b"4294967296", b"abc", b"", b"1.5", b"100000", b"9223372036854775807", b"0")


def field_type(g):
    if g.rand() < 0.93:
        return g.one(b"u", b"i") + b"%d" % g.one(1, 2, 3, 5, 8, 13, 16, 32, 48, 63)
    return g.one(b"u64", b"i64", b"i65", b"u0", b"x8", b"u", b"", b"i-1")


def field_offset(g):
    if g.rand() < 0.9:
        return g.one(b"", b"#") + b"%d" % g.below(40)
    return g.one(b"-1", b"#-1", b"abc", b"#", b"4294967296", b"#9223372036854775807", b"")


def field_operations(g):
    operations = []
    for _ in range(g.between(1, 4)):
        which = g.below(4)
        if which == 0:
            operations += [b"OVERFLOW", g.one(b"WRAP", b"SAT", b"FAIL", b"WRAP", b"SAT", b"bad")]
        elif which == 1:
            operations += [b"GET", field_type(g), field_offset(g)]
        elif which == 2:
            operations += [b"SET", field_type(g), field_offset(g), g.integer()]
        else:
            operations += [b"INCRBY", field_type(g), field_offset(g), g.integer()]
    return operations


BITMAP = [
    (12, lambda g: (b"SETBIT", g.key("b"), offset(g), g.one(b"0", b"1", b"1", b"1", b"2"))),
    (6, lambda g: (b"GETBIT", g.key("b"), offset(g))),
    (6, lambda g: (b"BITCOUNT", g.key("b"), *g.maybe(0.7, g.index(), g.index(),
                                                     *g.maybe(0.6, g.one(b"BIT", b"BYTE"))))),
    (7, lambda g: (b"BITPOS", g.key("b"), g.one(b"0", b"1", b"2"), *g.maybe(0.7, g.index(),
                   *g.maybe(0.7, g.index(), *g.maybe(0.6, g.one(b"BIT", b"BYTE")))))),
    (6, lambda g: (b"BITOP", g.one(b"AND", b"OR", b"XOR"), g.key("b"), *g.keys("b", 1, 4))),
    (3, lambda g: (b"BITOP", b"NOT", g.key("b"), *g.keys("b", 1, 1), *g.maybe(0.1, b"b1"))),
    (14, lambda g: (b"BITFIELD", g.key("b"), *field_operations(g))),
    (3, lambda g: (b"BITFIELD_RO", g.key("b"), b"GET", field_type(g), field_offset(g),
                   *g.maybe(0.2, *field_operations(g)))),
    (4, lambda g: (b"SET", g.key("b"), g.value())),
    (2, lambda g: (b"GET", g.key("b"))),
]

HYPERLOGLOG = [
    (14, lambda g: (b"PFADD", g.key("p"), *g.members(0, 4))),
    (3, lambda g: (b"PFADD", g.key("p"), *g.many(g.one(20, 100, 300)))),
    (9, lambda g: (b"PFCOUNT", *g.keys("p", 1, 3))),
    (6, lambda g: (b"PFMERGE", g.key("p"), *g.keys("p", 0, 3))),
    (2, lambda g: (b"GET", g.key("p"))),
    (1, lambda g: (b"GET", g.key("p")) if g.rand() < 0.5 else (b"SET", g.key("p"),
                                                               g.one(b"", b"HYLL", b"abc",
                                                                     b"HYLL" + b"\0" * 12))),
    # Only the kind: what Redis makes of broken registers depends on what it reads of them.
    (1, lambda g: (b"SETRANGE", g.key("p"), b"4", g.one(b"\0", b"\xff", b"\x80", b"\x7f"))),
    (3, lambda g: (b"DEL", g.key("p"))),
]
