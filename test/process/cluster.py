"""Starts, hurts and ends real server processes, and asks them how they are.

A Cluster owns a fresh directory with one folder per node: the configuration, the data and the log of
its process. It is removed at the end, or kept and named when the test failed. Processes are ended by
their process id, at the latest when this process ends, however it ends.
"""

import atexit
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import ports
import signals
from http_client import Client, CallError, ProtocolError
from proxy import HOST as PROXY_HOST
from proxy import Proxy

# Everything takes longer under a sanitizer, and on a machine that is busy with other things.
SCALE = 4.0 if os.environ.get("ROCKRAFT_SANITIZE") else 1.0
PROGRAM_NAME = "rockraft-http"
HOST = "127.0.0.1"

_running = set()


def program():
    """The server's command line, or None if it has not been built."""
    folder = os.environ.get("ROCKRAFT_BIN")
    if folder is None:
        source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        folder = os.path.join(source, "build", "bin")
    path = os.path.join(folder, PROGRAM_NAME)
    return [path] if os.access(path, os.X_OK) else None


def wait_until(condition, what, timeout=30.0, pause=0.02):
    """Asks until `condition()` is true, and returns its value; there is no event to wait for."""
    deadline = time.monotonic() + timeout * SCALE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout * SCALE:.0f} s: {what}")
        time.sleep(pause)


def toml(settings):
    """TOML of a dictionary whose values are plain, or dictionaries of plain values."""
    def text(value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(text(item) for item in value) + "]"
        if isinstance(value, str):
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return str(value)

    lines = [f"{key} = {text(value)}" for key, value in settings.items() if not isinstance(value, dict)]
    for name, table in settings.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]"] + [f"{key} = {text(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def storage_settings():
    """How nodes keep their logs: as TEST_LOG_KIND says ("rocksdb", "segments", "segments-thread"), or
    by default; in small segments always, so that many nodes write little."""
    settings = {"log_segment_bytes": 1024 * 1024}
    kind = os.environ.get("TEST_LOG_KIND")
    if kind is not None:
        settings["log"] = kind.removesuffix("-thread")
        settings["log_sync"] = "thread" if kind.endswith("-thread") else "inline"
    return settings


def _die_with_parent():
    """In the child: ends with the test, even if that is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def spawn(command, log, cwd=None, environment=None):
    """Starts a process; call it from the main thread, whose end is also the process's end."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=cwd,
        env={**os.environ, **(environment or {})}, preexec_fn=_die_with_parent,
    )
    _running.add(process)
    return process


def end(process):
    """Ends a process at once, if it still runs, and waits for it."""
    if process.poll() is None:
        process.kill()
    process.wait()
    _running.discard(process)


@atexit.register
def _end_all():
    for process in list(_running):
        end(process)


class Node:
    """One server: its configuration, its folder, and its process while it has one."""

    def __init__(self, node_id, folder, command, settings, environment=None):
        self.id = node_id
        self.folder = folder
        self.command = command
        self.settings = settings
        self.environment = environment
        self.http_port = int(settings["http_addr"].rsplit(":", 1)[1])
        self.raft_port = int(settings["raft"]["address"].rsplit(":", 1)[1])
        self.process = None
        self.paused = False
        self.rss_peak = 0

    @property
    def config_path(self):
        return os.path.join(self.folder, "node.toml")

    @property
    def data_path(self):
        return self.settings["rocksdb"]["data_path"]

    @property
    def log_path(self):
        return os.path.join(self.folder, "log")

    @property
    def endpoint(self):
        """What peers connect to."""
        host = self.settings["raft"]["advertise_host"] or HOST
        return f"{host}:{self.raft_port}"

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        assert not self.running, f"node {self.id} already runs"
        os.makedirs(self.folder, exist_ok=True)
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(toml(self.settings))
        with open(self.log_path, "ab") as log:
            log.write(f"---- start {time.strftime('%H:%M:%S')}\n".encode())
            log.flush()
            command = [*self.command, "--conf", self.config_path]
            self.process = spawn(command, log, self.folder, self.environment)
        self.paused = False
        return self

    def log_text(self, since_start=True):
        """What the process printed, since its last start or ever."""
        with open(self.log_path, "r", encoding="utf-8", errors="replace") as file:
            text = file.read()
        return text.rsplit("---- start ", 1)[-1] if since_start else text

    # Signals.

    def kill(self):
        if self.process is not None:
            end(self.process)
        self.paused = False

    def pause(self):
        signals.pause(self.process)
        self.paused = True

    def resume(self):
        if self.running and self.paused:
            self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self, timeout):
        """The exit status; fails when the process does not end by itself."""
        try:
            return self.process.wait(timeout * SCALE)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"node {self.id} still runs after {timeout * SCALE:.0f} s\n{self.tail()}"
            ) from None

    def stop(self, timeout=10.0):
        """An orderly end; returns the exit status."""
        self.resume()
        self.terminate()
        return self.wait_exit(timeout)

    # The disk.

    def rot(self, parts):
        """Turns over a bit of every 64 bytes in the files whose names, or folders' names, begin so."""
        assert not self.running
        count = 0
        for folder, _, names in os.walk(self.data_path):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.relpath(path, self.data_path).startswith(tuple(parts)):
                    continue
                with open(path, "rb") as file:
                    content = bytearray(file.read())
                for at in range(5, len(content), 64):
                    content[at] ^= 0x10
                with open(path, "wb") as file:
                    file.write(content)
                count += 1
        assert count > 0, f"there is nothing to be damaged: {parts}"

    def _disks(self):
        return [name for name in os.listdir(self.data_path) if name.startswith("damaged-")]

    def repairs(self):
        """How many damaged disks it has set aside."""
        return len(self._disks())

    def forget_damaged(self):
        for name in self._disks():
            shutil.rmtree(os.path.join(self.data_path, name))

    def is_voter(self):
        """By its own account: a follower or the leader, not a learner."""
        health = self.health()
        return health is not None and health["state"] in ("Leader", "Follower", "Candidate")

    def wipe(self):
        assert not self.running
        shutil.rmtree(self.data_path, ignore_errors=True)

    # Questions.

    def client(self, timeout=30.0):
        return Client(HOST, self.http_port, timeout * SCALE)

    def ask(self, path, timeout=2.0):
        """The JSON answer of a GET, or None when there is none in time."""
        return self._ask(lambda client: client.get_json(path), timeout)

    def counter(self, name):
        """A counter as Prometheus has it, or None when there is no answer in time."""
        reply = self._ask(lambda client: client.request("GET", "/metrics?format=prometheus"), 5.0)
        if reply is None:
            return None
        for line in reply.body.decode().splitlines():
            if line.split(" ")[0] == "rockraft_" + name:
                return int(float(line.rsplit(" ", 1)[1]))
        raise AssertionError(f"no counter {name}")

    def _ask(self, question, timeout):
        try:
            with self.client(timeout) as client:
                return question(client)
        except (OSError, CallError, ProtocolError, EOFError):
            return None
        except Exception as error:  # http.client raises half a dozen kinds on a dying server.
            if type(error).__module__ != "http.client":
                raise
            return None

    def health(self):
        return self.ask("/health")

    def metrics(self):
        return self.ask("/metrics")

    def member_ids(self):
        answer = self.ask("/members")
        return {int(key) for key in answer["members"]} if answer else set()

    def wait_http(self, timeout=20.0):
        def answers():
            if not self.running:
                raise AssertionError(
                    f"node {self.id} ended with status {self.process.returncode}\n{self.tail()}"
                )
            return self.health()

        return wait_until(answers, f"node {self.id} answers /health", timeout)

    def memory(self):
        """Resident bytes of the process now; the peak is kept in rss_peak."""
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
                for line in file:
                    if line.startswith("VmRSS:"):
                        size = int(line.split()[1]) * 1024
                        self.rss_peak = max(self.rss_peak, size)
                        return size
        except OSError:
            pass
        return 0

    def tail(self, lines=30):
        with contextlib.suppress(OSError):
            return "\n".join(self.log_text(False).splitlines()[-lines:])
        return "(no log)"


class Cluster:
    """Nodes 1 to `count`; the first founds, the others join through all addresses.

    Settings of a node are those of rockraft-http's configuration, and can be overridden by table:
    Cluster(3, raft={"election_timeout_max": 600}). A context manager.
    """

    def __init__(self, count=3, proxied=False, command=None, environment=None, **overrides):
        self.command = command or program()
        assert self.command, f"{PROGRAM_NAME} is not built"
        self.environment = environment
        self.overrides = overrides
        self.folder = tempfile.mkdtemp(prefix="rockraft-process-")
        self.nodes = {}
        self.proxy = Proxy(self._owners) if proxied else None
        self.listeners = {}
        self.next_id = 1
        for _ in range(count):
            self.add()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(failed=kind is not None)

    def __getitem__(self, node_id):
        return self.nodes[node_id]

    def _owners(self):
        return {n.id: n.process.pid for n in list(self.nodes.values()) if n.running}

    def close(self, failed=False):
        for node in self.nodes.values():
            node.kill()
        if self.proxy is not None:
            self.proxy.close()
        if failed or os.environ.get("KEEP"):
            print(f"\nkept: {self.folder}", file=sys.stderr)
            for node in self.nodes.values():
                print(f"---- last lines of node {node.id}:\n{node.tail(12)}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self):
        """One more node, not yet started; its id was never used before."""
        node_id = self.next_id
        self.next_id += 1
        raft_port, http_port = ports.reserve(), ports.reserve()
        folder = os.path.join(self.folder, f"node{node_id}")
        endpoints = [node.endpoint for node in self.nodes.values()]
        host = PROXY_HOST if self.proxy else HOST
        settings = {
            "node_id": node_id,
            "http_addr": f"{HOST}:{http_port}",
            "raft": {
                "address": f"{HOST}:{raft_port}",
                "advertise_host": host,
                # The usual form names the joiner too.
                "join": endpoints + [f"{host}:{raft_port}"] if endpoints else [],
                "heartbeat_interval": int(50 * SCALE),
                "election_timeout_min": int(300 * SCALE),
                "election_timeout_max": int(600 * SCALE),
            },
            "rocksdb": {"data_path": os.path.join(folder, "data"), "max_open_files": 256},
            "storage": storage_settings(),
            "log": {"level": os.environ.get("LOG_LEVEL", "info")},
        }
        for name, value in self.overrides.items():
            if isinstance(value, dict):
                settings.setdefault(name, {}).update(value)
            else:
                settings[name] = value
        node = Node(node_id, folder, self.command, settings, self.environment)
        self.nodes[node_id] = node
        if self.proxy:
            self.listeners[node_id] = self.proxy.listen(node_id, raft_port)
        return node

    def forget(self, node_id):
        """Ends a node for good and frees what it had."""
        node = self.nodes.pop(node_id)
        node.kill()
        if node_id in self.listeners:
            self.proxy.unlisten(self.listeners.pop(node_id))
        shutil.rmtree(node.folder, ignore_errors=True)

    @property
    def running(self):
        return [node for node in self.nodes.values() if node.running and not node.paused]

    def start(self):
        """Starts all nodes and waits until each knows all as members and one leader."""
        for node in self.nodes.values():
            node.start()
            # The others need someone to join.
            node.wait_http()
        self.wait_settled()
        return self

    def leader(self):
        """The node that leads in the highest term, by what the running nodes say, or None."""
        best = None
        for node in self.running:
            health = node.health()
            if health and health["is_leader"]:
                if best is None or health["current_term"] > best[0]:
                    best = (health["current_term"], node)
        return best[1] if best else None

    def wait_leader(self, timeout=20.0, other_than=None):
        def found():
            leader = self.leader()
            return leader if leader is not None and leader.id != other_than else None

        return wait_until(found, "a leader", timeout)

    def wait_settled(self, timeout=30.0):
        """Waits until all running nodes name the same leader and exactly the nodes as members."""
        expected = set(self.nodes)

        def settled():
            answers = [node.health() for node in self.running]
            leaders = {health["current_leader"] if health else None for health in answers}
            if len(leaders) != 1 or None in leaders:
                return False
            return all(node.member_ids() == expected for node in self.running)

        try:
            wait_until(settled, f"one leader and members {sorted(expected)}", timeout)
        except AssertionError as error:
            seen = [(n.id, n.health(), sorted(n.member_ids())) for n in self.nodes.values()]
            raise AssertionError(f"{error}: {seen}") from None

    def replicas(self, prefix="", timeout=30.0):
        """The data, once every running node holds the same by its own account."""
        with self.running[0].client() as client:
            expected = client.scan(prefix)

        def differing():
            found = []
            for node in self.running:
                with node.client() as client:
                    items = client.scan(prefix, "local")
                if items != expected:
                    found.append((node.id, first_difference(expected, items)))
            return found

        with contextlib.suppress(AssertionError):
            wait_until(lambda: not differing(), "equal replicas", timeout, pause=0.2)
        rest = differing()
        assert not rest, f"replicas differ: {rest}"
        return expected


def first_difference(expected, items):
    want, have = dict(map(tuple, expected)), dict(map(tuple, items))
    for key in sorted(set(want) | set(have)):
        if want.get(key) != have.get(key):
            return f"{key!r}: {have.get(key)!r} instead of {want.get(key)!r}, {len(have)} of {len(want)} keys"
    return "no difference"
