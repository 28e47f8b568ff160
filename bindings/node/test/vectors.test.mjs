// Vectors in and out as arrays of numbers.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { InvalidInputError } from 'neonhub';
import { memory } from 'neonhub/testing';
import { embed, pack, search, unpack } from 'neonhub/vectors';

test('texts become arrays, and an array finds texts', async () => {
  const hub = await memory();
  await hub.spaces.create({ name: 'teas' });
  await hub.datasets.create({ space: 'teas', name: 'teas' });
  const texts = ['Sencha is a green tea from the hills.', 'Gift boxes are packed by hand.'];
  const documents = texts.map((text, n) => ({ dataset: 'teas', name: `${n}.md`, text }));
  const report = await hub.documents.uploadMany({ documents });
  assert.deepEqual([report.ready, report.failed], [2, 0]);

  const rows = await embed(hub, texts);
  assert.deepEqual(rows.map((row) => row.length), [512, 512]);
  for (const row of rows) assert.ok(Math.abs(Math.hypot(...row) - 1) < 1e-3);
  const [query] = await embed(hub, ['sencha tea'], { kind: 'query' });
  const found = await search(hub, query.map((number) => number * 3), { k: 1 });
  assert.deepEqual(found.hits.map((hit) => hit.name), ['0.md']);
  const nearest = await search(hub, Array.from(rows[1]), { spaces: ['teas'] });
  assert.equal(nearest.hits[0].name, '1.md');

  const back = unpack({ packed: pack([1.5, -2, 0.25]), count: 1, dims: 3, embedder: 'own' });
  assert.deepEqual(Array.from(back[0]), [1.5, -2, 0.25]);
  assert.deepEqual(await embed(hub, []), []);
  await assert.rejects(search(hub, [1, 2]), InvalidInputError);
  await hub.close();
});
