#!/usr/bin/python3
"""Holds every #include in include/, src/, servers/, examples/ and tools/ to tools/layers.txt.

Prints one line for each that breaks a rule and exits 1, 0 when there is none, 2 when the rules
cannot be read. An argument names another root than the repository, for the test.
"""

import re
import sys
from pathlib import Path

SCANNED = ("include", "src", "servers", "examples", "tools")
SUFFIXES = {".c", ".h", ".cpp", ".hpp"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# Headers of the C library through which a file reaches the world.
IMPURE = (
    "arpa/", "dirent.h", "fcntl.h", "netdb.h", "netinet/", "poll.h", "pthread.h", "signal.h",
    "spawn.h", "sys/", "termios.h", "threads.h", "time.h", "unistd.h", "uv.h",
)


class Rules:
    def __init__(self, text):
        self.folders = {}
        self.only = {}
        self.pure = []
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split("#")[0].replace(":", " : ", 1).split()
            if not words:
                continue
            if words[0] == "pure":
                self.pure += words[1:]
            elif words[0] in ("folder", "only") and len(words) >= 3 and words[2] == ":":
                table = self.folders if words[0] == "folder" else self.only
                table[words[1]] = words[3:]
            else:
                raise ValueError(f"layers.txt:{number}: cannot read: {line}")


def is_under(path, folder):
    return path == folder or path.startswith(folder + "/")


def folder_of(rules, path):
    """The longest folder of the rules that `path` is under, or None."""
    found = [folder for folder in rules.folders if is_under(path, folder)]
    return max(found, key=len, default=None)


def is_ours(header, roots):
    """Whether `header` names a file of this repository, written from src/, include/ or servers/."""
    first = header.split("/")[0]
    return "/" in header and first in roots


def broken_rule(rules, roots, path, header, quoted):
    """What is wrong with `path` including `header`, or None."""
    for prefix, allowed in rules.only.items():
        if header.startswith(prefix) and not any(is_under(path, one) for one in allowed):
            return f"only {', '.join(allowed)} may include {prefix}"
    folder = folder_of(rules, path)
    if folder is None:
        return "its folder is not in layers.txt"
    if any(is_under(path, one) for one in rules.pure) and header.startswith(IMPURE):
        return "this folder does no I/O and reads no clock"
    if not (quoted or is_ours(header, roots)):
        return None
    own = folder.split("/", 1)[1] + "/" if "/" in folder else None
    if own is not None and header.startswith(own):
        return None
    if quoted and folder == "examples" and "/" not in header:
        return None
    if any(header.startswith(allowed) for allowed in rules.folders[folder]):
        return None
    if quoted and not is_ours(header, roots):
        return "write it from src/ (or servers/), as \"module/file.h\""
    return f"{folder} may include {', '.join(rules.folders[folder]) or 'nothing'} and itself alone"


def our_roots(root):
    """The first parts of our own include paths: rockraft, base, raft, http..."""
    roots = {"rockraft"}
    for parent in ("src", "servers", "tools"):
        if (root / parent).is_dir():
            roots |= {entry.name for entry in (root / parent).iterdir() if entry.is_dir()}
    return roots


def check(root):
    rules = Rules((root / "tools/layers.txt").read_text(encoding="utf-8"))
    roots = our_roots(root)
    problems = []
    count = 0
    for top in SCANNED:
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in SUFFIXES or not file.is_file():
                continue
            path = file.relative_to(root).as_posix()
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                match = INCLUDE.match(line)
                if match is None:
                    continue
                count += 1
                reason = broken_rule(rules, roots, path, match[2], match[1] == '"')
                if reason is not None:
                    problems.append(f"{path}:{number}: includes {match[2]}: {reason}")
    return problems, count


def main(arguments):
    root = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).resolve().parent.parent
    try:
        problems, count = check(root)
    except (OSError, ValueError) as error:
        print(f"check_layers: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(problem)
    print(f"check_layers: {count} includes, {len(problems)} against the rules")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
