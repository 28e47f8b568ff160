/** The SQLite of marketing automation: people, consent, brand knowledge, campaigns and one send gate in your app. */

export type { CallOptions } from './bridge.js';
export * from './errors.js';
export * from './generated/errors.js';
export type * from './generated/models.js';
export {
  type Connector,
  type Delivery,
  type ModelAnswer,
  type ModelFunction,
  ModelRequest,
  type ModelSettings,
  OutgoingMessage,
} from './host.js';
export { type EmbedderSettings, Hub, open, type OpenOptions, type ProviderSettings, type RouteSettings, type RunSettings } from './hub.js';
export type { AnySchema, Ask } from './generate.js';
export type { ZodSchema } from './schema.js';
export { Stream } from './stream.js';
export type { Landed, Tool, ToolCall } from './tool.js';
