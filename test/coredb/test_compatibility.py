#!/usr/bin/env python3
# ctest: timeout=180
"""docs/compatibility.md is what the table of commands says, and names what the comparison lets pass."""

import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [HERE, os.path.join(HERE, "differential")]

import coredb_cluster  # noqa: E402 (the path must be set first)
import differences  # noqa: E402
from resp import Connection  # noqa: E402

SOURCE = os.path.dirname(os.path.dirname(HERE))
DOCUMENT = os.path.join(SOURCE, "docs", "compatibility.md")
COMMANDS = os.path.join(SOURCE, "tools", "redis-commands.tsv")


def names_in(docs):
    """The commands and subcommands of COMMAND DOCS, with group and since."""
    for name, told in zip(docs[::2], docs[1::2]):
        told = dict(zip(told[::2], told[1::2]))
        yield tuple(text.decode().replace("|", " ") for text in (name, told[b"group"], told[b"since"]))
        yield from names_in(told.get(b"subcommands", []))


class Compatibility(unittest.TestCase):
    @unittest.skipUnless(coredb_cluster.coredb_program(), "coredb is not built")
    def test_the_document_is_up_to_date(self):
        program = os.path.join(SOURCE, "tools", "compatibility.py")
        result = subprocess.run([sys.executable, program, coredb_cluster.coredb_program(), "--check"],
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_each_difference_has_its_section(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            sections = {line[3:].strip() for line in file if line.startswith("## ")}
        self.assertEqual({difference.section for difference in differences.ALL} - sections, set())

    @unittest.skipUnless(coredb_cluster.redis_program(), "redis-server is not installed")
    def test_the_list_of_redis_is_redis_own(self):
        with coredb_cluster.Group() as group:
            connection = Connection(coredb_cluster.HOST, group.redis().port, 20)
            info = connection.call(b"INFO", b"server")
            if b"redis_version:7.0." not in info:
                self.skipTest("another version of Redis")
            told = set(names_in(connection.call(b"COMMAND", b"DOCS")))
            connection.close()
        with open(COMMANDS, encoding="ascii") as file:
            listed = {tuple(line.rstrip("\n").split("\t")[:3]) for line in file}
        self.assertEqual(listed ^ told, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
