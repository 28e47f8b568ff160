// Queues of Node on a PostgreSQL server: `postgres.mjs enqueue|batches|work COUNT URL [AT ONCE]`.
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import PgBoss from "pg-boss";

import { batches, print, rate } from "./print.mjs";

/** Jobs enqueued before the clock starts, so that statements and code are warm. */
const WARM = 100;
const BATCH = 1_000;

const [part, jobs, connectionString, atOnce] = process.argv.slice(2);
const count = Number(jobs);
const concurrency = Number(atOnce ?? 1);
const schema = `peer_${process.pid}`;

/** graphile-worker on a fresh schema; `work` gets its utilities and its pool. */
async function graphile(work) {
  const pgPool = new pg.Pool({ connectionString });
  const tell = (error) => console.error(error);
  pgPool.on("error", tell);
  pgPool.on("connect", (client) => client.on("error", tell));
  const logger = new Logger(() => () => {});
  const utils = await makeWorkerUtils({ pgPool, schema: `graphile_${schema}`, logger });
  await utils.migrate();
  const result = await work(utils, { pgPool, schema: `graphile_${schema}`, logger, noHandleSignals: true });
  await utils.release();
  await pgPool.query(`DROP SCHEMA graphile_${schema} CASCADE`);
  await pgPool.end();
  return result;
}

/** pg-boss on a fresh schema, with a queue. */
async function boss(work) {
  const boss = new PgBoss({ connectionString, schema: `boss_${schema}` });
  await boss.start();
  await boss.createQueue("noop");
  const result = await work(boss);
  await boss.stop({ graceful: false });
  const client = new pg.Client({ connectionString });
  await client.connect();
  await client.query(`DROP SCHEMA boss_${schema} CASCADE`);
  await client.end();
  return result;
}

async function enqueue() {
  const oneByOne = async (add) => {
    for (let n = 0; n < WARM; n++) await add(n);
    return rate(count, async () => {
      for (let n = 0; n < count; n++) await add(n);
    });
  };
  print({
    "graphile-worker": await graphile((utils) => oneByOne((n) => utils.addJob("noop", { n }))),
    "pg-boss": await boss((boss) => oneByOne((n) => boss.send("noop", { n }))),
  });
}

async function addAll(utils) {
  for (const batch of batches(count, BATCH)) {
    await utils.addJobs(batch.map((n) => ({ identifier: "noop", payload: { n } })));
  }
}

async function inBatches() {
  print({ "graphile-worker": await graphile((utils) => rate(count, () => addAll(utils))) });
}

/** Works a full queue to its end, which is when the last outcome is stored. */
async function workGraphile(utils, options) {
  await addAll(utils);
  let done = 0;
  const noop = async () => {
    done += 1;
  };
  let runner;
  const speed = await rate(count, async () => {
    runner = await run({ ...options, concurrency, taskList: { noop } });
    for (;;) {
      if (done >= count) {
        const left = await options.pgPool.query(`SELECT 1 FROM ${options.schema}._private_jobs LIMIT 1`);
        if (left.rowCount === 0) return;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  });
  await runner.stop();
  return speed;
}

/**
 * Its own fetch and complete, without the pause of two seconds that its workers make between two fetches. What is in
 * work at once is fetched and completed at once, which is its way to be quick.
 */
async function workBoss(boss) {
  for (const batch of batches(count, BATCH)) {
    await boss.insert(batch.map((n) => ({ name: "noop", data: { n } })));
  }
  return rate(count, async () => {
    for (;;) {
      const jobs = await boss.fetch("noop", { batchSize: concurrency });
      if (jobs.length === 0) return;
      await boss.complete("noop", jobs.map((job) => job.id));
    }
  });
}

async function work() {
  print({ "graphile-worker": await graphile(workGraphile), "pg-boss": await boss(workBoss) });
}

const parts = { enqueue, batches: inBatches, work };
await parts[part]();
