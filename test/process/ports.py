"""Free TCP ports that no other test on this machine will be given.

They lie below the range from which the kernel picks ports for outgoing connections, and a lock file
per port, held until this process ends, keeps tests that run at the same time apart.
"""

import fcntl
import os
import random
import socket
import tempfile

FIRST, LAST = 10000, 31999
_held = []


def _ephemeral_first():
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            return int(file.read().split()[0])
    except OSError:
        return LAST + 1


def is_free(port, host="127.0.0.1"):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def reserve():
    """A port that is free on every loopback address, and reserved for this process."""
    folder = os.path.join(tempfile.gettempdir(), f"rockraft-ports-{os.getuid()}")
    os.makedirs(folder, exist_ok=True)
    last = min(LAST, _ephemeral_first() - 1)
    # Seeded by the system: the choice must differ between processes and is no part of a test.
    choose = random.SystemRandom()
    for _ in range(1000):
        port = choose.randrange(FIRST, last + 1)
        lock = open(os.path.join(folder, str(port)), "w", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        if is_free(port, "0.0.0.0"):
            _held.append(lock)
            return port
        lock.close()
    raise RuntimeError("no free port found")
