/** Vectors of texts as `Float32Array`, for `neonhub/vectors`. */

import type { SearchResult, VectorKind, Vectors } from './generated/models.js';
import type { Hub } from './hub.js';

/** Texts of one call. */
const BATCH = 1024;

/** The rows of `hub.knowledge.embed(...)`: views of one buffer, in order. */
export function unpack(vectors: Vectors): Float32Array[] {
  const bytes = Buffer.from(vectors.packed, 'base64');
  const numbers = new Float32Array(bytes.length / 4);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < numbers.length; at += 1) numbers[at] = view.getFloat32(at * 4, true);
  return Array.from({ length: vectors.count }, (_, row) =>
    numbers.subarray(row * vectors.dims, (row + 1) * vectors.dims),
  );
}

/** One vector as `hub.knowledge.search({ vector })` takes it. */
export function pack(vector: ArrayLike<number>): string {
  const view = new DataView(new ArrayBuffer(vector.length * 4));
  for (let at = 0; at < vector.length; at += 1) view.setFloat32(at * 4, Number(vector[at]), true);
  return Buffer.from(view.buffer).toString('base64');
}

/** Embeds any number of texts: one row of length 1 for each, in order. */
export async function embed(
  hub: Hub,
  texts: readonly string[],
  settings: { kind?: VectorKind | undefined; embedder?: string | undefined } = {},
): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (let at = 0; at < texts.length; at += BATCH) {
    rows.push(...unpack(await hub.knowledge.embed({ ...settings, texts: texts.slice(at, at + BATCH) })));
  }
  return rows;
}

/** Searches knowledge by a vector of the spaces' embedder; it is brought to length 1. */
export function search(
  hub: Hub,
  vector: ArrayLike<number>,
  settings: { k?: number | undefined; spaces?: string[] | undefined } = {},
): Promise<SearchResult> {
  return hub.knowledge.search({ ...settings, query: '', vector: pack(vector), mode: 'vector' });
}
