// Connectors written in JavaScript, behind the send gate.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as neonhub from 'neonhub';
import { memory } from 'neonhub/testing';

const TEXT = 'Bergkaffee: fresh beans for {{ first_name }}. Hauptplatz 1, 1010 Wien. Leave: {{ unsubscribe_url }}';
const HTML = '<p>Bergkaffee: fresh beans. Hauptplatz 1, 1010 Wien. <a href="{{ unsubscribe_url }}">Leave</a></p>';

/** A hub on a weekday at noon with a released mail of a brand and a person. */
async function ready(work, { agrees = true } = {}) {
  const hub = await memory({ now: '2026-11-24T15:00:00Z' });
  await hub.brands.create({ name: 'Bergkaffee' });
  await hub.brands.setSender({
    brand: 'bergkaffee',
    channel: 'email',
    from: 'hallo@bergkaffee.example',
    name: 'Bergkaffee',
    postalAddress: 'Hauptplatz 1, 1010 Wien',
    unsubscribeUrl: 'https://bergkaffee.example/leave',
  });
  const parts = { subject: 'Hello {{ first_name }}', text: TEXT, html: HTML };
  const made = await hub.drafts.create({ brand: 'bergkaffee', channel: 'email', parts });
  const draft = (await hub.drafts.approve({ draft: made.id })).id;
  const identifiers = [{ kind: 'email', value: 'ada@shop.example' }];
  const { person } = await hub.people.resolve({ identifiers, fields: { firstName: 'Ada' } });
  if (agrees) {
    await hub.consent.record({
      person,
      channel: 'email',
      status: 'granted',
      scope: 'marketing',
      basis: 'consent',
      method: 'form',
      source: 'https://bergkaffee.example/newsletter',
      text: 'Yes, send me news by e-mail.',
    });
  }
  await work(hub, { draft, person });
  await hub.close();
}

const mine = (deliver, more) => ({ name: 'mine', channels: ['email'], deliver, ...more });

test('a cleared mail is delivered once', () =>
  ready(async (hub, given) => {
    const seen = [];
    hub.addConnector(mine((message) => (seen.push(message), { providerId: 'prov-1', providerStatus: 'queued' })));
    const send = await hub.sends.create(given);
    assert.equal((await hub.jobs.work()).done, 1);
    assert.equal((await hub.jobs.work()).done, 0);
    const told = await hub.sends.explain({ send: send.id });
    assert.deepEqual([told.state, told.providerId], ['accepted', 'prov-1']);
    assert.equal(seen.length, 1);
    assert.deepEqual([seen[0].channel, seen[0].to, seen[0].text], ['email', 'ada@shop.example', null]);
    assert.equal(seen[0].effect.length, 64);
    assert.equal(seen[0].facts.send, send.id);
    assert.match(Buffer.from(seen[0].email).toString(), /Subject: Hello Ada\r\n/);
  }));

test('nothing reaches a connector without consent', () =>
  ready(
    async (hub, given) => {
      hub.addConnector(mine(() => assert.fail('the gate was passed')));
      await assert.rejects(hub.sends.create(given), neonhub.ConsentRequiredError);
      await hub.jobs.work();
    },
    { agrees: false },
  ));

test('an exception may have sent: it is not tried again, and probe says what became of it', () =>
  ready(async (hub, given) => {
    let calls = 0;
    hub.addConnector(
      mine(async () => {
        calls++;
        throw new Error('reset after the body');
      }),
    );
    const send = await hub.sends.create(given);
    await hub.jobs.work();
    await hub.jobs.work();
    assert.equal(calls, 1);
    assert.equal((await hub.sends.explain({ send: send.id })).state, 'unknown');
  }));

test('an answer that nobody can read may have sent', () =>
  ready(async (hub, given) => {
    hub.addConnector(mine(() => 7));
    const send = await hub.sends.create(given);
    await hub.jobs.work();
    assert.equal((await hub.sends.explain({ send: send.id })).state, 'unknown');
  }));

test('an error of ours says that nothing was sent', () =>
  ready(async (hub, given) => {
    hub.addConnector(
      mine(() => {
        throw new neonhub.UnavailableError('the service is down', { retryAfter: 60_000 });
      }),
    );
    const send = await hub.sends.create(given);
    assert.equal((await hub.jobs.work()).done, 0);
    assert.equal((await hub.sends.explain({ send: send.id })).state, 'queued');
  }));
