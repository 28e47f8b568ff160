/** Answers of models as values of a schema. */

import { CorruptedError, UnsupportedError } from './generated/errors.js';
import type { AiGenerateTextInput, GeneratedText } from './generated/models.js';
import { faultsOf, isZod, jsonSchema, type ZodSchema } from './schema.js';

/** What is asked: as `ai.generateText`, with the schema of the value. */
export type Ask<Schema> = Omit<AiGenerateTextInput, 'schema'> & { schema: Schema };
/** A schema of zod 4, or JSON Schema. */
export type AnySchema = ZodSchema<unknown> | Record<string, unknown>;

type Plain = Record<string, unknown>;

const OPERATION = 'ai.generate_text';
/** The name of a value that is no object: models answer objects. */
const WRAPPED = 'value';

/** The input of `ai.generate_text`, and what makes the value of its answer. */
export function asked(ask: Ask<AnySchema>): [AiGenerateTextInput, (answer: GeneratedText) => Promise<unknown>] {
  const schema = jsonSchema(ask.schema) as Plain;
  const isWrapped = schema.type !== 'object' && !('$ref' in schema);
  const facts = isWrapped && ask.facts !== undefined ? { [WRAPPED]: ask.facts } : ask.facts;
  const input = { ...ask, facts, schema: isWrapped ? wrap(schema) : schema };
  return [input, (answer) => read(ask.schema, isWrapped, answer)];
}

async function read(schema: AnySchema, isWrapped: boolean, answer: GeneratedText): Promise<unknown> {
  const lacking = answer.warnings.filter((line) => line.code === 'needs_input').map((line) => line.message);
  if (lacking.length > 0) {
    const message = `the offline model makes no value up: ${lacking.join('; ')}: give facts, or add a model`;
    throw new UnsupportedError(message, { code: 'needs_input', operation: OPERATION });
  }
  const value = isWrapped ? (answer.json as Plain)[WRAPPED] : answer.json;
  if (!isZod(schema)) return value;
  try {
    const later = schema as { parseAsync?(value: unknown): Promise<unknown> };
    return later.parseAsync ? await later.parseAsync(value) : schema.parse(value);
  } catch (error) {
    const faults = faultsOf(error);
    if (!faults) throw error;
    const words = faults.map((fault) => `${fault.field}: ${fault.message}`).join('; ');
    const details = { code: 'invalid_output', operation: OPERATION, faults, cause: error };
    throw new CorruptedError(`the answer does not fit the schema: ${words}`, details);
  }
}

function wrap({ $defs, ...schema }: Plain): Plain {
  const root = { type: 'object', required: [WRAPPED], additionalProperties: false };
  return { ...root, properties: { [WRAPPED]: moved(schema) }, ...($defs === undefined ? {} : { $defs: moved($defs) }) };
}

/** The schema with references to its root led to where it stands now. */
function moved(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(moved);
  if (typeof schema !== 'object' || schema === null) return schema;
  const to = (key: string, value: unknown) => (key === '$ref' && value === '#' ? `#/properties/${WRAPPED}` : moved(value));
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, to(key, value)]));
}
