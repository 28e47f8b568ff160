// Opening, closing, cancelling, module systems, worker threads, processes that end.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

import * as neonhub from 'neonhub';

const here = new URL('.', import.meta.url);
const node = (...args) => execFileSync(process.execPath, args, { cwd: here, encoding: 'utf8', timeout: 60_000 });

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'neonhub-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

test('one module for import and require', () => {
  assert.equal(createRequire(import.meta.url)('neonhub').NeonHubError, neonhub.NeonHubError);
  assert.equal(neonhub.default.open, neonhub.open);
  const script = "const { open } = require('neonhub'); open().then(async (h) => { console.log((await h.scope.whoami()).principal.id); await h.close(); })";
  assert.equal(node('-e', script).trim(), 'owner');
});

test('a closed hub takes no calls', async () => {
  const hub = await neonhub.open();
  assert.equal(hub.closed, false);
  await Promise.all([hub.close(), hub.close()]);
  assert.equal(hub.closed, true);
  await assert.rejects(hub.scope.whoami(), neonhub.UnavailableError);
});

test('a file too large for a call goes in as a blob', async () => {
  const hub = await neonhub.open();
  const name = 'large.txt';
  const large = Buffer.from('Every bag of our coffee is roasted on the day it leaves the house.\n'.repeat(20_000));
  await hub.spaces.create({ name: 'brand-voice' });
  await hub.datasets.create({ space: 'brand-voice', name: 'brand-voice' });
  const upload = (file) => hub.documents.upload({ dataset: 'brand-voice', name, ...file });
  await assert.rejects(upload({ contentBase64: large.toString('base64') }), neonhub.InvalidInputError);
  const blob = await hub.putBlob(large);
  assert.equal(blob, createHash('sha256').update(large).digest('hex'));
  assert.equal((await upload({ blob })).state, 'ready');
  await assert.rejects(hub.putBlob(new Uint8Array()), neonhub.InvalidInputError);
  await hub.close();
});

test('await using closes', async () => {
  const hub = await neonhub.open();
  await hub[Symbol.asyncDispose]();
  assert.ok(hub.closed);
});

test('what cannot be opened says why', async (t) => {
  const path = folder(t);
  await assert.rejects(neonhub.open(join(path, 'missing', 'brand.neon')), neonhub.NeonHubError);
  writeFileSync(join(path, 'no.neon'), 'this is no store, but long enough to be taken for one'.repeat(50));
  await assert.rejects(neonhub.open(join(path, 'no.neon')), neonhub.NeonHubError);
  await assert.rejects(neonhub.open('memory:', { now: 'yesterday' }), neonhub.InvalidInputError);
  await assert.rejects(neonhub.open('memory:', { seed: -1 }), neonhub.InvalidInputError);
  await assert.rejects(neonhub.open('memory:', { sede: 1 }), /sede/);
});

test('a file is kept, and a workspace that is not there is not found', async (t) => {
  const path = join(folder(t), 'brand.neon');
  const hub = await neonhub.open(path);
  const { person } = await hub.people.resolve({ identifiers: [{ kind: 'email', value: 'ada@shop.example' }] });
  await assert.rejects(hub.inWorkspace('elsewhere'), neonhub.NotFoundError);
  assert.equal((await (await hub.inWorkspace('default')).people.get({ person })).id, person);
  await hub.close();
  const again = await neonhub.open(path);
  assert.equal((await again.people.get({ person })).id, person);
  await again.close();
});

test('a signal ends a call, before it starts too', async () => {
  const hub = await neonhub.open();
  const error = await hub.scope.whoami({}, { signal: AbortSignal.abort('no') }).then(assert.fail, (e) => e);
  assert.ok(error instanceof neonhub.CancelledError);
  assert.equal(error.cause, 'no');
  const controller = new AbortController();
  await hub.scope.whoami({}, { signal: controller.signal });
  controller.abort();
  assert.equal((await hub.scope.whoami()).principal.id, 'owner');
  await hub.close();
});

test('options of the hub and of a call', async () => {
  const hub = await neonhub.open();
  const once = hub.withOptions({ idempotencyKey: 'k-1', timeout: 5_000 });
  const [first, second] = [await once.brands.create({ name: 'Berg' }), await once.brands.create({ name: 'Berg' })];
  assert.equal(first.id, second.id);
  await assert.rejects(hub.brands.create({ name: 'Berg' }), neonhub.AlreadyExistsError);
  await assert.rejects(hub.scope.whoami({}, { timeout: -1 }), (error) => error.faults[0].field === 'timeout');
  await hub.close();
});

test('errors carry the frames of the caller', async () => {
  const hub = await neonhub.open();
  const error = await hub.people.get({ person: 'per_01kaf3w0000000000000000000' }).then(assert.fail, (e) => e);
  assert.ok(error instanceof neonhub.NotFoundError);
  assert.equal(error.operation, 'people.get');
  assert.match(error.stack, /lifecycle\.test\.mjs/);
  await hub.close();
});

test('worker threads have hubs of their own, and one that is ended does no harm', async () => {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    const neonhub = require(workerData.module);
    (async () => {
      const hub = await neonhub.open('memory:');
      hub.addModel(() => 'from the thread', { provider: 'house' });
      const { text } = await hub.ai.generateText({ prompt: 'x' });
      const error = await hub.people.get({ person: 'nobody' }).catch((e) => e);
      if (workerData.hangs) {
        hub.addModel(() => new Promise(() => parentPort.postMessage('hangs')), { provider: 'slow' });
        return hub.ai.generateText({ prompt: 'x' });
      }
      await hub.close();
      parentPort.postMessage({ text, ours: error instanceof neonhub.NeonHubError });
    })();`;
  const start = (hangs) => {
    const module = createRequire(import.meta.url).resolve('neonhub');
    const worker = new Worker(code, { eval: true, workerData: { module, hangs } });
    return new Promise((resolve, reject) => worker.on('message', (message) => resolve([worker, message])).on('error', reject));
  };
  const all = await Promise.all([start(false), start(false), start(true), start(true)]);
  assert.deepEqual(all.map(([, message]) => message), [...Array(2).fill({ text: 'from the thread', ours: true }), 'hangs', 'hangs']);
  await Promise.all(all.map(([worker]) => worker.terminate()));
  const hub = await neonhub.open();
  assert.equal((await hub.scope.whoami()).principal.id, 'owner');
  await hub.close();
});

test('an open hub with a model and a stream does not keep the process alive, a call does', () => {
  const idle = "const { open } = require('neonhub'); open().then((h) => { h.addModel(() => '', { provider: 'x' }); h.events(); console.log('idle'); })";
  assert.equal(node('-e', idle).trim(), 'idle');
  const busy = `const { open } = require('neonhub'); open().then(async (h) => {
    h.addModel(() => new Promise((done) => setTimeout(() => done('answered'), 50)), { provider: 'x' });
    console.log((await h.ai.generateText({ prompt: 'x' })).text); })`;
  assert.equal(node('-e', busy).trim(), 'answered');
  const ends = `const { open } = require('neonhub'); open().then((h) => {
    h.addModel(() => new Promise(() => setTimeout(() => process.exit(0), 10)), { provider: 'x' });
    h.ai.generateText({ prompt: 'x' }); })`;
  assert.equal(node('-e', ends), '');
});
