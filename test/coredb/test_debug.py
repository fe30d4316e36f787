#!/usr/bin/env python3
# ctest: timeout=180
"""DEBUG, as far as there is one: only where the configuration allows it."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "differential"))

import coredb_cluster  # noqa: E402 (the path must be set first)
from coredb_cluster import HOST, SCALE  # noqa: E402
from resp import Connection, is_error  # noqa: E402

OK = ("+", b"OK")


@unittest.skipUnless(coredb_cluster.coredb_program(), "coredb is not built")
class Debug(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.group = coredb_cluster.Group()
        cls.node, = cls.group.coredb(coredb={"enable-debug-command": "yes"})

    @classmethod
    def tearDownClass(cls):
        cls.group.close()

    def setUp(self):
        self.client = Connection(HOST, self.node.port, 30 * SCALE)
        self.addCleanup(self.client.close)
        self.client.call("FLUSHALL")

    def debug(self, *arguments):
        return self.client.call("DEBUG", *arguments)

    def test_is_off_unless_it_is_asked_for(self):
        with coredb_cluster.Group() as group:
            node, = group.coredb()
            client = Connection(HOST, node.port, 30 * SCALE)
            self.addCleanup(client.close)
            self.assertIn(b"DEBUG command not allowed", client.call("DEBUG", "SLEEP", "0")[1])
            self.assertTrue(is_error(client.call("CONFIG", "SET", "enable-debug-command", "yes")))

    def test_object_tells_encoding_and_size(self):
        self.client.call("SET", "number", "42")
        self.client.call("SET", "text", "x" * 100)
        self.client.call("RPUSH", "list", "a", "b")
        for key, encoding in (("number", "int"), ("text", "raw"), ("list", "listpack")):
            reply = self.debug("OBJECT", key)
            self.assertEqual(reply[0], "+", reply)
            fields = dict(field.split(":") for field in reply[1].decode().split() if ":" in field)
            self.assertEqual(fields["encoding"], self.client.call("OBJECT", "ENCODING", key).decode())
            if key != "list":
                self.assertEqual(fields["encoding"], encoding)
            self.assertGreater(int(fields["serializedlength"]), 0)
        self.assertEqual(self.debug("OBJECT", "nosuch"), ("-", b"ERR no such key"))
        self.client.call("SELECT", "1")
        self.assertEqual(self.debug("OBJECT", "number"), ("-", b"ERR no such key"))

    def test_sleep_holds_up_its_own_connection_alone(self):
        other = Connection(HOST, self.node.port, 30 * SCALE)
        self.addCleanup(other.close)
        self.client.send(b"DEBUG SLEEP 3600\r\n")
        self.assertEqual(other.call("PING"), ("+", b"PONG"))
        self.assertTrue(is_error(other.call("DEBUG", "SLEEP", "x")))

    def test_active_expiry_can_be_switched_off(self):
        self.assertEqual(self.debug("SET-ACTIVE-EXPIRE", "0"), OK)
        self.client.call("SET", "k", "v", "PX", "1")
        coredb_cluster.wait_until(lambda: self.client.call("PTTL", "k") <= 0, "the key to expire")
        self.assertIsNone(self.client.call("GET", "k"))
        self.assertEqual(self.debug("SET-ACTIVE-EXPIRE", "1"), OK)

    def test_reload_keeps_the_data(self):
        self.client.call("SET", "k", "v")
        self.assertEqual(self.debug("RELOAD"), OK)
        self.assertEqual(self.client.call("GET", "k"), b"v")

    def test_stringmatch_is_bounded(self):
        self.assertEqual(self.debug("STRINGMATCH-LEN", "100000", "*" * 50 + "a"), 0)
        self.assertEqual(self.debug("STRINGMATCH-LEN", "10", "*"), 1)
        self.assertTrue(is_error(self.debug("STRINGMATCH-LEN", "99999999999", "*")))

    def test_what_is_not_there_is_an_error(self):
        for arguments in (("NOSUCH",), ("SLEEP",), ("OBJECT",), ("OBJECT", "a", "b")):
            self.assertIn(b"unknown subcommand or wrong number of arguments", self.debug(*arguments)[1])
        self.assertTrue(self.debug("HELP")[0][1].startswith(b"DEBUG <subcommand>"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
