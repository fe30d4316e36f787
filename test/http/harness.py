"""Starts rockraft-http on the fake node of test_fake_server.c, and speaks HTTP to it.

Ports are the kernel's choice and are read from the line that the server prints; nothing sleeps
where something can be awaited.
"""

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

TIMEOUT_S = 30
JSON_TYPE = {"Content-Type": "application/json"}


def program():
    """The fake server's path; ends the test as skipped when it has not been built."""
    path = os.environ.get("FAKE_SERVER")
    if path is None:
        folder = os.environ.get("ROCKRAFT_BIN", "build/bin")
        path = os.path.join(folder, "..", "test", "test_http_fake_server")
    if not os.path.exists(path):
        print("skipped: %s has not been built" % path)
        sys.exit(77)
    return path


class Server:
    """One process. `config` is TOML after the two keys that each configuration needs."""

    def __init__(self, config="", environment=None, address="127.0.0.1:0", wait=True):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "node.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write('node_id = 1\nhttp_addr = "%s"\n%s' % (address, config))
        env = dict(os.environ)
        env.pop("RUST_LOG", None)
        env.update(environment or {})
        self.process = subprocess.Popen(
            [program(), "--conf", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
            cwd=self.folder.name)
        self.output = b""
        self.host = self.port = None
        if wait:
            match = self.await_output(rb"listening on http://\[?([0-9a-f.:]+?)\]?:(\d+)\n")
            self.host, self.port = match.group(1).decode(), int(match.group(2))

    def await_output(self, pattern):
        """Reads stdout until it matches `pattern`."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            match = re.search(pattern, self.output)
            if match:
                return match
            ready, _, _ = select.select([self.process.stdout], [], [],
                                        deadline - time.monotonic())
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                raise AssertionError("no %r in %r, stderr %r" % (
                    pattern, self.output, self.process.stderr.read() if ready else ""))
            self.output += chunk

    def wait(self):
        """Waits for the end; returns (exit status, stdout, stderr)."""
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        self.output += out
        self.folder.cleanup()
        return self.process.returncode, self.output.decode(), err.decode()

    def stop(self):
        """Ends it as a supervisor does, and checks that it ends well."""
        self.process.send_signal(signal.SIGTERM)
        code, _, err = self.wait()
        if code != 0 or err:
            raise AssertionError("exit status %d, stderr %s" % (code, err))

    def connect(self):
        return Connection(self.host, self.port)

    def socket(self):
        return socket.create_connection((self.host, self.port), timeout=TIMEOUT_S)

    def memory_kib(self, field):
        with open("/proc/%d/status" % self.process.pid, encoding="utf-8") as file:
            return int(re.search(r"%s:\s*(\d+)" % field, file.read()).group(1))


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def json(self):
        return json.loads(self.body)


class Connection:
    """One kept connection; it fails the test when the server closes it unasked."""

    def __init__(self, host, port):
        self.http = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        self.http.connect()
        self.http.auto_open = 0

    def request(self, method, target, body=None, headers=None):
        self.http.request(method, target, body=body, headers=headers or {})
        response = self.http.getresponse()
        return Answer(response, response.read())

    def get(self, target):
        return self.request("GET", target)

    def post(self, target, value):
        return self.request("POST", target, json.dumps(value).encode(), JSON_TYPE)

    def close(self):
        self.http.close()


def read_answers(sock, count):
    """Reads `count` answers with a content length from a plain socket."""
    data = b""
    answers = []
    while len(answers) < count:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if separator:
            length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
            if len(rest) >= length:
                answers.append((int(head.split()[1]), rest[:length]))
                data = rest[length:]
                continue
        chunk = sock.recv(65536)
        if not chunk:
            raise AssertionError("closed after %d answers and %r" % (len(answers), data))
        data += chunk
    return answers


class ServerTest(unittest.TestCase):
    """Tests that share one server of the class."""

    config = ""
    environment = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(cls.config, cls.environment)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        self.connection = self.server.connect()

    def tearDown(self):
        self.connection.close()

    def get(self, target):
        return self.connection.get(target)

    def post(self, target, value):
        return self.connection.post(target, value)

    def check(self, answer, status, expected):
        """The answer has `status` and exactly the JSON `expected`."""
        self.assertEqual((answer.status, answer.json()), (status, expected))
        self.assertEqual(answer.headers["content-type"], "application/json")

    def check_error(self, answer, status, start, outcome=None):
        """The answer is an error whose text begins with `start`."""
        body = answer.json()
        self.assertEqual(answer.status, status, body)
        self.assertEqual(body["error"][:len(start)], start)
        self.assertEqual(body.get("outcome"), outcome)
        self.assertEqual(answer.headers["content-type"], "application/json")


def main():
    program()
    unittest.main()
