"""Connections: kept, pipelined, slow, cut off, many of them; and the limits on memory.

ctest: timeout=180
"""

import json
import os
import random
import re
import select
import socket
import struct

import harness
from harness import JSON_TYPE, read_answers

MEBIBYTE = 1 << 20


def set_request(key, value="v", extra=b""):
    body = json.dumps({"key": key, "value": value}).encode()
    return (b"POST /set HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + extra +
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


def get_request(key, extra=b""):
    return b"GET /get?key=%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (key.encode(), extra)


class Kept(harness.ServerTest):
    def test_a_connection_outlives_every_error(self):
        for _ in range(3):
            for send, status in (
                    (lambda: self.get("/nope"), 404),
                    (lambda: self.connection.request("PUT", "/set", b"x" * 1000), 405),
                    (lambda: self.connection.request("POST", "/set", b"x" * 1000), 415),
                    (lambda: self.connection.request("POST", "/set", b"x", JSON_TYPE), 400),
                    (lambda: self.post("/set", {}), 422),
                    (lambda: self.connection.request("POST", "/set", b"x" * 9 * MEBIBYTE,
                                                     JSON_TYPE), 413),
                    (lambda: self.get("/get"), 500),
                    (lambda: self.get("/get?key=!status=8"), 500),
                    (lambda: self.connection.request("GET", "/health", b"a body"), 200)):
                answer = send()
                self.assertEqual(answer.status, status)
                if status != 200:
                    self.assertTrue(answer.json()["error"])
                self.assertIsNone(answer.headers["connection"])

    def test_a_connection_is_closed_when_asked_to(self):
        with self.server.socket() as sock:
            sock.sendall(get_request("a", b"Connection: close\r\n"))
            read_answers(sock, 1)
            self.assertEqual(sock.recv(1), b"")

    def test_http_1_0_is_understood(self):
        with self.server.socket() as sock:
            sock.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            self.assertEqual(read_answers(sock, 1)[0][0], 200)
            self.assertEqual(sock.recv(1), b"")

    def test_pipelined_requests_are_answered_in_order(self):
        with self.server.socket() as sock:
            requests = b""
            for i in range(200):
                requests += set_request("p%d" % i, str(i)) + get_request("p%d" % i)
            sock.sendall(requests)
            answers = read_answers(sock, 400)
        for i in range(200):
            self.assertEqual(json.loads(answers[2 * i + 1][1]),
                             {"key": "p%d" % i, "value": str(i)})

    def test_pipelined_requests_wait_for_a_slow_one(self):
        with self.server.socket() as sock:
            sock.sendall(get_request("!delay=50") + get_request("q") + b"GET /nope HTTP/1.1\r\n"
                         b"Host: x\r\n\r\n")
            answers = read_answers(sock, 3)
        self.assertEqual([status for status, _ in answers], [200, 200, 404])
        self.assertEqual(json.loads(answers[0][1])["key"], "!delay=50")

    def test_a_request_may_come_byte_by_byte(self):
        with self.server.socket() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in set_request("slow") + get_request("slow"):
                sock.send(bytes([byte]))
            answers = read_answers(sock, 2)
        self.assertEqual(json.loads(answers[1][1]), {"key": "slow", "value": "v"})

    def test_chunked_bodies_are_bodies(self):
        body = json.dumps({"key": "chunked", "value": "c" * 100000}).encode()
        chunks = [body[i:i + 999] for i in range(0, len(body), 999)]
        self.connection.http.request("POST", "/set", iter(chunks), JSON_TYPE,
                                     encode_chunked=True)
        response = self.connection.http.getresponse()
        self.assertEqual((response.status, json.loads(response.read())["success"]), (200, True))

    def test_clients_that_leave_in_the_middle_do_no_harm(self):
        whole = set_request("left", "x" * 5000)
        for size in (1, 20, 60, 140, 150, 4000, len(whole)):
            with self.server.socket() as sock:
                sock.sendall(whole[:size])
        with self.server.socket() as sock:
            # A reset while the node works on it.
            sock.sendall(get_request("!delay=30"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.assertEqual(self.get("/get?key=!delay=60").status, 200)


class Sizes(harness.ServerTest):
    config = "[limits]\nbody_bytes_max = 1000\nbodies_bytes_max = 4000\n"

    def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not(self):
        body = json.dumps({"key": "k", "value": ""}).encode()
        for size, status in ((1000, 200), (1001, 413), (100000, 413)):
            padded = body + b" " * (size - len(body))
            for repeat in range(2):
                answer = self.connection.request("POST", "/set", padded, JSON_TYPE)
                self.assertEqual(answer.status, status)
            self.connection.http.request("POST", "/set", iter([padded[:500], padded[500:]]),
                                         JSON_TYPE, encode_chunked=True)
            response = self.connection.http.getresponse()
            self.assertEqual(response.status, status)
            answer = json.loads(response.read())
            if status == 413:
                self.assertEqual(answer["outcome"], "not_applied")
            raw = self.connection.request("PUT", "/raw/r", b"x" * size)
            self.assertEqual(raw.status, status)

    def test_a_client_that_asks_first_is_refused_before_it_sends(self):
        with self.server.socket() as sock:
            sock.sendall(b"PUT /raw/e HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n"
                         b"Expect: 100-continue\r\n\r\n")
            self.assertEqual(read_answers(sock, 1)[0][0], 413)
        with self.server.socket() as sock:
            sock.sendall(b"PUT /raw/e HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                         b"Expect: 100-continue\r\n\r\n")
            self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 100 "))
            sock.sendall(b"abc")
            self.assertEqual(read_answers(sock, 1)[0][0], 200)

    def test_a_body_of_absurd_size_is_refused_at_once(self):
        for size in (1 << 27, 1 << 62):
            with self.server.socket() as sock:
                sock.sendall(b"PUT /raw/e HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" %
                             size)
                self.assertEqual(read_answers(sock, 1)[0][0], 413)

    def test_bodies_on_their_way_share_a_limit(self):
        head = b"PUT /raw/z HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        held = []
        for _ in range(4):
            sock = self.server.socket()
            sock.sendall(head + b"x" * 999)
            held.append(sock)
        self.await_body_bytes(lambda held_bytes: held_bytes >= 4 * 999)
        answer = self.connection.request("PUT", "/raw/z", b"x" * 900)
        self.check_error(answer, 503, "Too many large requests at once", "not_applied")
        self.assertEqual(answer.headers["retry-after"], "1")
        self.assertEqual(self.get("/get?key=z").status, 200)
        for sock in held:
            sock.sendall(b"x")
            self.assertEqual(read_answers(sock, 1)[0][0], 200)
            sock.close()
        self.assertEqual(self.connection.request("PUT", "/raw/z", b"x" * 900).status, 200)

    def test_bodies_that_are_cut_off_are_given_back(self):
        head = b"PUT /raw/z HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        sock = self.server.socket()
        sock.sendall(head + b"x" * 999)
        self.await_body_bytes(lambda held_bytes: held_bytes >= 999)
        sock.close()
        self.await_body_bytes(lambda held_bytes: held_bytes == 0)

    def await_body_bytes(self, expected):
        for _ in range(20000):
            text = self.get("/metrics?format=prometheus").body.decode()
            held_bytes = int(re.search(r"^rockraft_http_body_bytes (\d+)$", text, re.M).group(1))
            if expected(held_bytes):
                return
        self.fail("bodies hold %d bytes" % held_bytes)


class Answers(harness.ServerTest):
    config = "[limits]\nanswers_bytes_max = 30000000\n"

    def test_large_answers_share_a_limit_and_small_ones_pass(self):
        self.post("/set", {"key": "big", "value": "x" * 8000000})
        held = []
        refused = None
        for _ in range(20):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", self.server.port))
            sock.sendall(get_request("big"))
            held.append(sock)
            # Wait until its answer has begun; none of these reads on, and the kernel holds less.
            select.select([sock], [], [])
            head = sock.recv(20, socket.MSG_PEEK)
            if head.startswith(b"HTTP/1.1 503"):
                refused = read_answers(sock, 1)[0]
                break
        self.assertIsNotNone(refused)
        self.assertIn("too many large answers", json.loads(refused[1])["error"])
        self.assertEqual(self.get("/get?key=small").status, 200)
        self.assertEqual(self.post("/getset", {"key": "w", "value": "1"}).status, 200)
        for sock in held:
            sock.close()
        for _ in range(10000):
            if self.get("/get?key=big").status == 200:
                break
        else:
            self.fail("the memory of answers that were cut off is never given back")


class Memory(harness.ServerTest):
    def test_a_body_of_tiny_parts_does_not_fill_the_memory(self):
        before = self.server.memory_kib("VmHWM")
        for body in (b"[" + b"{}," * 2000000 + b"{}]", b"[" + b"[]," * 2000000 + b"[]]"):
            answer = self.connection.request("POST", "/batch_write", body, JSON_TYPE)
            self.check_error(answer, 413, "The body is too large: ", "not_applied")
        if not os.environ.get("ROCKRAFT_SANITIZE"):
            self.assertLess(self.server.memory_kib("VmHWM") - before, 200 * 1024)


class Many(harness.ServerTest):
    def test_a_thousand_clients_are_served_in_bounded_memory(self):
        sockets = []
        for _ in range(1000):
            sockets.append(self.server.socket())
        for turn in range(5):
            for i, sock in enumerate(sockets):
                sock.sendall(set_request("many%d" % i, str(turn)) + get_request("many%d" % i))
            for i, sock in enumerate(sockets):
                answers = read_answers(sock, 2)
                self.assertEqual([status for status, _ in answers], [200, 200])
                self.assertEqual(json.loads(answers[1][1])["value"], str(turn))
        # All of them wait at once, and none holds up another.
        for sock in sockets[:-1]:
            sock.sendall(get_request("!delay=300"))
        sockets[-1].sendall(get_request("many0"))
        read_answers(sockets[-1], 1)
        for sock in sockets[:-1]:
            self.assertEqual(read_answers(sock, 1)[0][0], 200)
        if not os.environ.get("ROCKRAFT_SANITIZE"):
            self.assertLess(self.server.memory_kib("VmHWM"), 128 * 1024)
        for sock in sockets:
            sock.close()


class Garbage(harness.ServerTest):
    # A client that ends in the middle of a request may go unnoticed until it has been silent.
    config = "[http]\nidle_timeout_ms = 1000\n"

    def test_garbage_does_no_harm(self):
        seed = int(os.environ.get("TEST_SEED", "7"))
        print("TEST_SEED=%d" % seed)
        source = random.Random(seed)
        pieces = [b"GET", b"POST ", b"/set", b"/raw/%", b" HTTP/1.1\r\n", b"\r\n", b"\r\n\r\n",
                  b"Content-Length: 5", b"Content-Length: -1", b"Transfer-Encoding: chunked",
                  b"Content-Type: application/json", b"{\"key\":", b"\x00", b"\xff" * 9, b": ",
                  b"Expect: 100-continue", b"ffffffffffffffff\r\n", b"0\r\n\r\n", b"?key=%", b"&",
                  b"x" * 40000]
        for _ in range(500):
            with self.server.socket() as sock:
                data = b"".join(source.choice(pieces) for _ in range(source.randint(1, 12)))
                try:
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass
                except OSError:
                    pass
        self.assertEqual(self.server.connect().get("/health").status, 200)


class Few(harness.ServerTest):
    config = "[http]\nconnections_max = 4\nidle_timeout_ms = 1000\n"

    def test_connections_over_the_limit_wait_for_a_place(self):
        self.assertEqual(self.get("/health").status, 200)
        held = [self.server.socket() for _ in range(3)]
        for sock in held:
            sock.sendall(get_request("a"))
            read_answers(sock, 1)
        waiting = self.server.socket()
        waiting.sendall(get_request("a"))
        held[0].close()
        self.assertEqual(read_answers(waiting, 1)[0][0], 200)
        for sock in held[1:] + [waiting]:
            sock.close()

    def test_silent_connections_are_closed(self):
        with self.server.socket() as sock:
            sock.sendall(b"GET /get?key=a HT")
            self.assertEqual(sock.recv(1), b"")

    def test_a_connection_whose_request_is_being_worked_on_is_not(self):
        with self.server.socket() as sock:
            sock.sendall(get_request("!delay=2500"))
            self.assertEqual(read_answers(sock, 1)[0][0], 200)


if __name__ == "__main__":
    harness.main()
