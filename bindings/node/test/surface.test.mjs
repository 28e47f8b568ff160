// The typed surface: names in camelCase, dates, null, unions, and fields of errors as the caller wrote them.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import * as neonhub from 'neonhub';
import { memory } from 'neonhub/testing';

import { decode, encode, spelled } from '../dist/values.js';

test('answers have names, dates and nulls of this language', async () => {
  const hub = await memory();
  const identifiers = [{ kind: 'email', value: 'ada@shop.example' }];
  const { person, created } = await hub.people.resolve({ identifiers, fields: { firstName: 'Ada', traits: { snake_case: 1 } } });
  assert.equal(created, true);
  const ada = await hub.people.get({ person });
  assert.equal(ada.firstName, 'Ada');
  assert.equal(ada.traits.snake_case.value, 1);
  assert.ok(ada.createdAt instanceof Date);
  assert.equal(ada.lastName, null);
  await hub.close();
});

test('faults name fields as the caller wrote them', async () => {
  const hub = await memory();
  const error = await hub.workspaces.update({ defaultRegion: 'at', name: ' ' }).then(assert.fail, (e) => e);
  assert.deepEqual(error.faults.map((fault) => fault.field).sort(), ['defaultRegion', 'name']);
  const typo = await hub.workspaces.update({ nmae: 'x' }).then(assert.fail, (e) => e);
  assert.equal(typo.faults[0].field, 'nmae');
  const wrong = await hub.audit.query({ limit: NaN }).then(assert.fail, (e) => e);
  assert.deepEqual([wrong.operation, wrong.faults[0].field], ['audit.query', 'limit']);
  await hub.close();
});

test('paths are spelled through lists, maps and unions', () => {
  assert.equal(spelled('brief.landing_url', 'CampaignCreateInput'), 'brief.landingUrl');
  assert.equal(spelled('identifiers[2].value', 'PeopleResolveInput'), 'identifiers[2].value');
  assert.equal(spelled('no_such.some_thing', 'CampaignCreateInput'), 'no_such.some_thing');
});

test('unions go both ways', () => {
  const user = { id: 'owner', kind: 'user' };
  assert.deepEqual(decode(user, 'Principal'), user);
  assert.deepEqual(encode(user, 'Principal'), user);
});

test('the wire spelling is understood too, and values below it are encoded', async () => {
  assert.deepEqual(encode({ landing_url: 'x', start: new Date(5) }, 'CampaignBrief'), { landing_url: 'x', start: 5 });
});

test('the types hold in strict mode, over the examples too', { timeout: 300_000 }, () => {
  const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
  execFileSync(process.execPath, [tsc, '-p', fileURLToPath(new URL('./types', import.meta.url))], { stdio: 'inherit' });
});

test('the classes of errors are told apart', () => {
  const error = new neonhub.NotFoundError('no such person', { operation: 'people.get' });
  assert.ok(error instanceof neonhub.NeonHubError && !(error instanceof neonhub.ConflictError));
  assert.equal(String(error), 'not_found: people.get: no such person');
  assert.equal(error.name, 'NotFoundError');
});
