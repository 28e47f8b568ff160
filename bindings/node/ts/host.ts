/** Models and connectors written in JavaScript: what they are given, and what they answer. */

import type { HostFunction } from './bridge.js';

/** What a model is asked. */
export class ModelRequest {
  /** @param raw The whole request in the core's own names: messages with their parts and sources, tools, limits. */
  constructor(readonly raw: Record<string, any>) {}
  /** The instructions, one per line. */
  get system(): string {
    return texts(this.raw['system'] ?? []);
  }
  /** The words of the conversation, one part per line, retrieved passages among them. */
  get prompt(): string {
    return texts((this.raw['messages'] ?? []).flatMap((message: { parts: unknown[] }) => message.parts));
  }
  /** What the answer is for, one word: `compose`, `classify`. */
  get purpose(): string | null {
    return this.raw['purpose'] ?? null;
  }
  /** JSON Schema of the answer, when it is to be JSON. */
  get outputSchema(): Record<string, unknown> | null {
    return this.raw['output_schema'] ?? null;
  }
  /** Makes the answer repeatable where the model allows it. */
  get seed(): number | null {
    return this.raw['seed'] ?? null;
  }
  /** Most tokens of the answer. */
  get maxOutputTokens(): number | null {
    return this.raw['max_output_tokens'] ?? null;
  }
}

function texts(parts: { type?: string; text?: string }[]): string {
  return parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}

/** The long form of a model's answer; the short one is a string. */
export interface ModelAnswer {
  /** The words. */
  text?: string;
  /** The answer as a value, when a schema was asked for. */
  json?: unknown;
  /** Several answers, when several were asked for. */
  variants?: string[];
  /** Tools it wants called. */
  toolCalls?: { id: string; name: string; args: unknown }[];
  /** Tokens read, when the model counts them. */
  inputTokens?: number;
  /** Tokens written, when the model counts them. */
  outputTokens?: number;
  /** The model that answered. */
  model?: string;
}

/** A model, plain or async. `signal` is aborted when nobody waits for the answer any more. */
export type ModelFunction = (request: ModelRequest, signal: AbortSignal) => string | ModelAnswer | Promise<string | ModelAnswer>;

/** What a host says about its model. */
export interface ModelSettings {
  /** A word for it, kept with everything it writes. */
  provider: string;
  /** The model's own name. */
  model?: string;
  /** True when it calls tools. */
  tools?: boolean;
  /** True when it answers in JSON of a given schema. */
  jsonSchema?: boolean;
  /** Tokens of input and output together. */
  contextTokens?: number;
  /** Most tokens of one answer. */
  maxOutputTokens?: number;
}

/** A message that the send gate has cleared, ready for a service. */
export class OutgoingMessage {
  /** @param raw The whole message in the core's own names. */
  constructor(readonly raw: Record<string, any>) {}
  /** Where it goes out: `email`, `sms`, `x`. */
  get channel(): string {
    return this.raw['channel'];
  }
  /** The name of this one delivery: give it to the service as idempotency key or marker. */
  get effect(): string {
    return this.raw['effect'];
  }
  /** The recipient; `null` for a public post. */
  get to(): string | null {
    return this.raw['payload'].to ?? null;
  }
  /** The words of a text message or a post. */
  get text(): string | null {
    return this.raw['payload'].body ?? this.raw['payload'].text ?? null;
  }
  /** The complete RFC 5322 message of an e-mail. */
  get email(): Uint8Array | null {
    const encoded: string | undefined = this.raw['payload'].message_base64;
    return encoded === undefined ? null : Buffer.from(encoded, 'base64');
  }
  /** Facts for the record of the delivery; no contact values. */
  get facts(): unknown {
    return this.raw['facts'];
  }
}

/** What a service answered; the short form is its id as a string. */
export interface Delivery {
  /** The service's own id of the message. */
  providerId: string;
  /** The service's own word for its state. */
  providerStatus?: string | null;
}

type Delivered = string | Delivery;
/** A connector written in JavaScript. It only ever gets messages that the send gate has cleared. */
export interface Connector {
  /** Short name, `snake_case`. */
  name: string;
  /** Channels such as `email` or `sms`, which it takes over. */
  channels: string[];
  /**
   * Hands a message to a service. An exception that is no `NeonHubError` counts as "may have been sent": the message
   * is not sent again until `probe` or a person says what became of it.
   */
  deliver(message: OutgoingMessage, signal: AbortSignal): Delivered | Promise<Delivered>;
  /** Says whether a delivery landed: its id, `false`, or `null` for "cannot tell". */
  probe?(effect: string, channel: string): Delivered | boolean | null | Promise<Delivered | boolean | null>;
}

/** The settings of a model as the core reads them. */
export function modelSettings(settings: ModelSettings): string {
  const { jsonSchema, contextTokens, maxOutputTokens, ...rest } = settings;
  return JSON.stringify({
    ...rest,
    json_schema: jsonSchema,
    context_tokens: contextTokens,
    max_output_tokens: maxOutputTokens,
  });
}

/** A model as the core asks it. */
export function modelFunction(complete: ModelFunction): HostFunction {
  return async (raw, signal) => {
    const answer = await complete(new ModelRequest(raw), signal);
    // What is no plain object goes on as it is, and is refused with its name.
    if (Object.prototype.toString.call(answer) !== '[object Object]' || typeof answer === 'string') return answer;
    const { inputTokens: read, outputTokens: written, toolCalls, ...rest } = answer;
    const exact = read !== undefined && written !== undefined;
    const counted = read !== undefined || written !== undefined;
    const usage = { input_uncached: read ?? 0, output_visible: written ?? 0, exact };
    return { ...rest, tool_calls: toolCalls, usage: counted ? usage : undefined };
  };
}

/** `deliver` and `probe` as the core asks them. */
export function deliverFunction(connector: Connector): HostFunction {
  return async (raw, signal) => receipt(await connector.deliver(new OutgoingMessage(raw), signal));
}

export function probeFunction(connector: Connector): HostFunction | undefined {
  return connector.probe && (async (raw) => receipt(await connector.probe?.(raw.effect, raw.channel)));
}

function receipt(answer: unknown): unknown {
  if (typeof answer !== 'object' || answer === null || !('providerId' in answer)) return answer;
  const { providerId, providerStatus } = answer as Delivery;
  return { provider_id: providerId, provider_status: providerStatus };
}
