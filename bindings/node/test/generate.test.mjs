// Answers of models as values of a schema.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as neonhub from 'neonhub';
import { memory } from 'neonhub/testing';
import { z } from 'zod';

const Row = z.object({ sku: z.string().describe('Number of the article'), count: z.number().int().default(1) });

/** A hub whose model answers these values, one after the other; `seen` takes the requests. */
async function answering(values, work) {
  const hub = await memory();
  const seen = [];
  hub.addModel((request) => (seen.push(request), JSON.stringify(values[seen.length - 1] ?? values.at(-1))), {
    provider: 'house',
    jsonSchema: true,
  });
  try {
    return await work(hub, seen);
  } finally {
    await hub.close();
  }
}

test('a value comes back as zod makes it', () =>
  answering([{ rows: [{ sku: 'T-1' }], at: '2026-12-01' }], async (hub, seen) => {
    const schema = z.object({ rows: z.array(Row), at: z.string().transform((text) => new Date(text)) });
    const cart = await hub.generate({ prompt: 'The cart.', system: 'Be brief.', schema });
    assert.deepEqual(cart, { rows: [{ sku: 'T-1', count: 1 }], at: new Date('2026-12-01') });
    assert.match(seen[0].prompt, /The cart\./);
    assert.equal(seen[0].outputSchema.properties.rows.items.properties.sku.description, 'Number of the article');
  }));

test('lists, unions and trees are asked as the member of an object', () =>
  answering([{ value: [{ kind: 'mail' }] }, { value: { kids: [{ kids: [] }] } }], async (hub, seen) => {
    const kinds = z.discriminatedUnion('kind', [z.object({ kind: z.literal('mail') }), z.object({ kind: z.literal('post') })]);
    assert.deepEqual(await hub.generate({ prompt: 'Plan.', schema: z.array(kinds) }), [{ kind: 'mail' }]);
    assert.deepEqual(seen[0].outputSchema.required, ['value']);
    const tree = {
      anyOf: [
        { type: 'object', properties: { kids: { type: 'array', items: { $ref: '#' } } }, additionalProperties: false },
        { type: 'null' },
      ],
    };
    assert.deepEqual(await hub.generate({ prompt: 'A tree.', schema: tree }), { kids: [{ kids: [] }] });
  }));

test('what a refinement refuses is named by field, and what does not fit is given back once', () =>
  answering([{ rows: [{ sku: 3 }] }, { rows: [{ sku: 'T-1' }, { sku: 'X-1' }] }], async (hub, seen) => {
    const known = Row.refine((row) => row.sku.startsWith('T'), { path: ['sku'], message: 'no such article' });
    const error = await hub.generate({ prompt: 'The cart.', schema: z.object({ rows: z.array(known) }) }).then(assert.fail, (e) => e);
    assert.ok(error instanceof neonhub.CorruptedError);
    assert.deepEqual([error.code, error.operation], ['invalid_output', 'ai.generate_text']);
    assert.deepEqual(error.faults, [{ field: 'rows[1].sku', message: 'no such article' }]);
    assert.equal(seen.length, 2);
  }));

test('offline the facts fill the schema, and nothing is made up', async () => {
  const hub = await memory();
  assert.deepEqual(await hub.generate({ schema: Row, facts: { sku: 'T-1', count: 2 } }), { sku: 'T-1', count: 2 });
  assert.equal(await hub.generate({ prompt: 'How many?', schema: z.int(), facts: '4' }), 4);
  const lacking = hub.generate({ prompt: 'A row.', schema: z.object({ sku: z.string(), size: z.int() }), facts: { sku: 'T-1' } });
  await assert.rejects(lacking, { code: 'needs_input', message: /no fact for size/ });
  await hub.close();
});
