#!/usr/bin/python3
"""Prints how many lines of each file under src/ and servers/ the tests have reached.

Usage: coverage.py BUILD_DIRECTORY, after the tests have run in a build of the preset 'coverage'.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent


def reached_lines(build):
    """For each file of ours, its lines and whether any test reached them."""
    lines = defaultdict(dict)
    data = [str(path.resolve()) for path in build.rglob("*.gcda")]
    with tempfile.TemporaryDirectory() as work:
        for start in range(0, len(data), 50):
            subprocess.run(["gcov", "--json-format", "--preserve-paths", *data[start:start + 50]],
                           cwd=work, check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            for report in Path(work).glob("*.gz"):
                with gzip.open(report, "rt", encoding="utf-8") as text:
                    for file in json.load(text)["files"]:
                        for line in file["lines"]:
                            seen = lines[file["file"]]
                            number = line["line_number"]
                            seen[number] = seen.get(number, False) or line["count"] > 0
                report.unlink()
    return lines


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    total = total_reached = 0
    for name, lines in sorted(reached_lines(Path(arguments[1])).items()):
        path = Path(name)
        if not path.is_relative_to(SOURCE):
            continue
        relative = path.relative_to(SOURCE).as_posix()
        if not relative.startswith(("src/", "servers/")):
            continue
        reached = sum(lines.values())
        total += len(lines)
        total_reached += reached
        print(f"{100 * reached / len(lines):6.1f} %  {reached:5} of {len(lines):5}  {relative}")
    print(f"{100 * total_reached / max(total, 1):6.1f} %  {total_reached:5} of {total:5}  in all")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
