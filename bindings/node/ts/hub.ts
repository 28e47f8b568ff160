/** The hub: opening, closing, workspaces, streams, and the parts written in JavaScript. */

import type { Hub as NativeHub } from './addon.js';
import { ask, bridge, type CallOptions, checked, Core, nativeStream, register } from './bridge.js';
import type { ItemEvent, ItemProgress } from './generated/models.js';
import { Operations } from './generated/operations.js';
import { type AnySchema, type Ask, asked } from './generate.js';
import {
  type Connector,
  deliverFunction,
  type ModelFunction,
  modelFunction,
  type ModelSettings,
  modelSettings,
  probeFunction,
} from './host.js';
import type { ZodSchema } from './schema.js';
import { Stream } from './stream.js';
import { type Tool, toolFunction, toolProbe, toolSettings } from './tool.js';
import { encode } from './values.js';

/** How to open a hub. */
export interface OpenOptions {
  /** Short name of the workspace to work in. Default: `default`. */
  workspace?: string | undefined;
  /** Folder that takes every message until a connector is added. Default: beside the file. */
  outbox?: string | undefined;
  /** Models over the network, in the order of preference; the offline model comes last. Nothing is sent without them. */
  models?: ProviderSettings[] | undefined;
  /** Orders of these models by name, for calls that name a route; `default` takes the place of the order of `models`. */
  routes?: RouteSettings[] | undefined;
  /** What spaces can be made with beside `offline-hash-512`: models from a folder, or endpoints. */
  embedders?: EmbedderSettings[] | undefined;
  /** The embedder of messages and memories, by its name. */
  embedder?: string | undefined;
  /**
   * Tokens of the context that conversations are to fit into: a job summarises one that fills three quarters of it, with
   * the model of the hub. 0: no job does. Default: 8000.
   */
  summaryTokens?: number | undefined;
  /** How many runs of agents work and wait at a time in a workspace. */
  runs?: RunSettings | undefined;
  /**
   * Rights of your own: words such as `app:orders.refund`, each with a sentence on what it lets a principal do. Roles and
   * keys may carry them, and tools may need them.
   */
  permissions?: Record<string, string> | undefined;
  /** Hosts whose pages `knowledge.ingestUrl` may fetch: names, `*.name`, or `*`. */
  web?: string[] | undefined;
  /** Fixes all chance, for tests and repeatable runs. Below 2^53. */
  seed?: number | undefined;
  /** Stops the clock at this instant, for tests and repeatable runs. */
  now?: Date | string | undefined;
}

/** A model at a provider: `openai`, `anthropic`, `ollama`, or a word of your own with its `baseUrl`. */
export interface ProviderSettings {
  provider: string;
  model: string;
  apiKey?: string | undefined;
  baseUrl?: string | undefined;
  api?: 'chat' | 'responses' | 'messages' | 'ollama' | undefined;
  organization?: string | undefined;
  project?: string | undefined;
  region?: string | undefined;
  numCtx?: number | undefined;
  keepAlive?: string | undefined;
  firstByteMs?: number | undefined;
  idleMs?: number | undefined;
  totalMs?: number | undefined;
  /** Calls at a time, of all its models together. Default: 16. */
  concurrency?: number | undefined;
  /** Calls that may wait for a place; one more is refused (`no_place`). Default: 1024. */
  queue?: number | undefined;
  /** Longest wait for a place, in milliseconds. Default: 600000. */
  queueMs?: number | undefined;
}

/** An order of models by name, for calls that name a route. */
export interface RouteSettings {
  name: string;
  /** Models of providers that `models` sets up, the preferred one first; the offline model comes last by itself. */
  models: { provider: string; model?: string | undefined }[];
  /** The model that is worth most for its price is asked first. */
  byValue?: boolean | undefined;
  /** The quality that a route by value wants, 0 to 1. Default: 0. */
  atLeast?: number | undefined;
  /** The most that one call may cost in its worst case: millionths of a currency such as `USD`. */
  limit?: { currency: string; micros: number } | undefined;
  /** Takes models of unknown price in spite of a limit. */
  allowUnknownPrice?: boolean | undefined;
  /** The route in its place once a soft limit of a quota is reached. */
  cheaper?: string | undefined;
  /** Lets another model start again when one breaks off in the middle. */
  allowRestart?: boolean | undefined;
}

/** The room for runs of agents in a workspace. */
export interface RunSettings {
  /** Runs that work at a time. Default: 8. */
  atOnce?: number | undefined;
  /** Runs that may wait for a place; one more is refused (`no_place`). Default: 1024. */
  queue?: number | undefined;
  /** Longest wait for a place, in milliseconds. Default: 600000. */
  queueMs?: number | undefined;
}

/** A sentence encoder from a `folder`, or an `endpoint` (with its `dims` where the core does not know them). */
export interface EmbedderSettings {
  name?: string | undefined;
  folder?: string | undefined;
  endpoint?: ProviderSettings | undefined;
  dims?: number | undefined;
  shorten?: boolean | undefined;
  maxBatch?: number | undefined;
  queryPrefix?: string | undefined;
  passagePrefix?: string | undefined;
}

/** Names of settings as the core has them: `baseUrl` is `base_url`. Words of the caller's own, such as rights, stay. */
function inCore(settings: unknown): unknown {
  if (Array.isArray(settings)) return settings.map(inCore);
  if (typeof settings !== 'object' || settings === null || settings instanceof Date) return settings;
  const name = (key: string) =>
    /^\w+$/.test(key) ? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : key;
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [name(key), inCore(value)]));
}

/**
 * Opens a hub, and makes its file when there is none.
 *
 * A new file is a sandbox: text of the offline model may pass the send gate there, and mails go to an outbox folder.
 *
 * @param url A path such as `brand.neon`, `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE` (the root key stands
 *   in the variable `NEONHUB_KEY`), or `memory:` for a hub that leaves nothing behind.
 */
export async function open(url = 'memory:', options: OpenOptions = {}): Promise<Hub> {
  const settings = JSON.stringify(encode(inCore({ url, ...options }), 0));
  return new Hub(new Core((await ask((call) => bridge.open(call, settings))) as NativeHub));
}

/** One open hub, seen from one workspace. Close it, or declare it with `await using`. */
export class Hub extends Operations {
  readonly #core: Core;

  /** @internal */
  constructor(core: Core) {
    super(core);
    this.#core = core;
  }

  /** Stops taking calls, waits for those under way, and closes the store. Closing twice is one close. */
  async close(): Promise<void> {
    await ask((call) => this.#core.native.close(call));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** True once the hub was closed. */
  get closed(): boolean {
    return this.#core.native.closed;
  }

  /** The same hub in another workspace. */
  async inWorkspace(slug: string): Promise<Hub> {
    const native = await ask((call) => this.#core.native.workspace(call, slug));
    return new Hub(new Core(native as NativeHub, this.#core.options));
  }

  /** The same hub with settings for all calls made through it. */
  withOptions(options: CallOptions): Hub {
    return new Hub(new Core(this.#core.native, { ...this.#core.options, ...options }));
  }

  /**
   * Keeps a file of up to 100 MiB in the store and gives its name, for the `blob` of `documents.upload`.
   *
   * An argument of a call holds up to 1 MiB. Storing the same file again costs nothing.
   */
  async putBlob(content: Uint8Array): Promise<string> {
    return (await ask((call) => this.#core.native.putBlob(call, content))) as string;
  }

  /**
   * What happened after `cursor` (0: from the start), then what happens, in order, each event once.
   *
   * @param options.cursor `cursor` of the last item that was worked off.
   * @param options.types Only this type, such as `person.created`; `person.*` for all below.
   */
  events(options: { cursor?: number; types?: string } = {}): Stream<ItemEvent> {
    const { cursor = 0, types } = encode(options, 0) as typeof options;
    return new Stream(nativeStream(this.#core.native, Math.max(0, cursor), types, false), 'Item');
  }

  /** Progress of running work from now on. A slow reader misses some; nothing is stored. */
  progress(): Stream<ItemProgress> {
    return new Stream(nativeStream(this.#core.native, 0, undefined, true), 'Item');
  }

  /**
   * Asks the model of the hub for a value of a schema, as `ai.generateText` does with one.
   *
   * An answer that does not fit is given back to the model once. One that does not fit then, or that a refinement of zod
   * refuses, is a `CorruptedError` (code `invalid_output`) with every fault by field. The offline model makes nothing up:
   * what `facts` do not say is an `UnsupportedError` (code `needs_input`).
   *
   * @param ask The prompt, the schema (of zod 4, which types the value, or JSON Schema), and all that `ai.generateText`
   *   takes. `facts` are an object, or the value itself where the schema is of no object.
   */
  generate<Value>(ask: Ask<ZodSchema<Value>>, options?: CallOptions): Promise<Value>;
  generate(ask: Ask<Record<string, unknown>>, options?: CallOptions): Promise<unknown>;
  async generate(ask: Ask<AnySchema>, options?: CallOptions): Promise<unknown> {
    const [input, read] = asked(ask);
    return read(await this.ai.generateText(input, options));
  }

  /** Adds a model written in JavaScript; it answers from now on. */
  addModel(complete: ModelFunction, settings: ModelSettings): void {
    checked(this.#core.native.addModel(modelSettings(settings), register(modelFunction(complete))));
  }

  /** Adds a connector written in JavaScript; it takes over the channels it names. */
  addConnector(connector: Connector): void {
    const settings = JSON.stringify({ name: connector.name, channels: connector.channels });
    const probe = probeFunction(connector);
    checked(this.#core.native.addConnector(settings, register(deliverFunction(connector)), probe && register(probe)));
  }

  /** Adds a tool written in JavaScript, for agents and for `tools.call`. */
  addTool<Args = Record<string, unknown>>(tool: Tool<Args>, options: { replace?: boolean } = {}): void {
    const [settings, probe] = [toolSettings(tool), toolProbe(tool)];
    const body = register(toolFunction(tool));
    checked(this.#core.native.addTool(settings, body, probe && register(probe), options.replace ?? false));
  }

  /** Takes a tool away. False when there was none of this name. */
  removeTool(name: string): boolean {
    return this.#core.native.removeTool(name);
  }

  /** @internal */
  get native(): NativeHub {
    return this.#core.native;
  }
}
