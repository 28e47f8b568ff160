// The contract files, as Rust and Python run them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import * as neonhub from 'neonhub';

import { ask, bridge, Core, described } from '../dist/bridge.js';
import { CLASSES } from '../dist/generated/errors.js';
import { Operations } from '../dist/generated/operations.js';
import { SHAPES } from '../dist/generated/shapes.js';
import { decode, encode } from '../dist/values.js';

const text = (name) => readFileSync(new URL(`../../../tests/contract/${name}`, import.meta.url), 'utf8');
/** A file of the contract; `{"$repeat": [text, n]}` in it is the text n times. */
const read = (name) =>
  JSON.parse(text(name), (_, value) => (value?.$repeat ? value.$repeat[0].repeat(value.$repeat[1]) : value));
const camel = (word) => word.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const echo = async (value) => JSON.parse(await ask((call) => bridge.echo(call, JSON.stringify(encode(value, 0)))));

/** Calls an operation by name with the core's own names. */
const raw = (hub, name, input) => new Core(hub.native).call(name, input, 0, 0);

for (const { name, error, expect } of read('errors.json').cases) {
  test(`error: ${name}`, async () => {
    const caught = await ask((call) => bridge.echo(call, undefined, JSON.stringify(error))).then(assert.fail, (e) => e);
    assert.ok(caught instanceof CLASSES[expect.kind] && caught instanceof neonhub.NeonHubError && caught instanceof Error);
    assert.equal(caught.kind, expect.kind);
    assert.equal(caught.code, expect.code);
    assert.equal(caught.operation, 'test.fail');
    assert.equal(caught.retryable, expect.retryable);
    assert.equal(caught.retryAfter ?? null, expect.retry_after_ms);
    assert.deepEqual(Object.entries(caught.context), expect.context ?? []);
    assert.deepEqual(caught.faults.map((fault) => [fault.field, fault.message]), expect.faults ?? []);
    assert.equal(String(caught), expect.line);
    assert.match(caught.stack, new RegExp(`^${caught.constructor.name}: `));
    // Thrown by a callback it would reach the core as the same error.
    const { thrown, ...again } = described(caught);
    const back = await ask((call) => bridge.echo(call, undefined, JSON.stringify({ ...again, thrown }))).then(assert.fail, (e) => e);
    assert.equal(String(back), String(caught));
    assert.equal(back.cause, caught);
  });
}

test('every kind has a class and a case', () => {
  const kinds = Object.keys(CLASSES).sort();
  assert.deepEqual([...new Set(read('errors.json').cases.map((entry) => entry.error.kind))].sort(), kinds);
  for (const [kind, found] of Object.entries(CLASSES)) {
    assert.equal(found.name, `${camel(`_${kind}`)}Error`);
    assert.equal(neonhub[found.name], found);
    assert.equal(new found('x').kind, kind);
  }
});

// Whole numbers beyond 2^53 are no numbers of JavaScript: they go as text, and are refused as numbers.
const beyond = (value) => Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21;

for (const { name, value } of read('values.json').cases) {
  test(`value: ${name}`, async () => {
    if (beyond(value)) return assert.rejects(echo(value), neonhub.InvalidInputError);
    // JSON of JavaScript has no minus zero.
    const back = Object.is(value, -0) ? 0 : value;
    assert.deepEqual(await echo(value), back);
    assert.deepEqual(await echo({ in: [value] }), { in: [back] });
  });
}

test('numbers are exact to 2^53 and refused from there on', async () => {
  assert.match(text('values.json'), /9007199254740991/);
  for (const value of [2 ** 53 - 1, -(2 ** 53 - 1), 2n ** 53n - 1n]) assert.equal(await echo(value), Number(value));
  for (const value of [2 ** 53, -(2 ** 53), 2n ** 53n, 2n ** 70n]) {
    await assert.rejects(echo({ a: [0, { b: value }] }), (error) => error.faults[0].field === 'a[1].b' && /2\^53/.test(error.message));
  }
});

for (const [what, value] of [
  ['NaN', NaN],
  ['infinity', -Infinity],
  ['a function', () => 1],
  ['a symbol', Symbol('x')],
  ['a map', new Map()],
  ['a set', new Set()],
  ['bytes', new Uint8Array(1)],
  ['a promise', Promise.resolve(1)],
  ['a date that is none', new Date(NaN)],
]) {
  test(`${what} is refused`, async () => {
    await assert.rejects(echo({ a: [0, { b: value }] }), (error) => {
      assert.ok(error instanceof neonhub.InvalidInputError);
      return error.faults[0].field === 'a[1].b';
    });
  });
}

test('half a surrogate pair and a value that holds itself are refused', async () => {
  await assert.rejects(echo({ a: '\ud800' }), neonhub.InvalidInputError);
  const loop = {};
  loop.loop = loop;
  await assert.rejects(echo(loop), /64 levels/);
});

test('what was not given is not sent and null is', async () => {
  assert.deepEqual(await echo({ a: undefined, b: null }), { b: null });
  assert.deepEqual(await echo(JSON.parse('{"__proto__": {"x": 1}}')), JSON.parse('{"__proto__": {"x": 1}}'));
});

test('a mebibyte goes out and comes back', async () => {
  const letters = 'ä€😀x'.repeat(2 ** 20 / 10);
  assert.ok(Buffer.byteLength(letters) >= 2 ** 20 - 10);
  assert.equal(await echo(letters), letters);
  assert.deepEqual(await echo({ list: Array(2 ** 17).fill(1234567) }), { list: Array(2 ** 17).fill(1234567) });
});

function holds(found, expected) {
  if (typeof expected !== 'object' || expected === null || Array.isArray(expected)) return assert.deepEqual(found, expected);
  for (const [key, value] of Object.entries(expected)) holds(found[key], value);
}

test('calls', async () => {
  const hub = await neonhub.open('memory:', { seed: 1, now: '2026-11-21T09:00:00Z' });
  for (const { name, operation, input, answer, error } of read('calls.json').cases) {
    if (error === undefined) {
      holds(await raw(hub, operation, input), answer);
      continue;
    }
    const caught = await raw(hub, operation, input).then(() => assert.fail(name), (e) => e);
    assert.equal(caught.kind, error.kind, `${name}: ${caught}`);
    if (error.fields) assert.deepEqual(caught.faults.map((fault) => fault.field), error.fields, name);
  }
  await hub.close();
});

/** Below the input itself a member that may be left out is left out when it is null. */
function withoutNulls(value, depth = 0) {
  if (Array.isArray(value)) return value.map((item) => withoutNulls(item, depth + 1));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, item]) => item !== null || depth === 0);
  return Object.fromEntries(members.map(([key, item]) => [key, withoutNulls(item, depth + 1)]));
}

/** Everything of the example was sent; beside it only defaults of what it leaves out. */
function covers(example, sent) {
  if (typeof example !== 'object' || example === null) return assert.equal(sent, example);
  if (Array.isArray(example)) assert.equal(sent.length, example.length);
  for (const key of Object.keys(example)) covers(example[key], sent[key]);
}

const methodOf = (operations, name) => {
  const path = name.split('.').map(camel);
  const method = path.pop();
  const space = path.reduce((at, key) => at[key], operations);
  return space[method].bind(space);
};

const { operations: given, made } = read('examples.json');
for (const [part, name, examples] of [
  ...Object.entries(given).map((entry) => ['examples', ...entry]),
  ...Object.entries(made).map((entry) => ['made from the schema', ...entry]),
]) {
  test(`${part}: ${name}`, async () => {
    const shape = `${camel(`_${name.replaceAll('.', '_')}`)}Input`;
    assert.ok(SHAPES[shape], shape);
    for (const example of examples) {
      let sent;
      const recorder = { call: async (operation, input, takes) => (sent = [operation, encode(input, takes)]) };
      const here = decode(example, shape);
      await methodOf(new Operations(recorder), name)(here);
      assert.equal(sent[0], name);
      covers(withoutNulls(example), withoutNulls(sent[1]));
      // What an input is made of is named in camelCase, but for maps of the caller's own.
      for (const [wire, member] of SHAPES[shape]) if (wire in example) assert.ok(member in here, member);
    }
  });
}

test('every operation is on the surface', async () => {
  const hub = await neonhub.open();
  const names = hub.native.operations();
  assert.deepEqual(Object.keys(given).sort(), names);
  for (const name of names) assert.equal(typeof methodOf(hub, name), 'function', name);
  await hub.close();
});
