"""Scenarios of publish and subscribe: two subscribers, the second in RESP3, and one who publishes."""

from maker import Step

CHANNELS = (b"news", b"new", b"a", b"", b"\xff\r\n", b"s1")
PATTERNS = (b"*", b"n*", b"new?", b"[ab]", b"", b"nothing*")


def names(g, among):
    return [g.pick(among) for _ in range(g.one(1, 1, 2, 3))]


def subscription(g):
    which = g.below(12)
    if which < 3:
        return (b"SUBSCRIBE", *names(g, CHANNELS))
    if which < 5:
        return (b"PSUBSCRIBE", *names(g, PATTERNS))
    if which == 5:
        return (b"SSUBSCRIBE", g.pick(CHANNELS))
    if which < 9:
        kind, among = g.one((b"UNSUBSCRIBE", CHANNELS), (b"PUNSUBSCRIBE", PATTERNS),
                            (b"SUNSUBSCRIBE", CHANNELS[:1]))
        return (kind, *g.maybe(0.7, *names(g, among)))
    return g.one((b"GET", b"s1"), (b"PING",), (b"RESET",), (b"SUBSCRIBE",), (b"ECHO", b"x"),
                 (b"BLPOP", b"nokey", b"0.001"))


def question(g):
    return g.one((b"PUBSUB", b"CHANNELS"), (b"PUBSUB", b"CHANNELS", g.pick(PATTERNS)), (b"PUBSUB", b"NUMPAT"),
                 (b"PUBSUB", b"NUMSUB", *names(g, CHANNELS)), (b"PUBSUB", b"NUMSUB"),
                 (b"PUBSUB", b"SHARDCHANNELS"), (b"PUBSUB", b"SHARDNUMSUB", *names(g, CHANNELS)))


def pubsub(g):
    """Pairs of who (a subscriber, or None) and what."""
    acts = []
    for _ in range(g.between(3, 14)):
        r = g.rand()
        if r < 0.5:
            acts.append((g.below(2), subscription(g)))
        elif r < 0.85:
            acts.append((None, (g.one(b"PUBLISH", b"PUBLISH", b"PUBLISH", b"SPUBLISH"), g.pick(CHANNELS),
                                g.value())))
        elif r < 0.9:
            acts += [(None, (b"MULTI",)), (None, (b"PUBLISH", g.pick(CHANNELS), g.value())),
                     (None, (b"EXEC",))]
        else:
            acts.append((None, question(g)))
    return [Step("pubsub", 0, (), tuple(acts))]
