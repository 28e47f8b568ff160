/** Streams of events and progress. */

import type { Events } from './addon.js';
import { ask } from './bridge.js';
import { decode, type Shape } from './values.js';

/** Most items of one hop into the core. */
const BATCH = 256;

/**
 * A stream for `for await`. The core waits while it is not read; leaving the loop ends it, and so does `close`.
 */
export class Stream<T> implements AsyncIterableIterator<T> {
  #native: Events;
  #shape: Shape;
  #ready: unknown[] = [];
  #at = 0;
  #filling: Promise<void> | undefined;
  #ended = false;

  /** @internal */
  constructor(native: Events, shape: Shape) {
    this.#native = native;
    this.#shape = shape;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next item. */
  async next(): Promise<IteratorResult<T, undefined>> {
    while (this.#at >= this.#ready.length) {
      if (this.#ended) return { done: true, value: undefined };
      this.#filling ??= this.#fill().finally(() => (this.#filling = undefined));
      await this.#filling;
    }
    return { done: false, value: decode(this.#ready[this.#at++], this.#shape) as T };
  }

  async #fill(): Promise<void> {
    try {
      const text = (await ask((call) => this.#native.nextBatch(call, BATCH))) as string;
      if (text === '') this.#ended = true;
      else if (!this.#ended) [this.#ready, this.#at] = [JSON.parse(text) as unknown[], 0];
    } catch (error) {
      this.#ended = true;
      throw error;
    }
  }

  /** Ends the stream and drops what was not read. */
  close(): void {
    this.#ended = true;
    this.#ready = [];
    this.#native.stop();
  }

  /** Called when a loop is left early. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
