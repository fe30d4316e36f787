"""Steps that take more than sending commands and comparing replies.

Each function runs one step on both servers and returns None, or what differs as (command, a, b).
`pair.ask(connection, command)` is both replies, `pair.sides` the servers' connections.
"""

import re
import time

from compare import elements, same, unordered
from resp import is_error

PATIENCE_S = 20.0
CURSOR_STEPS_MAX = 20000
CONTROL = 2  # The connection for questions that are not part of the test.


def differs(command, a, b, previous=None):
    return None if same(command, a, b, previous) else (command, a, b)


def spop(pair, step):
    """SPOP takes what it likes; afterwards both sets are made the same again."""
    key, count = step.data
    connection = step.connection
    look = (b"SMEMBERS", key)
    before = pair.ask(connection, look)
    if is_error(before[0]):
        command = (b"SPOP", key)
        return differs(look, *before) or differs(command, *pair.ask(connection, command))
    if unordered(before[0]) != unordered(before[1]):
        return (look, *before)
    command = (b"SPOP", key) if count is None else (b"SPOP", key, count)
    taken = pair.ask(connection, command)
    gone = []
    for have, got in zip(before, taken):
        items = elements(got)
        items = items if items is not None else ([got] if type(got) is bytes else [])
        if not set(items) <= set(elements(have)) or len(set(items)) != len(items):
            return (command, *taken)
        gone.append(items)
    if len(gone[0]) != len(gone[1]) or type(taken[0]) is not type(taken[1]):
        return (command, *taken)
    if set(gone[0]) != set(gone[1]):
        for repair in ((b"SADD", key, *gone[0], *gone[1]), (b"SREM", key, *gone[0])):
            pair.ask(connection, repair)
    return differs(look, *pair.ask(connection, look))


def iterate(connection, command, options):
    """All that a cursor returns from start to end, or the error."""
    found, cursor = [], b"0"
    for _ in range(CURSOR_STEPS_MAX):
        reply = connection.call(*command, cursor, *options)
        if type(reply) is not list or len(reply) != 2:
            return reply
        cursor, items = reply
        if command[0] in (b"HSCAN", b"ZSCAN"):
            found += zip(items[::2], items[1::2])
        else:
            found += items
        if cursor == b"0":
            return sorted(set(found), key=repr)
    return "the cursor does not come to an end"


def scan(pair, step):
    command = step.commands[0]
    results = [iterate(side[step.connection], command, step.data) for side in pair.sides]
    pair.coverage.one((*command, *step.data), results[0])
    return None if results[0] == results[1] else ((*command, b"0", *step.data), *results)


def restore(pair, step):
    """DUMP and RESTORE within each server."""
    target, ttl, options = step.data
    dump = step.commands[0]
    payloads = pair.ask(step.connection, dump)
    if type(payloads[0]) is not bytes or type(payloads[1]) is not bytes:
        return differs(dump, *payloads)
    replies = []
    for side, payload in zip(pair.sides, payloads):
        replies.append(side[step.connection].call(b"RESTORE", target, ttl, payload, *options))
    pair.coverage.one((b"RESTORE", target, ttl, *options), replies[0])
    return differs((b"RESTORE", target, ttl, b"(payload)", *options), *replies)


def eventually(pair, connection, command, fits):
    """Asks until both replies fit; None, or what does not in the end."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        replies = pair.ask(connection, command)
        if fits(replies):
            return None
        if time.monotonic() > deadline:
            return (command, *replies)
        time.sleep(0.003)


def expire(pair, step):
    """Keys that come to their end, as seen by both. One of them was watched before."""
    connection = step.connection
    watched = step.data[0][1]
    for command in ((b"SET", watched, b"v"), (b"WATCH", watched)):
        pair.ask(connection, command)
    gone = []
    for command in step.data:
        difference = differs(command, *pair.ask(connection, command))
        if difference:
            return difference
        gone.append(command[1])
    # Who asks for an expired key takes it for absent, before it is deleted and DBSIZE tells of it.
    difference = (eventually(pair, connection, (b"EXISTS", *gone), lambda left: left == [0, 0]) or
                  eventually(pair, connection, (b"DBSIZE",), lambda sizes: sizes[0] == sizes[1]))
    if difference:
        return difference
    for command in ((b"MULTI",), (b"TTL", gone[0]), (b"EXEC",)):
        difference = differs(command, *pair.ask(connection, command))
        if difference:
            return difference
    return None


def xadd_now(pair, step):
    """An id that the server makes from its clock."""
    command = (b"XADD", b"xnow", b"*", b"f", b"v")
    ids = pair.ask(step.connection, command)
    now = time.time() * 1000
    for reply in ids:
        match = re.fullmatch(rb"(\d+)-(\d+)", reply) if type(reply) is bytes else None
        if not match or abs(int(match.group(1)) - now) > 15000:
            return (command, *ids)
    return differs((b"DEL", b"xnow"), *pair.ask(step.connection, (b"DEL", b"xnow")))


def blocked_count(connection):
    reply = connection.call(b"INFO", b"clients")
    text = reply[1] if type(reply) is tuple else reply
    match = re.search(rb"blocked_clients:(\d+)", text)
    return int(match.group(1)) if match else -1


def settled(side, connections):
    """Waits until each of the clients is either blocked or answered: one may wake another."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        waiting = sum(not connection.readable() for connection in connections)
        if blocked_count(side[CONTROL]) == waiting:
            return True
        time.sleep(0.001)
    return False


def block(pair, step):
    """Clients block in order, others wake them; who is still blocked is unblocked at the end."""
    blockers = [pair.extra(len(step.commands), side) for side in (0, 1)]
    for connections, side in zip(blockers, pair.sides):
        for number, (connection, command) in enumerate(zip(connections, step.commands)):
            connection.send_command(command)
            if not settled(side, connections[:number + 1]):
                return (command, "neither blocked nor answered", side is pair.sides[0])
    difference = pair.run_commands(step.connection, step.data)
    if difference:
        return difference
    for number, command in enumerate(step.commands):
        replies, freed = [], []
        for connections, side in zip(blockers, pair.sides):
            how = (b"TIMEOUT", b"ERROR")[number % 2]
            freed.append(side[CONTROL].call(b"CLIENT", b"UNBLOCK", b"%d" % connections[number].id, how))
            replies.append(connections[number].replies(1)[0][0])
        pair.coverage.one(command, replies[0])
        difference = differs(command, *replies)
        # On another node than the commands ran on, a client may still be blocked that has been served.
        if difference is None and len(pair.ports[1]) == 1:
            difference = differs((b"CLIENT", b"UNBLOCK", b"(id)"), *freed)
        if difference:
            return difference
    return None


SYNC = b"(all so far)"


def told(connection, command=()):
    """What a subscriber hears up to the answer to a last PING."""
    if command:
        connection.send_command(command)
    connection.send_command((b"PING", SYNC))
    heard = []
    while True:
        reply = connection.replies(1)[0][0]
        if reply in (SYNC, [b"pong", SYNC]):
            return heard
        heard.append(reply)


def in_any_order(command, heard):
    """Without names UNSUBSCRIBE leaves in any order; a message to several patterns comes in any."""
    if len(command) > 1 or not command[0].upper().endswith(b"UNSUBSCRIBE"):
        return sorted(heard, key=repr)
    parts = [elements(reply) for reply in heard]
    return [sorted((part[1] for part in parts if part), key=repr), [part[2] for part in parts if part]]


def wait_applied(pair):
    """Returns when the node of CONTROL has applied all that was answered: a read of it is behind that."""
    pair.ask(CONTROL, (b"GET", b"(none)"))


def pubsub(pair, step):
    """Subscriptions, messages and questions, one after the other; all on one node, as each tells of itself."""
    listeners = [pair.extra(2, side) for side in (0, 1)]
    for connections in listeners:
        connections[1].call(b"HELLO", b"3")
    for who, command in step.data:
        if who is None:
            replies = pair.ask(CONTROL, command)
            difference = differs((b"EXEC", b"PUBLISH") if command[0] == b"EXEC" else command, *replies)
            if command[0] == b"EXEC" and len(pair.ports[1]) > 1:
                # A node may pass on the leader's answer before it has applied the entry itself.
                wait_applied(pair)
        else:
            heard = [told(connections[who], command) for connections in listeners]
            pair.coverage.one(command, heard[0][-1])
            difference = differs((*command, b"(heard)"), *(in_any_order(command, list_) for list_ in heard))
        # Everyone else, too: a message in excess shows at once.
        for number in (0, 1):
            heard = [sorted(told(connections[number]), key=repr) for connections in listeners]
            difference = difference or differs((*command, b"(told)"), *heard)
        if difference:
            return difference
    for connections in listeners:
        for connection in connections:
            told(connection, (b"RESET",))
    return None


def silent(pair, step):
    """All that comes back when some commands have no reply, up to the answer to a last question."""
    heard = []
    for side in pair.sides:
        connection = side[step.connection]
        for command in step.data:
            connection.send_command(command)
        heard.append(told(connection))
    return differs(step.data[0], *heard)


SPECIAL = {"spop": spop, "scan": scan, "restore": restore, "expire": expire, "xadd_now": xadd_now,
           "block": block, "pubsub": pubsub, "silent": silent}
