/**
 * One brief becomes a gated multi-channel campaign, offline, on one file: the story in TypeScript.
 *
 *     tsc campaign.ts && node campaign.js [--out DIR] [--data DIR] [--now T]
 *
 * It needs the package (`npm install ./bindings/node`). With no option it runs on the bundled data of a fictional
 * coffee roaster. Run it again on the same out folder: nothing is sent twice.
 */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { parseArgs } from 'node:util';

import { AlreadyExistsError, type CampaignBriefInput, type CampaignReport, type Hub, open } from 'neonhub';

const brief: CampaignBriefInput = {
  goal: 'Win 300 new members for Brightmoor Circle',
  brand: 'Brightmoor Coffee',
  audienceText: 'People who bought beans from us this year but have not joined the refill club yet',
  keyMessages: ['Beans roasted on Tuesday are with you by Friday', 'The ReBag is a coffee bag that comes back'],
  offer: 'Your first refill is half price with code CIRCLE26',
  channels: ['email', 'sms', 'x', 'linkedin', 'instagram', 'facebook', 'ads', 'blog'],
  start: new Date('2026-11-02T08:00:00-05:00'),
  end: new Date('2027-10-31T23:59:59-04:00'),
  locale: 'en-US',
  timezone: 'America/New_York',
  mustSay: ['Pause or cancel any time'],
  mustNotSay: ['guaranteed', 'cheap', 'last chance', 'act now'],
  landingUrl: 'https://brightmoor.example/circle?ref=campaign#join',
  budget: { minor: 480000, currency: 'USD' },
  sender: {
    email: 'hello@brightmoor.example',
    name: 'Brightmoor Coffee',
    postalAddress: 'Brightmoor Coffee, 48 Kiln Street, Ashdale, VT 05999, USA',
    unsubscribeUrl: 'https://brightmoor.example/unsubscribe',
  },
};

/** The campaign, one operation after the other. */
async function run(hub: Hub, data: string, out: string): Promise<CampaignReport> {
  const { id, brand, approval } = await hub.campaign.create({ brief });
  const { slug } = await hub.brands.get({ brand });
  try {
    await hub.spaces.create({ name: 'brand-voice' });
    await hub.datasets.create({ space: 'brand-voice', name: 'brand-voice' });
  } catch (error) {
    if (!(error instanceof AlreadyExistsError)) throw error;
  }
  const folder = join(data, 'brand');
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  for (const name of names.filter((name) => ['.pdf', '.docx', '.md', '.html', '.txt'].includes(extname(name)))) {
    const blob = await hub.putBlob(readFileSync(join(folder, name)));
    await hub.documents.upload({ dataset: 'brand-voice', name, blob, tags: [`brand:${slug}`] });
  }
  await hub.voice.extract({ brand: slug });
  const imported = await hub.people.import.start({ path: join(data, 'contacts.csv') });
  const plan = await hub.campaign.plan({ id });
  for (const asset of await hub.campaign.generateAssets({ id })) {
    save(join(out, 'assets', asset.channel, `${asset.stepKey}.json`), asset);
  }
  if (approval === null) await hub.campaign.approve({ id, planVersion: plan.version });
  const sentBefore = (await hub.campaign.report({ id })).sends.sent;
  await hub.campaign.start({ id });
  await hub.jobs.work();
  const report = await hub.campaign.report({ id, import: imported.id, sentBefore });
  save(join(out, 'plan.json'), plan);
  save(join(out, 'report.json'), report);
  return report;
}

/** Writes a result as JSON. */
function save(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { out = 'campaign-out', data = join(__dirname, '../data'), now } = parseArgs({
    options: { out: text, data: text, now: text },
  }).values;
  mkdirSync(out, { recursive: true });
  const hub = await open(join(out, 'campaign.neon'), { outbox: join(out, 'outbox'), now });
  try {
    const { contacts, knowledge, assets, sends, reasonLines } = await run(hub, data, out);
    const made = Object.values(assets).reduce((sum, count) => sum + count, 0);
    console.log(`${contacts?.people} people, ${knowledge.documents} documents, ${made} assets`);
    console.log(`${sends.allowed} allowed, ${sends.deferred} deferred, ${sends.denied} denied; ${sends.sentNow} sent now`);
    for (const { count, rule, meaning } of reasonLines) console.log(`${String(count).padStart(7)} ${rule}: ${meaning}`);
    console.log(`everything is in ${out}`);
  } finally {
    await hub.close();
  }
}

void main();
