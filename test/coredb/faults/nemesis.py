"""A cluster of coredb behind proxies, and what can happen to it."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.append(os.path.join(os.path.dirname(HERE), "differential"))
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(HERE)), "process"))

import coredb_cluster  # noqa: E402 (the path must be set first)
import faults  # noqa: E402
import proxy as proxies  # noqa: E402
from coredb_cluster import HOST, SCALE, wait_until  # noqa: E402
from resp import Closed, Connection, is_error  # noqa: E402

# Of a request, at the nodes in turn: some give up during an election, and all before the clients do.
SERVER_PATIENCE_MS = (300, 1500, 4000)

# Entries kept before a snapshot: few, so that who was away for long gets a snapshot.
LOG_KEEP = 300


class Node(coredb_cluster.Coredb):
    """A node that others reach through the proxy."""

    @property
    def endpoint(self):
        return f"{proxies.HOST}:{self.raft_port}"

    def wait_http(self):
        """By the name that faults.py knows."""
        return self.wait_ready(60)

    def ask(self, *command, timeout=2.0):
        """The reply, or None if there is none in time."""
        try:
            connection = Connection(HOST, self.port, timeout * SCALE)
        except OSError:
            return None
        try:
            return connection.call(*command)
        except (OSError, Closed):
            return None
        finally:
            connection.close()

    def raft(self):
        """The section raft of INFO as a dictionary; empty if there is no answer."""
        reply = self.ask("INFO", "raft")
        if not isinstance(reply, bytes):
            return {}
        lines = reply.decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def member_ids(self):
        reply = self.ask("RAFT.MEMBERS")
        return {member[1] for member in reply} if isinstance(reply, list) else set()


class Cluster(coredb_cluster.Group):
    """`count` nodes that are members of one cluster, with the interface that faults.py expects."""

    def __init__(self, count=3, skews_ms=(), **overrides):
        """`skews_ms`: how far the wall clocks of the nodes are ahead, in turn."""
        super().__init__()
        self.overrides = overrides
        self.skews_ms = skews_ms
        self.nodes = {}
        self.addresses = {}  # of the nodes that clients may go to; changes with the members
        self.failed = False  # whoever uses it found something: keep everything
        self.proxy = proxies.Proxy(self._owners)
        self.listeners = {}
        self.next_id = 1
        for _ in range(count):
            self.add()

    def add(self):
        """One more node, not yet started; its id was never used before."""
        number = self.next_id
        self.next_id += 1
        join = [node.endpoint for node in self.nodes.values()]
        raft = {"advertise_host": proxies.HOST, **self.overrides.get("raft", {})}
        patience_ms = SERVER_PATIENCE_MS[number % len(SERVER_PATIENCE_MS)]
        settings = {"server": {"timeout_ms": int(patience_ms * SCALE)},
                    "snapshot": {"entries": 2000, "keep": LOG_KEEP}, **self.overrides, "raft": raft}
        node = Node(os.path.join(self.folder, f"node{number}"), self._command(number), number, join,
                    settings)
        self.listeners[number] = self.proxy.listen(number, node.raft_port)
        self.nodes[number] = node
        self.addresses[number] = (HOST, node.port)
        self.servers.append(node)
        return node

    def _command(self, number):
        command = [coredb_cluster.coredb_program()]
        if not self.skews_ms:
            return command
        library = os.path.join(self.folder, "skew.so")
        if not os.path.exists(library):
            subprocess.run(["cc", "-shared", "-fPIC", "-o", library, os.path.join(HERE, "skew.c")],
                           check=True)
        skew_ms = self.skews_ms[number % len(self.skews_ms)]
        return ["env", f"LD_PRELOAD={library}", f"CLOCK_SKEW_MS={skew_ms}", *command]

    def forget(self, number):
        """Ends a node for good."""
        node = self.nodes.pop(number)
        del self.addresses[number]
        node.kill()
        self.proxy.unlisten(self.listeners.pop(number))

    def _owners(self):
        return {n.id: n.process.pid for n in list(self.nodes.values()) if n.running}

    def start(self):
        for node in self.nodes.values():
            node.start().wait_ready()
            coredb_cluster.wait_writable(node, 60)
        self.wait_settled(60)
        return self

    def close(self, failed=False):
        super().close(failed or self.failed)
        self.proxy.close()

    @property
    def running(self):
        return [node for node in self.nodes.values() if node.running and not node.paused]

    def wait_leader(self, timeout=60.0):
        return wait_until(self.leader, "a leader", timeout)

    def leader(self):
        """The node that leads in the highest term, by what the running nodes say, or None."""
        found = [(int(raft["raft_term"]), node.id) for node in self.running
                 for raft in [node.raft()] if raft.get("raft_role") == "leader"]
        return self.nodes[max(found)[1]] if found else None

    def wait_settled(self, timeout=60.0):
        """Waits until all nodes name the same leader, are voters, and take writes."""
        def settled():
            answers = [node.raft() for node in self.nodes.values()]
            leaders = {raft.get("raft_leader") for raft in answers}
            roles = {raft.get("raft_role") for raft in answers}
            return len(leaders) == 1 and leaders.isdisjoint({None, "0"}) and "learner" not in roles

        wait_until(settled, "one leader", timeout)
        for node in self.nodes.values():
            coredb_cluster.wait_writable(node, timeout)

    def dead(self):
        """Nodes that ended by themselves; to be asked when all should run."""
        return [node for node in self.nodes.values() if not node.running]


class Faults(faults.Faults):
    """Those of test/process, with times longer than election timeouts and leases, and more."""

    def _last(self, shortest=0.5, longest=3.0):
        super()._last(shortest * SCALE, longest * SCALE)

    def _pause(self, node):
        node.pause()
        self._last(1.0, 3.0)
        node.resume()
        return node.id

    def pause_majority(self):
        nodes = self.rng.sample(self.cluster.running, len(self.cluster.nodes) // 2 + 1)
        for node in nodes:
            node.pause()
        self._last(1.0, 2.5)
        for node in nodes:
            node.resume()
        return [node.id for node in nodes]

    def isolate_leader_then_transfer(self):
        """The new leader of the majority hands over at once, while the old one still believes."""
        node = self._leader()
        self.cluster.proxy.isolate(node.id, list(self.cluster.nodes))
        self._last(1.0, 2.0)
        about = self.transfer_leader()
        self._heal_network()
        return f"{node.id}, {about}"

    def transfer_leader(self):
        """Asks any node; a refusal is an answer, too, while there is no leader."""
        node = self._any()
        reply = node.ask("RAFT.TRANSFER", "TIMEOUT", 2000, timeout=5)
        if is_error(reply) and not reply[1].startswith((b"TRYAGAIN", b"UNKNOWN", b"CLUSTERDOWN")):
            raise AssertionError(f"RAFT.TRANSFER through node {node.id}: {reply}")
        return f"through {node.id}: {reply}"

    def _leave(self, node):
        """Removes a member through another one, trying again while the fate is unknown."""
        others = [other for other in self.cluster.running if other.id != node.id]

        def gone():
            for other in others:
                other.ask("RAFT.REMOVE", node.id, "TIMEOUT", 5000, timeout=15)
            leader = self.cluster.leader()
            return leader is not None and leader is not node and node.id not in leader.member_ids()

        wait_until(gone, f"node {node.id} has left", 60)

    def snapshot(self):
        node = self._any()
        reply = node.ask("RAFT.SNAPSHOT", "TIMEOUT", 5000, timeout=10)
        return f"{node.id}: {reply}"


NAMES = (*faults.PROCESS, "pause_majority", *faults.NETWORK, "isolate_leader_then_transfer",
         "transfer_leader", "snapshot", "replace", "grow_and_shrink")
