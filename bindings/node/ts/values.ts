/** Values on their way to the core and back: names in both spellings, dates, and what JSON cannot hold. */

import { InvalidInputError } from './generated/errors.js';
import { SHAPES } from './generated/shapes.js';

/** Plain JSON, an instant, a declared type, a list, a map, a tuple, or either an object or a list. */
export type Shape =
  | 0
  | 1
  | string
  | { readonly l: Shape }
  | { readonly m: Shape }
  | { readonly p: readonly Shape[] }
  | { readonly e: readonly [Shape, Shape] };
/** The name in JSON, the name here, the shape, and what it is in an answer that leaves it out. */
export type Member = readonly [wire: string, here: string, shape: Shape, fill?: unknown];
/** Members; variants by the word of a member; or variants by their only member. */
export type Declared =
  | readonly Member[]
  | { readonly by: readonly [wire: string, here: string]; readonly of: Readonly<Record<string, string>> }
  | { readonly only: Readonly<Record<string, string>> };

type Plain = Record<string, unknown>;

/** Levels of nesting that the core takes. */
const DEEPEST = 64;

const members = new Map<string, readonly [Map<string, Member>, Map<string, Member>]>();

/** The members of a declared class by the name here and by the name in JSON. */
function membersOf(name: string): readonly [Map<string, Member>, Map<string, Member>] {
  let found = members.get(name);
  if (!found) {
    const list = SHAPES[name] as readonly Member[];
    found = [new Map(list.map((member) => [member[1], member])), new Map(list.map((member) => [member[0], member]))];
    members.set(name, found);
  }
  return found;
}

/** The class of a value: itself, or the variant that its tag or its only member names. */
function classOf(name: string, value: Plain, side: 0 | 1): string | undefined {
  const declared = SHAPES[name] as Declared;
  if ('by' in declared) return declared.of[value[declared.by[side]] as string];
  if (!('only' in declared)) return name;
  return Object.values(declared.only).find((variant) => (SHAPES[variant] as readonly Member[])[0]![side] in value);
}

/** Sets a member, `__proto__` too, as JSON has it. */
function put(target: Plain, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

function refuse(field: string, message: string): never {
  throw new InvalidInputError(`${field || 'input'}: ${message}`, { faults: [{ field: field || 'input', message }] });
}

function tooLarge(field: string): never {
  refuse(field, 'expected a whole number below 2^53: send larger ones as text');
}

function number(value: number, field: string): number {
  if (!Number.isFinite(value)) refuse(field, 'expected a finite number');
  // From 1e21 on JavaScript writes an exponent, and the core reads a float.
  if (Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21) {
    tooLarge(field);
  }
  return value;
}

/** The value as it is sent. What was not given (`undefined`) is left out; `null` is sent. */
export function encode(value: unknown, shape: Shape, field = '', depth = 0): unknown {
  if (typeof value === 'number') return number(value, field);
  if (typeof value === 'bigint') return BigInt.asIntN(54, value) === value ? number(Number(value), field) : tooLarge(field);
  if (typeof value === 'function' || typeof value === 'symbol') refuse(field, `expected a value, not a ${typeof value}`);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > DEEPEST) refuse(field.slice(0, 80), `expected at most ${DEEPEST} levels of nesting`);
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) refuse(field, 'expected a valid date');
    return shape === 1 ? value.getTime() : value.toISOString();
  }
  if (Array.isArray(value)) return list(value, shape, field, depth + 1);
  if ('toJSON' in value && typeof value.toJSON === 'function') return encode(value.toJSON(), shape, field, depth + 1);
  const what = Object.prototype.toString.call(value);
  if (what !== '[object Object]') refuse(field, `expected a plain value, not ${what.slice(8, -1)}`);
  return object(value as Plain, shape, field, depth + 1);
}

function list(items: unknown[], shape: Shape, field: string, depth: number): unknown[] {
  const inner = typeof shape === 'object' && 'e' in shape ? shape.e[1] : shape;
  return items.map((item, n) => {
    const of = typeof inner !== 'object' ? 0 : 'l' in inner ? inner.l : 'p' in inner ? (inner.p[n] ?? 0) : 0;
    return encode(item, of, `${field}[${n}]`, depth);
  });
}

function object(value: Plain, shape: Shape, field: string, depth: number): Plain {
  const inner = typeof shape === 'object' && 'e' in shape ? shape.e[0] : shape;
  const name = typeof inner === 'string' ? classOf(inner, value, 1) : undefined;
  const known = name === undefined ? undefined : membersOf(name);
  const each = typeof inner === 'object' && 'm' in inner ? inner.m : 0;
  const out: Plain = {};
  for (const key of Object.keys(value)) {
    if (value[key] === undefined) continue;
    // An unknown member goes on as it is: the core names it and the closest one it knows.
    const member = known?.[0].get(key) ?? known?.[1].get(key);
    put(out, member?.[0] ?? key, encode(value[key], member?.[2] ?? each, field ? `${field}.${key}` : key, depth));
  }
  return out;
}

/** The value of an answer: names and dates as they are here, and every member there. */
export function decode(value: unknown, shape: Shape): unknown {
  if (shape === 0 || value === null || value === undefined) return value;
  if (shape === 1) return new Date(value as number);
  if (typeof value !== 'object') return value;
  if (typeof shape === 'string') return decoded(value as Plain, shape);
  if ('e' in shape) return decode(value, shape.e[Array.isArray(value) ? 1 : 0]);
  if ('l' in shape) return (value as unknown[]).map((item) => decode(item, shape.l));
  if ('p' in shape) return (value as unknown[]).map((item, n) => decode(item, shape.p[n] ?? 0));
  const out: Plain = {};
  for (const [key, item] of Object.entries(value)) put(out, key, decode(item, shape.m));
  return out;
}

function decoded(value: Plain, shape: string): unknown {
  const name = classOf(shape, value, 0);
  if (name === undefined) return value;
  const out: Plain = {};
  for (const [wire, here, inner, fill] of SHAPES[name] as readonly Member[]) {
    const given = value[wire];
    if (given !== undefined) out[here] = decode(given, inner);
    else if (fill !== undefined) out[here] = decode(typeof fill === 'object' ? structuredClone(fill) : fill, inner);
  }
  return out;
}

/** A path of the core's names in the names here: `landing_url` of a brief is `landingUrl`. */
export function spelled(path: string, shape: Shape): string {
  let here: Shape = shape;
  return path.replace(/[^.[\]]+|\[\d+\]/g, (part) => {
    if (typeof here === 'object' && 'e' in here) here = here.e[part.startsWith('[') ? 1 : 0];
    if (part.startsWith('[')) {
      here = typeof here === 'object' ? ('l' in here ? here.l : 'p' in here ? (here.p[Number(part.slice(1, -1))] ?? 0) : 0) : 0;
      return part;
    }
    const member = typeof here === 'string' ? wireMember(here, part) : undefined;
    here = member ? member[2] : typeof here === 'object' && 'm' in here ? here.m : 0;
    return member?.[1] ?? part;
  });
}

function wireMember(name: string, wire: string): Member | undefined {
  const declared = SHAPES[name] as Declared;
  const variants = 'by' in declared ? declared.of : 'only' in declared ? declared.only : { name };
  const found = Object.values<string>(variants).map((variant) => membersOf(variant)[1].get(wire));
  return found.find((member) => member !== undefined);
}
