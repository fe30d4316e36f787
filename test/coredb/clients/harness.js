// The frame of a client's tests: runs them one after the other and says how each ended. The ports of the
// nodes are in PORTS. What a test wants done to the nodes, it asks of the Python test that started it.
"use strict";
const readline = require("node:readline");

const ports = process.env.PORTS.split(",").map(Number);
const TEST_MS = 60000 * Number(process.env.SCALE || 1);
const answers = [];
const waiting = [];

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    if (waiting.length > 0) {
        waiting.shift()(line);
    } else {
        answers.push(line);
    }
});

// Has the node with this number killed or started; resolves when that has been done.
function order(what, node) {
    process.stdout.write(`@${what} ${node}\n`);
    return new Promise((resolve) => {
        if (answers.length > 0) {
            resolve(answers.shift());
        } else {
            waiting.push(resolve);
        }
    });
}

function within(promise, ms, what) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Asks until `condition` holds, for what no event tells.
async function until(condition, what) {
    const deadline = Date.now() + TEST_MS / 2;
    while (!(await condition())) {
        if (Date.now() > deadline) {
            throw new Error(`not in time: ${what}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
}

async function run(tests) {
    let failed = 0;
    for (const [name, test] of Object.entries(tests)) {
        const begin = Date.now();
        try {
            await within(test(), TEST_MS, name);
            console.log(`ok      ${name} (${Date.now() - begin} ms)`);
        } catch (error) {
            failed++;
            console.log(`FAILED  ${name}\n${error.stack}`);
        }
    }
    console.log(`${Object.keys(tests).length - failed} of ${Object.keys(tests).length} passed`);
    process.exit(failed ? 1 : 0);
}

process.on("unhandledRejection", (error) => {
    console.log(`FAILED  a promise that nobody waited for\n${error.stack}`);
    process.exit(1);
});

module.exports = { ports, order, until, run };
