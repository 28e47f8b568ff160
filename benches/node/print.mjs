/** What the programs of this folder print: a line per value, its name and a number, with a tab between them. */
export function print(values) {
  for (const [name, value] of Object.entries(values)) console.log(`${name}\t${value}`);
}

/** Jobs per second of what `run` does. */
export async function rate(jobs, run) {
  const start = performance.now();
  await run();
  return (jobs * 1_000) / (performance.now() - start);
}

/** The numbers below `count`, in arrays of at most `size`. */
export function* batches(count, size) {
  for (let from = 0; from < count; from += size) {
    yield Array.from({ length: Math.min(size, count - from) }, (_, at) => from + at);
  }
}
