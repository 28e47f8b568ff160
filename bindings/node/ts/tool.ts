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
  /** Longest answer given out at once, in bytes of JSON. Default: 65 536. */
  resultCapBytes?: number;
  /** The body, plain or async; answers any JSON value. */
  call(args: Args, call: ToolCall): unknown;
}

/** The settings of a tool as the core reads them. */
export function toolSettings<Args>(tool: Tool<Args>): string {
  const { name, doc, version, kind, effect, needs, concurrency, input, output, timeout, resultCapBytes, call, ...more } =
    tool;
  // An instance of a class may hold what it likes; in a plain object it is a slip, and a schema would be lost by it.
  const unknown = Object.getPrototypeOf(tool) === Object.prototype ? Object.keys(more) : [];
  if (unknown.length > 0) {
    const known = 'name, doc, input, output, version, kind, effect, needs, timeout, concurrency, resultCapBytes, call';
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
  };
  return JSON.stringify(encode(settings, 0));
}

/** The body as the core asks it. */
export function toolFunction<Args>(tool: Tool<Args>): HostFunction {
  const schema = tool.input;
  return ({ args, call }, signal) => tool.call(isZod(schema) ? parsed(schema, args) : args, { ...call, signal });
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
