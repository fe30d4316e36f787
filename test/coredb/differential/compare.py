"""Decides whether two replies to the same command say the same.

Replies are equal as they are, unless Redis itself leaves the order, the choice or the moment open:
those are compared as what they mean, by the rules at the end. Nothing else is let through here; what
coredb does differently on purpose is in differences.py.
"""

import differences
from resp import is_error, is_null

# How far moments of two servers may be apart that got the same command: a batch and a slow disk.
TOLERANCE_MS = 8000


def sort_key(value):
    return repr(value)


def unordered(reply):
    """A reply whose elements have no order."""
    if type(reply) is list:
        return sorted(reply, key=sort_key)
    if type(reply) is tuple and reply[0] == "~":
        return ("~", sorted(reply[1], key=sort_key))
    return reply


def pairs(items):
    return sorted(zip(items[::2], items[1::2]), key=sort_key)


def unordered_pairs(reply):
    if type(reply) is list:
        return pairs(reply)
    if type(reply) is tuple and reply[0] == "%":
        return ("%", pairs(reply[1]))
    return reply


def near(tolerance):
    def compare(_, a, b, __):
        if type(a) is int and type(b) is int and a >= 0 and b >= 0:
            return abs(a - b) <= tolerance
        return False
    return compare


def normalised(function):
    def compare(_, a, b, __):
        return function(a) == function(b)
    return compare


def elements(reply):
    """The elements of an aggregate of any kind, or None."""
    if type(reply) is list:
        return reply
    if type(reply) is tuple and reply[0] in "*~%>" and type(reply[1]) is list:
        return reply[1]
    return None


def same_shape(a, b):
    """Same types all the way down, whatever the values."""
    if type(a) is not type(b):
        return False
    if type(a) is tuple:
        return a[0] == b[0] and a[0] != "-" and same_shape(a[1], b[1])
    if type(a) is list:
        return len(a) == len(b) and all(same_shape(x, y) for x, y in zip(a, b))
    return True


def hashable(value):
    return repr(value)


def chosen(pair_source, argument):
    """For commands that choose at random: what each server chose must be its own, and as many."""

    def members(previous, side):
        if previous is None:
            return None
        items = elements(previous[side])
        if items is None:
            return None
        if pair_source and items and type(items[0]) is list:
            items = [item for pair in items for item in pair]
        return items

    def compare(arguments, a, b, previous):
        if previous is None or previous[0][1:2] != arguments[1:2]:
            return same_shape(a, b)
        with_pairs = len(arguments) > 3
        for side, reply in ((1, a), (2, b)):
            have = members(previous, side)
            if have is None:
                return same_shape(a, b)
            names = {hashable(name) for name in (have[::2] if pair_source else have)}
            combined = {hashable(pair) for pair in zip(have[::2], have[1::2])}
            got = elements(reply)
            if got is None:
                got = [] if is_null(reply) else [reply]
            if with_pairs:
                flat = [x for item in got for x in item] if got and type(got[0]) is list else got
                if not {hashable(pair) for pair in zip(flat[::2], flat[1::2])} <= combined:
                    return False
            elif not {hashable(name) for name in got} <= names:
                return False
            count = argument(arguments)
            if count is not None and count > 0 and not with_pairs:
                if len({hashable(name) for name in got}) != min(count, len(names)):
                    return False
        return same_shape(a, b) or (type(a) is type(b) and len(a) == len(b))

    return compare


def count_argument(arguments):
    try:
        return int(arguments[2])
    except (IndexError, ValueError):
        return None


def random_key(_, a, b, previous):
    if previous is None:
        return is_null(a) == is_null(b)
    keys = previous[1:]
    return all(reply in elements(have) if elements(have) else is_null(reply)
               for reply, have in zip((a, b), keys))


def near_value(a, b, tolerance=TOLERANCE_MS):
    return type(a) is int and type(b) is int and abs(a - b) <= tolerance


def masked(reply, names, drop=()):
    """A (nested) map as pairs, with the integers of `names` rounded away and those of `drop` left out."""
    if type(reply) is tuple and reply[0] in "%~>":
        return (reply[0], masked(reply[1], names, drop))
    if type(reply) is not list:
        return reply
    result, index = [], 0
    while index < len(reply):
        item = reply[index]
        if type(item) is bytes and item in drop and index + 1 < len(reply):
            index += 2
            continue
        if type(item) is bytes and item in names and index + 1 < len(reply):
            # A moment or an age: that it is one, and not which.
            result += [item, type(reply[index + 1]).__name__]
            index += 2
            continue
        result.append(masked(item, names, drop))
        index += 1
    return result


# Entries of a consumer group's pending list in XINFO STREAM FULL carry bare moments.
def without_moments(reply):
    """XINFO STREAM FULL: pending entries [id, consumer, time, count] and [id, time, count]."""
    if type(reply) is tuple:
        return (reply[0], without_moments(reply[1]))
    if type(reply) is not list:
        return reply
    if len(reply) == 4 and [type(x) for x in reply] == [bytes, bytes, int, int]:
        return [reply[0], reply[1], "time", reply[3]]
    if len(reply) == 3 and [type(x) for x in reply] == [bytes, int, int]:
        return [reply[0], "time", reply[2]]
    return [without_moments(item) for item in reply]


AGES = {b"idle", b"inactive", b"seen-time", b"active-time"}
TREE = {b"radix-tree-keys", b"radix-tree-nodes"}


def stream_info(reply):
    return without_moments(masked(reply, AGES, TREE))


def pending(_, a, b, __):
    return without_moments(a) == without_moments(b)


def collated(reply):
    """What ALPHA compares is C strings: all after a zero byte is open."""
    return [x.split(b"\0")[0] if type(x) is bytes else x for x in reply] if type(reply) is list else reply


def sort_compare(arguments, a, b, _):
    """SORT without an order: a set's elements come as they lie; LIMIT then chooses any. By texts, those
    without one or with the same are in any order."""
    upper = [argument.upper() for argument in arguments]
    if b"BY" not in upper or upper.index(b"BY") + 1 >= len(upper):
        return b"ALPHA" in upper and collated(a) == collated(b)
    if b"*" in arguments[upper.index(b"BY") + 1] and b"ALPHA" not in upper:
        return False
    if b"LIMIT" in upper or b"GET" in upper:
        return type(a) is list and type(b) is list and len(a) == len(b)
    return unordered(a) == unordered(b)


def geo_compare(arguments, a, b, _):
    """Without SORT and COUNT the order is open, with COUNT ANY the choice too."""
    upper = [argument.upper() for argument in arguments]
    if b"ANY" in upper:
        return type(a) is list and type(b) is list and len(a) == len(b)
    if b"ASC" in upper or b"DESC" in upper or b"COUNT" in upper:
        return False
    return unordered(a) == unordered(b)


def time_compare(_, a, b, __):
    return all(type(x) is list and len(x) == 2 and x[0].isdigit() and x[1].isdigit()
               for x in (a, b)) and abs(int(a[0]) - int(b[0])) * 1000 <= TOLERANCE_MS


def both_bytes(_, a, b, __):
    return type(a) is bytes and type(b) is bytes and len(b) > 0


def both_integers(_, a, b, __):
    return type(a) is int and type(b) is int and b > 0


def scan_compare(_, a, b, __):
    """One call of SCAN with an odd cursor; the whole iteration is a step of its own."""
    return type(a) is list and type(b) is list and len(a) == len(b) == 2 and type(b[1]) is list


def hello_compare(_, a, b, __):
    """What the server says of itself, but for the protocol and the form, is its own."""
    if type(a) is not type(b) or (type(a) is tuple and a[0] != b[0]):
        return False
    protocols = [elements(x)[elements(x).index(b"proto") + 1] for x in (a, b)]
    return protocols[0] == protocols[1] and elements(a)[::2] == elements(b)[::2]


def function_list(_, a, b, __):
    """The functions of a library, by whose names they go, have no order."""
    def plain(reply):
        return sorted(map(plain, elements(reply)), key=repr) if elements(reply) is not None else repr(reply)
    return plain(a) == plain(b)


def key_flags(_, a, b, __):
    """Keys in order, the flags of each in any."""
    def plain(reply):
        return [(key, sorted(elements(flags), key=repr)) for key, flags in reply]
    return plain(a) == plain(b)


def script_compare(_, a, b, __):
    """A script may pass on what has no order."""
    if type(a) is tuple and type(b) is tuple:
        return unordered_pairs(a) == unordered_pairs(b)
    return type(a) is list and type(b) is list and unordered(a) == unordered(b)


RULES = {
    **{name: script_compare for name in (b"EVAL", b"EVAL_RO", b"EVALSHA", b"EVALSHA_RO")},
    b"FUNCTION LIST": function_list,
    b"SCAN": scan_compare, b"HELLO": hello_compare,
    b"SMEMBERS": normalised(unordered), b"SUNION": normalised(unordered),
    b"SINTER": normalised(unordered), b"SDIFF": normalised(unordered),
    b"KEYS": normalised(unordered), b"HKEYS": normalised(unordered),
    b"HVALS": normalised(unordered), b"HGETALL": normalised(unordered_pairs),
    b"COMMAND LIST": normalised(unordered), b"COMMAND GETKEYSANDFLAGS": key_flags,
    b"PUBSUB CHANNELS": normalised(unordered), b"PUBSUB SHARDCHANNELS": normalised(unordered),
    b"TTL": near(TOLERANCE_MS // 1000), b"PTTL": near(TOLERANCE_MS),
    b"EXPIRETIME": near(TOLERANCE_MS // 1000), b"PEXPIRETIME": near(TOLERANCE_MS),
    b"OBJECT IDLETIME": near(TOLERANCE_MS // 1000 + 600),
    b"SRANDMEMBER": chosen(False, count_argument), b"HRANDFIELD": chosen(True, count_argument),
    b"ZRANDMEMBER": chosen(True, count_argument), b"RANDOMKEY": random_key,
    b"XINFO STREAM": normalised(stream_info), b"XINFO CONSUMERS": normalised(stream_info),
    b"XINFO GROUPS": normalised(stream_info), b"XPENDING": pending,
    b"SORT": sort_compare, b"SORT_RO": sort_compare, b"TIME": time_compare,
    b"GEORADIUS": geo_compare, b"GEORADIUS_RO": geo_compare, b"GEOSEARCH": geo_compare,
    b"GEORADIUSBYMEMBER": geo_compare, b"GEORADIUSBYMEMBER_RO": geo_compare,
    b"DUMP": both_bytes, b"MEMORY USAGE": both_integers,
}
CONTAINERS = {b"XINFO", b"OBJECT", b"MEMORY", b"COMMAND", b"XGROUP", b"CLIENT", b"CONFIG", b"FUNCTION",
              b"SCRIPT", b"PUBSUB"}


def command_name(arguments):
    name = arguments[0].upper()
    if name in CONTAINERS and len(arguments) > 1:
        name += b" " + arguments[1].upper()
    return name


def same(arguments, a, b, previous):
    """Whether `a` and `b` answer the command alike; `previous` is the reply before, with its command."""
    if a == b:
        return True
    rule = RULES.get(command_name(arguments))
    if rule is not None and not is_error(a) and not is_error(b) and rule(arguments, a, b, previous):
        return True
    return differences.explains(arguments, a, b)


class Transcript:
    """What a connection's replies belong to: inside MULTI the answers come with EXEC."""

    def __init__(self):
        self.queued = None

    def check(self, arguments, a, b, previous):
        """None if the replies agree, else what does not, as (command, a, b)."""
        name = arguments[0].upper()
        if name == b"MULTI" and a == ("+", b"OK"):
            self.queued = []
        elif name in (b"DISCARD", b"RESET") and not is_error(a):
            self.queued = None
        elif name == b"EXEC" and self.queued is not None:
            commands, self.queued = self.queued, None
            if type(a) is list and type(b) is list and len(a) == len(b) == len(commands):
                before = None
                for command, x, y in zip(commands, a, b):
                    if not same(command, x, y, before):
                        return command, x, y
                    before = (command, x, y)
                return None
        elif self.queued is not None and a == ("+", b"QUEUED"):
            self.queued.append(arguments)
        return None if same(arguments, a, b, previous) else (arguments, a, b)
