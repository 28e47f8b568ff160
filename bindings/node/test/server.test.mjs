// A hub whose records are on a PostgreSQL server. Without a server this is skipped; `cargo xtask test` has one.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { open } from 'neonhub';

const server = process.env.NEONHUB_TEST_DATABASE_URL;
const skip = server ? false : 'needs a PostgreSQL server in NEONHUB_TEST_DATABASE_URL';

test('two hubs share the records of one server', { skip }, async () => {
  process.env.NEONHUB_KEY = '5a'.repeat(32);
  const url = `${server}?schema=node_${randomUUID().slice(0, 8)}&pool=3`;
  const one = await open(url);
  const two = await open(url);
  try {
    const { person } = await one.people.resolve({ identifiers: [{ kind: 'email', value: 'ada@shop.example' }] });
    const { items } = await two.people.list({});
    assert.deepEqual(items.map((found) => found.id), [person]);
  } finally {
    await two.close();
    await one.close();
  }
});
