#!/usr/bin/env python3
"""One node: every endpoint, bad input, binary data, restarts and kills.

ctest: timeout=240 log_kind=rocksdb
"""

import base64
import json
import socket
import threading
import unittest
from urllib.parse import quote

import suite
from cluster import HOST, SCALE, Cluster
from http_client import CallError


class OneNode(unittest.TestCase):
    """A server that the tests of a class share; each uses keys of its own."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(1)
        cls.addClassCleanup(cls.close)
        cls.cluster.start()
        cls.node = cls.cluster[1]

    @classmethod
    def close(cls):
        cls.cluster.close(failed=cls.failed)

    failed = False

    def setUp(self):
        self.client = self.node.client()
        self.addCleanup(self.client.close)
        self.key = f"{self.id().rsplit('.', 1)[1]}/"

    def tearDown(self):
        # unittest offers no public way to learn in tearDown how the test went.
        if not self._outcome.success:
            type(self).failed = True

    def get(self, path):
        return self.client.request("GET", path)

    def post(self, path, body):
        return self.client.request("POST", path, body)

    def assert_json(self, reply, expected):
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual(reply.headers["content-type"].split(";")[0], "application/json")
        self.assertEqual(reply.json(), expected)

    def assert_error(self, reply, status, begin="", outcome=None):
        self.assertEqual(reply.status, status, reply)
        self.assertEqual(reply.headers["content-type"].split(";")[0], "application/json", reply)
        body = reply.json()
        self.assertIsInstance(body.get("error"), str)
        self.assertTrue(body["error"].startswith(begin), f"{body['error']!r} is not {begin!r}...")
        if outcome is not None:
            self.assertEqual(body.get("outcome"), outcome, body)


class Keys(OneNode):
    def test_a_value_is_set_read_and_deleted(self):
        key = self.key
        self.assert_json(self.get(f"/get?key={key}"), {"key": key, "value": None})
        done = {"success": True, "message": f"Key '{key}' set successfully"}
        self.assert_json(self.post("/set", {"key": key, "value": "1"}), done)
        self.assert_json(self.get(f"/get?key={key}"), {"key": key, "value": "1"})
        done = {"success": True, "message": f"Key '{key}' deleted successfully"}
        self.assert_json(self.post("/delete", {"key": key}), done)
        self.assert_json(self.get(f"/get?key={key}"), {"key": key, "value": None})
        self.assert_json(self.post("/delete", {"key": key}), done)

    def test_unknown_members_are_ignored(self):
        self.assertEqual(self.post("/set", {"key": self.key, "value": "1", "x": [1]}).status, 200)

    def test_empty_keys_and_values_are_values(self):
        self.assert_json(self.get("/get?key="), {"key": "", "value": None})
        self.post("/set", {"key": "", "value": ""})
        self.assert_json(self.get("/get?key="), {"key": "", "value": ""})
        self.post("/delete", {"key": ""})
        self.assert_json(self.get("/get?key="), {"key": "", "value": None})

    def test_query_strings_are_form_encoded(self):
        key = self.key + "ä b+c&d=%/\U0001F600"
        self.post("/set", {"key": key, "value": "1"})
        self.assert_json(self.get(f"/get?key={quote(key)}"), {"key": key, "value": "1"})
        plus = quote(key).replace("%20", "+")
        self.assert_json(self.get(f"/get?key={plus}"), {"key": key, "value": "1"})
        self.assert_json(self.get(f"/get?key=other&x=1&key={plus}"), {"key": key, "value": "1"})

    def test_text_of_every_kind_comes_back_as_it_was(self):
        values = ["\x00", "\u0000a\u0000", "\"\\/\b\f\n\r\t", "\x7f\u2028\u2029", "é", "\U0010FFFF"]
        for value in values:
            self.post("/set", {"key": self.key + value, "value": value})
            self.assert_json(self.get(f"/get?key={quote(self.key + value)}"),
                             {"key": self.key + value, "value": value})

    def test_a_value_of_a_mebibyte_comes_back(self):
        value = "x" * (1 << 20)
        self.client.set(self.key, value)
        self.assertEqual(self.client.get(self.key), value)

    def test_getset_returns_the_old_value(self):
        expected = {"success": True, "key": self.key, "old_value": None, "new_value": "1"}
        self.assert_json(self.post("/getset", {"key": self.key, "value": "1"}), expected)
        expected = {"success": True, "key": self.key, "old_value": "1", "new_value": "2"}
        self.assert_json(self.post("/getset", {"key": self.key, "value": "2"}), expected)

    def test_a_batch_applies_in_order_and_later_operations_win(self):
        a, b = self.key + "a", self.key + "b"
        operations = [
            {"op": "set", "key": a, "value": "1"},
            {"op": "set", "key": b, "value": "1"},
            {"op": "delete", "key": a, "value": "ignored"},
            {"op": "set", "key": b, "value": "2"},
        ]
        done = {"success": True, "message": "Batch write successful: 4 operations applied"}
        self.assert_json(self.post("/batch_write", {"operations": operations}), done)
        self.assertEqual(self.client.scan(self.key), [[b, "2"]])

    def test_an_empty_batch_writes_nothing(self):
        before = self.node.metrics()["last_log_index"]
        done = {"success": True, "message": "No operations to perform"}
        self.assert_json(self.post("/batch_write", {"operations": []}), done)
        self.assertEqual(self.node.metrics()["last_log_index"], before)

    def test_a_prefix_scan_is_ordered_by_bytes(self):
        keys = [self.key + tail for tail in ("", "a", "a\x00", "aa", "b", "é", "\uffff", "\U00010000")]
        self.client.batch([{"op": "set", "key": key, "value": key} for key in reversed(keys)])
        self.client.set(self.key[:-1] + "0", "not in it")
        expected = [{"key": key, "value": key} for key in sorted(keys, key=str.encode)]
        self.assert_json(self.get(f"/prefix?prefix={quote(self.key)}"),
                         {"success": True, "prefix": self.key, "count": 8, "items": expected})
        self.assert_json(self.get("/prefix?prefix=no%20such"),
                         {"success": True, "prefix": "no such", "count": 0, "items": []})
        everything = self.get("/prefix?prefix=").json()
        self.assertGreaterEqual(everything["count"], 9)
        self.assertEqual(everything["count"], len(everything["items"]))

    def test_read_levels(self):
        self.client.set(self.key, "1")
        for level in ("linearizable", "lease", "local"):
            self.assertEqual(self.client.get(self.key, level), "1")
            self.assertEqual(self.client.scan(self.key, level), [[self.key, "1"]])
        for path in ("/get?key=k&consistency=", "/prefix?prefix=&consistency=none"):
            self.assert_error(self.get(path), 400)


class Transactions(OneNode):
    def txn(self, conditions=(), if_then=(), else_then=None, previous=None):
        body = {"conditions": list(conditions), "if_then": list(if_then)}
        if else_then is not None:
            body["else_then"] = list(else_then)
        if previous is not None:
            body["return_previous"] = previous
        reply = self.post("/txn", body)
        self.assertEqual(reply.status, 200, reply)
        return reply.json()

    def answer(self, branch, *previous):
        return {"success": True, "branch": branch, "prev_values": list(previous)}

    def put(self, tail, value):
        return {"op": "set", "key": self.key + tail, "value": value}

    def drop(self, tail):
        return {"op": "delete", "key": self.key + tail}

    def test_every_comparison_on_present_and_absent_keys(self):
        self.client.set(self.key + "k", "mm")
        cases = [  # op, value, holds when the key has "mm", holds when it is absent
            ("exists", None, True, False),
            ("not_exists", None, False, True),
            ("equal", "mm", True, False),
            ("equal", "m", False, False),
            ("not_equal", "mm", False, True),
            ("not_equal", "x", True, True),
            ("greater", "m", True, False),
            ("greater", "mm", False, False),
            ("greater", "mmm", False, False),
            ("less", "mmm", True, False),
            ("less", "mm", False, False),
            ("greater_equal", "mm", True, False),
            ("greater_equal", "n", False, False),
            ("less_equal", "mm", True, False),
            ("less_equal", "", False, False),
            ("less", "\u00e9", True, False),
        ]
        for op, value, present, absent in cases:
            for tail, expected in (("k", present), ("none", absent)):
                condition = {"key": self.key + tail, "op": op}
                if value is not None:
                    condition["value"] = value
                with self.subTest(op=op, value=value, key=tail):
                    self.assertEqual(self.txn([condition]), self.answer(expected))

    def test_conditions_are_joined_by_and(self):
        yes = {"key": self.key, "op": "not_exists"}
        no = {"key": self.key, "op": "exists"}
        self.assertEqual(self.txn([yes, yes])["branch"], True)
        self.assertEqual(self.txn([yes, no])["branch"], False)
        self.assertEqual(self.txn([])["branch"], True)

    def test_the_branch_that_holds_is_written_and_the_other_not(self):
        missing = {"key": self.key + "x", "op": "exists"}
        answer = self.txn([missing], [self.put("a", "then")], [self.put("b", "else")])
        self.assertEqual(answer, self.answer(False))
        self.assertEqual(self.client.scan(self.key), [[self.key + "b", "else"]])
        self.assertEqual(self.txn([missing], [self.put("a", "1")]), self.answer(False))

    def test_previous_values_come_from_before_the_transaction(self):
        self.client.set(self.key + "a", "0")
        parts = [self.put("a", "1"), self.put("b", "1"), self.drop("a"), self.put("a", "2")]
        self.assertEqual(self.txn([], parts, previous=True), self.answer(True, "0", None, "0", "0"))
        self.assertEqual(self.client.get(self.key + "a"), "2")
        self.assertEqual(self.txn([], [self.drop("a")], previous=False), self.answer(True))
        self.assertEqual(self.txn([], [], previous=True), self.answer(True))

    def test_a_missing_value_is_found_by_the_handler(self):
        key = self.key
        cases = [
            ("/txn", {"conditions": [{"key": key, "op": "equal"}], "if_then": []},
             f"Condition 'equal' requires a value for key '{key}'"),
            ("/txn", {"conditions": [], "if_then": [{"op": "set", "key": key}]},
             f"Set operation requires a value for key '{key}'"),
            ("/batch_write", {"operations": [{"op": "set", "key": key}]},
             f"Missing 'value' for set operation on key '{key}'"),
        ]
        for path, body, begin in cases:
            with self.subTest(begin):
                self.assert_error(self.post(path, body), 500, begin, "not_applied")
        self.assertIsNone(self.client.get(key))


class Information(OneNode):
    def test_health(self):
        health = self.get("/health").json()
        self.assertEqual(
            {name: health[name] for name in ("status", "node_id", "is_leader", "current_leader")},
            {"status": "ok", "node_id": 1, "is_leader": True, "current_leader": 1},
        )
        self.assertEqual(health["state"], "Leader")
        self.assertGreaterEqual(health["current_term"], 1)

    def test_members(self):
        expected = {"1": {"node_id": 1, "endpoint": self.node.endpoint}}
        self.assert_json(self.get("/members"), {"success": True, "members": expected})

    def test_metrics_as_json(self):
        self.client.set(self.key, "1")
        metrics = self.get("/metrics").json()
        self.assertEqual((metrics["node_id"], metrics["current_leader"]), (1, 1))
        applied = metrics["last_applied"]
        self.assertEqual(set(applied), {"leader_id", "index"})
        self.assertEqual(applied["leader_id"],
                         {"term": metrics["current_term"], "node_id": 1})
        self.assertGreaterEqual(metrics["last_log_index"], applied["index"])
        self.assertIn("state", metrics)
        membership = metrics["membership"]
        self.assertEqual(set(membership), {"log_id", "membership"})
        self.assertEqual(membership["membership"]["configs"], [[1]])
        host, port = self.node.endpoint.split(":")
        self.assertEqual(
            membership["membership"]["nodes"],
            {"1": {"node_id": 1, "endpoint": {"address": host, "port": int(port)}}},
        )

    def test_metrics_for_prometheus(self):
        reply = self.get("/metrics?format=prometheus")
        self.assertEqual(reply.status, 200)
        self.assertTrue(reply.headers["content-type"].startswith("text/plain"))
        types, names = set(), set()
        for line in reply.body.decode().splitlines():
            if line.startswith("# TYPE "):
                types.add(line.split()[2])
            elif line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                float(value)
                names.add(name.split("{")[0])
        self.assertTrue(names)
        for name in names:
            base = name
            for suffix in ("_bucket", "_sum", "_count"):
                base = base.removesuffix(suffix)
            self.assertTrue(name in types or base in types, f"{name} has no type")

    def test_snapshots_and_purging(self):
        for number in range(20):
            self.client.set(f"{self.key}{number}", "1")
        first = self.post("/trigger_snapshot", None).json()
        self.assertEqual(set(first), {"success", "term", "index"})
        self.assertTrue(first["success"])
        self.assertGreater(first["term"], 0)
        self.assertGreaterEqual(first["index"], 20)
        status = {"snapshot_exists": True, "term": first["term"], "index": first["index"]}
        self.assert_json(self.get("/snapshot_status"), status)
        again = self.client.request("POST", "/trigger_snapshot", b"nonsense",
                                    {"content-type": "text/plain"})
        self.assertEqual(again.status, 200)
        self.assertGreaterEqual(again.json()["index"], first["index"])
        for index in (first["index"], 1, 0, 1 << 40):
            done = {"success": True, "message": f"Logs purged up to index {index}"}
            self.assert_json(self.post("/purge_log", {"upto_index": index}), done)
        for body in ({}, {"upto_index": -1}, {"upto_index": "7"}, {"upto_index": None}):
            self.assert_error(self.post("/purge_log", body), 500,
                              "Missing or invalid 'upto_index' field")
        self.assertEqual(len(self.client.scan(self.key)), 20)

    def test_joining_and_leaving_what_changes_nothing(self):
        body = {"node_id": 1, "endpoint": "127.0.0.1:1"}
        done = {"success": True, "message": "Node 1 joined the cluster successfully"}
        self.assert_json(self.post("/join", body), done)
        self.test_members()
        done = {"success": True, "message": "Node 77 left the cluster successfully"}
        self.assert_json(self.post("/leave", {"node_id": 77}), done)
        for endpoint in ("", "nowhere", "host:", "host:port", "host:99999999999", ":"):
            self.assert_error(self.post("/join", {"node_id": 5, "endpoint": endpoint}), 500,
                              f"Invalid endpoint '{endpoint}': ")


class BadInput(OneNode):
    """The right status, a JSON body, and a connection that goes on."""

    def refuse(self, status, method, path, body=None, headers=None, begin=""):
        with self.subTest(method=method, path=path, body=body if body is None else str(body)[:60]):
            self.client.request("GET", "/health")
            sock = self.client.connection.sock
            reply = self.client.request(method, path, body, headers)
            self.assert_error(reply, status, begin)
            self.assertNotIn("close", reply.headers.get("connection", "").lower())
            self.assertEqual(self.client.request("GET", "/health").status, 200)
            self.assertIs(self.client.connection.sock, sock, "the connection was closed")
            return reply

    POSTS = ("/set", "/delete", "/batch_write", "/txn", "/getset", "/join", "/leave", "/purge_log")

    def test_unknown_paths(self):
        for path in ("/", "/nothing", "/set/", "/Get", "/get/key", "/%00", "/..%2f..%2fetc"):
            self.refuse(404, "GET", path)
        self.refuse(404, "POST", "/nothing", {"key": "k"})

    def test_wrong_methods(self):
        for path in self.POSTS + ("/trigger_snapshot",):
            reply = self.refuse(405, "GET", path)
            self.assertIn("POST", reply.headers["allow"])
        for path in ("/get?key=k", "/prefix?prefix=", "/members", "/health", "/metrics",
                     "/snapshot_status"):
            reply = self.refuse(405, "POST", path, {})
            self.assertIn("GET", reply.headers["allow"])
        self.refuse(405, "PUT", "/set", {"key": "k", "value": "v"})
        self.refuse(405, "DELETE", "/get?key=k")

    def test_other_content_types(self):
        body = b'{"key":"k","value":"v"}'
        for headers in ({}, {"content-type": "text/plain"},
                        {"content-type": "application/x-www-form-urlencoded"}):
            self.refuse(415, "POST", "/set", body, headers)
        for kind in ("application/json; charset=utf-8", "Application/JSON"):
            reply = self.client.request("POST", "/set", body, {"content-type": kind})
            self.assertEqual(reply.status, 200, kind)

    def test_bodies_that_are_not_json(self):
        for body in (b"", b"{", b"nonsense", b"{'key':'k'}", b'{"key":"k","value":"v"} x',
                     b'{"key":"\xff","value":"v"}', b'{"key":"k","value":"v",}',
                     b'{"key":"\\ud800","value":"v"}', b"[" * 100000, b'{"key":"k'):
            for path in ("/set", "/txn", "/batch_write"):
                self.refuse(400, "POST", path, body, {"content-type": "application/json"})

    def test_json_of_the_wrong_shape(self):
        put, condition = {"op": "set", "key": "k", "value": "v"}, {"op": "exists", "key": "k"}
        wrong = {
            "/set": [[], "text", 1, None, {}, {"key": "k"}, {"value": "v"}, {"key": 1, "value": "v"},
                     {"key": "k", "value": None}, {"key": "k", "value": 1}, {"key": ["k"], "value": "v"}],
            "/getset": [{}, {"key": "k"}, {"key": "k", "value": None}, {"key": None, "value": "v"}],
            "/delete": [[], {"key": 1}, {"key": None}, {"key": "k", "more": 1}],
            "/batch_write": [
                {}, {"operations": None}, {"operations": {}}, {"operations": ["set"]},
                {"operations": [{"op": "SET", "key": "k", "value": "v"}]},
                {"operations": [{"op": "incr", "key": "k"}]}, {"operations": [{"key": "k", "value": "v"}]},
                {"operations": [{"op": "set", "value": "v"}]}, {"operations": [{**put, "value": 1}]},
                {"operations": [{**put, "key": 1}]},
            ],
            "/txn": [
                {}, {"conditions": []}, {"if_then": []}, {"conditions": None, "if_then": []},
                {"conditions": [], "if_then": {}}, {"conditions": [], "if_then": [], "else_then": 1},
                {"conditions": [], "if_then": [], "return_previous": "yes"},
                {"conditions": [{**condition, "op": "like"}], "if_then": []},
                {"conditions": [{**condition, "op": "Exists"}], "if_then": []},
                {"conditions": [{"op": "exists"}], "if_then": []},
                {"conditions": [{"op": "equal", "key": "k", "value": 1}], "if_then": []},
                {"conditions": [condition], "if_then": [{**put, "op": "get"}]},
                {"conditions": [1], "if_then": []},
            ],
            "/join": [{}, {"node_id": 5}, {"endpoint": "h:1"}, {"node_id": "5", "endpoint": "h:1"},
                      {"node_id": -5, "endpoint": "h:1"}, {"node_id": 1.5, "endpoint": "h:1"},
                      {"node_id": 5, "endpoint": 1}],
            "/leave": [{}, {"node_id": "5"}, {"node_id": -1}, {"node_id": None}, []],
        }
        for path, bodies in wrong.items():
            for body in bodies:
                content = json.dumps(body).encode()
                self.refuse(422, "POST", path, content, {"content-type": "application/json"})
        self.assertIsNone(self.client.get("k"))

    def test_refused_writes_say_that_nothing_was_applied(self):
        for status, body, headers in (
            (400, b"{", {"content-type": "application/json"}),
            (415, b"{}", {}),
            (422, b"{}", {"content-type": "application/json"}),
        ):
            reply = self.client.request("POST", "/set", body, headers)
            self.assert_error(reply, status, outcome="not_applied")

    def test_missing_parameters(self):
        self.refuse(500, "GET", "/get", begin="Missing 'key' parameter")
        self.refuse(500, "GET", "/get?Key=k", begin="Missing 'key' parameter")
        self.refuse(500, "GET", "/prefix?key=k", begin="Missing 'prefix' parameter")
        self.refuse(500, "POST", "/delete", {}, begin="Missing 'key' field")

    def test_a_body_over_the_limit(self):
        body = json.dumps({"key": self.key, "value": "x" * (9 << 20)}).encode()
        self.refuse(413, "POST", "/set", body, {"content-type": "application/json"})
        self.assertIsNone(self.client.get(self.key))

    def test_head_works_wherever_get_does(self):
        self.client.set(self.key, "1")
        for path in (f"/get?key={self.key}", "/health", "/members", "/prefix?prefix="):
            reply = self.client.request("HEAD", path)
            self.assertEqual((reply.status, reply.body), (200, b""), path)
            self.assertEqual(self.client.request("GET", "/health").status, 200)

    def test_cors_is_off(self):
        reply = self.client.request("GET", "/health", headers={"origin": "http://evil.example"})
        self.assertFalse([name for name in reply.headers if name.startswith("access-control")])
        reply = self.client.request("OPTIONS", "/set", headers={
            "origin": "http://evil.example", "access-control-request-method": "POST"})
        self.assertFalse([name for name in reply.headers if name.startswith("access-control")])

    def test_nonsense_on_the_wire_hurts_no_one_else(self):
        for data in (b"\x00\x01\x02\xff\r\n\r\n", b"GET\r\n\r\n", b"GET /health HTTP/9.9\r\n\r\n",
                     b"POST /set HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
                     b"POST /set HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
                     b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
                     b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 20000 + b"\r\n"):
            with socket.create_connection((HOST, self.node.http_port), timeout=10 * SCALE) as link:
                try:
                    link.sendall(data)
                    link.shutdown(socket.SHUT_WR)
                    while link.recv(1 << 16):
                        pass
                except OSError:
                    pass
            self.assertEqual(self.client.request("GET", "/health").status, 200)

    def test_a_slow_request_does_not_hold_up_others(self):
        with socket.create_connection((HOST, self.node.http_port), timeout=10) as link:
            link.sendall(b"POST /set HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                         b"content-length: 1000\r\n\r\n{")
            self.client.set(self.key, "1")
            self.assertEqual(self.client.get(self.key), "1")

    def test_connection_close_is_honoured(self):
        request = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        with socket.create_connection((HOST, self.node.http_port), timeout=10 * SCALE) as link:
            link.sendall(request)
            answer = b""
            while data := link.recv(1 << 16):
                answer += data
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"))

    def test_pipelined_requests_are_answered_in_order(self):
        requests = b"".join(
            b"GET /get?key=%d HTTP/1.1\r\nhost: x\r\n%s\r\n"
            % (number, b"connection: close\r\n" if number == 19 else b"")
            for number in range(20)
        )
        with socket.create_connection((HOST, self.node.http_port), timeout=10 * SCALE) as link:
            link.sendall(requests)
            answer = b""
            while data := link.recv(1 << 16):
                answer += data
        places = [answer.find(b'"key":"%d"' % number) for number in range(20)]
        if places[0] == -1:
            places = [answer.find(b'"key": "%d"' % number) for number in range(20)]
        self.assertEqual(places, sorted(places))
        self.assertNotIn(-1, places)


class Binary(OneNode):
    KEY = b"\xff\x00key\xfe"
    VALUE = bytes(range(256))

    @staticmethod
    def b64(data):
        return base64.b64encode(data).decode()

    def test_bytes_travel_as_base64_members(self):
        body = {"key_base64": self.b64(self.KEY), "value_base64": self.b64(self.VALUE)}
        self.assertEqual(self.post("/set", body).status, 200)
        answer = self.get(f"/get?key={quote(self.KEY)}").json()
        self.assertEqual(answer, body)
        items = self.get("/prefix?prefix=%ff").json()["items"]
        self.assertEqual(items, [body])
        self.assertEqual(self.post("/delete", {"key_base64": body["key_base64"]}).status, 200)
        self.assertEqual(self.get("/prefix?prefix=%ff").json()["items"], [])

    def test_text_and_base64_name_the_same_key(self):
        self.post("/set", {"key_base64": self.b64(self.key.encode()), "value_base64": self.b64(b"v")})
        self.assertEqual(self.client.get(self.key), "v")

    def test_raw_bodies_carry_values_as_they_are(self):
        path = "/raw/" + quote(self.KEY, safe="")
        if self.client.request("GET", path).json().get("error", "").startswith("no such path"):
            self.skipTest("the server has no /raw")
        self.assertEqual(self.client.request("GET", path).status, 404)
        reply = self.client.request("PUT", path, self.VALUE)
        self.assertEqual(reply.status, 200, reply)
        reply = self.client.request("GET", path)
        self.assertEqual((reply.status, reply.body), (200, self.VALUE))
        self.assertEqual(self.client.request("DELETE", path).status, 200)
        self.assertEqual(self.client.request("GET", path).status, 404)


class Durability(unittest.TestCase):
    def test_a_restart_keeps_the_data(self):
        with Cluster(1) as cluster:
            cluster.start()
            node = cluster[1]
            with node.client() as client:
                client.batch([{"op": "set", "key": f"k{n}", "value": f"{n}"} for n in range(50)])
                expected = client.scan()
                client.post_json("/trigger_snapshot")
                client.set("after the snapshot", "1")
                expected = client.scan()
            self.assertEqual(node.stop(), 0)
            for _ in range(2):
                node.start().wait_http()
                with node.client() as client:
                    self.assertEqual(client.scan(), expected)
                node.kill()

    def test_kills_lose_no_acknowledged_write(self):
        with Cluster(1) as cluster:
            cluster.start()
            node = cluster[1]
            acknowledged = set()
            for round_number in range(5):
                self.write_until_killed(node, round_number, acknowledged)
                node.start().wait_http()
                with node.client() as client:
                    present = {key for key, _ in client.scan("k")}
                self.assertFalse(acknowledged - present, f"round {round_number} lost writes")
            self.assertGreater(len(acknowledged), 50)

    @staticmethod
    def write_until_killed(node, round_number, acknowledged):
        """Four writers, and a kill once enough has been acknowledged."""
        enough = threading.Event()
        target = len(acknowledged) + 100

        def write(writer):
            with node.client() as client:
                for number in range(100000):
                    key = f"k{round_number}.{writer}.{number}"
                    try:
                        client.set(key, "1")
                    except CallError:
                        return
                    acknowledged.add(key)
                    if len(acknowledged) >= target:
                        enough.set()

        writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
        for thread in writers:
            thread.start()
        enough.wait(30 * SCALE)
        node.kill()
        for thread in writers:
            thread.join()


if __name__ == "__main__":
    suite.main()
