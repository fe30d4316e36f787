"""The process: its arguments, its start, its log, and all the ways it ends.

ctest: timeout=180
"""

import json
import os
import signal
import socket
import subprocess
import unittest

import harness
from harness import Server, read_answers

IO, UNKNOWN, TIMEOUT, CLOSED, MISMATCH, INVALID = 11, 7, 8, 9, 13, 1


def run(*arguments, folder=None):
    done = subprocess.run([harness.program(), *arguments], capture_output=True, check=False,
                          timeout=harness.TIMEOUT_S, cwd=folder)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Arguments(unittest.TestCase):
    def test_help_and_version(self):
        code, out, err = run("--help")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("--conf FILE", out)
        code, out, err = run("--version")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"^rockraft-http \d+\.\d+\.\d+\n$")

    def test_wrong_arguments_are_usage_errors(self):
        for arguments in (["--conf"], ["--what"], ["file.toml"], ["--conf", "a", "b"]):
            code, out, err = run(*arguments)
            self.assertEqual((code, out), (2, ""))
            self.assertIn("usage: ", err)

    def test_a_missing_configuration_is_named(self):
        code, _, err = run("--conf", "/nonexistent/node.toml")
        self.assertEqual(code, 2)
        self.assertEqual(err, "rockraft-http: /nonexistent/node.toml: cannot read the "
                              "configuration: No such file or directory\n")

    def test_a_bad_configuration_is_one_line_with_its_place(self):
        server = Server("[raft]\nheartbeat_interval = 0\n", wait=False)
        code, out, err = server.wait()
        self.assertEqual((code, out), (2, ""))
        self.assertRegex(err, r"^rockraft-http: \S+/node.toml:4: raft.heartbeat_interval: "
                              r"expected a number of milliseconds from 1 to 60000, not 0\n$")


class Starts(unittest.TestCase):
    def test_a_port_in_use_is_named_and_nothing_is_created(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            server = Server('[log]\nfile = "log/file"\n', address=address, wait=False)
            server.process.wait(harness.TIMEOUT_S)
            self.assertEqual(os.listdir(server.folder.name), ["node.toml"])
            code, _, err = server.wait()
        self.assertEqual(code, 1)
        self.assertEqual(err, "rockraft-http: cannot listen for HTTP at %s: Address already in "
                              "use (another process listens there)\n" % address)

    def test_an_address_of_another_machine_is_named(self):
        code, _, err = Server(address="192.0.2.1:8000", wait=False).wait()
        self.assertEqual(code, 1)
        self.assertIn("cannot listen for HTTP at 192.0.2.1:8000: ", err)

    def test_a_node_that_does_not_open_ends_the_process(self):
        for status, expected in ((IO, 1), (MISMATCH, 1), (INVALID, 2)):
            server = Server(environment={"FAKE_OPEN": str(status)}, wait=False)
            code, _, err = server.wait()
            self.assertEqual(code, expected)
            self.assertEqual(err, "rockraft-http: cannot start node 1: told not to open\n")

    def test_a_node_of_another_cluster_ends_the_process(self):
        server = Server(environment={"FAKE_MEMBER": str(MISMATCH)}, wait=False)
        code, _, err = server.wait()
        self.assertEqual(code, 1)
        self.assertEqual(err, "rockraft-http: cannot become a member of the cluster: the peers "
                              "belong to another cluster\n")

    def test_a_join_that_takes_too_long_ends_the_process(self):
        server = Server('[raft]\naddress = "127.0.0.1:7001"\nadvertise_host = ""\n'
                        'join = ["a:1", "b:2"]\njoin_timeout_ms = 50\n',
                        {"FAKE_MEMBER": str(TIMEOUT)}, wait=False)
        code, _, err = server.wait()
        self.assertEqual(code, 1)
        self.assertEqual(err, "rockraft-http: could not join the cluster through a:1, b:2 within "
                              "50 ms\n")

    def test_the_folders_above_the_data_are_made(self):
        server = Server('[rocksdb]\ndata_path = "a/b/data"\nmax_open_files = 100\n')
        self.assertTrue(os.path.isdir(os.path.join(server.folder.name, "a/b")))
        server.stop()

    def test_http_answers_while_the_node_is_no_member(self):
        server = Server("", {"FAKE_MEMBER": str(TIMEOUT)})
        self.assertEqual(server.connect().get("/health").status, 200)
        server.stop()

    def test_names_and_literals_are_listened_at(self):
        addresses = ["localhost:0", "0.0.0.0:0"]
        if os.path.exists("/proc/net/if_inet6"):
            addresses += ["[::1]:0", "[::]:0"]
        for address in addresses:
            server = Server(address=address)
            self.assertEqual(server.connect().get("/health").status, 200)
            server.stop()


class Logs(unittest.TestCase):
    LINE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (TRACE|DEBUG|INFO |WARN |ERROR) \w+: .+$"

    def test_the_log_goes_to_its_file_whose_folder_is_made(self):
        server = Server('[log]\nfile = "some/folder/node.log"\n')
        path = os.path.join(server.folder.name, "some/folder/node.log")
        with open(path, encoding="utf-8") as file:
            first = file.read()
        self.assertIn("raft: a line of the library", first)
        os.rename(path, path + ".1")
        server.process.send_signal(signal.SIGHUP)
        server.connect().get("/health")
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(harness.TIMEOUT_S)
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertIn("stopped", lines[-1])
        for line in lines + first.splitlines():
            self.assertRegex(line, self.LINE)
        code, out, _ = server.wait()
        self.assertEqual(code, 0)
        self.assertNotIn("a line of the library", out)

    def test_the_level_is_the_files_unless_rust_log_says_otherwise(self):
        for level, variable, debug, info in (("debug", None, True, True),
                                             ("warn", None, False, False),
                                             ("warn", "http=debug", True, False),
                                             ("info,raft=off", None, False, False),
                                             ("info", "nonsense=", False, True)):
            server = Server('[log]\nlevel = "%s"\n' % level,
                            {"RUST_LOG": variable} if variable else {})
            server.connect().get("/health")
            server.process.send_signal(signal.SIGTERM)
            _, out, _ = server.wait()
            self.assertEqual("http: /health: 200 in" in out, debug, (level, variable))
            self.assertEqual("a line of the library" in out, info, (level, variable))
            self.assertEqual("RUST_LOG is no log filter" in out, variable == "nonsense=")

    def test_unknown_keys_are_named(self):
        server = Server("[http]\ntimeout = 5\n")
        server.process.send_signal(signal.SIGTERM)
        _, out, _ = server.wait()
        self.assertIn("node.toml:4: http.timeout: not a key of this server, ignored", out)

    def test_a_log_that_cannot_be_opened_is_named(self):
        server = Server('[log]\nfile = "/proc/none/log"\n', wait=False)
        code, _, err = server.wait()
        self.assertEqual(code, 1)
        self.assertIn("/proc/none/log: cannot open the log file: ", err)


class Ends(unittest.TestCase):
    def test_both_signals_end_it_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = Server()
            server.process.send_signal(number)
            code, out, err = server.wait()
            self.assertEqual((code, err), (0, ""))
            self.assertIn("stopping: signal %d" % number, out)
            self.assertIn("stopped", out)

    def test_pending_requests_are_answered_before_the_end(self):
        server = Server(environment={"FAKE_SHUTDOWN_MS": "300"})
        sockets = []
        for key in ("!delay=200", "!never", "!never"):
            sock = server.socket()
            body = json.dumps({"key": key, "value": "x"}).encode()
            sock.sendall(b"POST /set HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(body) + body)
            sockets.append(sock)
        # The kernel has the requests; this one comes after them, and its answer says so.
        while True:
            text = server.connect().get("/metrics?format=prometheus").body.decode()
            if "rockraft_http_requests_active 4\n" in text:
                break
        server.process.send_signal(signal.SIGTERM)
        answers = [read_answers(sock, 1)[0] for sock in sockets]
        self.assertEqual([status for status, _ in answers], [200, 500, 500])
        self.assertEqual(json.loads(answers[1][1])["outcome"], "unknown")
        for sock in sockets:
            self.assertEqual(sock.recv(1), b"")
            sock.close()
        code, _, err = server.wait()
        self.assertEqual((code, err), (0, ""))

    def test_new_requests_during_the_end_are_refused(self):
        server = Server(environment={"FAKE_SHUTDOWN_MS": "900"})
        connection = server.connect()
        connection.get("/health")
        server.process.send_signal(signal.SIGTERM)
        server.await_output(rb"stopping")
        # The port closes a moment after the line; until then connections still come through.
        for _ in range(100000):
            try:
                server.socket().close()
            except ConnectionResetError:
                continue  # it came in between
            except ConnectionRefusedError:
                break
        else:
            self.fail("the port stays open")
        answer = connection.post("/set", {"key": "a", "value": "b"})
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.json(), {"error": "The server is shutting down",
                                         "outcome": "not_applied"})
        self.assertEqual(answer.headers["connection"], "close")
        code, _, err = server.wait()
        self.assertEqual((code, err), (0, ""))

    def test_clients_that_do_not_read_do_not_hold_it_up(self):
        server = Server()
        connection = server.connect()
        connection.post("/set", {"key": "big", "value": "x" * 8000000})
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", server.port))
            sock.sendall(b"GET /get?key=big HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(1)
            server.stop()

    def test_a_node_that_halts_ends_the_process(self):
        server = Server()
        with server.socket() as sock:
            sock.sendall(b"GET /get?key=!halt HTTP/1.1\r\nHost: x\r\n\r\n")
            read_answers(sock, 1)
        code, out, err = server.wait()
        self.assertEqual(code, 1)
        self.assertIn("the node halted: the disk is gone (input/output error)", err)
        self.assertIn("ERROR http: stopping: the node halted: the disk is gone", out)


if __name__ == "__main__":
    harness.main()
