// Takes a folder of files into brand knowledge and asks it something: its progress and its documents by `for await`.
//
//     node ingest.mjs [FOLDER] [QUESTION]
//
// It needs the package (`npm install ./bindings/node`): no server, no key. Another call on a store of yours takes in
// what is new or was changed, and nothing else.

import { fileURLToPath } from 'node:url';

import { open } from 'neonhub';

const [folder = fileURLToPath(new URL('../data/brand', import.meta.url)), question = 'How do we write?'] =
  process.argv.slice(2);

/** Every document of a dataset, page by page. */
async function* documents(hub, dataset) {
  for (let cursor; cursor !== null; ) {
    const page = await hub.documents.list({ dataset, limit: 100, cursor });
    yield* page.items;
    cursor = page.next;
  }
}

const hub = await open('memory:');
try {
  await hub.spaces.create({ name: 'brand-voice' });
  await hub.datasets.create({ space: 'brand-voice', name: 'brand-voice' });

  const progress = hub.progress();
  const ingesting = hub.knowledge
    .ingestFolder({ dataset: 'brand-voice', folder })
    .finally(() => progress.close());
  for await (const { done, total, note } of progress) {
    if (note !== '') console.log(`${done + 1} of ${total}: ${note}`);
  }
  const { files, ready, failed, faults } = await ingesting;
  console.log(`${ready} of ${files} files can be found, ${failed} cannot`);
  for (const { path, message } of faults) console.log(`  ${path}: ${message}`);

  for await (const { title, chunks, warnings } of documents(hub, 'brand-voice')) {
    console.log(`${title}: ${chunks} chunks${warnings.length > 0 ? `, ${warnings.length} remarks` : ''}`);
  }
  const { hits, reason } = await hub.knowledge.search({ query: question, k: 3 });
  console.log(hits.length > 0 ? question : `${question} Nothing found: ${reason}`);
  for (const { citation, text } of hits) console.log(`  [${citation}] ${text.replace(/\s+/g, ' ').slice(0, 90)}`);
} finally {
  await hub.close();
}
