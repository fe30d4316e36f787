#!/usr/bin/python3
"""check_layers.py finds what breaks the rules and leaves the rest alone."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parent


class CheckLayers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.write("tools/layers.txt", (TOOLS / "layers.txt").read_text(encoding="utf-8"))
        for layer in ("base", "raft", "storage", "transport", "io", "node", "command"):
            self.write(f"src/{layer}/types.h", "")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def check(self, path, include):
        """The exit status and the output for a tree where `path` has this one include."""
        self.write(path, f"#include {include}\n")
        done = subprocess.run(
            [sys.executable, TOOLS / "check_layers.py", self.root],
            capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_allows_what_the_table_allows(self):
        allowed = [
            ("src/raft/raft.c", '"raft/types.h"'),
            ("src/raft/raft.c", '"base/list.h"'),
            ("src/raft/raft.c", "<string.h>"),
            ("src/storage/state.c", "<rocksdb/c.h>"),
            ("src/storage/state.c", '"raft/types.h"'),
            ("src/storage/state.c", "<unistd.h>"),
            ("src/io/loop.c", "<uv.h>"),
            ("src/transport/peer.c", '"io/tcp.h"'),
            ("src/node/node.c", '"storage/types.h"'),
            ("servers/http/main.c", "<rockraft/rockraft.h>"),
            ("servers/http/main.c", "<jansson.h>"),
            ("servers/http/main.c", '"http/routes.h"'),
            ("servers/coredb/resp/parser.c", '"coredb/value/value.h"'),
            ("examples/embed.c", "<rockraft/rockraft.h>"),
            ("tools/inspect/frame.c", '"inspect/bytes.h"'),
            ("tools/inspect/bytes.c", "<xxhash.h>"),
        ]
        for path, include in allowed:
            with self.subTest(path=path, include=include):
                self.assertEqual(self.check(path, include)[0], 0)

    def test_refuses_what_the_table_does_not_allow(self):
        refused = [
            ("src/base/map.c", '"raft/types.h"'),
            ("src/raft/raft.c", '"storage/types.h"'),
            ("src/raft/raft.c", "<storage/types.h>"),
            ("src/raft/raft.c", "<time.h>"),
            ("src/raft/raft.c", "<sys/socket.h>"),
            ("src/raft/raft.c", '"types.h"'),
            ("src/storage/state.c", '"raft/raft.h"'),
            ("src/storage/state.c", '"transport/types.h"'),
            ("src/transport/peer.c", '"storage/types.h"'),
            ("src/transport/peer.c", "<uv.h>"),
            ("src/node/node.c", "<uv.h>"),
            ("src/node/node.c", "<rocksdb/c.h>"),
            ("servers/http/main.c", '"base/list.h"'),
            ("servers/http/main.c", "<base/list.h>"),
            ("servers/coredb/main.c", "<jansson.h>"),
            ("include/rockraft/node.h", '"base/list.h"'),
            ("src/strange/file.c", "<string.h>"),
            ("tools/inspect/frame.c", '"base/codec.h"'),
            ("tools/inspect/frame.c", '"storage/log_store.h"'),
            ("tools/inspect/frame.c", "<rockraft/types.h>"),
        ]
        for path, include in refused:
            with self.subTest(path=path, include=include):
                status, output = self.check(path, include)
                self.assertEqual(status, 1, output)
                self.assertIn(f"{path}:1: ", output)
            (self.root / path).unlink()

    def test_says_which_line_of_the_rules_it_cannot_read(self):
        self.write("tools/layers.txt", "folder src/base: x\nwhatever\n")
        status, output = self.check("src/base/map.c", "<string.h>")
        self.assertEqual(status, 2)
        self.assertIn("layers.txt:2", output)


if __name__ == "__main__":
    unittest.main()
