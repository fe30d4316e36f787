"""What can happen to a cluster, chosen by a seed. Each fault is done, lasts a while, and is undone."""

import contextlib
import random
import time

from cluster import CallError, SCALE, wait_until
from http_client import ProtocolError


class Faults:
    """`names` chooses among the faults; all that this cluster can have when it is None."""

    def __init__(self, cluster, seed, names=None, say=None):
        self.cluster = cluster
        self.rng = random.Random(f"{seed}.faults")
        self.say = say or (lambda text: None)
        self.names = names or [name for name in ALL if cluster.proxy or name not in NETWORK]
        self.done = []

    def run(self, seconds):
        """Faults one after another, with a short calm between; at least one."""
        deadline = time.monotonic() + seconds
        while True:
            self.one(self.rng.choice(self.names))
            if time.monotonic() > deadline:
                return
            self._last(0.2, 1.0)

    def one(self, name):
        begin = time.monotonic()
        about = getattr(self, name)()
        self.done.append(name)
        self.say(f"    {name} {about} ({time.monotonic() - begin:.1f} s)")

    def heal(self):
        """Undoes whatever is still wrong, and waits until the cluster agrees again."""
        if self.cluster.proxy:
            self.cluster.proxy.heal()
        for node in list(self.cluster.nodes.values()):
            node.resume()
            if not node.running:
                node.start()
        for node in self.cluster.nodes.values():
            node.wait_http()
        self.cluster.wait_settled(60)

    def _last(self, shortest=0.5, longest=3.0):
        # How long a fault lasts is part of the fault; nothing ends it early.
        time.sleep(self.rng.uniform(shortest, longest))

    def _any(self):
        return self.rng.choice(self.cluster.running)

    def _leader(self):
        return self.cluster.leader() or self._any()

    def _restart(self, nodes):
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait_http()

    # Processes.

    def kill_leader(self):
        node = self._leader()
        node.kill()
        self._last(0.1, 3)
        self._restart([node])
        return node.id

    def kill_any(self):
        node = self._any()
        node.kill()
        self._last(0.0, 2)
        self._restart([node])
        return node.id

    def kill_majority(self):
        nodes = self.rng.sample(self.cluster.running, len(self.cluster.nodes) // 2 + 1)
        for node in nodes:
            node.kill()
        self._last(0.0, 1.5)
        self._restart(nodes)
        return [node.id for node in nodes]

    def kill_all(self):
        nodes = self.cluster.running
        for node in nodes:
            node.kill()
        self._restart(nodes)
        return ""

    def pause_leader(self):
        return self._pause(self._leader())

    def pause_any(self):
        return self._pause(self._any())

    def _pause(self, node):
        node.pause()
        self._last(0.3, 4)
        node.resume()
        return node.id

    def terminate_leader(self):
        node = self._leader()
        status = node.stop()
        assert status == 0, f"node {node.id} answered SIGTERM with status {status}"
        self._restart([node])
        return node.id

    # The network; these need the proxy.

    def isolate_leader(self):
        return self._isolate(self._leader())

    def isolate_any(self):
        return self._isolate(self._any())

    def _isolate(self, node):
        self.cluster.proxy.isolate(node.id, list(self.cluster.nodes))
        self._last(0.5, 4)
        self._heal_network()
        return node.id

    def cut_one_way(self):
        one, other = self.rng.sample(list(self.cluster.nodes), 2)
        self.cluster.proxy.cut(one, other)
        self._last(0.5, 4)
        self._heal_network()
        return f"{one}>{other}"

    def cut_leader_sending(self):
        """The leader hears everyone and is heard by none."""
        node = self._leader()
        for other in self.cluster.nodes:
            if other != node.id:
                self.cluster.proxy.cut(node.id, other)
        self._last(0.5, 4)
        self._heal_network()
        return node.id

    def cut_pair(self):
        one, other = self.rng.sample(list(self.cluster.nodes), 2)
        self.cluster.proxy.cut_both(one, other)
        self._last(0.5, 4)
        self._heal_network()
        return f"{one}<>{other}"

    def break_connections(self):
        self.cluster.proxy.break_all()
        return ""

    def isolate_and_kill(self):
        """The isolated leader dies with what only it has, and comes back healed."""
        node = self._leader()
        self.cluster.proxy.isolate(node.id, list(self.cluster.nodes))
        self._last(0.3, 2)
        node.kill()
        self._heal_network()
        self._last(0.0, 1)
        self._restart([node])
        return node.id

    def _heal_network(self):
        self.cluster.proxy.heal(deliver=self.rng.random() < 0.5)

    # Members and the log.

    def _leave(self, node):
        leave(self.cluster, node.id)

    def replace(self):
        """A node leaves for good and a new one, with a new id and empty disk, joins."""
        self.cluster.wait_leader(60)
        gone = self._any()
        self._leave(gone)
        self.cluster.forget(gone.id)
        node = self.cluster.add()
        join(self.cluster, node)
        return f"{gone.id} by {node.id}"

    def grow_and_shrink(self):
        """One more member for a while; the one to leave may be any, also the leader."""
        self.cluster.wait_leader(60)
        node = self.cluster.add()
        join(self.cluster, node)
        self._last()
        gone = self._any()
        self._leave(gone)
        self.cluster.forget(gone.id)
        return f"+{node.id} -{gone.id}"

    def snapshot_and_purge(self):
        node = self._any()
        try:
            with node.client() as client:
                index = client.post_json("/trigger_snapshot")["index"]
                client.post_json("/purge_log", {"upto_index": index})
        except (OSError, CallError, ProtocolError) as error:
            return f"{node.id}: {error}"
        return f"{node.id} up to {index}"


    # Disks that rot, beyond what their nodes can repair by themselves.

    def damage_log(self):
        return self._damage(self._any(), ("log",))

    def damage_leaders_log(self):
        return self._damage(self._leader(), ("log",))

    def damage_state(self):
        return self._damage(self._any(), ("state-", "snapshots"))

    def damage_everything(self):
        return self._damage(self._any(), ("log", "STATE", "state-", "snapshots"))

    def _damage(self, node, parts):
        """Rots the disk of a node that is down; it must come back as another disk by itself, through
        the others, whatever they go through meanwhile. One disk at a time: the others have to be a
        majority."""
        before = node.repairs()
        node.kill()
        node.rot(parts)
        self._last(0.0, 1.0)
        # Where its members are lost with its state, the operator tells it the others' addresses.
        node.settings["raft"]["join"] = [
            other.endpoint for other in self.cluster.nodes.values() if other.id != node.id]
        self._restart([node])
        shaken = self.rng.random() < 0.5
        if shaken:
            other = self.rng.choice([n for n in self.cluster.running if n.id != node.id])
            other.kill()
            self._last(0.0, 0.5)
            self._restart([other])
        wait_until(lambda: node.repairs() > before and node.is_voter(),
                   f"node {node.id} votes again, with a new disk", 60)
        node.forget_damaged()
        for other in self.cluster.running:  # the next damage finds these members in their states
            with contextlib.suppress(OSError, CallError, ProtocolError):
                with other.client() as client:
                    client.post_json("/trigger_snapshot")
        return f"{node.id}{' (shaken)' if shaken else ''}"


NETWORK = (
    "isolate_leader", "isolate_any", "cut_one_way", "cut_leader_sending", "cut_pair",
    "break_connections", "isolate_and_kill",
)
PROCESS = (
    "kill_leader", "kill_any", "kill_majority", "kill_all", "pause_leader", "pause_any",
    "terminate_leader",
)
MEMBERS = ("replace", "grow_and_shrink", "snapshot_and_purge")
DAMAGE = ("damage_log", "damage_leaders_log", "damage_state", "damage_everything")
ALL = PROCESS + NETWORK + MEMBERS + DAMAGE


def leave(cluster, node_id, timeout=60.0):
    """Removes a member through another one, trying again while the fate is unknown."""
    others = [node for node in cluster.running if node.id != node_id]

    def gone():
        for node in others:
            try:
                with node.client(15) as client:
                    client.post_json("/leave", {"node_id": node_id})
                return True
            except (OSError, CallError, ProtocolError):
                continue
        return False

    wait_until(gone, f"node {node_id} has left", timeout)


def join(cluster, node, timeout=60.0):
    """Starts a node that joins by itself, and waits until it and the leader call it a member."""
    node.start()
    deadline = time.monotonic() + timeout * SCALE

    def joined():
        if not node.running:
            # A join may fail for good while the cluster has no leader; a supervisor starts it again.
            if time.monotonic() > deadline - 5:
                raise AssertionError(f"node {node.id} does not join\n{node.tail()}")
            node.start()
        leader = cluster.leader()
        return leader and node.id in leader.member_ids() and node.id in node.member_ids()

    wait_until(joined, f"node {node.id} is a member; its log is {node.log_path}", timeout)
