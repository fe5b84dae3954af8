/** What the page and the broker say to each other. `wire/sonde_wire/rpc.py` and `bus.py` are the definition;
 *  the golden files of `tests/wire/golden` hold both to it. Times are seconds since the epoch, sizes bytes. */

import { anything, dictionary, flag, list, number, object, oneOf, or, tagged, text, type Of } from './shape';

export const SUBPROTOCOL = 'sonde.v1';
export const BEARER_SUBPROTOCOL_PREFIX = 'sonde.bearer.';

export const Close = {
  brokerRestarts: 1012,
  badMessage: 4400,
  unauthenticated: 4401,
  slowViewer: 4440,
} as const;

export type Scope = 'observe' | 'inspect' | 'control' | 'execute' | 'admin';

const exit = object({
  reason: oneOf('exited', 'signalled', 'unknown'),
  message: text,
  code: or(number, null),
  signal: or(text, null),
});
export type Exit = Of<typeof exit>;

const sessionInfo = object({ session: text, viewer: text, opened: number });

export const presence = object({
  process: text,
  boot: text,
  state: oneOf('online', 'ended', 'lost'),
  time: number,
  started: number,
  pid: number,
  host: text,
  python: text,
  implementation: or(text, 'cpython'),
  argv: or(list(text), []),
  main: or(text, null),
  directory: or(text, ''),
  labels: or(dictionary(text), {}),
  debugger: or(oneOf('detached', 'attached'), 'detached'),
  stopped_threads: or(number, 0),
  sessions: or(list(sessionInfo), []),
  exit: or(exit, null),
});
export type Presence = Of<typeof presence>;

const dapEvent = object({ type: oneOf('event'), event: text, body: or(anything, {}) });

const event = {
  process: text,
  boot: text,
  seq: number,
  time: number,
  session: or(text, null),
  cause: or(text, null),
};
export const anyEvent = tagged({
  process_started: object({ ...event, pid: number }),
  process_ended: object({ ...event, exit }),
  session_opened: object({ ...event, viewer: text }),
  session_closed: object({
    ...event,
    viewer: text,
    reason: oneOf('viewer_left', 'broker_lost', 'bus_lost', 'process_ended', 'debugger_lost'),
  }),
  debugger_attached: object({ ...event, debugpy: text }),
  debugger_detached: object({
    ...event,
    reason: oneOf('last_session_closed', 'connection_lost', 'process_ended'),
  }),
  dap: object({ ...event, message: dapEvent }),
});
export type AnyEvent = Of<typeof anyEvent>;

export const metrics = object({
  process: text,
  boot: text,
  time: number,
  cpu_percent: or(number, null),
  memory_rss: or(number, null),
  threads: or(number, null),
  open_fds: or(number, null),
  context_switches_voluntary: or(number, null),
  context_switches_involuntary: or(number, null),
  children: or(number, null),
  unavailable: or(dictionary(text), {}),
});
export type Metrics = Of<typeof metrics>;

const busState = oneOf('up', 'down');
export type BusState = Of<typeof busState>;

export const welcome = object({
  broker: text,
  version: text,
  subject: text,
  scopes: list(text),
  selectors: list(text),
  expires: number,
  bus: or(busState, 'up' as const),
});
export type Welcome = Of<typeof welcome>;

export const gap = object({ process: text, boot: text, first: number, last: number });
export type Gap = Of<typeof gap>;

export const busStatus = object({ bus: busState });

/** Items are read one by one by the store, so that one malformed item does not cost its whole batch. */
export const presenceItems = object({ presence: list(anything) });
export const eventItems = object({ events: list(anything) });
export const metricItems = object({ metrics: list(anything) });

const subscribed = object({ subscription: number });
const done = object({});
const processList = object({ processes: list(presence) });

export const sessionState = object({
  session: text,
  process: text,
  boot: text,
  capabilities: anything,
  stops: or(list(anything), []),
  sessions: or(list(sessionInfo), []),
});

const stackFrame = object({ path: text, line: number, function: text, text: or(text, '') });
export const stacks = object({
  threads: list(
    object({
      id: number,
      name: text,
      frames: list(stackFrame),
      daemon: or(flag, false),
      truncated: or(flag, false),
    }),
  ),
  time: number,
});
export type Stacks = Of<typeof stacks>;

export const source = object({ path: text, text, sha256: text });
export type Source = Of<typeof source>;

export const sources = object({
  files: list(object({ path: text, module: text, application: or(flag, false) })),
});
export type SourceFile = Of<typeof sources>['files'][number];

export const dapResponse = object({
  type: oneOf('response'),
  command: text,
  success: flag,
  message: or(text, ''),
  body: or(anything, {}),
});

/** Methods that the page calls, with the reader of each result. */
export const METHODS = {
  whoami: welcome,
  'token.renew': welcome,
  'process.list': processList,
  subscribe: subscribed,
  unsubscribe: done,
  'process.stacks': stacks,
  'process.sources': sources,
  'process.source': source,
  'session.open': sessionState,
  'session.close': done,
  dap: dapResponse,
} as const;
export type Method = keyof typeof METHODS;
export type Result<M extends Method> = Of<(typeof METHODS)[M]>;

const errorData = object({ code: text, reason: text });
export const rpcError = object({
  code: number,
  message: text,
  data: or(errorData, { code: 'unknown', reason: 'unknown' }),
});

/** Asks the broker; throws `Failure`. */
export type Call = <M extends Method>(method: M, params: object) => Promise<Result<M>>;

/** Why something was not done. `reason` is for programs, the message for people and says what to do. */
export class Failure extends Error {
  constructor(
    readonly code: string,
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
