// BullMQ: queues whose jobs are added through one node and worked on through others. It is made of Lua
// scripts, blocking commands, streams and sorted sets.
"use strict";
const assert = require("node:assert");
const { FlowProducer, Queue, QueueEvents, Worker } = require("bullmq");
const { ports, order, until, run } = require("./harness.js");

const connection = (node) => ({ host: "127.0.0.1", port: ports[node], maxRetriesPerRequest: null });
const quiet = (thing) => thing.on("error", () => {}) && thing;

const tests = {
    async "jobs are each worked on once"() {
        const queue = quiet(new Queue("once", { connection: connection(0) }));
        const seen = [];
        const workers = [0, 1, 2].map((node) => quiet(new Worker("once", async (job) => {
            seen.push(job.data.number);
            return job.data.number * 2;
        }, { connection: connection(node), concurrency: 4 })));
        await queue.addBulk(Array.from({ length: 200 }, (_, number) => ({ name: "job", data: { number } })));
        await until(async () => (await queue.getCompletedCount()) === 200, "all are completed");
        assert.deepStrictEqual(seen.sort((a, b) => a - b), Array.from({ length: 200 }, (_, i) => i));
        const [job] = await queue.getCompleted(0, 0);
        assert.strictEqual(job.returnvalue, job.data.number * 2);
        await Promise.all(workers.map((worker) => worker.close()));
        await queue.obliterate();
        await queue.close();
    },

    async "a job that fails is tried again"() {
        const queue = quiet(new Queue("retry", { connection: connection(1) }));
        const worker = quiet(new Worker("retry", async (job) => {
            if (job.attemptsMade < 2) {
                throw new Error("not yet");
            }
            return "done";
        }, { connection: connection(2) }));
        const events = quiet(new QueueEvents("retry", { connection: connection(0) }));
        await events.waitUntilReady();
        const job = await queue.add("job", {}, { attempts: 3, backoff: { type: "fixed", delay: 20 } });
        assert.strictEqual(await job.waitUntilFinished(events, 30000), "done");
        const hopeless = await queue.add("job", {}, { attempts: 1 });
        await assert.rejects(hopeless.waitUntilFinished(events, 30000), /not yet/);
        assert.deepStrictEqual(await queue.getJobCounts("completed", "failed"), { completed: 1, failed: 1 });
        await Promise.all([worker.close(), events.close(), queue.close()]);
    },

    async "delays and priorities are kept"() {
        const queue = quiet(new Queue("order", { connection: connection(2) }));
        await queue.addBulk([5, 1, 3].map((priority) => ({ name: `p${priority}`, data: {}, opts: { priority } })));
        const done = [];
        const worker = quiet(new Worker("order", async (job) => done.push(job), { connection: connection(0) }));
        await until(() => done.length === 3, "those with a priority are done");
        assert.deepStrictEqual(done.map((job) => job.name), ["p1", "p3", "p5"]);
        await queue.add("delayed", {}, { delay: 300 });
        await until(() => done.length === 4, "the delayed one is done");
        assert.ok(done[3].processedOn >= done[3].timestamp + 300);
        await Promise.all([worker.close(), queue.close()]);
    },

    async "a repeated job comes again"() {
        const queue = quiet(new Queue("repeat", { connection: connection(0) }));
        let runs = 0;
        const worker = quiet(new Worker("repeat", async () => ++runs, { connection: connection(1) }));
        await queue.upsertJobScheduler("every", { every: 100 });
        await until(() => runs >= 3, "three runs");
        await queue.removeJobScheduler("every");
        await Promise.all([worker.close(), queue.close()]);
    },

    async "a flow's parent waits for its children"() {
        const flow = quiet(new FlowProducer({ connection: connection(0) }));
        const done = [];
        const worker = quiet(new Worker("flow", async (job) => {
            done.push(job.name);
            return Object.values(await job.getChildrenValues()).length;
        }, { connection: connection(1), concurrency: 2 }));
        const children = Array.from({ length: 5 }, (_, i) => ({ name: `child${i}`, queueName: "flow", data: {} }));
        await flow.add({ name: "parent", queueName: "flow", data: {}, children });
        await until(() => done.includes("parent"), "the parent is done");
        assert.strictEqual(done.length, 6);
        assert.strictEqual(done[5], "parent");
        await Promise.all([worker.close(), flow.close()]);
    },

    async "no job is lost when a node is killed"() {
        const queue = quiet(new Queue("kill", { connection: connection(0) }));
        const done = new Set();
        const worker = quiet(new Worker("kill", async (job) => {
            done.add(job.data.number);
        }, { connection: connection(2), concurrency: 2, stalledInterval: 1000, lockDuration: 2000 }));
        const jobs = (from) => Array.from({ length: 50 }, (_, i) => ({ name: "job", data: { number: from + i } }));
        await queue.addBulk(jobs(0));
        await until(() => done.size > 10, "some are done");
        await order("kill", 2);
        await queue.addBulk(jobs(50));
        await order("start", 2);
        await until(() => done.size === 100, "all are done");
        await Promise.all([worker.close(), queue.close()]);
    },
};

run(tests);
