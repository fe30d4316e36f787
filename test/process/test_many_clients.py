#!/usr/bin/env python3
"""A thousand clients over HTTP against three nodes: no error, and memory stays bounded.

ctest: timeout=300 label=slow serial
"""

import asyncio
import random
import socket
import time
import unittest

import suite
from cluster import HOST, SCALE, Cluster, wait_until
from http_client import AsyncClient, CallError, ProtocolError

CLIENTS = 1000
CALLS_EACH = 30
VALUE = "v" * 100
MEBIBYTE = 1 << 20
# Resident memory of one server; a sanitizer keeps shadows of its own.
RSS_MAX = int(400 * MEBIBYTE * SCALE)
GROWTH_MAX = int(64 * MEBIBYTE * SCALE)


class ManyClients(unittest.TestCase):
    def test_a_thousand_clients_get_no_error_and_memory_is_bounded(self):
        with Cluster(3, log={"level": "warn"}) as cluster:
            cluster.start()
            errors, latencies = [], []
            peaks = []
            for _ in range(3):
                begin = time.monotonic()
                asyncio.run(self.everyone(cluster, errors, latencies))
                seconds = time.monotonic() - begin
                peaks.append([node.rss_peak for node in cluster.running])
                print(f"\n    {CLIENTS} clients, {CLIENTS * CALLS_EACH} calls, {seconds:.1f} s, "
                      f"{CLIENTS * CALLS_EACH / seconds:.0f}/s, resident "
                      + " ".join(f"{peak // MEBIBYTE} MiB" for peak in peaks[-1]), end="", flush=True)
            latencies.sort()
            print(f"\n    latency p50 {latencies[len(latencies) // 2] * 1000:.0f} ms, "
                  f"p99 {latencies[len(latencies) * 99 // 100] * 1000:.0f} ms, "
                  f"max {latencies[-1] * 1000:.0f} ms", flush=True)
            self.assertEqual(errors, [], f"{len(errors)} errors")
            for last, first in zip(peaks[-1], peaks[0]):
                self.assertLess(last, RSS_MAX)
                self.assertLess(last - first, GROWTH_MAX, "memory grows from round to round")
            self.assertEqual(len({node.process.pid for node in cluster.running}), 3)
            cluster.replicas()

    async def everyone(self, cluster, errors, latencies):
        done = asyncio.Event()

        async def sample():
            while not done.is_set():
                for node in cluster.running:
                    node.memory()
                await asyncio.sleep(0.2)

        sampler = asyncio.create_task(sample())
        nodes = cluster.running
        clients = [
            self.client(number, nodes[number % len(nodes)], errors, latencies)
            for number in range(CLIENTS)
        ]
        await asyncio.gather(*clients)
        done.set()
        await sampler

    @staticmethod
    async def client(number, node, errors, latencies):
        """Writes and reads keys of its own over one kept connection."""
        rng = random.Random(f"{suite.SEED}.{number}")
        connection = AsyncClient(HOST, node.http_port)
        written = {}
        try:
            for call in range(CALLS_EACH):
                key = f"c{number}/{rng.randrange(5)}"
                begin = time.monotonic()
                if call % 3 == 0 or key not in written:
                    written[key] = f"{call}{VALUE}"
                    fields = {"op": "set", "key": key, "value": written[key]}
                    await connection.call(fields, 60 * SCALE)
                else:
                    value = await connection.call({"op": "get", "key": key}, 60 * SCALE)
                    if value != written[key]:
                        errors.append(f"client {number} read {value!r} instead of its own write")
                latencies.append(time.monotonic() - begin)
        except (CallError, ProtocolError) as error:
            errors.append(f"client {number} at node {node.id}: {error}")
        finally:
            connection.close()

    def test_idle_and_vanishing_connections_cost_little(self):
        with Cluster(1, log={"level": "warn"}) as cluster:
            cluster.start()
            node = cluster[1]
            with node.client() as client:
                client.set("k", "1")
            before = node.memory()
            for round_number in range(3):
                links = [socket.create_connection((HOST, node.http_port)) for _ in range(CLIENTS)]
                for number, link in enumerate(links):
                    # A third says nothing, a third half a request, a third leaves without its answer.
                    if number % 3 == 1:
                        link.sendall(b"POST /set HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
                    elif number % 3 == 2:
                        link.sendall(b"GET /get?key=k HTTP/1.1\r\nhost: x\r\n\r\n")
                with node.client() as client:
                    self.assertEqual(client.get("k"), "1", f"round {round_number}")
                for link in links:
                    link.close()
            wait_until(lambda: node.memory() - before < GROWTH_MAX, "memory is given back", 20)
            with node.client() as client:
                self.assertEqual(client.get("k"), "1")


if __name__ == "__main__":
    suite.main()
