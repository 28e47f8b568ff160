/** Tools written in JavaScript. */

import type { HostFunction } from './bridge.js';
import { InvalidInputError } from './generated/errors.js';
import { faultsOf, isZod, jsonSchema, type ZodSchema } from './schema.js';
import { encode } from './values.js';

/** What a tool is told of its call. */
export interface ToolCall {
  /** The tool's name. */
  tool: string;
  /** The workspace it is called in. */
  workspace: string;
  /** Who calls: `user:owner`, `agent:...`. */
  principal: string;
  /** Joins everything that one outer call caused. */
  correlation: string;
  /** In a run of an agent: the name of this call, the same each time it is made. Give it to a service as idempotency key. */
  effect: string | null;
  /** Aborted when nobody waits for the answer any more. */
  signal: AbortSignal;
}

/** A tool: what models are told of it, its bounds, and its body. */
export interface Tool<Args = Record<string, unknown>> {
  /** `[a-z0-9_.]`, 1 to 64 characters. */
  name: string;
  /** What it does and when to use it. */
  doc: string;
  /** Schema of its arguments: JSON Schema of an object, or a schema of zod 4. Default: any object. */
  input?: ZodSchema<Args> | Record<string, unknown>;
  /** JSON Schema of its answer. Default: anything. */
  output?: Record<string, unknown>;
  /** Raised when its behaviour changes. */
  version?: number;
  /** What it works on. Default: `integration`. */
  kind?: 'api' | 'database' | 'generation' | 'analysis' | 'integration';
  /** What it does to the world. Default: `write`; say `read` when it only reads. */
  effect?: string;
  /** Rights that a caller needs. */
  needs?: string[];
  /** Time of a call in milliseconds. Default: 30 000. */
  timeout?: number;
  /** Most calls at the same time in this process. */
  concurrency?: number;
  /** So many calls in so many milliseconds, over all processes; one more is a `RateLimitedError`. */
  rate?: { max: number; per: number };
  /** True when an agent needs a person's yes for each call, whatever the effect. */
  approval?: boolean;
  /**
   * What a call lets out or keeps for good: an agent that had read foreign words needs a person's yes. Default: nothing, or
   * anything where it acts on the world.
   */
  sinks?: ('send' | 'publish' | 'spend' | 'export' | 'memory_write')[];
  /** Longest answer given out at once, in bytes of JSON. Default: 65 536. */
  resultCapBytes?: number;
  /** The body, plain or async; answers any JSON value. */
  call(args: Args, call: ToolCall): unknown;
  /**
   * Says what became of a call of a run whose answer was lost: `{ landed: ANSWER }`, `false` when it did not happen, `null`
   * when nobody can tell. `call.effect` is the name that the call had. Without one a person is asked.
   */
  probe?(args: Args, call: ToolCall): Landed | false | null | Promise<Landed | false | null>;
}

/** What a probe answers for a call that happened. */
export interface Landed {
  /** What the tool would have answered. */
  landed: unknown;
}

/** The settings of a tool as the core reads them. */
export function toolSettings<Args>(tool: Tool<Args>): string {
  const { name, doc, version, kind, effect, needs, concurrency, input, output, timeout, resultCapBytes, rate, approval, sinks, call, probe, ...more } =
    tool;
  // An instance of a class may hold what it likes; in a plain object it is a slip, and a schema would be lost by it.
  const unknown = Object.getPrototypeOf(tool) === Object.prototype ? Object.keys(more) : [];
  if (unknown.length > 0) {
    const known = 'name, doc, input, output, version, kind, effect, needs, timeout, concurrency, resultCapBytes, rate, approval, sinks, call, probe';
    const faults = unknown.map((field) => ({ field, message: `a tool has no such field: expected one of ${known}` }));
    throw new InvalidInputError(`unknown fields of a tool: ${unknown.join(', ')}`, { faults });
  }
  const settings = {
    name,
    doc,
    version,
    kind,
    effect,
    needs,
    concurrency,
    input_schema: jsonSchema(input),
    output_schema: output,
    timeout_ms: timeout,
    result_cap_bytes: resultCapBytes,
    rate: rate && { max: rate.max, per_ms: rate.per },
    approval,
    sinks,
  };
  return JSON.stringify(encode(settings, 0));
}

/** The probe as the core asks it. */
export function toolProbe<Args>(tool: Tool<Args>): HostFunction | undefined {
  return tool.probe && ((asked, signal) => tool.probe?.(...taken(tool.input, asked, signal)));
}

/** The body as the core asks it. */
export function toolFunction<Args>(tool: Tool<Args>): HostFunction {
  return (asked, signal) => tool.call(...taken(tool.input, asked, signal));
}

function taken(schema: unknown, { args, call }: any, signal: AbortSignal): [any, ToolCall] {
  return [isZod(schema) ? parsed(schema, args) : args, { ...call, signal }];
}

/** The arguments as the schema gives them; its faults are those of the input. */
function parsed(schema: ZodSchema<unknown>, args: unknown): any {
  try {
    return schema.parse(args);
  } catch (error) {
    const faults = faultsOf(error);
    if (!faults) throw error;
    throw new InvalidInputError('the arguments do not fit the schema', { faults, cause: error });
  }
}
