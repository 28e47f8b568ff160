/** Helpers for the tests of applications: a hub in memory, a scripted model, faults, a clock, and no network. */

import { type Clock, Injector, Offline, type Script, script, type Tape, tape } from './addon.js';
import { checked, failure } from './bridge.js';
import { Hub, open, type OpenOptions } from './hub.js';
import { encode } from './values.js';

/** The instant that a hub for tests starts at: a Monday morning. */
export const TEST_NOW = '2026-01-05T09:00:00Z';

/** A hub that leaves nothing behind, with fixed chance and a clock that stands still until a test moves it. */
export function memory(options: OpenOptions = {}): Promise<Hub> {
  return open('memory:', { seed: 1, now: TEST_NOW, ...options });
}

/** An error of a script or of a fault. */
export interface TestError {
  /** The kind, such as `rate_limited`. */
  kind: string;
  code?: string;
  message?: string;
  /** Milliseconds. */
  retryAfter?: number;
}

/** A line of a script: the text of an answer, or one of these. */
export type Line =
  | string
  | {
      /** Answers only a request whose texts hold this. */
      when?: string;
      /** Waits first, in milliseconds of the machine's clock. */
      after?: number;
      text?: string;
      /** A stream in pieces; with `error` one that breaks. */
      chunks?: string[];
      json?: unknown;
      toolCalls?: { id: string; name: string; args: unknown }[];
      refuse?: string;
      error?: TestError;
    };

/** A rule for faults: on which calls, and what befalls them. */
export interface FaultRule {
  on: 'model' | 'tool' | 'connector';
  /** Only this provider, tool or connector. */
  name?: string;
  /** The first call that it befalls, from 1. */
  nth?: number;
  /** How many calls it befalls. */
  times?: number;
  /** Waits first, in milliseconds. */
  delay?: number;
  /** Never answers. */
  hang?: boolean;
  error?: TestError;
  /** Fails as an answer over HTTP of this status would, 400 to 599, in the place of `error`. */
  status?: number;
  /** Breaks an answer of a model off after so many bytes of its text; a shorter one is whole. */
  cut?: number;
  /** Ends the process at once, as `kill -9` does: for tests that go on in another one. */
  kill?: boolean;
  /** Fails after the call was made: what it did stays done. */
  after?: boolean;
}

function wire<T extends { error?: TestError }>(given: T): object {
  const { retryAfter, ...error } = given.error ?? {};
  return { ...given, error: given.error && { ...error, retry_after_ms: retryAfter } };
}

function line(given: Line): unknown {
  if (typeof given === 'string') return given;
  const { after, toolCalls, ...rest } = wire(given) as { after?: number; toolCalls?: unknown };
  return { ...rest, after_ms: after, tool_calls: toolCalls };
}

/** A model that plays a script: the first line that fits a request answers it and is used up. */
export class ScriptedModel {
  readonly #native: Script;

  constructor(lines: Line[] = []) {
    const made = script(JSON.stringify(encode(lines.map(line), 0)));
    if (typeof made === 'string') throw failure(made);
    this.#native = made;
  }

  /** Adds a line at the end. */
  add(given: Line): void {
    checked(this.#native.add(JSON.stringify(encode(line(given), 0))));
  }

  /** Lets it answer for a hub. */
  addTo(hub: Hub): void {
    checked(hub.native.addScript(this.#native));
  }

  /** Every request so far, in the core's own names. */
  get requests(): Record<string, any>[] {
    return JSON.parse(this.#native.requests());
  }

  /** The lines that nobody has asked for, in words. */
  get left(): string[] {
    return this.#native.left();
  }
}

/**
 * Answers of models on tape: recorded once, played without a network from then on.
 *
 * What looks like a secret or a way to reach a person is redacted before it is written. Answers in words are recorded:
 * embeddings, pictures and moderation are not. An answer that is played costs nothing.
 */
export class Cassette {
  readonly #native: Tape;

  /**
   * @param path the file; it is made with the first recording
   * @param mode `auto` plays what is there and records what is missing, `record` records everything anew, and with
   *   `replay` a request that is not there fails with code `cassette_miss`
   */
  constructor(path: string, mode: 'auto' | 'record' | 'replay' = 'auto') {
    const made = tape(path, mode);
    if (typeof made === 'string') throw failure(made);
    this.#native = made;
  }

  /** Puts it before the models of a hub. */
  addTo(hub: Hub): void {
    checked(hub.native.insertTape(this.#native));
  }

  /** Takes the cassette of a hub out. */
  static removeFrom(hub: Hub): void {
    checked(hub.native.insertTape(null));
  }

  /** Erases the answers of runs about a person; says how many there were. */
  erasePerson(person: string): number {
    const erased = this.#native.erasePerson(person);
    if (typeof erased === 'string') throw failure(erased);
    return erased;
  }
}

/** Puts faults on the calls of models, tools and connectors of a hub. */
export class FaultInjector {
  readonly #native = new Injector();

  /** Takes effect on a hub from now on. */
  addTo(hub: Hub): void {
    checked(hub.native.inject(this.#native));
  }

  /** Takes all faults off a hub. */
  static removeFrom(hub: Hub): void {
    checked(hub.native.inject(null));
  }

  /** Adds a rule. */
  add(rule: FaultRule): void {
    const { delay, ...rest } = wire(rule) as { delay?: number };
    checked(this.#native.add(JSON.stringify(encode({ ...rest, delay_ms: delay }, 0))));
  }

  /** Takes every rule away. */
  clear(): void {
    this.#native.clear();
  }

  /** The calls so far, in order. */
  get seen(): { on: string; name: string; faulty: boolean }[] {
    return JSON.parse(this.#native.seen());
  }
}

/** The clock of a hub that was opened with `now`. */
export class VirtualClock {
  readonly #native: Clock;

  constructor(hub: Hub) {
    const clock = hub.native.clock();
    if (clock === null) throw new TypeError('this hub has the real clock: open it with `now`');
    this.#native = clock;
  }

  /** The instant it shows. */
  get now(): Date {
    return new Date(this.#native.now());
  }

  /** Moves it to an instant; also back. */
  set(instant: Date | string): void {
    checked(this.#native.set(instant instanceof Date ? instant.toISOString() : instant));
  }

  /** Moves it forward by milliseconds. */
  advance(milliseconds: number): void {
    this.#native.advance(milliseconds);
  }
}

/** Keeps every socket of NeonHub in this process shut until the function that it gives is called. */
export function forbidNetwork(): () => void {
  const offline = new Offline();
  return () => offline.allow();
}
