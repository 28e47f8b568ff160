// Streams of events and progress.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import * as neonhub from 'neonhub';
import { memory } from 'neonhub/testing';

const resolve = (hub, n) => hub.people.resolve({ identifiers: [{ kind: 'email', value: `p${n}@people.example` }] });
const resolveMany = (hub, count) => Promise.all(Array.from({ length: count }, (_, n) => resolve(hub, n)));

test('events are read from the start, go on at a cursor, and end with the hub', async () => {
  const hub = await memory();
  await resolveMany(hub, 5);
  const stream = hub.events({ types: 'person.created' });
  const first = [];
  for (let n = 0; n < 5; n++) first.push((await stream.next()).value);
  assert.ok(first.every((item) => item.item === 'event' && item.event.type === 'person.created'));
  assert.ok(first[0].event.at instanceof Date && first[0].event.subjectKind === 'person');
  assert.equal(new Set(first.map((item) => item.event.subjectId)).size, 5);
  assert.deepEqual(first.map((item) => item.cursor), first.map((item) => item.cursor).sort((a, b) => a - b));
  const rest = hub.events({ cursor: first[2].cursor, types: 'person.created' });
  assert.deepEqual((await rest.next()).value.event.id, first[3].event.id);
  await hub.close();
  for await (const _ of stream) assert.fail('nothing comes after the end');
});

test('a reader waits for what comes, several at once get each item once', async () => {
  const hub = await memory();
  const stream = hub.events({ types: 'person.*' });
  const reads = Array.from({ length: 20 }, () => stream.next());
  await resolveMany(hub, 20);
  const ids = (await Promise.all(reads)).map(({ value }) => value.event.id);
  assert.equal(new Set(ids).size, 20);
  await hub.close();
});

test('leaving a loop early ends the stream, and closing ends a waiting reader', async () => {
  const hub = await memory();
  await resolveMany(hub, 3);
  const stream = hub.events();
  for await (const _ of stream) break;
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
  const other = hub.events({ types: 'never.seen' });
  const waiting = other.next();
  await sleep(10);
  other.close();
  assert.deepEqual(await waiting, { done: true, value: undefined });
  await hub.close();
});

test('a faulty cursor is an error at once, and the stream of a closed hub has ended', async () => {
  const hub = await memory();
  assert.throws(() => hub.events({ cursor: NaN }), neonhub.InvalidInputError);
  await hub.close();
  assert.deepEqual(await hub.events().next(), { done: true, value: undefined });
});

test('progress is reported while a call runs', async () => {
  const hub = await memory();
  const seen = [];
  const many = Array.from({ length: 500 }, (_, n) => `p${n}@people.example,P${n}`).join('\n');
  const folder = mkdtempSync(join(tmpdir(), 'neonhub-'));
  writeFileSync(`${folder}/people.csv`, `email,first_name\n${many}\n`);
  const onProgress = (progress) => seen.push(progress);
  await hub.people.import.start({ path: `${folder}/people.csv` }, { onProgress });
  assert.ok(seen.length > 0 && seen.every((progress) => progress.item === 'progress'));
  assert.deepEqual([seen.at(-1).task, seen.at(-1).done], ['import', 500]);
  const broken = () => { throw new Error('reporting fails the call'); };
  writeFileSync(`${folder}/people.csv`, `email,first_name\n${many.replaceAll('people', 'others')}\n`);
  const again = hub.people.import.start({ path: `${folder}/people.csv` }, { onProgress: broken });
  await assert.rejects(again, /reporting fails/);
  rmSync(folder, { recursive: true });
  await hub.close();
});

test('100,000 events pass without loss, in bounded memory, while others write', { timeout: 600_000 }, async () => {
  // Written once, read several times: what is proven here is the stream.
  const [written, times] = process.env.NEONHUB_TEST_FULL ? [10_000, 10] : [1_000, 2];
  const hub = await memory();
  const writing = (async () => {
    for (let n = 0; n < written; n += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, m) => resolve(hub, n + m)));
    }
  })();
  globalThis.gc?.();
  let [most, before] = [0, process.memoryUsage().rss];
  for (let time = 0; time < times; time++) {
    let [count, last] = [0, 0];
    for await (const item of hub.events({ types: 'person.created' })) {
      assert.ok(item.cursor > last);
      last = item.cursor;
      if (++count === written) break;
    }
    assert.equal(count, written);
    await writing;
    // The store itself grows while it is written.
    if (time === 0) before = process.memoryUsage().rss;
    most = Math.max(most, process.memoryUsage().rss - before);
  }
  assert.ok(most < 64 << 20, `${most >> 20} MiB more`);
  await hub.close();
});
