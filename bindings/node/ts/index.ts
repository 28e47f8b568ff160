/** The SQLite of marketing automation: people, consent, brand knowledge, campaigns and one send gate in your app. */

export type { CallOptions } from './bridge.js';
export * from './errors.js';
export * from './generated/errors.js';
export type * as models from './generated/models.js';
export type * from './generated/models.js';
export * from './host.js';
export { Hub, open, type OpenOptions } from './hub.js';
export { Stream } from './stream.js';
