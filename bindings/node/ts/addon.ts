/** The native part as it is loaded: built beside this file in a clone, else a package for the platform. */

/** What a message is, its call or question, the function asked, the payload. */
export type Dispatch = (what: number, id: number, asked: number, payload: string | Hub) => void;

export interface Bridge {
  open(call: number, options: string): void;
  reply(question: number, answer: string): void;
  echo(call: number, value?: string, error?: string): void;
}

export interface Cancel {
  cancel(): void;
}

export interface Events {
  nextBatch(call: number, most: number): void;
  finish(): void;
  stop(): void;
}

export interface Script {
  add(line: string): string | null;
  requests(): string;
  left(): string[];
}

export interface Tape {
  erasePerson(person: string): number | string;
}

export interface Injector {
  add(rule: string): string | null;
  clear(): void;
  seen(): string;
}

export interface Clock {
  now(): number;
  set(instant: string): string | null;
  advance(milliseconds: number): void;
}

export interface Offline {
  allow(): void;
}

export interface Hub {
  readonly closed: boolean;
  call(call: number, name: string, input: string, key?: string, timeout?: number, cancel?: Cancel): void;
  putBlob(call: number, content: Uint8Array): void;
  workspace(call: number, slug: string): void;
  close(call: number): void;
  operations(): string[];
  events(cursor: number, types: string | undefined, progress: boolean): Events | string;
  addModel(settings: string, complete: number): string | null;
  addConnector(settings: string, deliver: number, probe?: number): string | null;
  addTool(settings: string, body: number, probe: number | undefined, replace: boolean): string | null;
  removeTool(name: string): boolean;
  addScript(script: Script): string | null;
  insertTape(tape: Tape | null): string | null;
  inject(faults: Injector | null): string | null;
  clock(): Clock | null;
}

interface Native {
  Bridge: new (dispatch: Dispatch) => Bridge;
  Cancel: new () => Cancel;
  Injector: new () => Injector;
  Offline: new () => Offline;
  script(lines: string): Script | string;
  tape(path: string, mode: string): Tape | string;
}

/** Names of the platform's builds, in the words of @napi-rs/cli. The C library is known by which package is there. */
function targets(): string[] {
  const base = `${process.platform}-${process.arch}`;
  if (process.platform === 'linux') return [`${base}-gnu`, `${base}-musl`];
  return [process.platform === 'win32' ? `${base}-msvc` : base];
}

function load(): Native {
  const failures: string[] = [];
  for (const target of targets()) {
    for (const file of [`./neonhub.${target}.node`, `neonhub-${target}`]) {
      try {
        return require(file) as Native;
      } catch (error) {
        failures.push(`${file}: ${(error as Error).message.split('\n')[0]}`);
      }
    }
  }
  const cure = 'install without --omit=optional, or build it with `npm run build` in a clone';
  throw new Error(`neonhub has no native part for this platform: ${cure}\n  ${failures.join('\n  ')}`);
}

export const { Bridge, Cancel, Injector, Offline, script, tape } = load();
