// One of the processes that write to one store at the same time: `node_writer.mjs STORE_PATH PREFIX COUNT`.

import { open } from '../../bindings/node/dist/index.js';

const [path, prefix, count] = process.argv.slice(2);
const hub = await open(path);
for (let n = 0; n < Number(count); n++) {
  await hub.people.resolve({ identifiers: [{ kind: 'email', value: `${prefix}-${n}@shared.example` }] });
}
await hub.close();
console.log(`done ${count}`);
