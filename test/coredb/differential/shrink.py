"""Makes a list of steps shorter while it still shows the same difference (delta debugging)."""

import time

from maker import Step
from runner import Found


def reproduces(pair, steps, signature):
    try:
        pair.run(steps)
    except Found as found:
        return found if found.signature == signature else None
    return None


def keys_of(step):
    words = set()
    for command in step.commands:
        words.update(command[1:])
    if step.kind == "block":
        for command in step.data:
            words.update(command[1:])
    elif step.data is not None:
        words.update(flat(step.data))
    return words


def flat(data):
    if isinstance(data, (tuple, list)):
        for item in data:
            yield from flat(item)
    elif data is not None:
        yield data


def related(steps, names):
    """The steps that mention one of the names, or what only acts on a connection."""
    return [step for step in steps if keys_of(step) & names or not keys_of(step)]


def halves(pair, steps, signature, deadline):
    """Leaves out ever smaller pieces."""
    size = max(1, len(steps) // 2)
    while time.monotonic() < deadline:
        at, removed = 0, False
        while at < len(steps) and time.monotonic() < deadline:
            shorter = steps[:at] + steps[at + size:]
            if shorter and reproduces(pair, shorter, signature):
                steps, removed = shorter, True
            else:
                at += size
        if size == 1 and not removed:
            return steps
        size = max(1, size // 2) if not removed or size > 1 else 1
    return steps


def inner(pair, steps, signature, deadline):
    """Leaves out commands within transactions and other steps of several commands."""
    for position in range(len(steps)):
        index = 0
        while time.monotonic() < deadline:
            step = steps[position]
            if step.kind not in ("commands",
                                 "open") or len(step.commands) < 2 or index >= len(step.commands):
                break
            commands = step.commands[:index] + step.commands[index + 1:]
            shorter = steps[:position] + [Step(step.kind, step.connection, commands,
                                               step.data)] + steps[position + 1:]
            if commands and commands[0][0] != b"EXEC" and reproduces(pair, shorter, signature):
                steps = shorter
            else:
                index += 1
    return steps


def shrink(pair, steps, found, seconds=60.0):
    """The shortest list of steps found within the time, and what it shows. None if it does not repeat."""
    deadline = time.monotonic() + seconds
    signature = found.signature
    steps = steps[:found.step + 1]
    names = {argument for argument in found.command[1:] if isinstance(argument, bytes) and argument}
    for candidate in (related(steps, names), steps):
        if reproduces(pair, candidate, signature):
            steps = candidate
            break
    else:
        return None
    steps = halves(pair, steps, signature, deadline)
    steps = inner(pair, steps, signature, deadline)
    last = reproduces(pair, steps, signature)
    return (steps, last) if last else None
