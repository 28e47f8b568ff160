// What must type-check, and with @ts-expect-error what must not. Never run.

import { z } from 'zod';

import * as neonhub from 'neonhub';
import { FaultInjector, memory, ScriptedModel, VirtualClock } from 'neonhub/testing';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <T extends true>(): T | undefined => undefined;

export async function operations(hub: neonhub.Hub): Promise<void> {
  const resolved = await hub.people.resolve({ identifiers: [{ kind: 'email', value: 'ada@shop.example' }] });
  is<Same<typeof resolved.created, boolean>>();
  is<Same<typeof resolved.person, string | null>>();
  const person = await hub.people.get({ person: 'per_1' });
  is<Same<typeof person.createdAt, Date>>();
  is<Same<typeof person.firstName, string | null>>();
  await hub.people.update({ person: 'per_1', fields: { firstName: undefined, lastName: null } });
  await hub.workspaces.update({}, { signal: AbortSignal.timeout(5), timeout: 100, idempotencyKey: 'k' });

  // @ts-expect-error: a required member is missing
  await hub.people.resolve({});
  // @ts-expect-error: the names are those of this language
  await hub.workspaces.update({ default_region: 'AT' });
  // @ts-expect-error: text where a number belongs
  await hub.audit.query({ limit: '10' });
  // @ts-expect-error: no word of this type
  await hub.people.resolve({ identifiers: [{ kind: 'e-mail', value: 'x' }] });
  // @ts-expect-error: an operation nobody knows
  await hub.people.reslove({});
  // @ts-expect-error: there is no untyped door
  await hub.call('people.get', {});
  // @ts-expect-error: a member of no answer
  person.first_name;
  // @ts-expect-error: answers are not assumed to be there
  resolved.person.length;
}

export async function unions(hub: neonhub.Hub): Promise<string> {
  const { principal } = await hub.scope.whoami();
  switch (principal.kind) {
    case 'user':
      return principal.id;
    case 'system':
      // @ts-expect-error: the system has no id of a user
      return principal.noSuchMember;
    default:
      return principal.kind;
  }
}

export async function values(hub: neonhub.Hub): Promise<void> {
  const cart = await hub.generate({ prompt: 'The cart.', schema: z.array(z.object({ sku: z.string() })) });
  is<Same<typeof cart, { sku: string }[]>>();
  const plain = await hub.generate({ prompt: 'How many?', schema: { type: 'integer' }, seed: 1 });
  is<Same<typeof plain, unknown>>();
  // @ts-expect-error: a value has a schema
  await hub.generate({ prompt: 'The cart.' });
}

export async function streams(hub: neonhub.Hub): Promise<void> {
  for await (const item of hub.events({ types: 'person.*' })) {
    is<Same<typeof item.item, 'event'>>();
    is<Same<typeof item.event.at, Date>>();
  }
  for await (const { task, done } of hub.progress()) console.log(task, done.toFixed());
  await using kept = hub.events();
  await kept.next();
}

export function errors(error: unknown): number | undefined {
  if (error instanceof neonhub.RateLimitedError) {
    is<Same<typeof error.kind, 'rate_limited'>>();
    return error.retryAfter;
  }
  if (error instanceof neonhub.NeonHubError) {
    const fields: string[] = error.faults.map((fault) => fault.field);
    // @ts-expect-error: errors are read, not written
    error.code = 'x';
    return fields.length;
  }
  return undefined;
}

export function host(hub: neonhub.Hub): void {
  hub.addModel((request) => request.prompt, { provider: 'house' });
  hub.addModel(async (_, signal) => ({ text: String(signal.aborted), inputTokens: 1 }), { provider: 'house', jsonSchema: true });
  // @ts-expect-error: a model answers text or an answer
  hub.addModel(() => 7, { provider: 'house' });
  hub.addConnector({ name: 'mine', channels: ['email'], deliver: (message) => message.effect });
  hub.addTool({
    name: 'shop.stock',
    doc: 'How many are there.',
    input: z.object({ sku: z.string(), count: z.number().default(1) }),
    call(args) {
      is<Same<typeof args, { sku: string; count: number }>>();
      return args.count;
    },
  });
  hub.addTool({ name: 'any', doc: 'Anything.', input: { type: 'object' }, call: (args) => args['x'] ?? null });
}

export async function helpers(): Promise<void> {
  await using hub = await memory();
  new ScriptedModel(['a', { toolCalls: [{ id: '1', name: 'x', args: {} }] }]).addTo(hub);
  new FaultInjector().add({ on: 'model', error: { kind: 'timeout' } });
  new VirtualClock(hub).advance(1000);
  // @ts-expect-error: no such place
  new FaultInjector().add({ on: 'tools' });
}
