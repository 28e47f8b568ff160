/** Schemas that callers give: JSON Schema, or zod, which checks and types what comes back. */

import type { Fault } from './errors.js';

/** A schema of zod 4: its own JSON Schema is shown to models, and it checks and types the value. */
export interface ZodSchema<Value> {
  parse(value: unknown): Value;
  readonly _zod: unknown;
}

/** Whether a schema is one of zod. */
export function isZod(schema: unknown): schema is ZodSchema<unknown> {
  return typeof schema === 'object' && schema !== null && '_zod' in schema && 'parse' in schema;
}

/** The JSON Schema of a schema, by the zod that is installed beside the application. */
export function jsonSchema(schema: unknown): unknown {
  if (!isZod(schema)) return schema;
  const zod = require('zod') as { toJSONSchema(schema: unknown, options: object): Record<string, unknown> };
  const { $schema: _, ...rest } = zod.toJSONSchema(schema, { io: 'input' });
  return rest;
}

/** The faults that zod found, by field; undefined for any other error. */
export function faultsOf(error: unknown): Fault[] | undefined {
  const issues = (error as { issues?: { path: PropertyKey[]; message: string }[] }).issues;
  return issues?.map((issue) => ({ field: fieldOf(issue.path), message: issue.message }));
}

function fieldOf(path: PropertyKey[]): string {
  const field = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return field.replace(/^\./, '') || 'value';
}
