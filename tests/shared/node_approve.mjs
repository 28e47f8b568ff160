// Says yes to what a run asks that another language began: `node_approve.mjs STORE RUN`.

import { open } from '../../bindings/node/dist/index.js';

const [store, run] = process.argv.slice(2);
const hub = await open(store);
const { items } = await hub.approvals.list({ run });
if (items.length !== 1 || items[0].operation !== 'brands.create') {
  throw new Error(`expected one question of ${run}: ${JSON.stringify(items)}`);
}
await hub.approvals.approve({ id: items[0].id });
await hub.close();
console.log(`approved ${run}`);
