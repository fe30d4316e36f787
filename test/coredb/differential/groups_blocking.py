"""Scenarios of blocked clients: who blocks on what, and what others then do to the keys."""

from maker import Step


def blocked_command(g, keys):
    which = g.below(9)
    if which < 2:
        return (g.one(b"BLPOP", b"BRPOP"), *keys, b"0")
    if which == 2:
        return (b"BLMOVE", keys[0], g.key("l"), g.one(b"LEFT", b"RIGHT"), g.one(b"LEFT", b"RIGHT"), b"0")
    if which == 3:
        return (b"BRPOPLPUSH", keys[0], g.key("l"), b"0")
    if which == 4:
        return (b"BLMPOP", b"0", b"%d" % len(keys), *keys, g.one(b"LEFT", b"RIGHT"),
                *g.maybe(0.5, b"COUNT", b"2"))
    if which == 5:
        return (g.one(b"BZPOPMIN", b"BZPOPMAX"), *keys, b"0")
    if which == 6:
        return (b"BZMPOP", b"0", b"%d" % len(keys), *keys, g.one(b"MIN", b"MAX"),
                *g.maybe(0.5, b"COUNT", b"2"))
    if which == 7:
        return (b"XREAD", b"BLOCK", b"0", b"STREAMS", *keys, *[b"$" for _ in keys])
    return (b"XREADGROUP", b"GROUP", g.one(b"g1", b"g2"), g.one(b"c1", b"c2"), b"BLOCK", b"0", b"STREAMS",
            keys[0], b">")


def kind_of(command):
    name = command[0]
    return "z" if name.startswith(b"BZ") else "x" if name.startswith(b"X") else "l"


def waking_command(g, kind, keys):
    """Something that may serve the waiters of `keys`, or pull them from under their feet."""
    key = g.pick(keys)
    r = g.rand()
    if r < 0.55:
        if kind == "l":
            return (g.one(b"LPUSH", b"RPUSH"), key, *g.values(1, 3))
        if kind == "z":
            return (b"ZADD", key, *[x for _ in range(g.between(1, 3)) for x in (g.number(), g.member())])
        g.clock += 1
        return (b"XADD", key, b"%d-1" % g.clock, b"f", g.value())
    if r < 0.7:
        return g.one((b"DEL", key), (b"SET", key, b"v"), (b"LPUSH", key, b"v"), (b"ZADD", key, b"1", b"m"),
                     (b"XGROUP", b"DESTROY", key, b"g1"), (b"RENAME", g.any_key(), key),
                     (b"COPY", g.any_key(), key, b"REPLACE"))
    return g.any_plain()


TIMEOUTS = [b"0.001", b"0.01", b"0.001", b"-1", b"-0.1", b"abc", b"", b"inf", b"nan", b"1e30",
            b"9223372036854775808", b"9223372036854775807", b"9223372036854776"]


def briefly(g):
    """A blocking command that ends soon by itself: by its time, or because that is wrong."""
    command = blocked_command(g, [g.key("l")])
    if command[0] == b"XREAD" or command[0] == b"XREADGROUP":
        times = [b"1", b"10", b"-1", b"abc", b"", b"1.5", b"9223372036854775808"]
        time, keys = command.index(b"BLOCK") + 1, command.index(b"STREAMS") + 1
        command = [*command[:keys], g.key("x"), *command[keys + 1:]]
        command[time] = g.pick(times)
        return tuple(command)
    if command[0].startswith(b"BZ"):
        command = tuple(g.key("z") if argument[:1] == b"l" else argument for argument in command)
    time = 1 if command[0] in (b"BLMPOP", b"BZMPOP") else len(command) - 1
    return (*command[:time], g.pick(TIMEOUTS), *command[time + 1:])


def blocking(g):
    """Up to three clients block, one after the other; then come commands, alone or in a transaction."""
    if g.rand() < 0.3:
        return [Step("commands", g.below(2), (briefly(g),))]
    keys = [b"%s%d" % (g.one(b"l", b"z", b"x"), g.below(3))] if g.rand() < 0.5 else None
    blocked = []
    for _ in range(g.between(1, 3)):
        probe = blocked_command(g, [b"?"])
        kind = kind_of(probe)
        keys = [g.key(kind) for _ in range(g.between(1, 2))] if keys is None or g.rand() < 0.4 else keys
        blocked.append(blocked_command(g, keys))
    kind = kind_of(blocked[0])
    # The keys are mostly absent to begin with, or nobody would block.
    steps = [Step("commands", 1, ((b"DEL", *keys),))] if g.rand() < 0.8 else []
    groups = tuple((b"XGROUP", b"CREATE", command[command.index(b"STREAMS") + 1], command[2], b"$", b"MKSTREAM")
                   for command in blocked if command[0] == b"XREADGROUP")
    if groups:
        steps.append(Step("commands", 1, groups))
    wakers = [waking_command(g, kind, keys) for _ in range(g.between(1, 4))]
    if g.rand() < 0.3:
        wakers = [(b"MULTI",), *wakers, (b"EXEC",)]
    steps.append(Step("block", 1, tuple(blocked), tuple(wakers)))
    return steps
