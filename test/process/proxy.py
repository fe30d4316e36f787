"""A TCP proxy between the peers of a cluster, through which the network can be cut and healed.

Every node advertises the proxy's address for it, 127.0.0.2 with its own raft port, while it listens
on 127.0.0.1. Who opened a connection is found in /proc by the socket's owner, so that the proxy
needs to know nothing of the bytes. A cut has a direction: bytes from A to B are held back, on
connections of either side. When the cut heals, connections with held bytes either deliver them,
late, or break, as the network of the real world might.

The proxy runs in a thread of its own; all methods may be called from any thread.
"""

import asyncio
import contextlib
import os
import threading

HOST = "127.0.0.2"


def _inode_of(local, remote):
    """The inode of the socket with these two ends, as seen from the process that opened it."""
    def hexadecimal(address):
        host, port = address[:2]
        number = bytes(reversed([int(part) for part in host.split(".")]))
        return f"{number.hex().upper()}:{port:04X}"

    wanted = (hexadecimal(local), hexadecimal(remote))
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if (fields[1], fields[2]) == wanted:
                return int(fields[9])
    return None


def _owns(pid, inode):
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            try:
                if os.readlink(f"{folder}/{name}") == f"socket:[{inode}]":
                    return True
            except OSError:
                continue
    except OSError:
        pass
    return False


class _Connection:
    def __init__(self, source, target, writers):
        self.source, self.target, self.writers = source, target, writers
        self.holding = False

    def breaks(self):
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    def __init__(self, owners):
        """`owners` gives {node id: process id} of the running nodes."""
        self.owners = owners
        self.cuts = set()
        self.connections = set()
        self.servers = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self.thread.start()
        self.changed = self._in_loop(self._make_condition())

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    @staticmethod
    async def _make_condition():
        return asyncio.Condition()

    def _in_loop(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def close(self):
        async def finish():
            for server in self.servers:
                server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._in_loop(finish())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)
        self.loop.close()

    def listen(self, node_id, port, target_host="127.0.0.1"):
        """Forwards HOST:port to target_host:port, on behalf of node `node_id`."""
        async def start():
            async def accept(reader, writer):
                # The proxy's end cancels it, which asyncio would report as a failure.
                with contextlib.suppress(asyncio.CancelledError):
                    await self._serve(node_id, (target_host, port), reader, writer)

            server = await asyncio.start_server(accept, HOST, port)
            self.servers.append(server)
            return server

        return self._in_loop(start())

    def unlisten(self, server):
        async def stop():
            server.close()

        self._in_loop(stop())

    # The network's faults.

    def cut(self, source, target):
        """Holds back everything from `source` to `target`."""
        async def change():
            self.cuts.add((source, target))

        self._in_loop(change())

    def cut_both(self, one, other):
        self.cut(one, other)
        self.cut(other, one)

    def isolate(self, node_id, others):
        for other in others:
            if other != node_id:
                self.cut_both(node_id, other)

    def heal(self, deliver=True):
        """Ends all cuts; what was held back arrives now, or its connections break."""
        async def change():
            self.cuts.clear()
            if not deliver:
                for connection in list(self.connections):
                    if connection.holding:
                        connection.breaks()
            async with self.changed:
                self.changed.notify_all()

        self._in_loop(change())

    def break_all(self):
        """Breaks every connection once."""
        async def change():
            for connection in list(self.connections):
                connection.breaks()

        self._in_loop(change())

    # Forwarding.

    def _find_source(self, writer):
        peer, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        inode = _inode_of(peer, own)
        if inode is None:
            return None
        for node_id, pid in self.owners().items():
            if _owns(pid, inode):
                return node_id
        return None

    async def _serve(self, target, address, reader, writer):
        source = self._find_source(writer)
        connection = _Connection(source, target, [writer])
        self.connections.add(connection)
        try:
            try:
                far_reader, far_writer = await asyncio.open_connection(*address)
            except OSError:
                return
            connection.writers.append(far_writer)
            await asyncio.gather(
                self._pump(connection, source, target, reader, far_writer),
                self._pump(connection, target, source, far_reader, writer),
            )
        except (OSError, EOFError):
            pass
        finally:
            self.connections.discard(connection)
            connection.breaks()

    async def _pump(self, connection, source, target, reader, writer):
        while True:
            data = await reader.read(1 << 16)
            if (source, target) in self.cuts:
                connection.holding = True
                async with self.changed:
                    await self.changed.wait_for(lambda: (source, target) not in self.cuts)
                connection.holding = False
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
