// Models, connectors and tools written in JavaScript: those that behave, and those that do not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import * as neonhub from 'neonhub';
import { memory, ScriptedModel } from 'neonhub/testing';
import { z } from 'zod';

const ask = (hub, options) => hub.ai.generateText({ prompt: 'Write a subject line.' }, options);
const house = { provider: 'house' };

async function withHub(work) {
  const hub = await memory();
  try {
    return await work(hub);
  } finally {
    await hub.close();
  }
}

test('a plain function and an async one answer', () =>
  withHub(async (hub) => {
    let seen;
    hub.addModel((request) => ((seen = request), 'Fresh for spring'), house);
    assert.equal((await ask(hub)).text, 'Fresh for spring');
    assert.ok(seen instanceof neonhub.ModelRequest && seen.prompt.includes('Write a subject line.'));
    hub.addModel(async () => {
      await sleep(5);
      return { text: 'later', inputTokens: 3, outputTokens: 4 };
    }, house);
    const answer = await ask(hub);
    assert.equal(answer.text, 'later');
    assert.equal(answer.usage.outputVisible, 4);
  }));

test('rights of the host are declared at open and carried by keys', async () => {
  const refund = 'app:orders.refund';
  const hub = await neonhub.open('memory:', { permissions: { [refund]: 'Pay an order back.' } });
  hub.addTool({ name: 'refund', doc: 'Pays an order back.', needs: [refund], call: () => 1 });
  assert.deepEqual((await hub.tools.describe({ name: 'refund' })).needs, [refund]);
  const made = await hub.apiKeys.create({ name: 'desk', permissions: [refund] });
  assert.deepEqual(made.key.permissions, [refund]);
  await assert.rejects(hub.apiKeys.create({ name: 'till', permissions: ['app:orders.ship'] }), neonhub.InvalidInputError);
  await hub.close();
  const upper = neonhub.open('memory:', { permissions: { 'app:orders.refundAll': 'Pay all back.' } });
  await assert.rejects(upper, { code: 'config', message: /app:/ });
});

test('what a model throws is the cause, and its words are not in the message', () =>
  withHub(async (hub) => {
    const broken = new RangeError('secret words');
    for (const model of [() => { throw broken; }, async () => { throw broken; }]) {
      hub.addModel(model, house);
      const error = await ask(hub).then(assert.fail, (e) => e);
      assert.ok(error instanceof neonhub.InternalError);
      assert.equal(error.code, 'host_error');
      assert.equal(error.cause, broken);
      assert.match(error.message, /RangeError/);
      assert.doesNotMatch(String(error), /secret/);
    }
    hub.addModel(() => { throw 'just text'; }, house);
    assert.equal((await ask(hub).then(assert.fail, (e) => e)).cause, 'just text');
  }));

test('an error of ours keeps its kind and advice', () =>
  withHub(async (hub) => {
    hub.addModel(() => {
      throw new neonhub.RateLimitedError('slow down', { retryAfter: 1500, context: { quota: 'day' } });
    }, house);
    const error = await ask(hub).then(assert.fail, (e) => e);
    assert.ok(error instanceof neonhub.RateLimitedError);
    assert.deepEqual([error.retryAfter, error.retryable, error.context.quota], [1500, true, 'day']);
    assert.match(error.stack, /host\.test\.mjs/);
  }));

for (const [what, answer] of [
  ['a number', 7],
  ['nothing', undefined],
  ['a list', ['a']],
  ['an unknown member', { words: 'x' }],
  ['a map', new Map()],
  ['not a number', { json: NaN }],
  ['a wrong type', { text: 5 }],
]) {
  test(`garbage is told: ${what}`, () =>
    withHub(async (hub) => {
      hub.addModel(() => answer, house);
      const error = await ask(hub).then(assert.fail, (e) => e);
      assert.ok(error instanceof neonhub.CorruptedError, String(error));
      assert.equal(error.code, 'host_answer');
    }));
}

test('a model that hangs ends with the deadline or the signal, is told so, and leaves nothing running', () =>
  withHub(async (hub) => {
    const signals = [];
    hub.addModel((_, signal) => new Promise(() => signals.push(signal)), house);
    await assert.rejects(ask(hub, { timeout: 30 }), neonhub.TimeoutError);
    const controller = new AbortController();
    const call = ask(hub, { signal: controller.signal });
    while (signals.length < 2) await sleep(2);
    controller.abort(new Error('enough'));
    const error = await call.then(assert.fail, (e) => e);
    assert.ok(error instanceof neonhub.CancelledError);
    assert.equal(error.cause.message, 'enough');
    await sleep(20);
    assert.deepEqual(signals.map((signal) => signal.aborted), [true, true]);
    assert.deepEqual((await hub.agents.listRuns()).items.filter((run) => run.status === 'running'), []);
    hub.addModel(() => 'well again', house);
    assert.equal((await ask(hub)).text, 'well again');
  }));

test('many callbacks run side by side', () =>
  withHub(async (hub) => {
    hub.addModel(async () => (await sleep(30), 'done'), house);
    const start = performance.now();
    await Promise.all(Array.from({ length: 50 }, () => ask(hub)));
    assert.ok(performance.now() - start < 50 * 30);
  }));

test('a model may call the hub', () =>
  withHub(async (hub) => {
    hub.addModel(async () => (await hub.scope.whoami()).principal.id, house);
    assert.equal((await ask(hub)).text, 'owner');
  }));

test('settings are checked', () =>
  withHub((hub) => {
    assert.throws(() => hub.addModel(() => '', { provider: 'offline' }), neonhub.InvalidInputError);
    assert.throws(() => hub.addModel(() => '', { provider: 'x', colour: 'red' }), /colour/);
    assert.throws(() => hub.addConnector({ name: 'X', channels: ['email'], deliver: () => '' }), neonhub.InvalidInputError);
    assert.throws(() => hub.addTool({ name: 'BAD NAME', doc: 'x', call: () => 1 }), neonhub.InvalidInputError);
  }));

const stock = (more) => ({
  name: 'shop.stock',
  doc: 'How many are there.',
  effect: 'read',
  input: { type: 'object', properties: { sku: { type: 'string' } }, required: ['sku'] },
  call: ({ sku }, call) => ({ sku, by: call.principal }),
  ...more,
});
const use = (hub, args) => hub.tools.call({ name: 'shop.stock', args });

test('a tool with JSON Schema', () =>
  withHub(async (hub) => {
    hub.addTool(stock());
    assert.deepEqual((await use(hub, { sku: 'T-1' })).output, { sku: 'T-1', by: 'user:owner' });
    const error = await use(hub, {}).then(assert.fail, (e) => e);
    assert.ok(error instanceof neonhub.InvalidInputError);
    assert.equal(error.faults[0].field, 'sku');
    assert.throws(() => hub.addTool(stock()), neonhub.AlreadyExistsError);
    const misspelt = () => hub.addTool(stock({ name: 'shop.other', parameters: {} }));
    assert.throws(misspelt, (e) => e instanceof neonhub.InvalidInputError && e.faults[0].field === 'parameters');
    hub.addTool(Object.assign(new (class Shelf { doc = 'On the shelf.'; call = () => 1; rows = []; })(), { name: 'shop.shelf' }));
    hub.addTool(stock({ call: () => 'new' }), { replace: true });
    assert.equal((await use(hub, { sku: 'T-1' })).output, 'new');
    assert.deepEqual([hub.removeTool('shop.stock'), hub.removeTool('shop.stock')], [true, false]);
    await assert.rejects(use(hub, {}), neonhub.NotFoundError);
  }));

test('a tool with a schema of zod: shown as JSON Schema, and the arguments are parsed by it', () =>
  withHub(async (hub) => {
    const input = z.object({ sku: z.string().transform((sku) => sku.toUpperCase()), count: z.number().int().max(5).default(1) });
    hub.addTool(stock({ input, call: (args) => args }));
    assert.deepEqual((await use(hub, { sku: 't-1' })).output, { sku: 'T-1', count: 1 });
    const error = await use(hub, { sku: 't-1', count: 6 }).then(assert.fail, (e) => e);
    assert.ok(error instanceof neonhub.InvalidInputError, String(error));
    assert.equal(error.faults[0].field, 'count');
    const described = (await hub.tools.list()).items?.find((tool) => tool.name === 'shop.stock');
    assert.ok(described === undefined || JSON.stringify(described).includes('shop.stock'));
  }));

test('what a tool throws is told with its words, and may have acted when it writes', () =>
  withHub(async (hub) => {
    const broken = () => { throw new TypeError('no such article'); };
    hub.addTool(stock({ call: broken }));
    const error = await use(hub, { sku: 'x' }).then(assert.fail, (e) => e);
    assert.match(error.message, /TypeError: no such article/);
    assert.ok(error.cause instanceof TypeError);
    hub.addTool(stock({ call: broken, effect: 'write' }), { replace: true });
    await assert.rejects(use(hub, { sku: 'x' }), neonhub.OutcomeUnknownError);
  }));

test('a tool says itself what became of a lost call of a run', () =>
  withHub(async (hub) => {
    const names = [];
    const lets = { name: 'let-pay', scope: { operations: ['shop.pay'] }, effect: { do: 'allow' }, reason: 'a test' };
    await hub.policies.activate({ id: (await hub.policies.put({ policy: lets })).id });
    hub.addTool({
      name: 'shop.pay',
      doc: 'Pays.',
      input: z.object({ euros: z.int() }),
      call(args, { effect }) {
        names.push(effect);
        throw new Error('the line broke');
      },
      probe: async ({ euros }, { effect }) => (names.push(effect), euros === 5 ? { landed: `paid ${euros}` } : null),
    });
    const spec = {
      name: 'till',
      version: '1.0.0',
      title: 'Till',
      purpose: 'Pays.',
      intents: [{ name: 'work', doc: 'Pays.', effectMax: 'write' }],
      instructions: { name: 'till', version: 1, template: 'You pay.' },
      tools: ['shop.pay'],
      owner: 'ada',
    };
    await hub.agents.put({ spec });
    await hub.agents.activate({ name: 'till', version: '1.0.0' });
    const call = (euros) => ({ toolCalls: [{ id: 'c1', name: 'shop.pay', args: { euros } }] });
    new ScriptedModel([call(5), 'Done.', call(6)]).addTo(hub);
    assert.equal((await hub.agents.execute({ intent: 'till.work', input: {} })).status, 'completed');
    const waiting = await hub.agents.execute({ intent: 'till.work', input: {} });
    assert.deepEqual([waiting.status, waiting.waitReason], ['waiting', 'approval']);
    assert.ok(names[0] && names[0] === names[1] && names[2] === names[3] && names[0] !== names[2]);
  }));

test('rate, approval and sinks are part of a tool', () =>
  withHub(async (hub) => {
    const rate = { max: 1, per: 60_000 };
    hub.addTool({ name: 'count', doc: 'Counts.', effect: 'read', rate, approval: true, sinks: ['export'], call: () => 1 });
    const info = await hub.tools.describe({ name: 'count' });
    assert.deepEqual([info.approval, info.sinks, info.rate], [true, ['export'], { max: 1, perMs: 60_000 }]);
    await hub.tools.call({ name: 'count' });
    await assert.rejects(hub.tools.call({ name: 'count' }), neonhub.RateLimitedError);
  }));
