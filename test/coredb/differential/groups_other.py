"""Commands on streams, on keys of any type, on the connection, and transactions."""

from maker import NUMBERS, Step


def next_id(g):
    """An id that mostly comes after all others."""
    r = g.rand()
    if r < 0.7:
        g.clock += g.between(1, 2)
        made = b"%d-%d" % (g.clock, g.between(1, 9))
        g.ids = [*g.ids[-15:], made]
        return made
    if r < 0.75:
        return b"%d-%d" % (g.clock, g.between(1, 12))
    if r < 0.85:
        g.clock += 1
        return b"%d-*" % g.clock
    if r < 0.9:
        g.clock += 1
        return b"%d" % g.clock
    if r < 0.95:
        g.clock += 1
        return b"%d-1" % g.clock
    if r < 0.98:
        return b"%d-%d" % (max(0, g.clock - g.below(12)), g.between(0, 9))
    return g.one(b"abc", b"", b"1-", b"-1", b"1-1-1", b"0-0", b"0-*", b"18446744073709551616-0", b"-", b"+",
                 b"1-*x")


def entry_id(g):
    r = g.rand()
    if r < 0.5 and g.ids:
        return g.pick(g.ids)
    if r < 0.85:
        return b"%d-%d" % (max(0, g.clock - g.below(12)), g.between(0, 9))
    if r < 0.95:
        return b"%d" % max(0, g.clock - g.below(12))
    return g.one(b"0", b"0-0", b"0-1", b"18446744073709551615-18446744073709551615", b"abc", b"", b"1-",
                 b"-1",
                 b"18446744073709551615-18446744073709551614", b"1-18446744073709551616")


def range_id(g):
    r = g.rand()
    if r < 0.35:
        return g.one(b"-", b"+")
    if r < 0.5:
        return b"(" + entry_id(g)
    return entry_id(g)


def trim(g):
    """Exact trimming; what "~" leaves is open, so it only comes where nothing may go."""
    if g.rand() < 0.1:
        return (b"MAXLEN", b"~", g.one(b"1000", b"10000"),
                *g.maybe(0.5, b"LIMIT", g.one(b"0", b"100", b"-1", b"abc")))
    if g.rand() < 0.6:
        return (b"MAXLEN", *g.maybe(0.5, b"="), g.one(b"0", b"1", b"3", b"5", b"20", b"-1", b"abc"),
                *g.maybe(0.05, b"LIMIT", b"1"))
    return (b"MINID", *g.maybe(0.5, b"="), entry_id(g))


def xadd(g):
    fields = [x for _ in range(g.between(1, 2)) for x in (g.member(), g.value())]
    if g.rand() < 0.02:
        fields.pop()
    return (b"XADD", g.key("x"), *g.maybe(0.08, b"NOMKSTREAM"), *g.maybe(0.15, *trim(g)), next_id(g),
            *fields)


def group(g):
    return g.one(b"g1", b"g1", b"g1", b"g1", b"g2", b"g2") if g.rand() < 0.97 else b"nogroup"


def stream(g):
    """The key of a stream with groups."""
    return g.one(b"x0", b"x1", b"x2") if g.rand() < 0.9 else g.key("x")


def consumer(g):
    return g.one(b"c1", b"c2", b"c1", b"c2", b"c3", b"")


def xgroup(g):
    which = g.below(20)
    if which < 12:
        return (b"XGROUP", b"CREATE", stream(g), g.one(b"g1", b"g2"), g.one(b"0", b"$", entry_id(g)),
                *g.maybe(0.8, b"MKSTREAM"), *g.maybe(0.2, b"ENTRIESREAD",
                                                     g.one(b"0", b"1", b"3", b"-1", b"-2", b"abc")))
    if which < 14:
        return (b"XGROUP", b"SETID", stream(g), group(g), g.one(b"0", b"$", entry_id(g)),
                *g.maybe(0.2, b"ENTRIESREAD", g.one(b"0", b"1", b"3", b"-1")))
    if which == 14:
        return (b"XGROUP", b"DESTROY", stream(g), group(g))
    if which < 18:
        return (b"XGROUP", b"CREATECONSUMER", stream(g), group(g), consumer(g))
    return (b"XGROUP", b"DELCONSUMER", stream(g), group(g), consumer(g))


def xread(g):
    keys = g.keys("x", 1, 3)
    ids = [g.one(b"0", b"$", entry_id(g)) for _ in range(len(keys) - (g.rand() < 0.03))]
    return (b"XREAD", *g.maybe(0.5, b"COUNT", g.count()), b"STREAMS", *keys, *ids)


def xreadgroup(g):
    keys = [stream(g) for _ in range(g.one(1, 1, 1, 2))]
    ids = [g.one(b">", b">", b">", b"0", entry_id(g), b"$") for _ in keys]
    return (b"XREADGROUP", b"GROUP", group(g), consumer(g), *g.maybe(0.6, b"COUNT", g.count()),
            *g.maybe(0.15, b"NOACK"),
            b"STREAMS", *keys, *ids)


def min_idle(g):
    """Either everything or nothing has been idle for so long."""
    return g.one(b"0", b"0", b"0", b"1000000000") if g.rand() < 0.95 else g.one(b"-1", b"abc")


def xclaim(g):
    options = []
    if g.rand() < 0.2:
        options += [b"IDLE", g.one(b"0", b"100", b"-5", b"abc")]
    if g.rand() < 0.1:
        options += [b"TIME", g.one(b"1000", b"0", b"abc")]
    if g.rand() < 0.3:
        options += [b"RETRYCOUNT", g.one(b"0", b"1", b"7", b"-1", b"abc")]
    options += [option for option in (b"FORCE", b"JUSTID") if g.rand() < 0.3]
    if g.rand() < 0.1:
        options += [b"LASTID", entry_id(g)]
    return (b"XCLAIM", stream(g), group(g), consumer(g), min_idle(g),
            *[entry_id(g) for _ in range(g.between(1, 4))], *options)


def xadd_last(g):
    """At the end of all ids. Where XSETID goes back behind them, Redis's trimming goes astray, so these
    keys are for nothing else."""
    key = g.one(b"xlast1", b"xlast2")
    last = g.one(b"*", b"18446744073709551615-*", b"18446744073709551615-18446744073709551614",
                 b"18446744073709551614-18446744073709551615", b"18446744073709551615-18446744073709551615")
    return g.step((b"XADD", key, b"18446744073709551614-5", b"f", b"v"), (b"XADD", key, last, b"f", b"v"))


STREAM = [
    (1, xadd_last),
    (24, xadd),
    (2, lambda g: (b"XADD", g.key("x"), b"*" if g.rand() < 0.2 else next_id(g))),
    (5, lambda g: (g.one(b"XRANGE"), g.key("x"), range_id(g), range_id(g),
                   *g.maybe(0.4, b"COUNT", g.count()))),
    (4, lambda g: (b"XREVRANGE", g.key("x"), range_id(g), range_id(g), *g.maybe(0.4, b"COUNT", g.count()))),
    (3, lambda g: (b"XLEN", g.key("x"))),
    (4, lambda g: (b"XDEL", g.key("x"), *[entry_id(g) for _ in range(g.between(1, 3))])),
    (3, lambda g: (b"XTRIM", g.key("x"), *trim(g))),
    (5, xread),
    (12, xgroup),
    (12, xreadgroup),
    (5, lambda g: (b"XACK", stream(g), group(g), *[entry_id(g) for _ in range(g.between(1, 4))])),
    (3, lambda g: (b"XPENDING", stream(g), group(g))),
    (5, lambda g: (b"XPENDING", stream(g), group(g), *g.maybe(0.3, b"IDLE", min_idle(g)), range_id(g),
                   range_id(g), g.count(),
                   *g.maybe(0.4, consumer(g)))),
    (6, xclaim),
    (4, lambda g: (b"XAUTOCLAIM", stream(g), group(g), consumer(g), min_idle(g),
                   g.one(b"0", b"-", entry_id(g), b"(" + entry_id(g)),
                   *g.maybe(0.5, b"COUNT", g.count()), *g.maybe(0.3, b"JUSTID"))),
    (1, lambda g: (b"XSETID", g.key("x"), b"%d-%d" % (g.clock + g.below(3), g.below(3)),
                   *g.maybe(0.3, b"ENTRIESADDED", g.one(b"0", b"5", b"100", b"-1", b"abc"), b"MAXDELETEDID",
                            entry_id(g)))),
    (3, lambda g: (b"XINFO", b"STREAM", stream(g),
                   *g.maybe(0.5, b"FULL", *g.maybe(0.5, b"COUNT", g.count())))),
    (3, lambda g: (b"XINFO", b"GROUPS", stream(g))),
    (2, lambda g: (b"XINFO", b"CONSUMERS", stream(g), group(g))),
]


def expire(g):
    name = g.one(b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT")
    when = {b"EXPIRE": g.seconds, b"PEXPIRE": g.milliseconds, b"EXPIREAT": g.when_seconds,
            b"PEXPIREAT": g.when_milliseconds}[name]()
    return (name, g.any_key(), when, *g.maybe(0.4, g.one(b"NX", b"XX", b"GT", b"LT", b"gt", b"bad")),
            *g.maybe(0.05, g.one(b"NX", b"XX", b"GT", b"LT")))


# SORT changes the encoding of a small sorted set in Redis, not in coredb: these are for nothing else.
SORTED = (b"lsorted1", b"lsorted2", b"tsorted1", b"tsorted2", b"zsorted1", b"zsorted2", b"sorted")


def to_be_sorted(g):
    """Something that makes or changes one of them."""
    key = g.pick(SORTED)
    items = [g.pick(NUMBERS[:9]) for _ in range(g.between(1, 4))] if g.rand() < 0.7 else g.members()
    if g.rand() < 0.1:
        return (b"DEL", key)
    if key[:1] == b"l":
        return (b"RPUSH", key, *items)
    if key[:1] == b"t":
        return (b"SADD", key, *items)
    if key[:1] == b"z":
        return (b"ZADD", key, *[x for item in items for x in (g.pick(NUMBERS[:3]), item)])
    return (b"SET", key, b"not to be sorted")


def sort(g):
    """SORT of small lists and sets of numbers and words."""
    key = g.pick(SORTED)
    options = []
    if g.rand() < 0.3:
        options += [b"BY", g.one(b"s*", b"nosort", b"h*->a", b"nokey*", b"h*->", b"*", b"s*->a")]
    if g.rand() < 0.3:
        options += [b"LIMIT", g.index(), g.index()]
    for _ in range(g.one(0, 0, 1, 2)):
        options += [b"GET", g.one(b"#", b"s*", b"h*->a", b"l*", b"nothing", b"h*->b")]
    options += [option for option in (b"ALPHA", g.one(b"DESC", b"DESC", b"ASC")) if g.rand() < 0.5]
    if g.rand() < 0.25 and not (b"BY" in options and b"ALPHA" in options):
        command = (b"SORT", key, *options, b"STORE", g.key("l"))
    else:
        command = (g.one(b"SORT", b"SORT", b"SORT_RO"), key, *options)
    # Redis's SORT refuses a number when the last conversion before it, of any command, was out of range.
    # The id of this XRANGE is one that sets errno back.
    return g.step((b"XRANGE", b"nokey", b"9223372036854775808-0", b"+"), command)


def dump_and_restore(g):
    source, target = g.two_keys()
    if source[:1] == b"p":
        # Counting makes a short string of it a raw one in Redis, as other changes do.
        source, target = b"n1", b"n2"
    ttl = g.one(b"0", b"100000000", b"100000000") if g.rand() < 0.9 else g.one(b"-1", b"abc")
    if g.rand() < 0.1:
        ttl, absolute = g.when_milliseconds(), (b"ABSTTL",)
    else:
        absolute = ()
    options = (*absolute, *g.maybe(0.8, b"REPLACE"), *g.maybe(0.1, b"IDLETIME", g.one(b"5", b"0", b"-1", b"x")),
               *g.maybe(0.1, b"FREQ", g.one(b"5", b"0", b"255", b"256", b"-1", b"x")))
    return g.special("restore", (b"DUMP", source), data=(target, ttl, options))


def expiring(g):
    """Commands after which keys will soon be gone, whatever was there."""
    made = []
    for key in dict.fromkeys(g.any_key() for _ in range(g.between(1, 6))):
        made.append(g.one((b"PEXPIRE", key, b"5"), (b"PEXPIRE", key, b"5"), (b"PEXPIRE", key, b"5", b"LT"),
                          (b"SET", key, b"v", b"PX", b"5"), (b"PSETEX", key, b"5", b"v"),
                          (b"PEXPIREAT", key, b"5")))
    return tuple(made)


GENERIC = [
    (7, lambda g: (g.one(b"DEL", b"UNLINK"), *[g.any_key() for _ in range(g.between(1, 2))])),
    (4, lambda g: (g.one(b"EXISTS", b"TOUCH"), *[g.any_key() for _ in range(g.between(1, 4))])),
    (5, lambda g: (b"TYPE", g.any_key())),
    (6, lambda g: (g.one(b"RENAME", b"RENAME", b"RENAMENX"), *g.two_keys())),
    (6, lambda g: (b"COPY", *g.two_keys(), *g.maybe(0.2, b"DB", g.one(b"0", b"1", b"16", b"-1", b"abc")),
                   *g.maybe(0.5, b"REPLACE"))),
    (12, expire),
    (5, lambda g: (g.one(b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME"), g.any_key())),
    (5, lambda g: (b"PERSIST", g.any_key())),
    (2, lambda g: (b"KEYS", g.pattern())),
    (6, lambda g: (b"OBJECT", b"ENCODING", g.any_key())),
    (1, lambda g: (b"OBJECT", g.one(b"IDLETIME", b"FREQ", b"bad"), g.any_key())),
    (1, lambda g: g.step((b"KEYS", b"*"), (b"RANDOMKEY",))),
    (2, lambda g: (b"DBSIZE",)),
    (8, sort),
    (5, to_be_sorted),
    (1, lambda g: g.special("scan", (b"SCAN",), data=scan_options(g, True))),
    (2, lambda g: g.special("scan", g.one((b"HSCAN", g.key("h")), (b"SSCAN", g.key("t")),
                                          (b"ZSCAN", g.key("z")),
                                         (b"HSCAN", b"hbig"), (b"SSCAN", b"tbig"), (b"SSCAN", b"tint"),
                                          (b"ZSCAN", b"zbig")),
                                         data=scan_options(g, False))),
    (3, dump_and_restore),
    (2, lambda g: (b"RESTORE", g.any_key(), g.one(b"0", b"-1", b"abc", b"100000"),
                   g.one(b"", b"junk", b"\x00" * 12, b"\x00\x01a\x0a\x00" + b"\x00" * 8),
                   *g.maybe(0.3, g.one(b"REPLACE", b"ABSTTL", b"bad", b"IDLETIME")))),
    (1, lambda g: g.special("expire", data=expiring(g)) if g.rand() < 0.2 else (b"TYPE", g.any_key())),
    (1, lambda g: g.special("xadd_now", data=g.key("x")) if g.rand() < 0.3 else (b"XLEN", g.any_key())),
    (1, lambda g: (b"MEMORY", b"USAGE", g.any_key(), *g.maybe(0.3, b"SAMPLES", g.count()))),
    (1, lambda g: (g.one(b"FLUSHDB", b"FLUSHALL"), *g.maybe(0.85, g.one(b"ASYNC", b"SYNC")))
     if g.rand() < 0.4 else (b"OBJECT", b"REFCOUNT", g.any_key())),
    (1, lambda g: (b"MOVE", g.any_key(), g.one(b"1", b"2", b"16", b"abc"))),
    (1, lambda g: (b"SWAPDB", g.one(b"0", b"1"),
                   g.one(b"1", b"2", b"99", b"abc")) if g.rand() < 0.2 else (b"TYPE", g.any_key())),
]


def scan_options(g, keyspace):
    return (*g.maybe(0.4, b"MATCH", g.pattern()),
            *g.maybe(0.4, b"COUNT", g.one(b"1", b"3", b"10", b"1000")),
            *(g.maybe(0.3, b"TYPE", g.one(b"string", b"list", b"hash", b"zset", b"stream",
                                          b"nothing")) if keyspace else ()))


def silent(g):
    """Commands among which some have no reply."""
    made = []
    for _ in range(g.between(2, 7)):
        made.append((b"CLIENT", b"REPLY", g.one(b"ON", b"OFF", b"SKIP", b"SKIP", b"bad")) if g.rand() < 0.4
                    else g.one((b"SET", g.key("s"), g.value()), (b"PING",), (b"INCR", g.key("n")), (b"SUBSCRIBE",),
                               (b"EXEC",), (b"GET", g.key("s")), (b"NOSUCH",), (b"GET",)))
    return (*made, (b"CLIENT", b"REPLY", b"ON"))


CONNECTION = [
    (3, lambda g: (b"PING", *g.maybe(0.5, g.value()))),
    (3, lambda g: (b"ECHO", g.value())),
    (3, lambda g: g.step((b"SELECT", g.one(b"0", b"1", b"15", b"16", b"-1", b"abc", b"")), (b"DBSIZE",),
                         (b"SELECT", b"0"))),
    (1, lambda g: g.step((b"SELECT", g.one(b"1", b"2")), *[g.any_plain() for _ in range(g.between(1, 4))],
                         (b"SELECT", b"0"))),
    (1, lambda g: g.step((b"MULTI",), g.any_plain(), g.one((b"RESET",), (b"HELLO", b"2"), (b"PING",)), (b"EXEC",),
                         (b"HELLO", g.one(b"2", b"3")))),
    (1, lambda g: g.special("silent", data=silent(g))),
    (2, lambda g: (b"COMMAND", g.one(b"GETKEYS", b"GETKEYSANDFLAGS"), *g.any_plain())),
    (2, lambda g: (g.one(b"PUBLISH", b"SPUBLISH"), g.one(b"nobody", b"", b"\xff"), g.value())),
    (1, lambda g: (b"PUBSUB", g.one(b"CHANNELS", b"SHARDCHANNELS", b"NUMSUB", b"SHARDNUMSUB", b"NUMPAT", b"bad"),
                   *g.maybe(0.5, b"nobody"))),
    (1, lambda g: g.step((b"HELLO", g.one(b"2", b"3")))),
    (1, lambda g: (b"HELLO", g.one(b"1", b"4", b"abc", b""))),
    (1, lambda g: (b"CLIENT", b"SETNAME", g.one(b"", b"me", b"a b", b"x\n"))),
    (1, lambda g: (b"CLIENT", b"GETNAME")),
    (1, lambda g: (g.one(b"NOSUCH", b"GETX", b"", b"SET\x00", b"x" * 200), *g.values(0, 3))),
    (1, lambda g: (b"SCAN", g.one(b"abc", b"-1", b"18446744073709551616", b""),
                   *g.maybe(0.4, b"COUNT", g.one(b"0", b"-1", b"abc")))),
    (1, lambda g: (b"WAIT", b"0", b"0")),
    (1, lambda g: (b"TIME",)),
    (1, lambda g: (g.one(b"EXEC", b"DISCARD", b"UNWATCH", b"AUTH"), *g.maybe(0.2, b"x"))),
]


def between_watch_and_exec(g):
    """Any command but XSETID, which WATCH sees in coredb alone (docs/compatibility.md, WATCH)."""
    while True:
        made = g.any_plain()
        if made[0].upper() != b"XSETID":
            return made


def transaction_commands(g):
    """Commands for between MULTI and EXEC; those that answer at random or run alone stay outside."""
    return [g.any_plain() for _ in range(g.between(0, 6))]


def transaction(g):
    """Both connections take turns on the keys that one of them watches."""
    first, second = (0, 1) if g.rand() < 0.5 else (1, 0)
    steps = []
    if g.rand() < 0.6:
        watched = [g.any_key() for _ in range(g.between(1, 2))]
        steps.append(Step("commands", first, ((b"WATCH", *watched),)))
        for _ in range(g.below(3)):
            steps.append(Step("commands", g.one(first, second, second), (between_watch_and_exec(g),)))
        if g.rand() < 0.1:
            steps.append(Step("commands", first, ((b"UNWATCH",),)))
    body = transaction_commands(g)
    selects = g.rand() < 0.07
    if selects:
        body.insert(g.below(len(body) + 1), (b"SELECT", g.one(b"1", b"2", b"15", b"16")))
    if g.rand() < 0.05:
        body.append((b"NOSUCHCOMMAND", b"x"))
    if g.rand() < 0.04:
        body.append(g.one((b"MULTI",), (b"WATCH", b"s1")))
    last = (g.one(b"EXEC", b"EXEC", b"EXEC", b"EXEC", b"EXEC", b"DISCARD"),)
    if g.rand() < 0.7:
        steps.append(Step("commands", first, ((b"MULTI",), *body, last)))
    else:
        # Open while the other connection works.
        steps.append(Step("open", first, ((b"MULTI",), *body)))
        for _ in range(g.between(1, 3)):
            steps.append(Step("commands", second, (between_watch_and_exec(g),)))
        steps.append(Step("commands", first, (last,)))
    if selects:
        steps.append(Step("commands", first, ((b"SELECT", b"0"),)))
    return steps
