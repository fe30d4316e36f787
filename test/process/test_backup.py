#!/usr/bin/env python3
"""Backups of a cluster of processes under load, and the clusters made from them.

ctest: timeout=240
"""

import os
import shutil
import subprocess
import threading
import time
import unittest

import suite
from cluster import SCALE, Cluster, end, program, spawn, wait_until
from http_client import CallError, ProtocolError


def backup_program():
    folder = os.path.dirname(program()[0])
    return os.path.join(folder, "rockraft-backup")


def backup(*arguments, timeout=120):
    """Runs rockraft-backup to its end: (exit status, stdout, stderr)."""
    done = subprocess.run([backup_program(), *arguments], capture_output=True, text=True,
                          timeout=timeout * SCALE)
    return done.returncode, done.stdout, done.stderr


class Load:
    """Threads that set keys of their own, each through one node, and know what was acknowledged."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.begun = set()
        self.acknowledged = set()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._write, args=(n,)) for n in cluster.nodes]
        for thread in self.threads:
            thread.start()

    def _write(self, node_id):
        number = 0
        while not self.stopping.is_set():
            number += 1
            key = f"load/{node_id}.{number}"
            self.begun.add(key)
            try:
                with self.cluster[node_id].client(10) as client:
                    client.set(key, key)
                self.acknowledged.add(key)
            except (CallError, OSError, EOFError, ProtocolError):
                time.sleep(0.05)  # the node is being hurt

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def fill(node, megabytes):
    """Values that do not compress, so that a snapshot is about as large."""
    with node.client(60) as client:
        for number in range(megabytes * 16):
            client.set(f"fill/{number:05}", os.urandom(32 * 1024).hex())


class Backup(unittest.TestCase):
    def restored(self, cluster, path):
        """A cluster of three, the first of which has the backup."""
        code, out, error = backup("restore", path, "--data", cluster[1].data_path, "--node-id", "1",
                                  "--address", cluster[1].endpoint)
        self.assertEqual(code, 0, error)
        self.assertIn("a new one", out)
        cluster.start()
        return dict(map(tuple, cluster.replicas()))

    def save(self, path, nodes, *options):
        code, out, error = backup("save", "--from", ",".join(node.endpoint for node in nodes),
                                  *options, path)
        self.assertEqual(code, 0, error)
        return dict(line.split(":", 1) for line in out.splitlines() if "member" not in line), error

    def check_contents(self, data, before, begun):
        load = {key for key in data if key.startswith("load/")}
        self.assertEqual(before - load, set(), "acknowledged before the backup, and not in it")
        self.assertEqual(load - begun, set())
        self.assertTrue(all(data[key] == key for key in load))

    def new_cluster(self, old):
        """Of three nodes with folders in the old one's."""
        cluster = Cluster(0)
        shutil.rmtree(cluster.folder)
        cluster.folder = os.path.join(old.folder, "new")
        for _ in range(3):
            cluster.add()
        os.makedirs(cluster[1].folder)
        return cluster

    def test_a_cluster_under_load_is_saved_and_another_made_from_it(self):
        with Cluster(3) as old:
            old.start()
            path = os.path.join(old.folder, "backup")
            load = Load(old)
            try:
                wait_until(lambda: len(load.acknowledged) > 100, "some writes")
                before = set(load.acknowledged)
                said, _ = self.save(path, [old[2], old[1]])
                begun = set(load.begun)
            finally:
                load.stop()
            self.assertEqual(said["node"].strip(), "2")
            code, out, error = backup("verify", path)
            self.assertEqual(code, 0, error)
            self.assertIn(said["cluster"].strip(), out)
            self.assertEqual(out.count("member:"), 3)
            code, _, error = backup("save", "--from", old[1].endpoint, path)
            self.assertEqual(code, 1)
            self.assertIn("not empty", error)
            with self.new_cluster(old) as new:  # while the old one runs
                data = self.restored(new, path)
                self.check_contents(data, before, begun)
                with new[3].client() as client:
                    client.set("after", "1")
                with new[2].client() as client:
                    self.assertEqual(client.get("after"), "1")
                old.wait_settled()
                with old[1].client() as client:
                    self.assertIsNone(client.get("after"))

    def test_the_node_that_gives_a_backup_is_killed(self):
        with Cluster(3) as old:
            old.start()
            fill(old[1], 8)
            giver = old.leader()
            others = [node for node in old.nodes.values() if node is not giver]
            path = os.path.join(old.folder, "backup")
            load = Load(old)
            killer = threading.Thread(target=self.kill_half_way, args=(giver,))
            try:
                wait_until(lambda: len(load.acknowledged) > 50, "some writes")
                before = set(load.acknowledged)
                killer.start()
                said, told = self.save(path, [giver, *others], "--bytes-per-s", str(2 << 20))
                begun = set(load.begun)
            finally:
                load.stop()
                killer.join()
            self.assertFalse(giver.running)
            self.assertNotEqual(said["node"].strip(), str(giver.id), told)
            with self.new_cluster(old) as new:
                data = self.restored(new, path)
                self.check_contents(data, before, begun)
                self.assertEqual(len([key for key in data if key.startswith("fill/")]), 8 * 16)

    def kill_half_way(self, node):
        wait_until(lambda: (node.counter("backup_bytes_sent_total") or 0) > 2 << 20, "2 MiB are sent")
        node.kill()

    def test_rockraft_backup_is_killed_and_goes_on(self):
        with Cluster(1) as old:
            old.start()
            fill(old[1], 12)
            path = os.path.join(old.folder, "backup")
            command = [backup_program(), "save", "--from", old[1].endpoint, "--bytes-per-s",
                       str(3 << 20), path]
            first = spawn(command, subprocess.DEVNULL)
            wait_until(lambda: (old[1].counter("backup_bytes_sent_total") or 0) > 5 << 20, "5 MiB are sent")
            end(first)
            self.assertFalse(os.path.exists(path))
            sent = old[1].counter("backup_bytes_sent_total")
            said, _ = self.save(path, [old[1]])
            again = old[1].counter("backup_bytes_sent_total") - sent
            size = int(said["size"].split()[0])
            self.assertGreater(size, 11 << 20)
            self.assertLess(again, size - (3 << 20), "what was there was sent again")
            code, _, error = backup("verify", path)
            self.assertEqual(code, 0, error)


class CommandLine(unittest.TestCase):
    def test_what_is_wrong_is_said_and_nothing_is_done(self):
        for arguments, word in [
            ([], "save, verify or restore"),
            (["burn", "x"], "unknown command burn"),
            (["save", "x"], "--from"),
            (["save", "--from", "a:1"], "directory is missing"),
            (["save", "--from", "a:1", "x", "y"], "one directory"),
            (["save", "--from", "a:1,,b:2", "x"], "--from"),
            (["save", "--from", "a:1", "x", "--timeout", "soon"], "--timeout"),
            (["save", "--from", "a:1", "x", "--node-id", "1"], "--node-id"),
            (["save", "--from", "nowhere", "x"], "is no address"),
            (["restore", "x", "--data", "y", "--node-id", "1"], "--address"),
            (["restore", "x", "--data", "y", "--address", "a:1", "--node-id", "0"], "--node-id"),
            (["verify"], "directory is missing"),
        ]:
            code, out, error = backup(*arguments)
            self.assertEqual((code, out), (2, ""), arguments)
            self.assertIn(word, error)
            self.assertEqual(len(error.splitlines()), 1)

    def test_help_and_version(self):
        for arguments in (["--help"], ["save", "--help"], ["-h"]):
            code, out, error = backup(*arguments)
            self.assertEqual((code, error), (0, ""))
            self.assertIn("--from LIST", out)
        self.assertRegex(backup("--version")[1], r"^rockraft-backup \d+\.\d+\.\d+$")


if __name__ == "__main__":
    suite.main()
