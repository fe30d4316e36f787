"""Starts and ends coredb nodes, and redis-server to compare them with.

A server owns a folder below its group's, and both are gone at the end; a failed test keeps and names
the folder. Processes die with the test. Ports are reserved, so tests may run at the same time.
"""

import os
import shutil
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "process"))

import cluster as processes  # noqa: E402 (the path must be set first)
import ports  # noqa: E402
import signals  # noqa: E402

HOST = "127.0.0.1"
SCALE = processes.SCALE
SKIPPED = 77
wait_until = processes.wait_until


def coredb_program():
    """The path of coredb, or None if it has not been built."""
    folder = os.environ.get("ROCKRAFT_BIN")
    if folder is None:
        folder = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build", "bin")
    path = os.path.join(folder, "coredb")
    return path if os.access(path, os.X_OK) else None


def redis_program():
    return shutil.which("redis-server")


def require_server(against_redis=False):
    """Ends the test as skipped if the server that it is for is not there."""
    if (redis_program() if against_redis else coredb_program()) is None:
        print("SKIPPED: the server is not built")
        sys.exit(SKIPPED)


def ask(port, *arguments, timeout=2.0):
    """The first line of the answer to one inline command, or None if there is none in time."""
    try:
        with socket.create_connection((HOST, port), timeout) as connection:
            connection.sendall(" ".join(arguments).encode() + b"\r\n")
            line = connection.makefile("rb").readline()
            return line.rstrip(b"\r\n") if line.endswith(b"\n") else None
    except OSError:
        return None


def voters(port, timeout=2.0):
    """How many voters the node knows of; 0 if it does not say."""
    try:
        with socket.create_connection((HOST, port), timeout) as connection:
            connection.sendall(b"RAFT.MEMBERS\r\nPING\r\n")
            reply = b""
            while not reply.endswith(b"+PONG\r\n"):
                chunk = connection.recv(65536)
                if not chunk:
                    return 0
                reply += chunk
            return reply.count(b"\r\nvoter\r\n")
    except OSError:
        return 0


class Server:
    """One process of either kind."""

    def __init__(self, folder, command):
        self.folder = folder
        self.command = command
        self.port = ports.reserve()
        self.process = None
        self.paused = False

    @property
    def log_path(self):
        return os.path.join(self.folder, "log")

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def arguments(self):
        raise NotImplementedError

    def start(self):
        assert not self.running
        os.makedirs(self.folder, exist_ok=True)
        with open(self.log_path, "ab") as log:
            # The locale decides how SORT ALPHA orders; the byte order is the one to compare with.
            self.process = processes.spawn([*self.command, *self.arguments()], log, self.folder,
                                           {"LC_ALL": "C"})
        self.paused = False
        return self

    def wait_ready(self, timeout=30.0):
        def answers():
            if not self.running:
                raise AssertionError(f"ended with {self.process.returncode}\n{self.tail()}")
            # With a password the answer is an error, but an answer.
            reply = ask(self.port, "PING")
            return reply is not None and not reply.startswith(b"-CLUSTERDOWN")

        wait_until(answers, f"an answer on port {self.port}", timeout)
        return self

    def kill(self):
        if self.process is not None:
            processes.end(self.process)
        self.paused = False

    def pause(self):
        signals.pause(self.process)
        self.paused = True

    def resume(self):
        import signal
        if self.running and self.paused:
            self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def stop(self, timeout=15.0):
        """An orderly end; returns the exit status."""
        self.resume()
        self.process.terminate()
        return self.process.wait(timeout * SCALE)

    def memory(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0

    def tail(self, lines=30):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return "\n".join(file.read().splitlines()[-lines:])
        except OSError:
            return "(no log)"


class Redis(Server):
    """A redis-server that keeps nothing."""

    def arguments(self):
        return ["--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no",
                "--dir", self.folder, "--daemonize", "no", "--proto-max-bulk-len", "512mb"]


class Coredb(Server):
    """A node of coredb with its configuration file."""

    def __init__(self, folder, command, node_id, join=(), overrides=None):
        super().__init__(folder, command)
        self.id = node_id
        self.raft_port = ports.reserve()
        self.settings = {
            "node_id": node_id,
            "server_addr": f"{HOST}:{self.port}",
            "raft": {
                "address": f"{HOST}:{self.raft_port}",
                "advertise_host": HOST,
                "join": [*join, self.endpoint] if join else [],
                "heartbeat_interval": int(50 * SCALE),
                "election_timeout_min": int(300 * SCALE),
                "election_timeout_max": int(600 * SCALE),
            },
            "rocksdb": {"data_path": os.path.join(folder, "data"), "max_open_files": 256},
            "storage": processes.storage_settings(),
            "log": {"level": os.environ.get("LOG_LEVEL", "info")},
        }
        for name, value in (overrides or {}).items():
            if isinstance(value, dict):
                self.settings.setdefault(name, {}).update(value)
            else:
                self.settings[name] = value

    @property
    def endpoint(self):
        return f"{HOST}:{self.raft_port}"

    @property
    def config_path(self):
        return os.path.join(self.folder, "node.toml")

    def arguments(self):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(processes.toml(self.settings))
        return ["--conf", self.config_path]


class Group:
    """Servers that are ended together; a context manager."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="rockraft-coredb-")
        self.servers = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(failed=kind is not None and not issubclass(kind, (SystemExit, KeyboardInterrupt)))

    def __getitem__(self, index):
        return self.servers[index]

    def redis(self):
        """One more redis-server, which answers."""
        folder = os.path.join(self.folder, f"redis{len(self.servers)}")
        server = Redis(folder, [redis_program()])
        self.servers.append(server)
        return server.start().wait_ready()

    def coredb(self, count=1, **overrides):
        """A cluster of `count` new nodes: all are voters, and each answers reads and writes."""
        nodes = []
        for number in range(count):
            folder = os.path.join(self.folder, f"node{len(self.servers)}")
            join = [node.endpoint for node in nodes]
            node = Coredb(folder, [coredb_program()], number + 1, join, overrides)
            nodes.append(node)
            self.servers.append(node)
            node.start().wait_ready()
        for node in nodes:
            wait_until(lambda port=node.port: voters(port) == count, f"{count} voters at port {node.port}", 60.0)
            wait_writable(node)
        return nodes

    def close(self, failed=False):
        for server in self.servers:
            server.kill()
        if failed or os.environ.get("KEEP"):
            print(f"\nkept: {self.folder}", file=sys.stderr)
            for server in self.servers:
                print(f"---- last lines of {server.folder}:\n{server.tail(12)}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def wait_writable(node, timeout=30.0):
    """Waits until a write through this node succeeds: it knows a leader, or is one."""
    wait_until(lambda: ask(node.port, "DEL", f"ready:{time.monotonic_ns()}", timeout=10.0) == b":0",
               f"a write through port {node.port}", timeout)
    return node
