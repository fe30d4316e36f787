"""Every endpoint: its answers, its errors, and that the connection outlives them.

ctest: timeout=180
"""

import json

import harness
from harness import JSON_TYPE

BUSY, NO_SPACE, TOO_BIG, UNKNOWN, TIMEOUT, CLOSED, CONFLICT = 4, 5, 6, 7, 8, 9, 15


class Keys(harness.ServerTest):
    def test_a_value_that_was_set_is_read(self):
        self.check(self.post("/set", {"key": "a", "value": "1", "other": [1, None]}), 200,
                   {"success": True, "message": "Key 'a' set successfully"})
        self.check(self.get("/get?key=a"), 200, {"key": "a", "value": "1"})

    def test_an_absent_key_has_the_value_null(self):
        self.check(self.get("/get?key=absent"), 200, {"key": "absent", "value": None})

    def test_empty_keys_and_values_are_no_absent_ones(self):
        self.post("/set", {"key": "", "value": ""})
        self.check(self.get("/get?key="), 200, {"key": "", "value": ""})
        self.post("/delete", {"key": ""})
        self.check(self.get("/get?key"), 200, {"key": "", "value": None})

    def test_a_deleted_key_is_absent(self):
        self.post("/set", {"key": "gone", "value": "1"})
        for _ in range(2):
            self.check(self.post("/delete", {"key": "gone"}), 200,
                       {"success": True, "message": "Key 'gone' deleted successfully"})
        self.check(self.get("/get?key=gone"), 200, {"key": "gone", "value": None})

    def test_getset_returns_what_was_there(self):
        self.check(self.post("/getset", {"key": "g", "value": "1"}), 200,
                   {"success": True, "key": "g", "old_value": None, "new_value": "1"})
        self.check(self.post("/getset", {"key": "g", "value": "2"}), 200,
                   {"success": True, "key": "g", "old_value": "1", "new_value": "2"})

    def test_strings_of_all_kinds_survive(self):
        for text in ['"\\/\b\f\n\r\t', "\x00\x01\x1f\x7f", "äöü€😀\u2028\ufffd", "a b+c&d=e%20#?"]:
            self.post("/set", {"key": text, "value": text})
            target = "/get?key=" + "".join("%%%02X" % byte for byte in text.encode())
            self.check(self.get(target), 200, {"key": text, "value": text})
        self.post("/set", {"key": "u", "value": "x"})
        answer = self.connection.request(
            "POST", "/set", b'{"key":"u","value":"\\ud83d\\ude00"}', JSON_TYPE)
        self.assertEqual(answer.status, 200)
        self.check(self.get("/get?key=u"), 200, {"key": "u", "value": "😀"})

    def test_query_strings_are_forms(self):
        self.post("/set", {"key": "a b", "value": "space"})
        self.check(self.get("/get?key=first&x=1&key=a+b"), 200, {"key": "a b", "value": "space"})
        self.check(self.get("/get?k%65y=a%20b&"), 200, {"key": "a b", "value": "space"})
        self.check(self.get("/get?key=%zz%4"), 200, {"key": "%zz%4", "value": None})

    def test_a_missing_parameter_is_the_handlers_error(self):
        self.check_error(self.get("/get"), 500, "Missing 'key' parameter")
        self.check_error(self.get("/get?keys=a"), 500, "Missing 'key' parameter")
        self.check_error(self.get("/prefix?"), 500, "Missing 'prefix' parameter")

    def test_consistency_is_one_of_three(self):
        for level in ("linearizable", "lease", "local"):
            self.assertEqual(self.get("/get?key=a&consistency=" + level).status, 200)
            self.assertEqual(self.get("/prefix?prefix=a&consistency=" + level).status, 200)
        for target in ("/get?key=a", "/prefix?prefix=a", "/raw/a?"):
            self.check_error(self.get(target + "&consistency=strong"), 400,
                             "Invalid 'consistency' parameter: expected linearizable, lease or")

    def test_head_is_get_without_a_body(self):
        self.post("/set", {"key": "h", "value": "1"})
        whole = self.get("/get?key=h")
        head = self.connection.request("HEAD", "/get?key=h")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], str(len(whole.body)))
        self.assertEqual(self.connection.request("HEAD", "/nope").status, 404)
        self.assertEqual(self.connection.request("HEAD", "/set").status, 405)
        self.assertEqual(self.connection.request("HEAD", "/health").status, 200)

    def test_large_values_survive(self):
        value = "x" * (1 << 20)
        self.assertEqual(self.post("/set", {"key": "large", "value": value}).status, 200)
        self.check(self.get("/get?key=large"), 200, {"key": "large", "value": value})
        self.post("/delete", {"key": "large"})


class Errors(harness.ServerTest):
    WRITES = {"/set": {"key": "K", "value": ""}, "/delete": {"key": "K"},
              "/getset": {"key": "K", "value": ""},
              "/batch_write": {"operations": [{"op": "delete", "key": "K"}]},
              "/txn": {"conditions": [], "if_then": [{"op": "delete", "key": "K"}]}}
    FAILED = {"/set": "Failed to write: ", "/delete": "Failed to delete: ",
              "/getset": "Failed to getset: ", "/batch_write": "Failed to batch write: ",
              "/txn": "Failed to execute transaction: "}

    def write(self, path, key):
        return self.post(path, json.loads(json.dumps(self.WRITES[path]).replace("K", key)))

    def test_a_write_of_unknown_fate_says_so(self):
        for path, start in self.FAILED.items():
            self.check_error(self.write(path, "!status=%d" % UNKNOWN), 500, start + "as told",
                             "unknown")

    def test_a_write_that_was_refused_says_so(self):
        for path, start in self.FAILED.items():
            for status in (3, BUSY, NO_SPACE, TOO_BIG, CLOSED):
                self.check_error(self.write(path, "!status=%d" % status), 500, start + "as told",
                                 "not_applied")

    def test_a_write_that_the_node_does_not_take_is_not_applied(self):
        for path, start in self.FAILED.items():
            self.check_error(self.write(path, "!refuse=%d" % BUSY), 500,
                             start + "the node is busy", "not_applied")

    def test_a_status_without_a_message_is_explained(self):
        answer = self.get("/get?key=!status=%d" % TIMEOUT)
        self.check_error(answer, 500, "Failed to read: the deadline passed")
        self.assertEqual(answer.json()["status"], "timeout")

    def test_reads_fail_without_an_outcome(self):
        self.check_error(self.get("/get?key=!status=%d" % CLOSED), 500, "Failed to read: as told")
        self.check_error(self.get("/prefix?prefix=!status=%d" % CLOSED), 500,
                         "Failed to scan prefix: as told")
        self.check_error(self.get("/get?key=!refuse=%d" % CLOSED), 500, "Failed to read: the node")

    def test_unknown_paths_are_404(self):
        for path in ("/", "/nope", "/get/", "/Set", "/%67et", "/raw", "//"):
            self.check_error(self.get(path), 404, "There is nothing at '%s'" % path)
            self.check_error(self.post(path, {}), 404, "There is nothing at '%s'" % path)

    def test_wrong_methods_are_405_and_name_the_right_ones(self):
        for path in ("/get", "/prefix", "/members", "/health", "/metrics", "/snapshot_status"):
            answer = self.connection.request("POST", path, b"{}", JSON_TYPE)
            self.check_error(answer, 405, "The method POST")
            self.assertEqual(answer.headers["allow"], "GET, HEAD")
        for path in ("/set", "/delete", "/batch_write", "/txn", "/getset", "/join", "/leave",
                     "/trigger_snapshot", "/purge_log", "/transfer", "/trigger_elect"):
            for method in ("GET", "PUT", "OPTIONS", "PATCH"):
                answer = self.connection.request(method, path)
                self.check_error(answer, 405, "The method " + method)
                self.assertEqual(answer.headers["allow"], "POST")
        answer = self.connection.request("POST", "/raw/a", b"x")
        self.assertEqual(answer.headers["allow"], "GET, HEAD, PUT, DELETE")

    def test_other_content_types_are_415(self):
        body = json.dumps({"key": "a", "value": "b"}).encode()
        for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/jsonx"},
                        {"Content-Type": "application/x-www-form-urlencoded"}):
            for path in ("/set", "/delete", "/batch_write", "/txn", "/getset", "/join", "/leave"):
                answer = self.connection.request("POST", path, body, headers)
                self.check_error(answer, 415, "The body must have the content type",
                                 "not_applied")
        for kind in ("application/json; charset=utf-8", "APPLICATION/JSON",
                     "application/vnd.x+json"):
            answer = self.connection.request("POST", "/set", body, {"Content-Type": kind})
            self.assertEqual(answer.status, 200)

    def test_what_is_no_json_is_400(self):
        for body in (b"", b"{", b"{'key':1}", b"\xff", b'{"key":"\xff","value":""}', b"{} {}",
                     b'{"key":"\\ud800","value":""}', b"[" * 100000):
            for path in ("/set", "/delete", "/txn", "/batch_write", "/join", "/leave", "/getset"):
                answer = self.connection.request("POST", path, body, JSON_TYPE)
                self.check_error(answer, 400, "The body is not JSON: ", "not_applied")

    def test_json_of_the_wrong_shape_is_422(self):
        op = {"op": "set", "key": "a", "value": "b"}
        cases = {
            "/set": [[], 5, "x", None, {}, {"key": "a"}, {"value": "a"},
                     {"key": None, "value": "a"}, {"key": "a", "value": None},
                     {"key": 1, "value": "a"}, {"key": "a", "value": 1.5},
                     {"key": "a", "value": ["b"]}],
            "/getset": [{}, {"key": "a"}, {"key": "a", "value": {}}],
            "/delete": [[], None, {"key": 1}, {"key": None}, {"key": "a", "x": 1}],
            "/batch_write": [{}, [], {"operations": {}}, {"operations": None},
                             {"operations": [1]}, {"operations": [{"key": "a"}]},
                             {"operations": [{"op": "set"}]},
                             {"operations": [op, {"op": "get", "key": "a"}]},
                             {"operations": [op, {"op": "Set", "key": "a", "value": "b"}]},
                             {"operations": [{"op": "set", "key": 5, "value": "b"}]},
                             {"operations": [{"op": "set", "key": "a", "value": 5}]}],
            "/txn": [{}, {"conditions": []}, {"if_then": []},
                     {"conditions": [], "if_then": {}},
                     {"conditions": None, "if_then": []},
                     {"conditions": [], "if_then": [], "else_then": None},
                     {"conditions": [], "if_then": [], "return_previous": 1},
                     {"conditions": [], "if_then": [], "return_previous": None},
                     {"conditions": [{"key": "a"}], "if_then": []},
                     {"conditions": [{"key": "a", "op": "like"}], "if_then": []},
                     {"conditions": [{"op": "exists"}], "if_then": []},
                     {"conditions": [{"key": "a", "op": "equal", "value": 1}], "if_then": []}],
            "/join": [{}, {"node_id": 1}, {"endpoint": "a:1"}, {"node_id": "1", "endpoint": "a:1"},
                      {"node_id": -1, "endpoint": "a:1"}, {"node_id": 1.5, "endpoint": "a:1"},
                      {"node_id": 1, "endpoint": 1},
                      {"node_id": 1, "endpoint": "a:1", "role": "king"},
                      {"node_id": 1, "endpoint": "a:1", "role": None}],
            "/leave": [{}, [], {"node_id": None}, {"node_id": "1"}],
            "/transfer": [[], {"node_id": "1"}],
        }
        for path, bodies in cases.items():
            for body in bodies:
                with self.subTest(path=path, body=body):
                    self.check_error(self.post(path, body), 422, "Invalid request: ",
                                     "not_applied")

    def test_a_delete_without_a_key_is_the_handlers_error(self):
        self.check_error(self.post("/delete", {}), 500, "Missing 'key' field", "not_applied")

    def test_numbers_that_nobody_asked_for_may_be_of_any_size(self):
        body = b'{"key":"n","value":"1","other":123456789012345678901234567890}'
        answer = self.connection.request("POST", "/set", body, JSON_TYPE)
        self.assertEqual(answer.status, 200)

    def test_timeouts_and_sessions_are_checked(self):
        self.assertEqual(self.post("/set?timeout_ms=5", {"key": "t", "value": ""}).status, 200)
        self.check_error(self.post("/set?timeout_ms=0", {"key": "t", "value": ""}), 400,
                         "Invalid 'timeout_ms' parameter: expected a number from 1", "not_applied")
        self.check_error(self.get("/get?key=a&timeout_ms=x"), 400, "Invalid 'timeout_ms'")
        self.check_error(self.post("/set?session=5", {"key": "t", "value": ""}), 400,
                         "'session' and 'sequence' go together", "not_applied")
        self.check(self.connection.request("POST", "/session"), 200,
                   {"success": True, "session": 77})
        answer = self.post("/set?session=77&sequence=1", {"key": "t", "value": ""})
        self.assertEqual(answer.status, 200)


class Transactions(harness.ServerTest):
    def txn(self, conditions, then, otherwise=None, previous=False):
        body = {"conditions": conditions, "if_then": then, "return_previous": previous}
        if otherwise is not None:
            body["else_then"] = otherwise
        return self.post("/txn", body)

    def test_a_batch_takes_effect_in_order(self):
        operations = [{"op": "set", "key": "b1", "value": "1"},
                      {"op": "set", "key": "b2", "value": "2"},
                      {"op": "set", "key": "b1", "value": "3"},
                      {"op": "delete", "key": "b2", "value": "ignored"}]
        self.check(self.post("/batch_write", {"operations": operations}), 200,
                   {"success": True, "message": "Batch write successful: 4 operations applied"})
        self.check(self.get("/get?key=b1"), 200, {"key": "b1", "value": "3"})
        self.check(self.get("/get?key=b2"), 200, {"key": "b2", "value": None})

    def test_an_empty_batch_does_nothing(self):
        self.check(self.post("/batch_write", {"operations": []}), 200,
                   {"success": True, "message": "No operations to perform"})

    def test_operations_without_a_value_are_the_handlers_error(self):
        operation = {"op": "set", "key": "k"}
        for value in ({}, {"value": None}):
            self.check_error(self.post("/batch_write", {"operations": [{**operation, **value}]}),
                             500, "Missing 'value' for set operation on key 'k'", "not_applied")
            self.check_error(self.txn([], [{**operation, **value}]), 500,
                             "Set operation requires a value for key 'k'", "not_applied")
            self.check_error(self.txn([{**operation, **value, "op": "less"}], []), 500,
                             "Condition 'less' requires a value for key 'k'", "not_applied")

    def test_every_comparison_holds_when_it_should(self):
        self.post("/set", {"key": "c", "value": "m"})
        self.post("/delete", {"key": "absent"})
        # (op, value): holds for the value "m", holds when absent
        table = {("exists", None): (True, False), ("not_exists", None): (False, True),
                 ("equal", "m"): (True, False), ("equal", "n"): (False, False),
                 ("not_equal", "m"): (False, True), ("not_equal", "n"): (True, True),
                 ("greater", "a"): (True, False), ("greater", "m"): (False, False),
                 ("less", "mm"): (True, False), ("less", "m"): (False, False),
                 ("greater_equal", "m"): (True, False), ("greater_equal", "n"): (False, False),
                 ("less_equal", "m"): (True, False), ("less_equal", "a"): (False, False)}
        for (op, value), expected in table.items():
            for key, holds in zip(("c", "absent"), expected):
                condition = {"key": key, "op": op}
                if value is not None:
                    condition["value"] = value
                self.check(self.txn([condition], []), 200,
                           {"success": True, "branch": holds, "prev_values": []})

    def test_a_transaction_without_conditions_and_operations_holds(self):
        for otherwise in (None, [], [{"op": "delete", "key": "e"}]):
            self.check(self.txn([], [], otherwise, True), 200,
                       {"success": True, "branch": True, "prev_values": []})

    def test_the_branch_that_ran_returns_previous_values(self):
        self.post("/set", {"key": "p", "value": "old"})
        self.post("/delete", {"key": "q"})
        operations = [{"op": "set", "key": "p", "value": "1"},
                      {"op": "set", "key": "q", "value": "2"}, {"op": "delete", "key": "p"}]
        self.check(self.txn([], operations, previous=True), 200,
                   {"success": True, "branch": True, "prev_values": ["old", None, "old"]})
        false = [{"key": "p", "op": "exists"}]
        self.check(self.txn(false, operations, [{"op": "delete", "key": "q"}], True), 200,
                   {"success": True, "branch": False, "prev_values": ["2"]})
        self.check(self.txn(false, operations, previous=True), 200,
                   {"success": True, "branch": False, "prev_values": []})
        self.check(self.txn([], [], previous=True), 200,
                   {"success": True, "branch": True, "prev_values": []})


class Scans(harness.ServerTest):
    environment = {"FAKE_RESULT_BYTES": "1000"}

    def setUp(self):
        super().setUp()
        for key in ("s/2", "s/1", "s/3", "t"):
            self.post("/set", {"key": key, "value": "v" + key})

    def test_a_prefix_lists_its_keys_ascending(self):
        items = [{"key": "s/%d" % i, "value": "vs/%d" % i} for i in (1, 2, 3)]
        self.check(self.get("/prefix?prefix=s/"), 200,
                   {"success": True, "prefix": "s/", "count": 3, "items": items})
        self.assertEqual(self.get("/prefix?prefix=").json()["count"], 4)
        self.check(self.get("/prefix?prefix=none"), 200,
                   {"success": True, "prefix": "none", "count": 0, "items": []})

    def test_pages_end_where_the_next_begins(self):
        first = self.get("/prefix?prefix=s/&limit=2").json()
        self.assertEqual([item["key"] for item in first["items"]], ["s/1", "s/2"])
        self.assertEqual((first["more"], first["next_after"]), (True, "s/2"))
        last = self.get("/prefix?prefix=s/&limit=2&after=s/2").json()
        self.assertEqual([item["key"] for item in last["items"]], ["s/3"])
        self.assertEqual((last["more"], last.get("next_after")), (False, None))
        self.check_error(self.get("/prefix?prefix=s/&limit=0"), 400, "Invalid 'limit' parameter")

    def test_a_result_over_the_limit_asks_for_pages(self):
        for i in range(3):
            self.post("/set", {"key": "u%d" % i, "value": "x" * 400})
        self.check_error(self.get("/prefix?prefix=u"), 500,
                         "Failed to scan prefix: the result is larger than")
        page = self.get("/prefix?prefix=u&limit=100").json()
        self.assertEqual((page["count"], page["more"]), (2, True))
        page = self.get("/prefix?prefix=u&after=" + page["next_after"]).json()
        self.assertEqual((page["count"], page["more"]), (1, False))


class Bytes(harness.ServerTest):
    def test_base64_fields_carry_any_bytes(self):
        self.check(self.post("/set", {"key_base64": "//8=", "value_base64": "AP+A"}), 200,
                   {"success": True, "message": "Key 'base64://8=' set successfully"})
        for key in ("key_base64=%2F%2F8%3D", "key_base64=__8", "key=%FF%FF"):
            self.check(self.get("/get?" + key), 200,
                       {"key_base64": "//8=", "value_base64": "AP+A"})
        self.check(self.post("/getset", {"key_base64": "//8=", "value": "text"}), 200,
                   {"success": True, "key_base64": "//8=", "old_value_base64": "AP+A",
                    "new_value": "text"})
        self.check(self.post("/delete", {"key_base64": "//8="}), 200,
                   {"success": True, "message": "Key 'base64://8=' deleted successfully"})

    def test_bytes_that_are_text_come_as_text(self):
        self.post("/set", {"key_base64": "dGV4dA==", "value_base64": "w6Q="})
        self.check(self.get("/get?key=text"), 200, {"key": "text", "value": "ä"})

    def test_transactions_and_scans_carry_bytes(self):
        operation = {"op": "set", "key_base64": "eP8=", "value_base64": "/w=="}
        self.assertEqual(self.post("/batch_write", {"operations": [operation]}).status, 200)
        body = {"conditions": [{"key_base64": "eP8=", "op": "equal", "value_base64": "/w=="}],
                "if_then": [operation], "return_previous": True}
        self.check(self.post("/txn", body), 200, {"success": True, "branch": True,
                                                  "prev_values": [{"value_base64": "/w=="}]})
        self.check(self.get("/prefix?prefix_base64=eP8"), 200,
                   {"success": True, "prefix_base64": "eP8=", "count": 1,
                    "items": [{"key_base64": "eP8=", "value_base64": "/w=="}]})

    def test_wrong_base64_is_refused(self):
        for body in ({"key_base64": "a", "value": ""}, {"key_base64": "!!!!", "value": ""},
                     {"key_base64": 5, "value": ""}, {"key": "a", "value_base64": "QR=="},
                     {"key": "a", "key_base64": "YQ==", "value": ""}):
            self.check_error(self.post("/set", body), 422, "Invalid request: expected ",
                             "not_applied")
        self.check_error(self.get("/get?key_base64=a"), 400,
                         "Invalid 'key_base64' parameter: not base64")

    def test_raw_bodies_are_values(self):
        value = bytes(range(256)) * 40
        answer = self.connection.request("PUT", "/raw/a%2Fb/c%00+%FF", value)
        self.check(answer, 200, {"success": True,
                                 "message": "Key 'base64:YS9iL2MAK/8=' set successfully"})
        answer = self.get("/raw/a/b%2fc%00%2B%ff")
        self.assertEqual((answer.status, answer.body), (200, value))
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")
        head = self.connection.request("HEAD", "/raw/a/b%2fc%00%2B%ff")
        self.assertEqual(head.headers["content-length"], str(len(value)))
        self.assertEqual(self.connection.request("DELETE", "/raw/a/b/c%00+%FF").status, 200)
        self.check_error(self.get("/raw/a/b/c%00+%FF"), 404, "There is no key 'base64:")

    def test_a_raw_value_may_be_empty_and_so_may_its_key(self):
        self.assertEqual(self.connection.request("PUT", "/raw/", b"").status, 200)
        answer = self.get("/raw/")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.check(self.get("/get?key="), 200, {"key": "", "value": ""})
        self.connection.request("DELETE", "/raw/")

    def test_raw_errors_tell_the_outcome(self):
        answer = self.connection.request("PUT", "/raw/!status=%d" % UNKNOWN, b"x")
        self.check_error(answer, 500, "Failed to write: as told", "unknown")
        answer = self.connection.request("DELETE", "/raw/!refuse=%d" % BUSY)
        self.check_error(answer, 500, "Failed to delete: the node is busy", "not_applied")


class Cluster(harness.ServerTest):
    config = '[raft]\naddress = "127.0.0.1:7001"\nadvertise_host = "node-1"\njoin = []\n'

    def test_members_come_and_go(self):
        self.check(self.post("/join", {"node_id": 2, "endpoint": "node-2:7002"}), 200,
                   {"success": True, "message": "Node 2 joined the cluster successfully"})
        self.check(self.post("/join", {"node_id": 3, "endpoint": "[::1]:7003",
                                       "role": "learner"}), 200,
                   {"success": True, "message": "Node 3 joined the cluster successfully"})
        self.check(self.get("/members"), 200,
                   {"success": True,
                    "members": {"1": {"node_id": 1, "endpoint": "node-1:7001"},
                                "2": {"node_id": 2, "endpoint": "node-2:7002"}},
                    "learners": {"3": {"node_id": 3, "endpoint": "[::1]:7003"}}})
        for node in (2, 3):
            self.check(self.post("/leave", {"node_id": node}), 200,
                       {"success": True,
                        "message": "Node %d left the cluster successfully" % node})
        self.check(self.get("/members"), 200,
                   {"success": True, "members": {"1": {"node_id": 1, "endpoint": "node-1:7001"}}})

    def test_malformed_endpoints_are_the_handlers_error(self):
        for endpoint in ("", "node", "node:", "node:0", "node:70000", ":7", "a b:1", "a:1\x00"):
            answer = self.post("/join", {"node_id": 9, "endpoint": endpoint})
            self.check_error(answer, 500, "Invalid endpoint '%s': " % endpoint.rstrip("\x00"),
                             "not_applied")

    def test_failed_changes_tell_the_outcome(self):
        join = {"node_id": 900 + CONFLICT, "endpoint": "a:1"}
        self.check_error(self.post("/join", join), 500, "Failed to join cluster: as told",
                         "not_applied")
        self.check_error(self.post("/leave", {"node_id": 900 + UNKNOWN}), 500,
                         "Failed to leave cluster: as told", "unknown")
        self.check_error(self.post("/leave", {"node_id": 900 + TIMEOUT}), 500,
                         "Failed to leave cluster: the deadline passed", "unknown")
        self.check_error(self.post("/transfer", {"node_id": 900 + TIMEOUT}), 500,
                         "Failed to transfer leadership: ", "unknown")

    def test_leadership_is_handed_over(self):
        moved = {"success": True, "message": "Leadership transferred successfully"}
        self.check(self.connection.request("POST", "/transfer"), 200, moved)
        self.check(self.post("/transfer", {"node_id": 2}), 200, moved)
        answer = self.connection.request("POST", "/transfer", b"{", {})
        self.check_error(answer, 400, "The body is not JSON", "not_applied")

    def test_health_names_the_role(self):
        self.check(self.get("/health"), 200,
                   {"status": "ok", "node_id": 1, "is_leader": True, "current_leader": 1,
                    "current_term": 3, "state": "Leader"})

    def test_metrics_are_json_or_prometheus_text(self):
        metrics = self.get("/metrics").json()
        self.assertEqual(metrics["node_id"], 1)
        self.assertEqual(metrics["state"], {"Ok": None})
        self.assertEqual(metrics["last_applied"]["leader_id"], {"term": 3, "node_id": 1})
        self.assertEqual(metrics["membership"]["membership"],
                         {"configs": [[1]],
                          "nodes": {"1": {"node_id": 1, "endpoint": {"address": "node-1",
                                                                     "port": 7001}}}})
        answer = self.get("/metrics?format=prometheus")
        self.assertEqual(answer.headers["content-type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        lines = answer.body.decode().splitlines()
        self.assertIn("# TYPE rockraft_proposals_total counter", lines)
        self.assertIn("rockraft_proposals_total 5", lines)
        self.assertIn("rockraft_term 3", lines)
        self.assertTrue(any(line.startswith('rockraft_http_requests_total{path="/metrics",'
                                            'method="GET",status="200"} ') for line in lines))
        for line in lines:
            self.assertRegex(line, r"^(# (HELP|TYPE) \S+ .+|[a-z0-9_]+(\{.*\})? \S+)$")
        self.check_error(self.get("/metrics?format=xml"), 400, "Invalid 'format' parameter")

    def test_snapshots_and_purges(self):
        self.check(self.get("/snapshot_status"), 200,
                   {"snapshot_exists": False, "term": None, "index": None})
        for headers in ({}, {"Content-Type": "text/plain"}):
            answer = self.connection.request("POST", "/trigger_snapshot", b"any", headers)
            self.assertEqual((answer.status, answer.json()["success"]), (200, True))
        taken = answer.json()
        self.check(self.get("/snapshot_status"), 200,
                   {"snapshot_exists": True, "term": taken["term"], "index": taken["index"]})
        self.check(self.post("/purge_log", {"upto_index": 12}), 200,
                   {"success": True, "message": "Logs purged up to index 12"})
        self.assertEqual(self.post("/purge_log", {"upto_index": (1 << 64) - 1}).status, 200)
        for body in ({}, [], None, 5, {"upto_index": -1}, {"upto_index": "5"},
                     {"upto_index": 1.5}, {"upto_index": None}):
            self.check_error(self.post("/purge_log", body), 500,
                             "Missing or invalid 'upto_index' field")
        self.check_error(self.post("/purge_log", {"upto_index": 900 + BUSY}), 500,
                         "Failed to purge log: as told")

    def test_triggers(self):
        for path in ("/trigger_elect", "/trigger_election"):
            self.check(self.connection.request("POST", path), 200,
                       {"success": True, "message": "Election triggered"})
        self.check_error(self.connection.request("POST", "/trigger_heartbeat"), 500,
                         "Failed to trigger heartbeat: no leader")


class Origins(harness.ServerTest):
    config = '[http]\ncors_origins = ["https://good.example"]\n'

    def test_named_origins_may_call(self):
        origin = {"Origin": "https://good.example"}
        answer = self.connection.request("GET", "/health", headers=origin)
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://good.example")
        answer = self.connection.request("OPTIONS", "/set", headers=origin)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["access-control-allow-methods"], "*")
        answer = self.connection.request("POST", "/trigger_elect", headers=origin)
        self.assertEqual(answer.status, 200)

    def test_other_origins_may_not(self):
        origin = {"Origin": "https://evil.example"}
        answer = self.connection.request("GET", "/health", headers=origin)
        self.assertIsNone(answer.headers["access-control-allow-origin"])
        answer = self.connection.request("POST", "/trigger_elect", headers=origin)
        self.check_error(answer, 403, "A web page of this origin may not do this")

    def test_a_page_of_the_server_itself_may(self):
        origin = {"Origin": "http://127.0.0.1:%d" % self.server.port}
        answer = self.connection.request("POST", "/trigger_elect", headers=origin)
        self.assertEqual(answer.status, 200)


class NoOrigins(harness.ServerTest):
    def test_cors_is_off_by_default(self):
        answer = self.connection.request("GET", "/health", headers={"Origin": "http://a"})
        self.assertIsNone(answer.headers["access-control-allow-origin"])
        self.assertEqual(self.connection.request("OPTIONS", "/health").status, 405)


class AnyOrigin(harness.ServerTest):
    config = '[http]\ncors_origins = ["*"]\n'

    def test_cors_may_be_wide_open(self):
        answer = self.get("/health")
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertEqual(answer.headers["access-control-expose-headers"], "*")
        self.assertEqual(self.connection.request("OPTIONS", "/any").status, 200)


if __name__ == "__main__":
    harness.main()
