// Opens a hub and makes a person in it: no server, no key, one file.

import { open } from 'neonhub';

const hub = await open('memory:');
const ada = await hub.people.resolve({ identifiers: [{ kind: 'email', value: 'ada@shop.example' }] });
console.log(`${ada.person} is ${ada.created ? 'new' : 'known'}; ${(await hub.people.list()).items.length} person here`);
await hub.close();
