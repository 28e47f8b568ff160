/** The line to the native part: calls with their answers, and functions of this thread that the core asks. */

import { Bridge, Cancel, type Events, type Hub as NativeHub } from './addon.js';
import { NeonHubError } from './errors.js';
import { CancelledError, CLASSES } from './generated/errors.js';
import type { ItemProgress } from './generated/models.js';
import { decode, encode, type Shape, spelled } from './values.js';

/** A function that the core asks; `signal` is aborted when nobody waits for its answer any more. */
export type HostFunction = (input: any, signal: AbortSignal) => unknown;
type Payload = string | NativeHub;

const enum What {
  Done,
  Failed,
  Asked,
  Dropped,
  Released,
}

/** Thrown values kept until their error comes back; the oldest go when errors never do. */
const MOST_THROWN = 256;

const waiting = new Map<number, (answer: readonly [What, Payload]) => void>();
const functions = new Map<number, HostFunction>();
const running = new Map<number, AbortController>();
const thrown = new Map<number, unknown>();
let last = 0;

// The line itself is weak: this timer keeps the process alive exactly while a call is under way.
const alive = setInterval(() => {}, 2 ** 31 - 1).unref();

function number(): number {
  last = (last + 1) % 2 ** 32;
  return last;
}

/** Gets every message of the native part. It never throws: the process would end. */
function dispatch(what: What, id: number, asked: number, payload: Payload): void {
  if (what === What.Asked) void answer(id, asked, payload as string);
  else if (what === What.Released) functions.delete(asked);
  else if (what === What.Dropped) running.get(id)?.abort();
  else {
    const resolve = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) alive.unref();
    resolve?.([what, payload]);
  }
}

/** The line of this thread. */
export const bridge = new Bridge(dispatch);

/** Starts a call and waits for its answer. */
export async function ask(start: (call: number) => void): Promise<Payload> {
  const [what, payload] = await new Promise<readonly [What, Payload]>((resolve) => {
    const call = number();
    start(call);
    if (waiting.size === 0) alive.ref();
    waiting.set(call, resolve);
  });
  if (what === What.Failed) throw failure(payload as string);
  return payload;
}

/** The error that the native part wrote. */
export function failure(text: string): NeonHubError {
  const { kind, message, retry_after_ms: wait, thrown: key, ...rest } = JSON.parse(text);
  const cause = thrown.get(key);
  thrown.delete(key);
  return new (CLASSES[kind] ?? NeonHubError)(message, { ...rest, retryAfter: wait ?? undefined, cause });
}

/** Throws what a call without waiting gave back as its error. */
export function checked(text: string | null): void {
  if (text !== null) throw failure(text);
}

/** Makes a function known to the core, which releases it with the part that asks it. */
export function register(asked: HostFunction): number {
  const key = number();
  functions.set(key, asked);
  return key;
}

async function answer(question: number, asked: number, text: string): Promise<void> {
  const controller = new AbortController();
  running.set(question, controller);
  let reply: unknown;
  try {
    const value = await functions.get(asked)?.(JSON.parse(text), controller.signal);
    try {
      reply = { value: encode(value ?? null, 0) };
    } catch (error) {
      const message = `the callback of the host answered what JSON cannot hold: ${(error as Error).message}`;
      reply = { raised: { kind: 'corrupted', code: 'host_answer', message, thrown: keep(error) } };
    }
  } catch (error) {
    reply = { raised: described(error) };
  }
  running.delete(question);
  bridge.reply(question, JSON.stringify(reply));
}

function keep(error: unknown): number {
  const key = number();
  thrown.set(key, error);
  if (thrown.size > MOST_THROWN) thrown.delete(thrown.keys().next().value as number);
  return key;
}

/** What was thrown, for the core. */
export function described(error: unknown): object {
  if (!(error instanceof NeonHubError)) {
    const [name, message] = error instanceof Error ? [error.constructor.name, error.message] : [typeof error, String(error)];
    return { name: String(name), message: String(message), thrown: keep(error) };
  }
  const { kind, code, message, retryable, retryAfter } = error;
  const context = Object.entries(error.context).map(([key, value]) => [key, String(value)]);
  const faults = error.faults.map((fault) => [fault.field, fault.message]);
  const wait = retryAfter === undefined ? {} : { retry_after_ms: Math.max(0, Math.round(retryAfter)) };
  return { kind, code, message, context, faults, retryable, ...wait, thrown: keep(error) };
}

/** Settings of one call. */
export interface CallOptions {
  /** Ends the call with a `CancelledError` and nothing written. */
  signal?: AbortSignal | undefined;
  /** Milliseconds after which the call ends with a `TimeoutError` and nothing written; only shortens its deadline. */
  timeout?: number | undefined;
  /** A repeated call with the same key and input gives the first answer for 24 hours. */
  idempotencyKey?: string | undefined;
  /** Gets the progress of the hub's work while the call is under way. */
  onProgress?: ((progress: ItemProgress) => void) | undefined;
}

/** How the generated surface reaches the core. */
export class Core {
  constructor(
    readonly native: NativeHub,
    readonly options: CallOptions = {},
  ) {}

  /** Calls an operation: input and answer in the given shapes. */
  async call(name: string, input: unknown, takes: Shape, gives: Shape, options?: CallOptions): Promise<any> {
    const { signal, timeout, idempotencyKey, onProgress } = { ...this.options, ...options };
    const reported = onProgress && reporting(this.native, onProgress);
    let cancel: Cancel | undefined;
    const stop = (): void => cancel?.cancel();
    try {
      const text = JSON.stringify(encode(input, takes));
      if (signal) {
        cancel = new Cancel();
        if (signal.aborted) stop();
        signal.addEventListener('abort', stop, { once: true });
      }
      const answer = await ask((call) => this.native.call(call, name, text, idempotencyKey, timeout, cancel));
      return decode(JSON.parse(answer as string), gives);
    } catch (error) {
      throw told(error, name, takes, signal);
    } finally {
      signal?.removeEventListener('abort', stop);
      await reported?.();
    }
  }
}

/** Reports progress until the function it gives is called, which waits for the last report. */
function reporting(native: NativeHub, report: (progress: ItemProgress) => void): () => Promise<void> {
  const stream = nativeStream(native, 0, undefined, true);
  const done = (async () => {
    for (let text; (text = await ask((call) => stream.nextBatch(call, 64))) !== ''; ) {
      for (const item of JSON.parse(text as string)) report(decode(item, 'Item') as ItemProgress);
    }
  })();
  // A report that throws fails the call it reports on.
  done.catch(() => stream.stop());
  return () => {
    stream.finish();
    return done;
  };
}

/** The native stream of events or of progress. */
export function nativeStream(native: NativeHub, cursor: number, types: string | undefined, progress: boolean): Events {
  const stream = native.events(cursor, types, progress);
  if (typeof stream === 'string') throw failure(stream);
  return stream;
}

/** The error in the caller's words: its operation, the names of its fields, and why it was cancelled. */
function told(error: unknown, operation: string, takes: Shape, signal: AbortSignal | undefined): unknown {
  if (!(error instanceof NeonHubError)) return error;
  const set = (key: keyof NeonHubError | 'cause', value: unknown): unknown =>
    Object.defineProperty(error, key, { value, enumerable: key !== 'cause', configurable: true });
  if (error.operation === 'host') set('operation', operation);
  if (error.faults.length > 0) {
    set('faults', error.faults.map((fault) => ({ ...fault, field: spelled(fault.field, takes) })));
  }
  if (error instanceof CancelledError && signal?.aborted) set('cause', signal.reason);
  return error;
}
