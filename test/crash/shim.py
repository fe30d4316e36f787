"""Asking disk_shim.so for faults, and playing losses of power; README.md has the model."""

import errno
import json
import mmap
import os
import struct
import subprocess
import sys

MAGIC = 0x315854434D494853
RULES_MAX = 16
HEADER = struct.Struct("<QQ16QII")
RULE = struct.Struct("<IIqQQIIQQQ192s")
OPERATIONS = ("open", "create", "read", "write", "sync", "sync_directory", "truncate", "rename",
              "link", "remove", "mkdir")
FAULTS = ("none", "error", "short", "stall", "delay", "flip", "misdirect", "lost", "kill")
CHANGES = ("create", "write", "sync", "sync_directory", "truncate", "rename", "link", "remove",
           "mkdir")
ALL = 1000000  # A probability of one.


def programs():
    """The folder of disk_shim.so and power-loss; None if they have not been built, or cannot be used:
    ThreadSanitizer wants no library before its own."""
    if "thread" in os.environ.get("ROCKRAFT_SANITIZE", ""):
        return None
    folder = os.environ.get("ROCKRAFT_CRASH_BIN")
    if folder is None:
        binaries = os.environ.get("ROCKRAFT_BIN")
        if binaries is None:
            source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
            binaries = os.path.join(source, "build", "bin")
        folder = os.path.join(os.path.dirname(binaries), "test")
    return folder if os.access(os.path.join(folder, "disk_shim.so"), os.R_OK) else None


NOT_BUILT = "disk_shim.so has not been built (make test builds it), or not for this sanitizer"


def skip_without_programs():
    """For tests: ends the process as skipped where the shim cannot be used."""
    if programs() is None:
        print(f"skipped: {NOT_BUILT}")
        sys.exit(77)


def require_programs():
    """For campaigns: ends the process where the shim cannot be used."""
    if programs() is None:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {NOT_BUILT}")


class Rule:
    """One rule in the control file; `fired`, `matched` and `waiting` are the shim's counts."""

    def __init__(self, memory, offset):
        self.memory = memory
        self.offset = offset

    def set(self, operations, fault, pattern="*", argument=0, skip=0, limit=0, probability=1.0):
        bits = sum(1 << OPERATIONS.index(name) for name in operations)
        if fault in errno.errorcode.values():
            argument, fault = getattr(errno, fault), "error"
        RULE.pack_into(self.memory, self.offset, 0, FAULTS.index(fault), argument, skip, limit,
                       int(probability * ALL), 0, 0, 0, 0, pattern.encode())
        struct.pack_into("<I", self.memory, self.offset, bits)  # Now it takes effect.
        return self

    def _field(self, number):
        return RULE.unpack_from(self.memory, self.offset)[number]

    @property
    def matched(self):
        return self._field(7)

    @property
    def fired(self):
        return self._field(8)

    @property
    def waiting(self):
        return self._field(9)

    def release(self):
        """Lets go what is stalled, and whatever would stall from now on."""
        struct.pack_into("<I", self.memory, self.offset + 36, 1)

    def clear(self):
        struct.pack_into("<I", self.memory, self.offset, 0)


class Shim:
    """The disk under `root` for one process at a time, with its files in `folder` beside it.

    With `journal`, losses of power can be played.
    """

    def __init__(self, root, folder, journal=False, seed=1, skip_sync=False):
        self.root = os.path.realpath(root)
        self.folder = os.path.realpath(folder)
        self.journal = os.path.join(self.folder, "journal") if journal else None
        os.makedirs(self.journal or self.folder, exist_ok=True)
        if journal:
            open(os.path.join(self.journal, "journal"), "ab").close()
            os.makedirs(os.path.join(self.journal, "kept"), exist_ok=True)
        self.control = os.path.join(self.folder, "control")
        with open(self.control, "wb+") as file:
            file.write(bytes(HEADER.size + RULE.size * RULES_MAX))
            file.flush()
            self.memory = mmap.mmap(file.fileno(), 0)
        HEADER.pack_into(self.memory, 0, MAGIC, seed, *([0] * 16), int(skip_sync), 0)
        self.rules = [Rule(self.memory, HEADER.size + RULE.size * n) for n in range(RULES_MAX)]

    def environment(self):
        """What to add to a process's environment."""
        variables = {
            "LD_PRELOAD": os.path.join(programs(), "disk_shim.so"),
            "DISK_SHIM_ROOT": self.root,
            "DISK_SHIM_CONTROL": self.control,
            # A library before the sanitizer's own is what is wanted.
            "ASAN_OPTIONS": ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"),
                                                   "verify_asan_link_order=0"))),
        }
        if self.journal:
            variables["DISK_SHIM_JOURNAL"] = self.journal
        return variables

    def reseed(self, seed):
        struct.pack_into("<Q", self.memory, 8, seed)

    def rule(self, number=0):
        return self.rules[number]

    def clear(self):
        for rule in self.rules:
            rule.release()
            rule.clear()

    def counts(self):
        """So many operations of each kind have begun."""
        return dict(zip(OPERATIONS, HEADER.unpack_from(self.memory, 0)[2:]))

    def _power_loss(self, *arguments):
        ended = subprocess.run([os.path.join(programs(), "power-loss"), *arguments], check=True,
                               stdout=subprocess.PIPE)
        return json.loads(ended.stdout)

    def settle(self):
        """To be called between the end of a process that was killed and the next one's start."""
        if self.journal and os.path.isdir(self.root):
            self._power_loss("settle", self.root, self.journal)

    def lose_power(self, seed, ordered=True, in_order=()):
        """Instead of settle: the machine lost power; tells what was lost."""
        return self._power_loss("ordered" if ordered else "any", self.root, self.journal, str(seed),
                                *in_order)
