/** The base of all errors; one class per kind is in `generated/errors.ts`. */

/** One fault of one field, for errors that list several at once. */
export interface Fault {
  /** Path of the field as the caller wrote it: `budget.currency`, `channels[2]`. */
  readonly field: string;
  /** What was expected and what to do. */
  readonly message: string;
}

/** The parts of an error beside its message. */
export interface ErrorDetails {
  code?: string | undefined;
  operation?: string | undefined;
  context?: Record<string, string> | undefined;
  faults?: readonly Fault[] | undefined;
  retryable?: boolean | undefined;
  retryAfter?: number | undefined;
  cause?: unknown;
}

/**
 * What every failing call throws, or rejects with.
 *
 * A model, tool or connector written in JavaScript may throw these classes too: kind, code and retry advice are kept.
 */
export class NeonHubError extends Error {
  /** The stable word of the class, the same in every language. */
  get kind(): string {
    return 'internal';
  }
  /** The finer word if there is one, else the kind. */
  readonly code: string;
  /** The operation that failed, such as `people.resolve`. */
  readonly operation: string;
  /** Ids, counts and limits for operators. */
  readonly context: Readonly<Record<string, string>>;
  /** Every fault by field, when the error lists several. */
  readonly faults: readonly Fault[];
  /** True when the same call may succeed later. */
  readonly retryable: boolean;
  /** Not sooner than this, in milliseconds, when the other side said so. */
  readonly retryAfter: number | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    Object.defineProperty(this, 'name', { value: new.target.name, configurable: true });
    this.code = details.code ?? this.kind;
    this.operation = details.operation ?? 'host';
    this.context = details.context ?? {};
    this.faults = details.faults ?? [];
    this.retryable = details.retryable ?? details.retryAfter !== undefined;
    this.retryAfter = details.retryAfter;
  }

  /** The line for operators: code, operation, message, `key=value`. */
  override toString(): string {
    const context = Object.entries(this.context).map(([key, value]) => ` ${key}=${value}`);
    return `${this.code}: ${this.operation}: ${this.message}${context.join('')}`;
  }
}
