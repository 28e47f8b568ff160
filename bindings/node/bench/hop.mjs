// What the binding costs, one JSON row per line: {name, ours, unit, peer, peer_value, goal}. Build with `npm run build`
// (release) first. Ratios within one row are what counts; `goal` is the ratio or value that is wanted.
//
//     node bench/hop.mjs [--rounds N] [--calls N]

import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { memory } from 'neonhub/testing';

import { ask, bridge } from '../dist/bridge.js';

const number = (text) => ({ type: 'string', default: text });
const given = parseArgs({ options: { rounds: number('5'), calls: number('2000') } }).values;
const [ROUNDS, CALLS] = [Math.max(1, Number(given.rounds)), Math.max(100, Number(given.calls))];
const dist = new URL('../dist/', import.meta.url);
const hub = await memory();

/** Median microseconds of the rounds, each call awaited on its own. */
async function each(call, times = CALLS) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let n = 0; n < times; n++) await call(n);
    rounds.push(((performance.now() - start) * 1000) / times);
  }
  return rounds.sort((a, b) => a - b)[rounds.length >> 1];
}

function row(name, ours, unit, peer, peerValue, goal) {
  const round = (value) => (value === null ? null : Number(value.toFixed(2)));
  console.log(JSON.stringify({ name: `Node: ${name}`, ours: round(ours), unit, peer, peer_value: round(peerValue), goal }));
}

/** A no-op async function of the same native library, over the same line. */
const nothing = () => ask((call) => bridge.echo(call));
const echoed = (text) => async () => JSON.parse(await ask((call) => bridge.echo(call, text)));

const bare = await each(nothing);
row('trivial async operation', await each(() => hub.scope.whoami()), 'us', 'no-op async function', bare, '<= 3x');

for (const [name, bytes] of [['1 KiB', 1 << 10], ['100 KiB', 100 << 10]]) {
  const text = JSON.stringify({ items: Array.from({ length: bytes / 32 }, (_, n) => ({ id: n, text: 'some text' })) });
  const times = Math.max(20, Math.min(CALLS, Math.ceil((CALLS * 1024) / bytes) * 4));
  const copy = await each(() => JSON.parse(JSON.stringify(JSON.parse(text))), times);
  row(`${name} there and back`, await each(echoed(text), times), 'us', 'a no-op, and JSON read and written in JavaScript', copy + bare, '<= 3x');
}

hub.addTool({ name: 'bench.host', doc: 'Nothing.', effect: 'read', call: () => null });
const native = await each(() => hub.tools.call({ name: 'sms.segments', args: { text: 'x' } }));
row('tool in JavaScript', await each(() => hub.tools.call({ name: 'bench.host', args: {} })), 'us', 'tool of the core', native, '<= 3x');

const EVENTS = Math.min(CALLS, 2_000);
for (let n = 0; n < EVENTS; n++) {
  await hub.people.resolve({ identifiers: [{ kind: 'email', value: `p${n}@people.example` }] });
}
const read = async () => {
  let count = 0;
  for await (const _ of hub.events({ types: 'person.created' })) if (++count === EVENTS) break;
};
row('streamed event, in batches', (await each(read, 1)) / EVENTS, 'us', 'no-op async function', bare, '<= 1x');
await hub.close();

const run = (code) => {
  const start = performance.now();
  execFileSync(process.execPath, ['-e', code], { cwd: fileURLToPath(dist) });
  return performance.now() - start;
};
const least = (code) => Math.min(...Array.from({ length: 7 }, () => run(code)));
const empty = least('');
row('cold import', least("require('neonhub')") - empty, 'ms', 'empty Node process', empty, '<= 40 ms');

const addon = readdirSync(dist).find((name) => name.endsWith('.node'));
row('size of the addon', statSync(new URL(addon, dist)).size / 2 ** 20, 'MiB', null, null, '<= 64 MiB');
