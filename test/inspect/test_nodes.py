#!/usr/bin/env python3
"""rockraft-inspect over the directories of real nodes: whole ones are whole, whatever ended them, and
damage of every kind is found and named.

ctest: timeout=240
"""

import contextlib
import glob
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
import zlib

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "process"))

import cluster  # noqa: E402 (the path must be set first)
import suite  # noqa: E402

KINDS = ("segments", "rocksdb")
SEGMENT_BYTES = 64 * 1024
BLOCK = 4096
HEADER = 80
SST_FOOTER = 53
CLEAN, DAMAGE, UNREAD = 0, 1, 2
FLIPS = 12  # of each file that is too large for all
SMALL = 64


def inspect(*arguments):
    """The exit status, the lines as objects, and what went to the standard error."""
    program = os.path.join(os.path.dirname(cluster.program()[0]), "rockraft-inspect")
    done = subprocess.run([program, *arguments, "--json"], capture_output=True, timeout=120 * cluster.SCALE)
    if done.returncode not in (CLEAN, DAMAGE, UNREAD):
        raise AssertionError(f"{arguments}: status {done.returncode}\n{done.stderr.decode()}")
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return done.returncode, lines, done.stderr.decode()


def of_kind(lines, kind):
    return [line for line in lines if line["kind"] == kind]


def findings(lines):
    return of_kind(lines, "DAMAGE") + of_kind(lines, "UNREAD")


def fingerprint(root):
    """All that can change in a directory, times too; but not when it was read."""
    seen = []
    for folder, _, files in sorted(os.walk(root)):
        for name in [".", *sorted(files)]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            data = b"" if name == "." else open(path, "rb").read()
            seen.append((path, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size,
                         hashlib.sha256(data).hexdigest()))
    return seen


def write(node, prefix, count):
    with node.client() as client:
        for number in range(count):
            client.set(f"{prefix}/{number}", f"{prefix} {number} " + "x" * (number % 200))


class Prepared:
    """The directory of a node that was stopped and killed a few times under writes."""

    def __init__(self, kind):
        self.kind = kind
        self.folder = tempfile.mkdtemp(prefix="rockraft-inspect-")
        self.path = os.path.join(self.folder, "data")
        settings = {"storage": {"log": kind, "log_segment_bytes": SEGMENT_BYTES},
                    "snapshot": {"entries": 150, "keep": 60}}
        with cluster.Cluster(1, **settings) as nodes:
            nodes.start()
            node = nodes[1]
            write(node, "first", 200)
            cluster.wait_until(lambda: glob.glob(os.path.join(node.data_path, "snapshots", "snapshot-*")),
                               "the snapshot is there")
            node.kill()
            self.clean_after_kill = inspect("verify", node.data_path)
            node.start()
            nodes.wait_settled()
            write(node, "second", 30)
            node.stop()
            self.clean_after_stop = inspect("verify", node.data_path)
            node.start()
            nodes.wait_settled()
            write(node, "third", 30)
            while_open = inspect("verify", node.data_path)
            live = inspect("summary", node.data_path, "--live")
            self.while_open = (while_open, live)
            node.kill()
            shutil.copytree(node.data_path, self.path)

    @contextlib.contextmanager
    def copy(self):
        path = os.path.join(self.folder, "copy")
        shutil.copytree(self.path, path)
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def files(self, folder, suffix=""):
        """Names relative to the directory, of what is in `folder` and ends with `suffix`."""
        names = sorted(os.listdir(os.path.join(self.path, folder)))
        return [os.path.join(folder, name) for name in names if name.endswith(suffix)]

    def state(self):
        return next(name for name in os.listdir(self.path) if name.startswith("state-"))

    def snapshot(self):
        return os.path.join("snapshots", next(
            name for name in os.listdir(os.path.join(self.path, "snapshots")) if name.startswith("snapshot-")))

    def segments(self):
        return [name for name in self.files("log") if "/segment-" in name]


def setUpModule():
    global PREPARED
    PREPARED = {kind: Prepared(kind) for kind in KINDS}


def tearDownModule():
    for prepared in PREPARED.values():
        shutil.rmtree(prepared.folder, ignore_errors=True)


def flip(path, offset, bit):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


class Inspect(unittest.TestCase):
    def found(self, path, expected):
        """Verifies `path`, which must be damaged in a file whose name has `expected` in it."""
        status, lines, _ = inspect("verify", path)
        named = [line["file"] for line in findings(lines)]
        self.assertEqual(status, DAMAGE, lines)
        self.assertTrue(any(expected in name or expected in line.get("what", "")
                            for name, line in zip(named, findings(lines))), (expected, lines))
        for line in of_kind(lines, "DAMAGE"):
            self.assertTrue(line["do"])

    def flips(self, prepared, name, lowest=0, end=None):
        """Damages single bits of a file, each in a copy of the directory's own."""
        chosen = random.Random(suite.SEED ^ zlib.crc32(name.encode()))
        size = os.path.getsize(os.path.join(prepared.path, name)) if end is None else end
        offsets = range(lowest, size)
        if len(offsets) > SMALL:
            offsets = sorted(chosen.sample(offsets, FLIPS))
        with prepared.copy() as path:
            for offset in offsets:
                bit = chosen.randrange(8)
                flip(os.path.join(path, name), offset, bit)
                yield path, offset, bit
                flip(os.path.join(path, name), offset, bit)

    def each_flip_is_found(self, prepared, name, expected=None, **where):
        for path, offset, bit in self.flips(prepared, name, **where):
            with self.subTest(kind=prepared.kind, file=name, offset=offset, bit=bit):
                self.found(path, expected or os.path.basename(name))

    def each_flip_in_a_table_is_found(self, prepared, name, expected):
        """In all but the footer, which is mostly padding that nobody reads."""
        size = os.path.getsize(os.path.join(prepared.path, name))
        self.each_flip_is_found(prepared, name, expected=expected, end=size - SST_FOOTER)

    def test_directories_are_whole_after_a_kill_and_after_an_orderly_end(self):
        for kind, prepared in PREPARED.items():
            with self.subTest(kind=kind):
                for status, lines, _ in (prepared.clean_after_kill, prepared.clean_after_stop,
                                         inspect("verify", prepared.path)):
                    self.assertEqual((status, findings(lines)), (CLEAN, []))
                    self.assertEqual(of_kind(lines, "log")[0]["log"], kind)
                    self.assertEqual(of_kind(lines, "identity")[0]["node"], 1)
                    self.assertEqual([one["role"] for one in of_kind(lines, "member")], ["voter"])
                    self.assertEqual(len(of_kind(lines, "snapshot")), 1)

    def test_tells_how_a_log_in_segments_ended(self):
        prepared = PREPARED["segments"]
        killed, stopped = (of_kind(lines, "log")[0]["end"] for _, lines, _ in (
            prepared.clean_after_kill, prepared.clean_after_stop))
        self.assertIn(killed, ("open", "torn"))
        self.assertEqual(stopped, "closed")

    def test_shows_what_was_written(self):
        for kind, prepared in PREPARED.items():
            with self.subTest(kind=kind):
                group = of_kind(inspect("hard-state", prepared.path)[1], "group")[0]
                # 260 writes, the configuration, and the empty entries of three leaders.
                self.assertGreaterEqual(group["last"], 264)
                self.assertEqual(group["vote"], 1)
                entries = inspect("entries", prepared.path, "--data")[1]
                self.assertEqual([one["index"] for one in entries],
                                 list(range(group["base"] + 1, group["last"] + 1)))
                last = entries[-1]
                self.assertEqual(last["command"], "transaction")
                self.assertIn(b"third/29", bytes.fromhex(last["data"]))
                some = inspect("entries", prepared.path, "--from", str(last["index"] - 4), "--to",
                               str(last["index"] - 2))[1]
                self.assertEqual([one["index"] for one in some], [one["index"] for one in entries[-5:-2]])
                prefix = b"\x10first/1".hex()
                keys = of_kind(inspect("state", prepared.path, "--prefix", prefix)[1], "key")
                self.assertEqual(len(keys), 111)
                self.assertTrue(all(one["key"].startswith(prefix) for one in keys))

    def test_frames_are_numbered_without_a_gap(self):
        lines = inspect("frames", PREPARED["segments"].path)[1]
        numbers = [frame["number"] for frame in of_kind(lines, "frame")]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        self.assertGreater(len(of_kind(lines, "record")), len(numbers))

    def test_changes_nothing(self):
        for kind, prepared in PREPARED.items():
            before = fingerprint(prepared.path)
            for command in ("summary", "verify", "segments", "frames", "entries", "hard-state", "state",
                            "snapshots"):
                inspect(command, prepared.path)
            self.assertEqual(fingerprint(prepared.path), before, kind)

    def test_refuses_a_directory_that_a_node_has_open(self):
        for kind, prepared in PREPARED.items():
            with self.subTest(kind=kind):
                (status, lines, error), (live_status, live, _) = prepared.while_open
                self.assertEqual((status, lines), (UNREAD, []))
                self.assertIn("--live", error)
                # What changes under it may look like damage.
                self.assertIn(live_status, (CLEAN, DAMAGE))
                self.assertEqual(of_kind(live, "identity")[0]["node"], 1)
                self.assertEqual(of_kind(live, "note")[0]["file"], "LOCK")

    def test_refuses_wrong_usage(self):
        path = PREPARED["segments"].path
        for arguments in ([], ["nothing-there"], ["dance", path], ["verify", path, "more"],
                          ["entries", path, "--from", "x"], ["state", path, "--prefix", "123"],
                          ["verify", path, "--wrong"], [os.path.dirname(path)]):
            status, lines, error = inspect(*arguments)
            self.assertEqual((status, lines), (UNREAD, []), arguments)
            self.assertIn("rockraft-inspect", error)

    def test_says_what_reads_a_backup(self):
        with tempfile.TemporaryDirectory() as folder:
            open(os.path.join(folder, "BACKUP"), "wb").close()
            status, lines, error = inspect("verify", folder)
            self.assertEqual((status, lines), (UNREAD, []))
            self.assertIn("rockraft-backup verify", error)

    def test_finds_damage_to_the_small_files(self):
        for prepared in PREPARED.values():
            for name in ("IDENTITY", "STATE"):
                self.each_flip_is_found(prepared, name)
                with prepared.copy() as path:
                    os.truncate(os.path.join(path, name), 20)
                    self.found(path, name)
                    os.remove(os.path.join(path, name))
                    if name == "STATE" and prepared.state() == "state-1":
                        continue  # as if the first start had ended before it was written
                    self.found(path, name)

    def test_finds_damage_to_a_snapshot(self):
        for prepared in PREPARED.values():
            snapshot = prepared.snapshot()
            for name in prepared.files(snapshot):
                self.each_flip_is_found(prepared, name)
            with prepared.copy() as path:
                os.remove(os.path.join(path, prepared.files(snapshot, ".sst")[0]))
                self.found(path, ".sst")
                os.remove(os.path.join(path, snapshot, "SNAPSHOT"))
                self.found(path, "SNAPSHOT")

    def test_finds_damage_to_the_state(self):
        for prepared in PREPARED.values():
            state = prepared.state()
            tables = prepared.files(state, ".sst")
            manifest = next(name for name in prepared.files(state) if "MANIFEST-" in name)
            for name in (manifest, os.path.join(state, "CURRENT")):
                self.each_flip_is_found(prepared, name, expected=state)
            for name in tables:
                self.each_flip_in_a_table_is_found(prepared, name, state)
            with prepared.copy() as path:
                os.truncate(os.path.join(path, tables[0]), 100)
                self.found(path, state)
                os.remove(os.path.join(path, tables[0]))
                self.found(path, state)
                shutil.rmtree(os.path.join(path, state))
                self.found(path, state)

    def test_finds_damage_to_frames_that_were_durable(self):
        prepared = PREPARED["segments"]
        frames = of_kind(inspect("frames", prepared.path)[1], "frame")
        chosen = random.Random(suite.SEED)
        durable = [frame for frame in frames if frame["number"] <= max(one["durable"] for one in frames)]
        for frame in chosen.sample(durable, 12):
            name = f"log/segment-{frame['segment']:016x}"
            self.each_flip_is_found(prepared, name, expected="log/segment-", lowest=frame["offset"],
                                    end=frame["offset"] + HEADER + frame["bytes"])

    def test_finds_segments_that_are_missing_cut_swapped_or_from_before(self):
        prepared = PREPARED["segments"]
        segments = prepared.segments()
        self.assertGreaterEqual(len(segments), 2)
        oldest, newest = segments[0], segments[-1]
        with prepared.copy() as path:
            os.remove(os.path.join(path, oldest))
            self.found(path, os.path.basename(oldest))
        with prepared.copy() as path:
            os.truncate(os.path.join(path, oldest), BLOCK)
            self.found(path, os.path.basename(oldest))
        with prepared.copy() as path:
            os.truncate(os.path.join(path, newest), HEADER)
            self.found(path, os.path.basename(newest))
        with prepared.copy() as path:
            first, second = (os.path.join(path, name) for name in (oldest, newest))
            os.rename(first, first + "x")
            os.rename(second, first)
            os.rename(first + "x", second)
            self.found(path, os.path.basename(newest))
        # A copy from before its last frame was written.
        frames = of_kind(inspect("frames", prepared.path)[1], "frame")
        last = [frame for frame in frames if f"{frame['segment']:016x}" in oldest][-1]
        with prepared.copy() as path, open(os.path.join(path, oldest), "r+b") as file:
            file.seek(last["offset"])
            file.write(bytes(HEADER + last["bytes"]))
            file.flush()
            self.found(path, os.path.basename(oldest))

    def test_finds_a_log_that_ends_before_the_state(self):
        for kind, prepared in PREPARED.items():
            with self.subTest(kind=kind), prepared.copy() as path:
                shutil.rmtree(os.path.join(path, "log"))
                self.found(path, "log")

    def test_finds_damage_to_a_log_in_rocksdb(self):
        prepared = PREPARED["rocksdb"]
        wal = max(prepared.files("log", ".log"), key=lambda name: os.path.getsize(
            os.path.join(prepared.path, name)))
        size = os.path.getsize(os.path.join(prepared.path, wal))
        # Its very end is as a crash may leave it.
        self.each_flip_is_found(prepared, wal, expected="log", end=size // 2)
        for name in prepared.files("log", ".sst"):
            self.each_flip_in_a_table_is_found(prepared, name, "log")

    def test_a_torn_end_is_no_damage(self):
        prepared = PREPARED["segments"]
        frames = of_kind(inspect("frames", prepared.path)[1], "frame")
        last = frames[-1]
        self.assertLess(last["durable"], last["number"])
        name = f"log/segment-{last['segment']:016x}"
        with prepared.copy() as path:
            flip(os.path.join(path, name), last["offset"] + HEADER, 0)
            status, lines, _ = inspect("verify", path)
            self.assertEqual((status, findings(lines)), (CLEAN, []))
            log = of_kind(lines, "log")[0]
            self.assertEqual((log["end"], log["last_frame"]), ("torn", last["number"] - 1))


if __name__ == "__main__":
    suite.main()
