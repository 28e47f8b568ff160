// BullMQ on a Redis server: `bullmq.mjs enqueue|work|latency|across|memory COUNT PORT`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { Queue, Worker } from "bullmq";

import { batches, print, rate } from "./print.mjs";

/** Jobs enqueued before the clock starts, so that scripts and code are warm. */
const WARM = 100;
const BATCH = 1_000;
const CONCURRENCY = 10;
/** Milliseconds between two jobs where times are measured: 25 a second. */
const PAUSE = 40;
/** The first jobs of those are not counted. */
const COLD = 10;

const [part, jobs, port] = process.argv.slice(2);
const count = Number(jobs);
const connection = { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null };

/** Microseconds of the clock that all processes read, as milliseconds. */
const now = () => performance.timeOrigin + performance.now();

async function withQueue(work) {
  const queue = new Queue("noop", { connection });
  await queue.waitUntilReady();
  const result = await work(queue);
  await queue.close();
  return result;
}

async function enqueue() {
  const speed = await withQueue(async (queue) => {
    for (let n = 0; n < WARM; n++) await queue.add("noop", { n });
    return rate(count, async () => {
      for (let n = 0; n < count; n++) await queue.add("noop", { n });
    });
  });
  print({ rate: speed });
}

async function fill(queue) {
  for (const batch of batches(count, BATCH)) {
    await queue.addBulk(batch.map((n) => ({ name: "noop", data: { n } })));
  }
}

/** A worker that tells when it has ended `wanted` jobs, which is when their outcome is stored. */
async function worker(handler, wanted) {
  const worker = new Worker("noop", handler, { connection, concurrency: CONCURRENCY, autorun: false });
  await worker.waitUntilReady();
  let left = wanted;
  const all = new Promise((resolve) => {
    worker.on("completed", () => {
      left -= 1;
      if (left === 0) resolve();
    });
  });
  return { worker, all };
}

async function work() {
  await withQueue(fill);
  const { worker: started, all } = await worker(async () => {}, count);
  const speed = await rate(count, async () => {
    started.run();
    await all;
  });
  await started.close();
  print({ rate: speed });
}

async function send(queue) {
  for (let n = 0; n < count + COLD; n++) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    await queue.add("noop", { at: now() });
  }
}

/** Times from the call that adds to the start of the handler. */
async function times(sender) {
  const seen = [];
  const { worker: started, all } = await worker(async (job) => {
    seen.push(now() - job.data.at);
  }, count + COLD);
  started.run();
  await sender();
  await all;
  await started.close();
  const sorted = seen.slice(COLD).sort((a, b) => a - b);
  const at = (part) => sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)];
  print({ p50: at(0.5), p99: at(0.99) });
}

/** This process works what another one adds. */
async function other() {
  const program = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [program, "send", jobs, port], { stdio: "inherit" });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`the other process ended with ${code}`);
}

/** MiB that working adds to a process that enqueues anyway. */
async function memory() {
  const resident = () => process.memoryUsage.rss() / 2 ** 20;
  await withQueue(async (queue) => {
    await fill(queue);
    const before = resident();
    const { worker: started, all } = await worker(async () => {}, count);
    started.run();
    await all;
    print({ MiB: resident() - before });
    await started.close();
  });
}

const parts = {
  enqueue,
  work,
  latency: () => times(() => withQueue(send)),
  across: () => times(other),
  send: () => withQueue(send),
  memory,
};
await parts[part]();
