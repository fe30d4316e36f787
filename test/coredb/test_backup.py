#!/usr/bin/env python3
# ctest: timeout=180
"""A coredb that is restored from a backup answers as the one that it was taken from."""

import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "differential"))

import coredb_cluster  # noqa: E402 (the path must be set first)
from coredb_cluster import HOST, SCALE  # noqa: E402
from resp import Connection, is_error  # noqa: E402

SCRIPT = "return redis.call('INCRBY', KEYS[1], ARGV[1])"

WRITES = [
    ("SET", "text", "one"),
    ("SET", "lasting", "1", "EX", "100000"),
    ("SET", "moment", "1", "PX", "50"),
    ("RPUSH", "list", "a", "b", "c"),
    ("HSET", "hash", "f", "1", "g", "2"),
    ("ZADD", "zset", "1.5", "a", "2", "b"),
    ("SADD", "set", "x", "y"),
    ("XADD", "stream", "5-1", "k", "v"),
    ("XGROUP", "CREATE", "stream", "group", "0"),
    ("XREADGROUP", "GROUP", "group", "me", "STREAMS", "stream", ">"),
    ("PFADD", "log", "a", "b"),
    ("SETBIT", "bits", "77", "1"),
    ("DEL", "list2"),
    ("SELECT", "3"),
    ("SET", "text", "other"),
    ("SELECT", "0"),
]

READS = [
    ("EXISTS", "moment"), ("DBSIZE",), ("GET", "text"), ("EXPIRETIME", "lasting"),
    ("LRANGE", "list", "0", "-1"), ("HGETALL", "hash"), ("ZRANGE", "zset", "0", "-1", "WITHSCORES"),
    ("SMEMBERS", "set"), ("XRANGE", "stream", "-", "+"), ("XPENDING", "stream", "group"),
    ("XINFO", "STREAM", "stream"), ("PFCOUNT", "log"), ("BITCOUNT", "bits"), ("GET", "counter"),
    ("SCRIPT", "EXISTS", "{sha}"), ("FUNCTION", "LIST"), ("SELECT", "3"), ("DBSIZE",),
    ("GET", "text"), ("SELECT", "0"),
]


@unittest.skipUnless(coredb_cluster.coredb_program(), "coredb is not built")
class Backup(unittest.TestCase):
    def run_backup(self, *arguments):
        program = os.path.join(os.path.dirname(coredb_cluster.coredb_program()), "rockraft-backup")
        done = subprocess.run([program, *arguments], capture_output=True, text=True,
                              timeout=60 * SCALE)
        self.assertEqual(done.returncode, 0, done.stderr)

    def answers(self, connection, sha):
        return [connection.call(*(word.replace("{sha}", sha) for word in command))
                for command in READS]

    def test_the_restored_one_answers_the_same(self):
        with coredb_cluster.Group() as group:
            first, = group.coredb()
            connection = Connection(HOST, first.port, 60 * SCALE)
            for command in WRITES:
                reply = connection.call(*command)
                self.assertFalse(is_error(reply), (command, reply))
            sha = connection.call("SCRIPT", "LOAD", SCRIPT).decode()
            self.assertEqual(connection.call("EVALSHA", sha, "1", "counter", "5"), 5)
            time.sleep(0.06)  # what expires is gone, whoever asks
            expected = self.answers(connection, sha)
            self.assertEqual(expected[:2], [0, 10])
            path = os.path.join(group.folder, "backup")
            self.run_backup("save", "--from", first.endpoint, path)
            self.assertEqual(connection.call("INCR", "counter"), 6)  # after the backup
            connection.close()

            folder = os.path.join(group.folder, "restored")
            node = coredb_cluster.Coredb(folder, [coredb_cluster.coredb_program()], 4)
            group.servers.append(node)
            os.makedirs(folder)
            self.run_backup("restore", path, "--data", os.path.join(folder, "data"), "--node-id",
                            "4", "--address", node.endpoint)
            node.start().wait_ready()
            coredb_cluster.wait_writable(node)
            connection = Connection(HOST, node.port, 60 * SCALE)
            self.assertEqual(self.answers(connection, sha), expected)
            self.assertEqual(connection.call("EVALSHA", sha, "1", "counter", "2"), 7)
            self.assertEqual(connection.call("XADD", "stream", "5-*", "k", "w"), b"5-2")
            connection.close()
            # Another joins it, empty, and has the same.
            second = coredb_cluster.Coredb(os.path.join(group.folder, "second"),
                                           [coredb_cluster.coredb_program()], 5, [node.endpoint])
            group.servers.append(second)
            second.start().wait_ready()
            coredb_cluster.wait_writable(second)
            connection = Connection(HOST, second.port, 60 * SCALE)
            self.assertEqual(connection.call("GET", "counter"), b"7")
            self.assertEqual(connection.call("LRANGE", "list", "0", "-1"), [b"a", b"b", b"c"])
            connection.close()


if __name__ == "__main__":
    coredb_cluster.require_server()
    unittest.main()
