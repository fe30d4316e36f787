#!/usr/bin/env python3
"""The process tests' own tools, tried on an imitation server whose faults can be switched in.

ctest: timeout=180
"""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
import unittest

import campaign
import ports
import signals
import suite
from cluster import Cluster, toml, wait_until
from http_client import AsyncClient, CallError, Client, ProtocolError
from proxy import HOST as PROXY_HOST
from proxy import Proxy
from workload import Workload

FAKE = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_server.py")]


def fake_cluster(count=1, fault="", every=60, proxied=False):
    environment = {"FAKE_FAULT": fault, "FAKE_EVERY": str(every)}
    return Cluster(count, proxied, command=FAKE, environment=environment)


def fast_workload(cluster, seconds=2.0, calls=None):
    """Runs clients for a while and reads everything back."""
    addresses = campaign.addresses_of(cluster)
    workload = Workload(addresses, suite.SEED, clients=8, pause=0.002, timeout=3, calls=calls).start()
    time.sleep(seconds)  # How long the clients run; nothing else ends it.
    workload.stop()
    workload.read_back(cluster.running)
    return workload


# Threads that are busy without Python's lock, so that they run side by side.
BUSY = """
import hashlib, threading
def work():
    while True:
        hashlib.sha256(bytes(10000000))
threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
print("busy", flush=True)
threading.Event().wait()
"""


class Pausing(unittest.TestCase):
    def states(self, process):
        folder = f"/proc/{process.pid}/task"
        states = []
        for task in os.listdir(folder):
            with open(f"{folder}/{task}/stat", encoding="ascii") as file:
                states.append(file.read().rpartition(")")[2].split()[0])
        return states

    def test_no_thread_of_a_paused_process_runs(self):
        with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) as process:
            try:
                self.assertEqual(process.stdout.readline(), "busy\n")
                for _ in range(50):
                    signals.pause(process)
                    self.assertEqual(set(self.states(process)), {"T"})
                    process.send_signal(signals.signal.SIGCONT)
            finally:
                process.kill()

    def test_a_process_that_has_ended_is_paused_at_once(self):
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            signals.pause(process)
        self.assertEqual(process.returncode, 0)


class Checking(unittest.TestCase):
    """The workload and the checker accept what is right and find each fault."""

    def check_finds(self, fault, every=20, calls=None):
        with fake_cluster(fault=fault, every=every) as cluster:
            cluster.start()
            workload = fast_workload(cluster, calls=calls)
            verdict = workload.verdict(30)
            self.assertEqual(verdict.status, "not linearizable", f"{fault} went unnoticed")
            self.assertIn("\n> ", verdict.report)

    def test_a_right_server_passes(self):
        with fake_cluster() as cluster:
            cluster.start()
            workload = fast_workload(cluster)
            verdict = workload.verdict(30)
            self.assertTrue(verdict.valid, verdict.report)
            self.assertEqual(workload.violations, [])
            self.assertGreater(workload.counts()["ok"], 500)

    def test_stale_reads_are_found(self):
        self.check_finds("stale_read")

    def test_lost_writes_are_found(self):
        self.check_finds("lost_write")

    def test_writes_applied_twice_are_found(self):
        self.check_finds("double_apply", every=4)

    def test_transactions_in_two_halves_are_found(self):
        self.check_finds("dirty_txn", every=3)

    def test_false_refusals_are_found(self):
        self.check_finds("false_refusal")

    def test_an_error_without_an_outcome_is_a_violation(self):
        with fake_cluster(fault="no_outcome", every=20) as cluster:
            cluster.start()
            workload = fast_workload(cluster, 0.5)
            self.assertTrue(workload.violations)
            self.assertIn("no reason", workload.violations[0])

    def test_a_round_with_kills_and_pauses_passes(self):
        with fake_cluster() as cluster:
            cluster.start()
            campaign.run_round(cluster, suite.SEED, 4, names=["kill_leader", "pause_any"], clients=6)

    def test_a_kill_that_loses_acknowledged_writes_is_found(self):
        with fake_cluster(fault="forget") as cluster:
            cluster.start()
            with self.assertRaisesRegex(AssertionError, "not linearizable"):
                campaign.run_round(cluster, suite.SEED, 3, names=["kill_leader"], clients=6)


class Clients(unittest.TestCase):
    """A call's fate: what certainly did not happen is told from what may have."""

    def test_no_connection_means_not_applied(self):
        port = ports.reserve()
        with Client("127.0.0.1", port) as client, self.assertRaises(CallError) as caught:
            client.set("k", "v")
        self.assertEqual(caught.exception.outcome, "failed")
        with self.assertRaises(CallError) as caught:
            asyncio.run(AsyncClient("127.0.0.1", port).call({"op": "get", "key": "k"}, 5))
        self.assertEqual(caught.exception.outcome, "failed")

    def serve_once(self, answer):
        """A server that reads one request, sends `answer` and closes."""
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            connection, _ = listener.accept()
            connection.recv(1 << 16)
            connection.sendall(answer)
            connection.close()
            listener.close()

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    def fate(self, answer, fields=None):
        """(what the blocking client makes of an answer, what the asynchronous one does)."""
        fields = fields or {"op": "set", "key": "k", "value": "v"}

        def attempt(call):
            try:
                return call(self.serve_once(answer))
            except CallError as error:
                return error.outcome
            except ProtocolError:
                return "violation"

        def blocking(port):
            with Client("127.0.0.1", port) as client:
                return client.call(fields)

        def asynchronous(port):
            async def call():
                client = AsyncClient("127.0.0.1", port)
                try:
                    return await client.call(fields, 5)
                finally:
                    client.close()

            return asyncio.run(call())

        results = {attempt(blocking), attempt(asynchronous)}
        self.assertEqual(len(results), 1, f"the clients disagree: {results}")
        return results.pop()

    def reply(self, status, body):
        return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()

    def test_a_lost_connection_means_unknown(self):
        self.assertEqual(self.fate(b""), "unknown")
        self.assertEqual(self.fate(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{"), "unknown")

    def test_an_error_body_tells_the_outcome(self):
        unknown = '{"error":"no quorum","outcome":"unknown"}'
        refused = '{"error":"no quorum","outcome":"not_applied"}'
        silent = '{"error":"no quorum"}'
        self.assertEqual(self.fate(self.reply(500, unknown)), "unknown")
        self.assertEqual(self.fate(self.reply(500, refused)), "failed")
        self.assertEqual(self.fate(self.reply(500, silent)), "violation")
        self.assertEqual(self.fate(self.reply(422, silent)), "failed")
        self.assertEqual(self.fate(self.reply(500, silent), {"op": "get", "key": "k"}), "failed")

    def test_answers_of_the_wrong_shape_are_violations(self):
        for body in ("", "[]", "{}", '{"success":false}', '{"success":true}'):
            self.assertEqual(self.fate(self.reply(200, body)), "violation", body)
        self.assertIsNone(self.fate(self.reply(200, '{"success":true,"message":"m"}')))

    def test_chunked_answers_are_read(self):
        chunks = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n" \
                 b"9\r\n{\"key\":\"k\r\ne\r\n\",\"value\":\"v\"}\r\n0\r\n\r\n"
        self.assertEqual(self.fate(chunks, {"op": "get", "key": "k"}), "v")


class Processes(unittest.TestCase):
    def test_three_nodes_form_and_relay(self):
        with fake_cluster(3) as cluster:
            cluster.start()
            for node in cluster.running:
                with node.client() as client:
                    client.set(f"k{node.id}", "v")
            with cluster[3].client() as client:
                self.assertEqual([key for key, _ in client.scan()], ["k1", "k2", "k3"])
            self.assertEqual(len(cluster.replicas()), 3)
            self.assertEqual(cluster.leader().id, 1)

    def test_signals_reach_the_process_and_data_survives_a_kill(self):
        with fake_cluster() as cluster:
            cluster.start()
            node = cluster[1]
            with node.client() as client:
                client.set("k", "v")
            node.kill()
            self.assertIsNone(node.health())
            node.start().wait_http()
            with node.client() as client:
                self.assertEqual(client.get("k"), "v")
            node.pause()
            self.assertIsNone(node.ask("/health", timeout=0.2))
            node.resume()
            wait_until(node.health, "the resumed node answers")
            self.assertGreater(node.memory(), 1 << 20)
            self.assertEqual(node.stop(), 0)

    def test_everything_is_gone_afterwards(self):
        with fake_cluster(2) as cluster:
            cluster.start()
            pids = [node.process.pid for node in cluster.running]
        self.assertFalse(os.path.exists(cluster.folder))
        for pid in pids:
            with self.assertRaises(ProcessLookupError):
                os.kill(pid, 0)

    def test_a_node_that_ends_early_is_reported_with_its_log(self):
        with fake_cluster() as cluster:
            node = cluster[1]
            node.settings["raft"]["address"] = "nonsense"
            with self.assertRaisesRegex(AssertionError, "ended with status 1"):
                node.start().wait_http()

    def test_configurations_are_written_as_toml(self):
        self.assertEqual(
            toml({"a": 1, "t": {"s": 'x"\\', "l": ["y"], "b": True}}),
            'a = 1\n\n[t]\ns = "x\\"\\\\"\nl = ["y"]\nb = true\n',
        )


class Network(unittest.TestCase):
    """The proxy's cuts, with this process in the role of node 1 and an echo as node 2."""

    def setUp(self):
        self.proxy = Proxy(lambda: {1: os.getpid()})
        self.port = ports.reserve()
        self.echo = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, daemon=True).start()
        self.proxy.listen(2, self.port)

    def tearDown(self):
        self.echo.close()
        self.proxy.close()

    def serve(self):
        while True:
            try:
                connection, _ = self.echo.accept()
            except OSError:
                return
            threading.Thread(target=self.echo_all, args=(connection,), daemon=True).start()

    @staticmethod
    def echo_all(connection):
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    def connect(self):
        link = socket.create_connection((PROXY_HOST, self.port), timeout=10)
        self.addCleanup(link.close)
        return link

    def assert_silent(self, link):
        link.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            link.recv(10)
        link.settimeout(10)

    def test_bytes_pass(self):
        link = self.connect()
        link.sendall(b"hello")
        self.assertEqual(link.recv(10), b"hello")

    def test_a_cut_holds_bytes_back_in_its_direction_until_healed(self):
        for cut in ((1, 2), (2, 1)):
            link = self.connect()
            link.sendall(b"a")
            self.assertEqual(link.recv(10), b"a")
            self.proxy.cut(*cut)
            link.sendall(b"b")
            self.assert_silent(link)
            self.proxy.heal()
            self.assertEqual(link.recv(10), b"b")

    def test_a_cut_between_others_changes_nothing(self):
        self.proxy.isolate(3, [1, 2, 3])
        link = self.connect()
        link.sendall(b"a")
        self.assertEqual(link.recv(10), b"a")

    def test_healing_may_break_the_connections_that_held_something(self):
        held, idle = self.connect(), self.connect()
        for link in (held, idle):
            link.sendall(b"a")
            self.assertEqual(link.recv(10), b"a")
        self.proxy.cut(1, 2)
        held.sendall(b"b")
        self.assert_silent(held)
        self.proxy.heal(deliver=False)
        with self.assertRaises(ConnectionError):
            if held.recv(10) == b"":
                raise ConnectionResetError
        idle.sendall(b"c")
        self.assertEqual(idle.recv(10), b"c")


if __name__ == "__main__":
    suite.main(needs_program=False)
