"""Commands on sorted sets, and on places, which are sorted sets."""

from groups_collections import numbered, random_members
from maker import LEX_KEYS


def score_bound(g):
    r = g.rand()
    if r < 0.25:
        return g.one(b"-inf", b"+inf", b"inf")
    if r < 0.95:
        return (b"(" if g.rand() < 0.3 else b"") + g.number()
    return g.one(b"(", b"((1", b"abc", b"", b"(abc", b"[1")


def lex_bound(g):
    r = g.rand()
    if r < 0.25:
        return g.one(b"-", b"+")
    if r < 0.95:
        return g.one(b"[", b"(") + g.member()
    return g.one(b"a", b"", b"[", b"(", b"-x", b"+x")


def zadd(g):
    options = []
    if g.rand() < 0.35:
        options.append(g.one(b"NX", b"XX", b"GT", b"LT"))
    if g.rand() < 0.15:
        options.append(g.one(b"NX", b"XX", b"GT", b"LT", b"CH"))
    if g.rand() < 0.3:
        options.append(b"CH")
    if g.rand() < 0.15:
        options.append(b"INCR")
    count = 1 if b"INCR" in options and g.rand() < 0.9 else g.between(1, 3)
    return (b"ZADD", g.key("z"), *options, *[x for _ in range(count) for x in (g.number(), g.member())])


def limit(g, chance=0.3):
    return g.maybe(chance, b"LIMIT", g.index(), g.index())


def zrange(g):
    """The key, the bounds and the options."""
    options = []
    by = g.below(3)
    key = g.key("z")
    if by == 0:
        low, high = g.index(), g.index()
    elif by == 1:
        low, high = score_bound(g), score_bound(g)
        options.append(b"BYSCORE")
    else:
        low, high, key = lex_bound(g), lex_bound(g), g.pick(LEX_KEYS)
        options.append(b"BYLEX")
    if g.rand() < 0.4:
        options.append(b"REV")
        if g.rand() < 0.6:
            low, high = high, low
    if by or g.rand() < 0.05:
        options += limit(g)
    return key, low, high, options


def zrange_command(g):
    key, low, high, options = zrange(g)
    return (b"ZRANGE", key, low, high, *options, *g.maybe(0.4, b"WITHSCORES"))


def zrangestore(g):
    key, low, high, options = zrange(g)
    return (b"ZRANGESTORE", g.key("z"), key, low, high, *options)


def combine(g, keys, weights=True):
    options = []
    if weights and g.rand() < 0.4:
        options += [b"WEIGHTS", *[g.number() for _ in range(len(keys) - 1 + (g.rand() < 0.03))]]
    if weights and g.rand() < 0.4:
        options += [b"AGGREGATE", g.one(b"SUM", b"MIN", b"MAX", b"sum", b"bad")]
    return options


def some_sets(g):
    """numkeys and keys of sorted sets, with a plain set now and then."""
    keys = numbered(g, "z")
    if g.rand() < 0.2:
        keys[1] = g.key("t")
    return keys


def combined(g):
    keys = some_sets(g)
    which = g.one(b"ZUNION", b"ZINTER", b"ZDIFF")
    return (which, *keys, *combine(g, keys, which != b"ZDIFF"), *g.maybe(0.6, b"WITHSCORES"))


def combined_store(g):
    keys = some_sets(g)
    which = g.one(b"ZUNIONSTORE", b"ZINTERSTORE", b"ZDIFFSTORE")
    return (which, g.key("z"), *keys, *combine(g, keys, which != b"ZDIFFSTORE"))


ZSET = [
    (16, zadd),
    (3, lambda g: (b"ZADD", g.key("z"),
                   *[x for m in (b"a", b"b", b"c", b"d", b"e", b"A", b"") for x in (b"0", m)])),
    (1, lambda g: (b"ZADD", b"zbig", *[x for i,
                                       m in enumerate(g.many(g.one(30, 140))) for x in (b"%d" % (i % 50),
                                                                                        m)])),
    (4, lambda g: (b"ZADD", g.pick(LEX_KEYS[:3]), *[x for m in g.members() for x in (b"0", m)])),
    (1, lambda g: (b"ZADD", b"y2", *[x for m in g.many(g.one(30, 140)) for x in (b"0", m)])),
    (1, lambda g: (b"SET", b"ywrong", b"v")),
    (5, lambda g: (b"ZREM", g.key("z"), *g.members())),
    (6, lambda g: (b"ZINCRBY", g.key("z"), g.number(), g.member())),
    (4, lambda g: (b"ZSCORE", g.key("z"), g.member())),
    (3, lambda g: (b"ZMSCORE", g.key("z"), *g.members())),
    (3, lambda g: (b"ZCARD", g.one(g.key("z"), b"zbig"))),
    (4, lambda g: (g.one(b"ZRANK", b"ZREVRANK"), g.key("z"), g.member())),
    (1, lambda g: (g.one(b"ZRANK", b"ZREVRANK"), b"zbig", b"m%d" % g.below(500))),
    (5, lambda g: (b"ZCOUNT", g.key("z"), score_bound(g), score_bound(g))),
    (4, lambda g: (b"ZLEXCOUNT", g.pick(LEX_KEYS), lex_bound(g), lex_bound(g))),
    (12, zrange_command),
    (4, zrangestore),
    (3, lambda g: (g.one(b"ZRANGE", b"ZREVRANGE"), g.one(g.key("z"), b"zbig"), g.index(), g.index(),
                   *g.maybe(0.4, b"WITHSCORES"))),
    (5, lambda g: (g.one(b"ZRANGEBYSCORE", b"ZREVRANGEBYSCORE"), g.one(g.key("z"), b"zbig"), score_bound(g),
                   score_bound(g),
                   *g.maybe(0.4, b"WITHSCORES"), *limit(g))),
    (4, lambda g: (g.one(b"ZRANGEBYLEX", b"ZREVRANGEBYLEX"), g.pick(LEX_KEYS), lex_bound(g), lex_bound(g),
                   *limit(g))),
    (2, lambda g: (b"ZREMRANGEBYRANK", g.key("z"), g.index(), g.index())),
    (2, lambda g: (b"ZREMRANGEBYSCORE", g.key("z"), score_bound(g), score_bound(g))),
    (2, lambda g: (b"ZREMRANGEBYLEX", g.pick(LEX_KEYS), lex_bound(g), lex_bound(g))),
    (4, lambda g: (g.one(b"ZPOPMIN", b"ZPOPMAX"), g.key("z"), *g.maybe(0.4, g.count()))),
    (3, lambda g: (b"ZMPOP", *numbered(g, "z"), g.one(b"MIN", b"MAX"), *g.maybe(0.5, b"COUNT", g.count()))),
    (6, combined),
    (6, combined_store),
    (3, lambda g: (b"ZINTERCARD", *some_sets(g), *g.maybe(0.5, b"LIMIT", g.count()))),
    (4, lambda g: random_members(g, g.key("z"), b"ZRANGE", b"ZRANDMEMBER", b"WITHSCORES",
                                 (b"0", b"-1", b"WITHSCORES"))),
]

PLACES = [(b"13.361389", b"38.115556"), (b"15.087269", b"37.502669"), (b"2.349014", b"48.864716"),
          (b"-73.935242", b"40.730610"), (b"0", b"0"), (b"179.99", b"85.05"), (b"-180", b"-85.05112878"),
          (b"139.691711", b"35.689487"), (b"13.5", b"38.0"), (b"14.0", b"37.8"), (b"-0.1", b"51.5")]
BAD_PLACES = [(b"181", b"0"), (b"0", b"86"), (b"abc", b"0"), (b"nan", b"0"), (b"inf", b"1"), (b"", b"")]
CITIES = [b"Palermo", b"Catania", b"Paris", b"NY", b"zero", b"edge", b"Tokyo", b"x", b"y", b"a", b"b"]


def place(g):
    return g.pick(PLACES) if g.rand() < 0.95 else g.pick(BAD_PLACES)


def city(g):
    """A city somewhere near a place. No two are ever at the same one: among equal distances any order is
    good."""
    number = g.below(len(CITIES))
    where = place(g)
    if where in PLACES:
        shift = 0.001 * (number + 1)
        where = tuple(b"%.6f" % (float(x) - shift if float(x) > 0 else float(x) + shift) for x in where)
    return (*where, CITIES[number])


def unit(g):
    return g.one(b"m", b"km", b"mi", b"ft", b"KM") if g.rand() < 0.95 else g.one(b"x", b"")


def radius(g):
    return g.one(b"1", b"100", b"1000", b"200.5", b"0", b"5000000",
                 b"30000") if g.rand() < 0.95 else g.one(b"-1", b"abc", b"nan")


def geo_with(g):
    return [option for option in (b"WITHCOORD", b"WITHDIST", b"WITHHASH") if g.rand() < 0.4]


def geo_order(g):
    options = []
    if g.rand() < 0.6:
        options.append(g.one(b"ASC", b"DESC"))
    if g.rand() < 0.4:
        options += [b"COUNT", g.count(), *g.maybe(0.1, b"ANY")]
    return options


def geosearch_by(g):
    start = (b"FROMMEMBER", g.pick(CITIES)) if g.rand() < 0.5 else (b"FROMLONLAT", *place(g))
    area = (b"BYRADIUS", radius(g), unit(g)) if g.rand() < 0.5 else (b"BYBOX", radius(g), radius(g),
                                                                     unit(g))
    return (*start, *area, *geo_order(g))


def stored(g):
    """Distances are no places, so they go where sorted sets are."""
    return (b"STORE", g.key("g")) if g.rand() < 0.7 else (b"STOREDIST", g.key("z"))


def geosearchstore(g):
    distances = g.rand() < 0.3
    by = [argument for argument in geosearch_by(g) if argument != b"ANY"]
    if b"COUNT" not in by and g.rand() < 0.1:
        by += [b"COUNT", b"1000", b"ANY"]
    return (b"GEOSEARCHSTORE", g.key("z" if distances else "g"), g.key("g"), *by,
            *((b"STOREDIST",) if distances else ()))


GEO = [
    (12, lambda g: (b"GEOADD", g.key("g"), *g.maybe(0.2, g.one(b"NX", b"XX")), *g.maybe(0.2, b"CH"),
                    *[x for _ in range(g.one(1, 2, 3, 6)) for x in city(g)])),
    (5, lambda g: (b"GEODIST", g.key("g"), g.pick(CITIES), g.pick(CITIES), *g.maybe(0.6, unit(g)))),
    (4, lambda g: (b"GEOHASH", g.key("g"), *[g.pick(CITIES) for _ in range(g.between(0, 3))])),
    (5, lambda g: (b"GEOPOS", g.key("g"), *[g.pick(CITIES) for _ in range(g.between(0, 3))])),
    (6, lambda g: (g.one(b"GEORADIUS", b"GEORADIUS_RO"), g.key("g"), *place(g), radius(g), unit(g),
                   *geo_with(g), *geo_order(g))),
    (5, lambda g: (g.one(b"GEORADIUSBYMEMBER", b"GEORADIUSBYMEMBER_RO"), g.key("g"), g.pick(CITIES),
                   radius(g), unit(g),
                   *geo_with(g), *geo_order(g))),
    (2, lambda g: (b"GEORADIUS", g.key("g"), *place(g), radius(g), unit(g), g.one(b"ASC", b"DESC"),
                   *stored(g))),
    (1, lambda g: (b"GEORADIUSBYMEMBER", g.key("g"), g.pick(CITIES), radius(g), unit(g),
                   g.one(b"ASC", b"DESC"), *stored(g))),
    (8, lambda g: (b"GEOSEARCH", g.key("g"), *geosearch_by(g), *geo_with(g))),
    (4, geosearchstore),
    (2, lambda g: (b"ZRANGE", g.key("g"), b"0", b"-1", b"WITHSCORES")),
    (2, lambda g: (b"ZREM", g.key("g"), g.pick(CITIES))),
]
