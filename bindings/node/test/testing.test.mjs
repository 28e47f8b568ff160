// The helpers for tests of applications.

import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import * as neonhub from 'neonhub';
import { Cassette, FaultInjector, forbidNetwork, memory, ScriptedModel, TEST_NOW, VirtualClock } from 'neonhub/testing';

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

test('a cassette plays what was recorded', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'neonhub-')), 'answers.json');
  const hub = await memory();
  new ScriptedModel(['live', 'later']).addTo(hub);
  new Cassette(path).addTo(hub);
  assert.equal((await ask(hub)).text, 'live');
  assert.equal((await ask(hub)).text, 'live');
  Cassette.removeFrom(hub);
  assert.equal((await ask(hub)).text, 'later');
  await hub.close();

  const other = await memory();
  const player = new Cassette(path, 'replay');
  player.addTo(other);
  assert.equal((await ask(other)).text, 'live');
  const missed = await other.ai.generateText({ prompt: 'else' }).then(assert.fail, (e) => e);
  assert.equal(missed.code, 'cassette_miss');
  assert.equal(player.erasePerson('per_nobody'), 0);
  assert.throws(() => new Cassette(`${path}.none`, 'replay'), neonhub.ConfigError);
  assert.throws(() => new Cassette(path, 'loop'), neonhub.InvalidInputError);
  await other.close();
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
  faults.add({ on: 'model', nth: 1, status: 429 });
  faults.add({ on: 'model', nth: 2, cut: 2 });
  await assert.rejects(ask(hub), neonhub.RateLimitedError);
  await assert.rejects(ask(hub), neonhub.UnavailableError);
  faults.clear();
  FaultInjector.removeFrom(hub);
  await ask(hub);
  assert.throws(() => faults.add({ on: 'tools' }), neonhub.InvalidInputError);
  assert.throws(() => faults.add({ on: 'tool', cut: 2 }), neonhub.InvalidInputError);
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
