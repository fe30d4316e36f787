"""What the clients' tests run against: three nodes of coredb, or, with CLIENTS_REDIS=1, one redis-server
that keeps its data, which shows that the tests themselves are right."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import coredb_cluster  # noqa: E402 (the path must be set first)

AGAINST_REDIS = bool(os.environ.get("CLIENTS_REDIS"))
SCALE = coredb_cluster.SCALE


class DurableRedis(coredb_cluster.Redis):
    def arguments(self):
        return [*super().arguments(), "--appendonly", "yes", "--appendfsync", "always"]


class Servers(coredb_cluster.Group):
    """Three places to connect to, numbered from 0."""

    def __init__(self):
        super().__init__()
        if AGAINST_REDIS:
            server = DurableRedis(os.path.join(self.folder, "redis"), [coredb_cluster.redis_program()])
            self.servers.append(server.start().wait_ready())
            self.places = [server] * 3
        else:
            self.places = self.coredb(3)

    @property
    def ports(self):
        return [server.port for server in self.places]

    def order(self, what, number):
        """Kills or starts one, and waits until that is done."""
        server = self.places[number]
        if what == "kill" and not AGAINST_REDIS:
            server.kill()
        elif what == "start":
            if AGAINST_REDIS:
                server.kill()
            server.start().wait_ready()
            coredb_cluster.wait_writable(server)


def why_skipped():
    """Why there is nothing to test, or None."""
    if AGAINST_REDIS:
        return None if coredb_cluster.redis_program() else "redis-server is not installed"
    return None if coredb_cluster.coredb_program() else "coredb is not built"


def skip_or_continue(reason):
    if reason:
        print(f"SKIPPED: {reason}")
        sys.exit(coredb_cluster.SKIPPED)
