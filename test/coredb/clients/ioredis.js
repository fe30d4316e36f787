// ioredis: one client through the first node, a second one through another where two are needed.
"use strict";
const assert = require("node:assert");
const Redis = require("ioredis");
const { ports, order, until, run } = require("./harness.js");

const connect = (node = 0, options = {}) => new Redis({ port: ports[node], maxRetriesPerRequest: null, ...options });
const redis = connect();
const other = connect(1);

const tests = {
    async "strings, numbers and expiry"() {
        assert.strictEqual(await redis.set("io:s", "v", "EX", 1000, "NX"), "OK");
        assert.strictEqual(await redis.set("io:s", "w", "NX"), null);
        assert.strictEqual(await other.get("io:s"), "v");
        assert.ok((await other.ttl("io:s")) > 990);
        assert.strictEqual(await redis.incrby("io:n", 41), 41);
        assert.strictEqual(await other.incr("io:n"), 42);
        assert.strictEqual(await redis.incrbyfloat("io:f", 0.1), "0.1");
        const bytes = Buffer.from([0, 255, 13, 10, 36]);
        await redis.set("io:b", bytes);
        assert.ok((await other.getBuffer("io:b")).equals(bytes));
        await redis.set("io:x", "v", "PX", 30);
        await until(async () => (await other.exists("io:x")) === 0, "the key expires");
    },

    async "hashes, lists, sets and sorted sets"() {
        await redis.hset("io:h", { a: 1, b: "two", c: "" });
        assert.deepStrictEqual(await other.hgetall("io:h"), { a: "1", b: "two", c: "" });
        await redis.rpush("io:l", 1, 2, 3);
        assert.deepStrictEqual(await other.lrange("io:l", 0, -1), ["1", "2", "3"]);
        assert.strictEqual(await other.lmove("io:l", "io:l2", "LEFT", "RIGHT"), "1");
        await redis.sadd("io:t", "x", "y", "x");
        assert.deepStrictEqual((await other.smembers("io:t")).sort(), ["x", "y"]);
        await redis.zadd("io:z", 2, "b", 1, "a", 2.5, "c");
        assert.deepStrictEqual(await other.zrange("io:z", 0, -1, "WITHSCORES"), ["a", "1", "b", "2", "c", "2.5"]);
        assert.deepStrictEqual(await other.zrangebyscore("io:z", "(1", "+inf"), ["b", "c"]);
        assert.deepStrictEqual(await redis.geoadd("io:g", 13.361389, 38.115556, "Palermo"), 1);
    },

    async "streams and consumer groups"() {
        const first = await redis.xadd("io:x1", "*", "f", "1");
        const second = await redis.xadd("io:x1", "*", "f", "2");
        await other.xgroup("CREATE", "io:x1", "group", "0");
        const [[, entries]] = await other.xreadgroup("GROUP", "group", "me", "COUNT", 10, "STREAMS", "io:x1", ">");
        assert.deepStrictEqual(entries, [[first, ["f", "1"]], [second, ["f", "2"]]]);
        assert.strictEqual(await redis.xack("io:x1", "group", first), 1);
        const [count, low] = await redis.xpending("io:x1", "group");
        assert.deepStrictEqual([count, low], [1, second]);
    },

    async "pipelines keep their order"() {
        const pipeline = redis.pipeline();
        for (let i = 0; i < 500; i++) {
            pipeline.rpush("io:order", i).lindex("io:order", -1);
        }
        pipeline.set("io:notalist", "v").lpush("io:notalist", "x");
        const replies = await pipeline.exec();
        for (let i = 0; i < 500; i++) {
            assert.deepStrictEqual(replies[2 * i], [null, i + 1]);
            assert.deepStrictEqual(replies[2 * i + 1], [null, String(i)]);
        }
        assert.match(replies[1001][0].message, /^WRONGTYPE/);
    },

    async "a transaction is refused when its watched key changed"() {
        await redis.set("io:w", 1);
        await redis.watch("io:w");
        await other.set("io:w", 2);
        assert.strictEqual(await redis.multi().set("io:w", 3).exec(), null);
        assert.strictEqual(await other.get("io:w"), "2");
        await redis.watch("io:w");
        assert.deepStrictEqual(await redis.multi().incr("io:w").get("io:w").exec(), [[null, 3], [null, "3"]]);
        await assert.rejects(redis.multi().call("NOSUCHCOMMAND").set("io:w", 9).exec(), /EXECABORT/);
        assert.strictEqual(await redis.get("io:w"), "3");
    },

    async "transfers between accounts lose nothing"() {
        await redis.mset("io:from", 1000, "io:to", 0);
        const transfer = async (node) => {
            const client = connect(node % ports.length);
            for (let done = 0; done < 20;) {
                await client.watch("io:from", "io:to");
                const [from, to] = (await client.mget("io:from", "io:to")).map(Number);
                const result = await client.multi().set("io:from", from - 1).set("io:to", to + 1).exec();
                done += result !== null;
            }
            client.disconnect();
        };
        await Promise.all([0, 1, 2].map(transfer));
        assert.deepStrictEqual(await redis.mget("io:from", "io:to"), ["940", "60"]);
    },

    async "a blocked client is woken through another node"() {
        const blocked = connect();
        const id = await blocked.client("ID");
        const reply = blocked.blpop("io:q1", "io:q2", 30);
        await until(async () => new RegExp(`id=${id} .*flags=b`).test(await redis.client("LIST")), "it blocks");
        await other.lpush("io:q2", "job");
        assert.deepStrictEqual(await reply, ["io:q2", "job"]);
        assert.strictEqual(await blocked.blpop("io:q1", 0.05), null);
        blocked.disconnect();
    },

    async "messages reach subscribers of every node"() {
        const subscriber = connect(1);
        const got = [];
        subscriber.on("message", (channel, message) => got.push([channel, message]));
        subscriber.on("pmessage", (pattern, channel, message) => got.push([pattern, channel, message]));
        assert.strictEqual(await subscriber.subscribe("io:news"), 1);
        assert.strictEqual(await subscriber.psubscribe("io:n*"), 2);
        await redis.publish("io:news", "hello");
        await until(() => got.length >= 2, "the messages");
        assert.deepStrictEqual(got.sort(), [["io:n*", "io:news", "hello"], ["io:news", "hello"]]);
        await subscriber.unsubscribe("io:news");
        await subscriber.punsubscribe("io:n*");
        assert.strictEqual(await subscriber.ping(), "PONG");
        subscriber.disconnect();
    },

    async "scan streams return every key"() {
        const names = Array.from({ length: 300 }, (_, i) => `io:scan:${i}`);
        await redis.mset(...names.flatMap((name) => [name, 1]));
        const found = new Set();
        for await (const keys of other.scanStream({ match: "io:scan:*", count: 20 })) {
            keys.forEach((key) => found.add(key));
        }
        assert.deepStrictEqual([...found].sort(), names.sort());
        await redis.zadd("io:zscan", ...names.flatMap((name, i) => [i, name]));
        let pairs = 0;
        for await (const items of other.zscanStream("io:zscan")) {
            pairs += items.length / 2;
        }
        assert.strictEqual(pairs, 300);
    },

    async "scripts by source and by digest"() {
        redis.defineCommand("addtwice", {
            numberOfKeys: 1,
            lua: "redis.call('INCRBY', KEYS[1], ARGV[1]) return redis.call('INCRBY', KEYS[1], ARGV[1])",
        });
        assert.strictEqual(await redis.addtwice("io:script", 4), 8);
        assert.strictEqual(await redis.addtwice("io:script", 1), 10);
        const reply = await other.eval("return {1, 'two', {3, false}, redis.status_reply('FINE')}", 0);
        assert.deepStrictEqual(reply, [1, "two", [3, null], "FINE"]);
        await assert.rejects(other.evalsha("f".repeat(40), 0), /NOSCRIPT/);
        await assert.rejects(other.eval("return redis.call('INCR', KEYS[1])", 1, "io:h"), /WRONGTYPE/);
    },

    async "RESP3"() {
        const client = connect(1, { protocol: 3 });
        await client.hset("io:h3", "f", "v");
        assert.deepStrictEqual(await client.hgetall("io:h3"), { f: "v" });
        assert.deepStrictEqual(await client.zadd("io:z3", 1.5, "m"), 1);
        assert.strictEqual(Number(await client.zscore("io:z3", "m")), 1.5);
        client.disconnect();
    },

    async "the client goes on when its node comes back"() {
        await redis.set("io:kept", "before");
        await order("kill", 0);
        // The other clients do not notice.
        assert.strictEqual(await other.get("io:kept"), "before");
        await other.set("io:kept", "meanwhile");
        const waiting = redis.get("io:kept");
        await order("start", 0);
        assert.strictEqual(await waiting, "meanwhile");
        await redis.set("io:kept", "after");
        assert.strictEqual(await other.get("io:kept"), "after");
    },
};

// A lost connection is part of the tests.
for (const client of [redis, other]) {
    client.on("error", () => {});
}
run(tests);
