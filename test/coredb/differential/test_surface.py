#!/usr/bin/env python3
# ctest: timeout=180
"""What commands say of themselves, and the fixed answers of commands on the server, as redis-server's.

COMMAND INFO of every command of coredb that Redis has too, COMMAND GETKEYS, HELP texts aside: arguments
that are refused, by their texts. DIFFERENTIAL_REDIS=1 compares redis-server with itself.
"""

import os
import sys
import unittest
from contextlib import closing

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import coredb_cluster  # noqa: E402 (the path must be set first)
import differences  # noqa: E402
from compare import elements  # noqa: E402
from resp import is_error, to_bytes  # noqa: E402
from runner import Client, show  # noqa: E402

# They tell Redis's own parts what to do, not clients.
UNTOLD_FLAGS = (b"skip_slowlog", b"no_mandatory_keys", b"may_replicate", b"skip_monitor", b"no_async_loading")
AGAINST_REDIS = bool(os.environ.get("DIFFERENTIAL_REDIS"))

# Each is sent to both on its own connection; replies must be the same.
EXACT = """
CLIENT | CLIENT NOSUCH | CLIENT ID x | CLIENT SETNAME | CLIENT SETNAME "a b" | CLIENT SETNAME ok
CLIENT GETNAME | CLIENT KILL | CLIENT KILL 1.1.1.1:1 | CLIENT KILL ID abc | CLIENT KILL ID 0
CLIENT KILL ID 99999999 | CLIENT KILL TYPE bad | CLIENT KILL ADDR 1.1.1.1:1
CLIENT KILL LADDR 1.1.1.1:1 | CLIENT KILL SKIPME bad | CLIENT KILL USER nobody | CLIENT KILL FOO bar
CLIENT KILL ID | CLIENT LIST TYPE bad | CLIENT LIST ID | CLIENT LIST ID abc | CLIENT LIST TYPE
CLIENT LIST FOO x | CLIENT LIST TYPE replica | CLIENT REPLY | CLIENT REPLY bad | CLIENT REPLY ON
CLIENT PAUSE | CLIENT PAUSE abc | CLIENT PAUSE -1 | CLIENT PAUSE 0 bad | CLIENT PAUSE 0 | CLIENT UNPAUSE
CLIENT UNBLOCK | CLIENT UNBLOCK abc | CLIENT UNBLOCK 99999999 | CLIENT UNBLOCK 1 BAD | CLIENT NO-EVICT
CLIENT NO-EVICT bad | CLIENT NO-EVICT on | CLIENT NO-EVICT off | CLIENT INFO x | CLIENT GETREDIR
CLIENT TRACKINGINFO x | CLIENT TRACKINGINFO | CLIENT TRACKING | CLIENT TRACKING OFF | CLIENT TRACKING BAD
CLIENT TRACKING OFF x | CLIENT CACHING | CLIENT CACHING yes | CONFIG | CONFIG NOSUCH | CONFIG GET
CONFIG SET | CONFIG SET maxmemory | CONFIG SET nosuch 1 | CONFIG GET nosuch | CONFIG SET maxclients abc
CONFIG SET hash-max-listpack-entries abc | CONFIG SET hash-max-listpack-entries 256
CONFIG GET hash-max-listpack-entries | CONFIG GET hash-max-ziplist-entries
CONFIG SET slowlog-log-slower-than x | CONFIG SET maxmemory-policy bad | CONFIG GET maxmemory-policy
CONFIG SET timeout -1 | CONFIG GET timeout | CONFIG SET timeout 0 timeout 1
CONFIG SET timeout 0 nosuch 1 | CONFIG SET notify-keyspace-events KEA
CONFIG GET notify-keyspace-events | CONFIG SET notify-keyspace-events bad!
CONFIG SET notify-keyspace-events "" | CONFIG RESETSTAT | CONFIG RESETSTAT x | CONFIG REWRITE x
CONFIG GET save | CONFIG GET appendonly | CONFIG SET hz 100000 | CONFIG SET appendonly maybe
CONFIG SET maxmemory-policy ALLKEYS-LRU | CONFIG GET maxmemory-policy | CONFIG SET maxmemory-policy noeviction
CONFIG SET maxmemory 1x | CONFIG SET maxmemory -1 | CONFIG SET maxmemory "" | CONFIG SET maxmemory 1gb
CONFIG GET maxmemory | CONFIG SET maxmemory 0 | CONFIG SET repl-backlog-size 0 | CONFIG SET appendfsync x
CONFIG SET proto-max-bulk-len 5 | CONFIG SET proto-max-bulk-len 99999999999999999999 | CONFIG SET hz abc
CONFIG SET maxmemory-samples 0 | CONFIG SET active-expire-effort 11 | CONFIG SET save-nosuch x
CONFIG SET replicaof "a 1" | CONFIG SET databases 5 | CONFIG GET slave-priority | CONFIG SET slave-priority -1
CONFIG SET client-output-buffer-limit "normal 1 2" | CONFIG SET client-output-buffer-limit "bad 1 2 3"
CONFIG SET client-output-buffer-limit "normal x 2 3" | CONFIG SET client-output-buffer-limit ""
CONFIG SET client-output-buffer-limit "pubsub 64mb 16mb 90" | CONFIG GET client-output-buffer-limit
CONFIG SET maxmemory-policy noeviction hz x | CONFIG GET databases | CONFIG SET slowlog-max-len -1 | COMMAND NOSUCH | COMMAND COUNT x
COMMAND GETKEYS | COMMAND GETKEYS NOSUCH x | COMMAND GETKEYS PING | COMMAND GETKEYS GET
COMMAND GETKEYS GET a | COMMAND GETKEYS MSET a 1 b 2 | COMMAND GETKEYS EVAL x 2 a b c
COMMAND GETKEYS EVAL x 9 a | COMMAND GETKEYS SORT l BY w* GET o* STORE d
COMMAND GETKEYS ZUNIONSTORE d 2 a b WEIGHTS 1 2 | COMMAND GETKEYS XREAD COUNT 1 STREAMS a b 0 0
COMMAND GETKEYS XREADGROUP GROUP g c STREAMS a > | COMMAND GETKEYS LMPOP 2 a b LEFT
COMMAND GETKEYS BZMPOP 0 1 a MIN | COMMAND GETKEYS COPY a b | COMMAND GETKEYS BITOP AND d a b
COMMAND GETKEYS SINTERCARD 2 a b | COMMAND GETKEYS GEORADIUS g 0 0 1 m STORE d
COMMAND GETKEYS OBJECT ENCODING a | COMMAND GETKEYS XINFO STREAM x | COMMAND GETKEYS XGROUP CREATE x g 0
COMMAND GETKEYS MEMORY USAGE k | COMMAND GETKEYS BLPOP a b 0 | COMMAND GETKEYS MIGRATE
COMMAND GETKEYS SET a 1 | COMMAND GETKEYS PFMERGE d a b | COMMAND GETKEYSANDFLAGS SET a 1
COMMAND GETKEYSANDFLAGS SET a 1 GET | COMMAND GETKEYSANDFLAGS BITFIELD a GET u8 0
COMMAND GETKEYSANDFLAGS BITFIELD a SET u8 0 1 | COMMAND GETKEYS SORT l LIMIT 0 1 STORE a STORE b
COMMAND GETKEYSANDFLAGS LMOVE a b LEFT RIGHT | COMMAND GETKEYSANDFLAGS GETEX a
COMMAND GETKEYSANDFLAGS NOSUCH a | COMMAND GETKEYSANDFLAGS SORT l STORE d
COMMAND GETKEYSANDFLAGS XADD x * f v | COMMAND GETKEYSANDFLAGS ZUNIONSTORE d 1 a
COMMAND GETKEYSANDFLAGS PING | COMMAND INFO nosuch | COMMAND LIST FILTERBY | COMMAND LIST FILTERBY BAD x
COMMAND LIST FILTERBY PATTERN nosuch* | COMMAND DOCS nosuch | COMMAND LIST FILTERBY MODULE x
COMMAND LIST FILTERBY PATTERN xa* | COMMAND LIST FILTERBY ACLCAT bad | COMMAND LIST FILTERBY ACLCAT bitmap
COMMAND LIST FILTERBY PATTERN xgroup*d* | COMMAND LIST FILTERBY ACLCAT geo
OBJECT | OBJECT NOSUCH x | OBJECT FREQ nokey | OBJECT IDLETIME nokey | OBJECT ENCODING nokey
OBJECT REFCOUNT nokey | OBJECT HELP x | MEMORY | MEMORY NOSUCH | MEMORY USAGE | MEMORY USAGE nokey
MEMORY USAGE nokey SAMPLES 5 | MEMORY USAGE k SAMPLES abc | MEMORY USAGE k SAMPLES -1
MEMORY USAGE k BAD 1 | SLOWLOG | SLOWLOG NOSUCH | SLOWLOG GET abc | SLOWLOG GET -2 | SLOWLOG GET 0
SLOWLOG RESET | SLOWLOG LEN x | LATENCY | LATENCY NOSUCH | LATENCY RESET | LATENCY HISTORY x
LATENCY LATEST | PUBSUB | PUBSUB NOSUCH | PUBSUB CHANNELS | PUBSUB NUMSUB | PUBSUB NUMSUB a b
PUBSUB NUMPAT | PUBSUB NUMPAT x | PUBSUB SHARDCHANNELS | PUBSUB SHARDNUMSUB a | PUBLISH | PUBLISH a
PUBLISH a b | SUBSCRIBE | UNSUBSCRIBE | PUNSUBSCRIBE | UNSUBSCRIBE a | SPUBLISH a b | AUTH | AUTH x
AUTH a b c | AUTH default x | AUTH nobody x | HELLO abc | HELLO 1 | HELLO 4 | HELLO 2 BAD
HELLO 2 SETNAME | HELLO 2 SETNAME "a b" | HELLO 3 AUTH x | HELLO 2 AUTH nobody x | ECHO | ECHO a b
PING a b | PING a | SELECT | SELECT abc | SELECT 16 | SELECT -1 | SELECT 99999999999999999999 | SELECT 1
RESET | RESET x | QUIT x | SWAPDB 0 | SWAPDB a 1 | SWAPDB 0 b | SWAPDB 0 16 | SWAPDB 0 1 | FLUSHALL BAD
FLUSHDB BAD | FLUSHALL ASYNC | FLUSHALL SYNC | FLUSHDB ASYNC | DBSIZE x | TIME x | WAIT | WAIT a 0
WAIT 0 a | WAIT 0 -1 | WAIT 0 0 | MULTI x | EXEC | DISCARD | UNWATCH | WATCH | SHUTDOWN BAD
SHUTDOWN NOSAVE SAVE | SHUTDOWN ABORT | SHUTDOWN ABORT NOW | DEBUG | DEBUG NOSUCH | LOLWUT VERSION | EVAL | EVAL x
EVAL "return 1" | EVAL "return 1" -1 | EVAL "return 1" abc | EVAL "return 1" 2 a | EVAL "return 1" 0
EVALSHA x 0 | EVALSHA ffffffffffffffffffffffffffffffffffffffff 0 | SCRIPT | SCRIPT NOSUCH
SCRIPT EXISTS | SCRIPT EXISTS x y | SCRIPT LOAD | SCRIPT LOAD "return 1" | SCRIPT FLUSH BAD
SCRIPT FLUSH | SCRIPT KILL | FUNCTION | FUNCTION NOSUCH | FUNCTION FLUSH BAD
FUNCTION FLUSH | FUNCTION KILL | XGROUP | XGROUP NOSUCH | XINFO
XINFO NOSUCH x | XINFO STREAM | XGROUP CREATE x | ASKING | CLUSTER INFO | ROLE x
CLUSTER | CLUSTER KEYSLOT a | CLUSTER HELP | ASKING x | SLOWLOG GET x y | SLOWLOG RESET x | SLOWLOG LEN
LATENCY RESET nosuch | LATENCY HISTORY nosuch | LATENCY GRAPH nosuch | LATENCY GRAPH | LATENCY DOCTOR x
LATENCY HISTOGRAM nosuch | MEMORY DOCTOR x | MEMORY STATS x | MEMORY PURGE | MEMORY PURGE x
MEMORY MALLOC-STATS x | ACL | ACL NOSUCH | ACL WHOAMI | ACL WHOAMI x | ACL LIST | ACL USERS | ACL CAT
ACL CAT nosuch | ACL CAT a b | ACL GETUSER | ACL GETUSER default | ACL GETUSER nobody | ACL LOG 1 2 | ACL LOG x
ACL LOG RESET | ACL GENPASS 0 | ACL GENPASS 4097 | ACL GENPASS x | ACL GENPASS 1 2 | ACL SETUSER | ACL DELUSER
ACL CAT geo | ACL CAT hash | ACL CAT Stream | MODULE | MODULE LIST | MODULE NOSUCH | MODULE LIST x | MODULE UNLOAD
REPLICAOF NO ONE | REPLICAOF | REPLICAOF a | REPLICAOF a b | REPLICAOF a 99999 | SLAVEOF NO ONE
FAILOVER ABORT | LOLWUT
"""


def commands():
    """The lines above, as redis-cli would split them."""
    import shlex
    for piece in EXACT.replace("\n", " | ").split("|"):
        if piece.strip():
            yield tuple(to_bytes(word) for word in shlex.split(piece.replace("\\n", "\n").replace("\\\n",
                                                                                                  "\n")))


def normalised(reply):
    """Sets without their order, deeply."""
    if type(reply) is list:
        return [normalised(item) for item in reply]
    if type(reply) is tuple and reply[0] == "~":
        return ("~", sorted((normalised(item) for item in reply[1]), key=repr))
    return reply


@unittest.skipUnless(AGAINST_REDIS or coredb_cluster.coredb_program(), "coredb is not built")
class Surface(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.group = coredb_cluster.Group()
        other = cls.group.redis() if AGAINST_REDIS else cls.group.coredb()[0]
        cls.ports = [cls.group.redis().port, other.port]

    @classmethod
    def tearDownClass(cls):
        cls.group.close()

    def connect(self, index):
        return closing(Client(coredb_cluster.HOST, self.ports[index], 20))

    def both(self, *command):
        replies = []
        for index in (0, 1):
            with self.connect(index) as client:
                replies.append(client.call(*command))
        return replies

    def test_fixed_answers(self):
        for command in commands():
            a, b = self.both(*command)
            if command[:2] in ((b"COMMAND", b"LIST"), (b"ACL", b"CAT")) and type(a) is list is type(b):
                a, b = sorted(a), sorted(b)
            if not differences.explains(command, a, b):
                with self.subTest(show(command)):
                    self.assertEqual(normalised(b), normalised(a))

    def names(self):
        have = []
        for index in (0, 1):
            with self.connect(index) as client:
                have.append(set(client.call("COMMAND", "LIST")))
        return have

    def test_commands_describe_themselves_alike(self):
        redis_names, names = self.names()
        self.assertGreater(len(redis_names & names), 180)
        with self.connect(0) as first, self.connect(1) as second:
            for client in (first, second):
                client.call("HELLO", "3")
            for name in sorted(redis_names & names):
                a, b = (client.call("COMMAND", "INFO", name) for client in (first, second))
                with self.subTest(name.decode()):
                    self.assertEqual(self.described(b[0], redis_names & names), self.described(a[0], redis_names & names))

    def described(self, reply, known):
        """What clients go by: name, arity, flags, where keys are, and of the subcommands those that both know.

        Tips are left out: they are about clusters of shards.
        """
        fields = ("name", "arity", "flags", "first", "last", "step", "categories", "tips", "keys", "subcommands")
        made = dict(zip(fields, reply))
        names = [elements(sub)[0] for sub in elements(made["subcommands"])]
        specs = [dict(zip(elements(spec)[::2], elements(spec)[1::2])) for spec in elements(made["keys"])]
        return {
            "name": made["name"], "arity": made["arity"], "range": (made["first"], made["last"], made["step"]),
            "categories": sorted(elements(made["categories"])),
            "flags": sorted(flag[1] for flag in elements(made["flags"]) if flag[1] not in UNTOLD_FLAGS),
            "keys": [normalised([spec[key] for key in (b"flags", b"begin_search", b"find_keys")]) for spec in specs],
            "subcommands": sorted(name for name in names if name in known)}

    def test_documents_have_the_same_frame(self):
        redis_names, names = self.names()
        with self.connect(0) as first, self.connect(1) as second:
            for name in sorted(redis_names & names):
                frames = []
                for client in (first, second):
                    reply = client.call("COMMAND", "DOCS", name)
                    self.assertFalse(is_error(reply), name)
                    entry = dict(zip(elements(elements(reply)[1])[::2], elements(elements(reply)[1])[1::2]))
                    frames.append({key: entry.get(key) for key in (b"since", b"group")})
                    self.assertTrue(entry[b"summary"])
                with self.subTest(name.decode()):
                    self.assertEqual(frames[1], frames[0])


def main():
    if coredb_cluster.redis_program() is None:
        print("skipped: redis-server is not installed")
        sys.exit(coredb_cluster.SKIPPED)
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
