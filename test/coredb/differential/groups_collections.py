"""Commands on lists, hashes and sets."""

from maker import WORDS


def side(g):
    return g.one(b"LEFT", b"RIGHT", b"LEFT", b"RIGHT", b"left", b"x") if g.rand() < 0.1 else g.one(b"LEFT",
                                                                                                   b"RIGHT")


def numbered(g, kind, high=3):
    """numkeys and the keys, sometimes not as many."""
    keys = g.keys(kind, 1, high)
    if g.rand() < 0.94:
        return [b"%d" % len(keys), *keys]
    return [g.one(b"0", b"-1", b"4", b"abc", b"9223372036854775807"), *keys]


def lpos(g):
    options = []
    if g.rand() < 0.5:
        options += [b"RANK", g.one(b"1", b"-1", b"2", b"-2", b"0", b"abc")]
    if g.rand() < 0.5:
        options += [b"COUNT", g.count()]
    if g.rand() < 0.3:
        options += [b"MAXLEN", g.count()]
    return (b"LPOS", g.key("l"), g.pick(WORDS) if g.rand() < 0.7 else g.value(), *options)


LIST = [
    (14, lambda g: (g.one(b"LPUSH", b"RPUSH"), g.key("l"), *g.values())),
    (1, lambda g: (g.one(b"LPUSH", b"RPUSH"), b"lbig", *g.many(g.one(50, 200)))),
    (4, lambda g: (g.one(b"LPUSHX", b"RPUSHX"), g.key("l"), *g.values(1, 2))),
    (6, lambda g: (g.one(b"LPOP", b"RPOP"), g.key("l"), *g.maybe(0.4, g.count()))),
    (7, lambda g: (b"LRANGE", g.key("l"), g.index(), g.index())),
    (2, lambda g: (b"LRANGE", b"lbig", g.index(), g.index())),
    (4, lambda g: (b"LLEN", g.key("l"))),
    (5, lambda g: (b"LINDEX", g.key("l"), g.index())),
    (5, lambda g: (b"LSET", g.key("l"), g.index(), g.value())),
    (5, lambda g: (b"LINSERT", g.key("l"), g.one(b"BEFORE", b"AFTER", b"after", b"x"), g.value(),
                   g.value())),
    (5, lambda g: (b"LREM", g.key("l"), g.index(), g.value())),
    (4, lambda g: (b"LTRIM", g.key("l"), g.index(), g.index())),
    (1, lambda g: (b"LTRIM", b"lbig", g.index(), b"%d" % g.between(100, 600))),
    (6, lpos),
    (5, lambda g: (b"LMOVE", g.key("l"), g.key("l"), side(g), side(g))),
    (4, lambda g: (b"RPOPLPUSH", g.key("l"), g.key("l"))),
    (4, lambda g: (b"LMPOP", *numbered(g, "l"), side(g), *g.maybe(0.5, b"COUNT", g.count()))),
    (1, lambda g: (g.one(b"LINDEX", b"LPOP", b"RPOP"), b"lbig", *g.maybe(0.8, g.count()))),
]

HASH = [
    (12, lambda g: (g.one(b"HSET", b"HSET", b"HMSET"), g.key("h"),
                    *[x for _ in range(g.between(1, 3)) for x in (g.member(), g.value())])),
    (1, lambda g: (b"HSET", b"hbig", *[x for m in g.many(g.one(30, 140)) for x in (m, g.value())])),
    (4, lambda g: (b"HSETNX", g.key("h"), g.member(), g.value())),
    (6, lambda g: (b"HGET", g.key("h"), g.member())),
    (4, lambda g: (b"HMGET", g.key("h"), *g.members())),
    (4, lambda g: (b"HGETALL", g.key("h"))),
    (2, lambda g: (g.one(b"HKEYS", b"HVALS"), g.key("h"))),
    (4, lambda g: (b"HLEN", g.one(g.key("h"), b"hbig"))),
    (4, lambda g: (b"HSTRLEN", g.key("h"), g.member())),
    (4, lambda g: (b"HEXISTS", g.key("h"), g.member())),
    (6, lambda g: (b"HDEL", g.key("h"), *g.members())),
    (1, lambda g: (b"HDEL", b"hbig", *g.many(g.one(20, 100)))),
    (7, lambda g: (b"HINCRBY", g.key("h"), g.member(), g.integer())),
    (6, lambda g: (b"HINCRBYFLOAT", g.key("h"), g.member(), g.number())),
    (4, lambda g: random_members(g, g.key("h"), b"HGETALL", b"HRANDFIELD", b"WITHVALUES")),
]


def random_members(g, key, reader, name, option=None, reader_arguments=()):
    """A random choice, after a look at what there is to choose from."""
    arguments = ()
    if g.rand() < 0.8:
        count = g.one(b"1", b"2", b"5", b"-2", b"-5", b"0", b"300", b"-9223372036854775808", b"abc",
                      b"-9223372036854775809", b"-200")
        arguments = (count, *(g.maybe(0.4, option) if option else ()))
    return g.step((reader, key, *reader_arguments), (name, key, *arguments))


SET = [
    (14, lambda g: (b"SADD", g.key("t"), *g.members())),
    (3, lambda g: (b"SADD", b"t0", *[b"%d" % g.between(-200, 70000) for _ in range(g.between(1, 9))])),
    (1, lambda g: (b"SADD", b"tint", *[b"%d" % g.between(0, 2000) for _ in range(g.one(50, 300))])),
    (1, lambda g: (b"SADD", b"tbig", *g.many(g.one(30, 140)))),
    (7, lambda g: (b"SREM", g.key("t"), *g.members())),
    (1, lambda g: (b"SREM", b"tbig", *g.many(100))),
    (5, lambda g: (b"SISMEMBER", g.key("t"), g.member())),
    (4, lambda g: (b"SMISMEMBER", g.key("t"), *g.members())),
    (4, lambda g: (b"SCARD", g.one(g.key("t"), b"tbig", b"tint"))),
    (4, lambda g: (b"SMEMBERS", g.key("t"))),
    (5, lambda g: (b"SMOVE", g.key("t"), g.key("t"), g.member())),
    (6, lambda g: (g.one(b"SINTER", b"SUNION", b"SDIFF"), *g.keys("t", 1, 4))),
    (6, lambda g: (g.one(b"SINTERSTORE", b"SUNIONSTORE", b"SDIFFSTORE"), g.key("t"), *g.keys("t", 1, 4))),
    (4, lambda g: (b"SINTERCARD", *numbered(g, "t"), *g.maybe(0.5, b"LIMIT", g.count()))),
    (3, lambda g: random_members(g, g.key("t"), b"SMEMBERS", b"SRANDMEMBER")),
    (1, lambda g: random_members(g, b"tbig", b"SMEMBERS", b"SRANDMEMBER")),
    (1, lambda g: g.special("spop", data=(g.key("t"), g.one(None, b"1", b"2", b"5")))),
]
