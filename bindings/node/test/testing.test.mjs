// The helpers for tests of applications.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as neonhub from 'neonhub';
import { FaultInjector, forbidNetwork, memory, ScriptedModel, TEST_NOW, VirtualClock } from 'neonhub/testing';

const ask = (hub) => hub.ai.generateText({ prompt: 'about the weather' });

test('a script answers line by line', async () => {
  const hub = await memory();
  const model = new ScriptedModel([
    'first',
    { when: 'weather', chunks: ['sun', 'ny'] },
    { error: { kind: 'rate_limited', retryAfter: 1500 } },
    { refuse: 'not that' },
  ]);
  model.addTo(hub);
  assert.equal((await ask(hub)).text, 'first');
  assert.equal((await ask(hub)).text, 'sunny');
  const error = await ask(hub).then(assert.fail, (e) => e);
  assert.ok(error instanceof neonhub.RateLimitedError);
  assert.equal(error.retryAfter, 1500);
  await assert.rejects(ask(hub), neonhub.BlockedError);
  assert.deepEqual([model.left.length, model.requests.length], [0, 4]);
  model.add({ text: 'one more', after: 1 });
  assert.equal((await ask(hub)).text, 'one more');
  assert.throws(() => model.add({ text: 'a', json: 1 }), neonhub.InvalidInputError);
  assert.throws(() => new ScriptedModel([{ words: 'x' }]), /words/);
  await hub.close();
});

test('faults befall calls until they are taken away', async () => {
  const hub = await memory();
  hub.addModel(() => 'sunny', { provider: 'house' });
  const faults = new FaultInjector();
  faults.addTo(hub);
  faults.add({ on: 'model', nth: 2, error: { kind: 'unavailable' } });
  faults.add({ on: 'model', nth: 3, times: 1, hang: true });
  await ask(hub);
  await assert.rejects(ask(hub), neonhub.UnavailableError);
  await assert.rejects(hub.ai.generateText({ prompt: 'x' }, { timeout: 20 }), neonhub.TimeoutError);
  assert.deepEqual(faults.seen.map((call) => call.faulty), [false, true, true]);
  faults.clear();
  FaultInjector.removeFrom(hub);
  await ask(hub);
  assert.throws(() => faults.add({ on: 'tools' }), neonhub.InvalidInputError);
  await hub.close();
});

test('the clock stands still until it is moved', async () => {
  const hub = await memory();
  const clock = new VirtualClock(hub);
  assert.equal(clock.now.toISOString(), new Date(TEST_NOW).toISOString());
  clock.advance(3_600_000);
  assert.equal(clock.now.getTime() - Date.parse(TEST_NOW), 3_600_000);
  clock.set(new Date('2026-02-01T00:00:00Z'));
  const { person } = await hub.people.resolve({ identifiers: [{ kind: 'email', value: 'ada@shop.example' }] });
  assert.equal((await hub.people.get({ person })).createdAt.toISOString(), '2026-02-01T00:00:00.000Z');
  assert.throws(() => clock.set('tomorrow'), neonhub.InvalidInputError);
  await hub.close();
  const real = await neonhub.open();
  assert.throws(() => new VirtualClock(real), TypeError);
  await real.close();
});

test('the network is shut and opened again', () => {
  const allow = forbidNetwork();
  allow();
  allow();
});
