// Memory stays flat over calls, callbacks, streams, and hubs that come and go. NEONHUB_TEST_FULL runs all of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { memory } from 'neonhub/testing';

const isFull = Boolean(process.env.NEONHUB_TEST_FULL);
const [CALLS, HUBS] = isFull ? [100_000, 1_000] : [6_000, 60];
const collect = globalThis.gc ?? assert.fail('run with --expose-gc');

/** Memory of the process, in MiB, after finalizers had their turn. */
async function used() {
  for (let n = 0; n < 5; n++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return process.memoryUsage().rss / 2 ** 20;
}

/** Parts of the work after the one that warms up. */
const PARTS = 5;

/**
 * Runs work in parts, the first of them to warm up. A leak grows in every part, what the allocator keeps only now and
 * then: so the middle one of the other parts' growths must be small.
 */
async function isFlat(times, work, most) {
  const sizes = [];
  const rounds = Math.ceil(times / (PARTS + 1));
  for (let part = 0; part <= PARTS; part++) {
    await work(rounds);
    sizes.push(await used());
  }
  const grown = sizes.slice(1).map((size, part) => size - sizes[part]).sort((a, b) => a - b);
  assert.ok(grown[(PARTS - 1) / 2] < most / PARTS, `parts of ${rounds} rounds end with ${sizes.map((size) => size.toFixed(1)).join(', ')} MiB`);
}

test('calls, failed and cancelled ones too', { timeout: 900_000 }, async () => {
  const hub = await memory();
  const { signal } = new AbortController();
  const cancelled = AbortSignal.abort();
  await isFlat(CALLS, async (times) => {
    for (let n = 0; n < times; n += 5) {
      await Promise.all([
        hub.scope.whoami(),
        hub.scope.whoami({}, { signal }),
        hub.scope.whoami({}, { signal: cancelled }).catch(() => {}),
        hub.people.get({ person: 'nobody' }).catch(() => {}),
        hub.sms.segments({ text: 'x'.repeat(500) }),
      ]);
    }
  }, 24);
  await hub.close();
});

test('callbacks', { timeout: 600_000 }, async () => {
  const hub = await memory();
  let n = 0;
  hub.addTool({ name: 'my.tool', doc: 'x', effect: 'read', call: () => { if (++n % 2) throw new Error('odd'); return n; } });
  await isFlat(CALLS / 10, async (times) => {
    for (let m = 0; m < times; m++) await hub.tools.call({ name: 'my.tool', args: {} }).catch(() => {});
  }, 32);
  await hub.close();
});

test('hubs with a model and a stream', { timeout: 900_000 }, async () => {
  await isFlat(HUBS, async (times) => {
    for (let n = 0; n < times; n++) {
      const hub = await memory();
      hub.addModel(() => 'x', { provider: 'house' });
      const stream = hub.events();
      await hub.people.resolve({ identifiers: [{ kind: 'email', value: 'ada@shop.example' }] });
      await stream.next();
      await hub.close();
    }
  }, 48);
});
