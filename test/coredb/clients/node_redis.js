// node-redis (npm's "redis"), through the second node, and another one where two are needed.
"use strict";
const assert = require("node:assert");
const { createClient, WatchError } = require("redis");
const { ports, order, until, run } = require("./harness.js");

async function connect(node = 1, options = {}) {
    const client = createClient({ socket: { port: ports[node], host: "127.0.0.1" }, ...options });
    client.on("error", () => {});
    await client.connect();
    return client;
}

let redis;
let other;

const tests = {
    async "connecting"() {
        redis = await connect(1);
        other = await connect(2);
        assert.strictEqual(await redis.ping(), "PONG");
        await redis.clientSetName("tester");
        assert.strictEqual(await redis.clientGetName(), "tester");
        assert.ok((await redis.info("server")).includes("redis_version:"));
    },

    async "all types"() {
        assert.strictEqual(await redis.set("nr:s", "v", { EX: 1000 }), "OK");
        assert.strictEqual(await other.get("nr:s"), "v");
        assert.strictEqual(await redis.incrBy("nr:n", 5), 5);
        await redis.hSet("nr:h", { a: "1", b: "2" });
        assert.deepStrictEqual({ ...(await other.hGetAll("nr:h")) }, { a: "1", b: "2" });
        await redis.rPush("nr:l", ["a", "b", "c"]);
        assert.deepStrictEqual(await other.lRange("nr:l", 0, -1), ["a", "b", "c"]);
        await redis.sAdd("nr:t", ["x", "y"]);
        assert.deepStrictEqual([...(await other.sMembers("nr:t"))].sort(), ["x", "y"]);
        await redis.zAdd("nr:z", [{ score: 1.5, value: "a" }, { score: -1, value: "b" }]);
        assert.deepStrictEqual((await other.zRangeWithScores("nr:z", 0, -1)).map((e) => ({ ...e })),
            [{ value: "b", score: -1 }, { value: "a", score: 1.5 }]);
        assert.strictEqual(await redis.setBit("nr:b", 7, 1), 0);
        assert.strictEqual(await other.bitCount("nr:b"), 1);
        await redis.pfAdd("nr:p", ["a", "b", "c"]);
        assert.strictEqual(await other.pfCount("nr:p"), 3);
        await redis.geoAdd("nr:g", { longitude: 13.361389, latitude: 38.115556, member: "Palermo" });
        const [place] = await other.geoPos("nr:g", "Palermo");
        assert.ok(Math.abs(Number(place.longitude) - 13.361389) < 1e-5);
    },

    async "streams"() {
        const id = await redis.xAdd("nr:x", "*", { f: "1" });
        await redis.xGroupCreate("nr:x", "group", "0");
        const [stream] = await other.xReadGroup("group", "me", { key: "nr:x", id: ">" });
        assert.strictEqual(stream.messages[0].id, id);
        assert.deepStrictEqual({ ...stream.messages[0].message }, { f: "1" });
        assert.strictEqual((await other.xPending("nr:x", "group")).pending, 1);
        assert.strictEqual(await redis.xAck("nr:x", "group", id), 1);
        assert.strictEqual((await other.xInfoGroups("nr:x"))[0].pending, 0);
    },

    async "many commands in flight"() {
        const replies = await Promise.all(Array.from({ length: 1000 }, (_, i) =>
            i % 2 ? redis.get("nr:flight") : redis.set("nr:flight", String(i))));
        for (let i = 0; i < 1000; i += 2) {
            assert.strictEqual(replies[i], "OK");
            assert.strictEqual(replies[i + 1], String(i));
        }
    },

    async "transactions"() {
        const replies = await redis.multi().set("nr:m", "1").incr("nr:m").get("nr:m").exec();
        assert.deepStrictEqual(replies, ["OK", 2, "2"]);
        const own = await connect(1);
        await own.watch("nr:m");
        await other.set("nr:m", "5");
        await assert.rejects(own.multi().set("nr:m", "9").exec(), WatchError);
        assert.strictEqual(await redis.get("nr:m"), "5");
        await own.close();
    },

    async "blocking"() {
        const blocked = await connect(1);
        const id = await blocked.clientId();
        const reply = blocked.bzPopMin("nr:bz", 30);
        const list = () => redis.sendCommand(["CLIENT", "LIST"]);
        await until(async () => new RegExp(`id=${id} .*flags=b`).test(await list()), "it blocks");
        await other.zAdd("nr:bz", { score: 2, value: "m" });
        assert.deepStrictEqual({ ...(await reply) }, { key: "nr:bz", value: "m", score: 2 });
        const stream = blocked.xRead({ key: "nr:bx", id: "$" }, { BLOCK: 30000 });
        await until(async () => new RegExp(`id=${id} .*flags=b`).test(await list()), "it blocks again");
        await other.xAdd("nr:bx", "*", { f: "v" });
        assert.deepStrictEqual({ ...(await stream)[0].messages[0].message }, { f: "v" });
        await blocked.close();
    },

    async "publish and subscribe"() {
        const subscriber = await connect(2);
        const got = [];
        await subscriber.subscribe("nr:news", (message, channel) => got.push([channel, message]));
        await subscriber.pSubscribe("nr:*", (message, channel) => got.push([channel, message]));
        await redis.publish("nr:news", "hello");
        await until(() => got.length === 2, "both messages");
        assert.deepStrictEqual(got, [["nr:news", "hello"], ["nr:news", "hello"]]);
        await subscriber.unsubscribe("nr:news");
        await subscriber.pUnsubscribe("nr:*");
        await subscriber.close();
    },

    async "iterators"() {
        await redis.mSet(Array.from({ length: 200 }, (_, i) => [`nr:scan:${i}`, "v"]));
        const found = new Set();
        for await (const keys of other.scanIterator({ MATCH: "nr:scan:*", COUNT: 15 })) {
            [keys].flat().forEach((key) => found.add(key));
        }
        assert.strictEqual(found.size, 200);
        await redis.hSet("nr:hscan", Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`f${i}`, `v${i}`])));
        const fields = new Set();
        for await (const entries of other.hScanIterator("nr:hscan")) {
            [entries].flat().forEach(({ field }) => fields.add(field));
        }
        assert.strictEqual(fields.size, 200);
    },

    async "scripts"() {
        const script = "return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}";
        await redis.set("nr:script", "value");
        assert.deepStrictEqual(await other.eval(script, { keys: ["nr:script"], arguments: ["a"] }), ["nr:script", "a", "value"]);
        const digest = await redis.scriptLoad(script);
        assert.deepStrictEqual(await other.evalSha(digest, { keys: ["nr:script"], arguments: ["b"] }), ["nr:script", "b", "value"]);
    },

    async "RESP3 and its types"() {
        const client = await connect(2, { RESP: 3 });
        await client.hSet("nr:h3", { f: "v" });
        assert.deepStrictEqual({ ...(await client.hGetAll("nr:h3")) }, { f: "v" });
        await client.zAdd("nr:z3", { score: 0.5, value: "m" });
        assert.strictEqual(await client.zScore("nr:z3", "m"), 0.5);
        await client.close();
    },

    async "the client goes on when its node comes back"() {
        await redis.set("nr:kept", "before");
        await order("kill", 1);
        assert.strictEqual(await other.get("nr:kept"), "before");
        await other.set("nr:kept", "meanwhile");
        await order("start", 1);
        await until(async () => {
            try {
                return (await redis.get("nr:kept")) === "meanwhile";
            } catch {
                return false; // What was under way when the connection broke.
            }
        }, "the client is connected again");
        await redis.set("nr:kept", "after");
        assert.strictEqual(await other.get("nr:kept"), "after");
    },
};

run(tests);
