/** What the page and the broker say to each other. `wire/sonde_wire/rpc.py` and `bus.py` are the definition;
 *  the golden files of `tests/wire/golden` hold both to it. Times are seconds since the epoch, sizes bytes. */

import { anything, dictionary, flag, list, number, object, oneOf, or, tagged, text, type Of } from './shape';
import { eventPage, fleetReport, sessionDetail, sessionPage, storeState } from './wire_history';
import { PROBE_EVENTS, probeDetail, probeInfo, probeList, probeResults } from './wire_probes';
import { breakpointSet, lease, leaseState, seat, seatState, sessionInfo, sessionState } from './wire_sessions';

export * from './wire_history';
export * from './wire_metrics';
export * from './wire_sessions';

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
  parent_pid: or(number, null),
  parent: or(text, null),
  labels: or(dictionary(text), {}),
  debugger: or(oneOf('detached', 'attached'), 'detached'),
  stopped_threads: or(number, 0),
  sessions: or(list(sessionInfo), []),
  driver: or(text, null),
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
const snapshotTaken = object({ ...event, ...PROBE_EVENTS.snapshot_taken });
export const anyEvent = tagged({
  process_started: object({ ...event, pid: number }),
  process_ended: object({ ...event, exit }),
  session_opened: object({
    ...event,
    viewer: text,
    name: or(text, ''),
    metadata: or(dictionary(text), {}),
  }),
  session_closed: object({
    ...event,
    viewer: text,
    reason: oneOf('viewer_left', 'broker_lost', 'bus_lost', 'process_ended', 'debugger_lost'),
  }),
  debugger_attached: object({ ...event, debugpy: text, again: or(flag, false) }),
  debugger_detached: object({
    ...event,
    reason: oneOf('last_session_closed', 'connection_lost', 'not_answering', 'process_ended'),
  }),
  seat_changed: object({
    ...event,
    ...seat,
    reason: oneOf('taken', 'released', 'asked', 'granted', 'left', 'lapsed'),
  }),
  lease_changed: object({
    ...event,
    state: oneOf('begun', 'renewed', 'ended', 'lapsed'),
    lease: or(lease, null),
    message: or(text, ''),
  }),
  breakpoints_changed: object({ ...event, breakpoints: breakpointSet }),
  dap: object({ ...event, message: dapEvent }),
  stop_located: object({
    ...event,
    thread: number,
    reason: text,
    line: number,
    function: text,
    path: or(text, null),
  }),
  output: object({ ...event, message: dapEvent }),
  probe_changed: object({ ...event, ...PROBE_EVENTS.probe_changed }),
  snapshot_taken: snapshotTaken,
  probe_logged: object({ ...event, ...PROBE_EVENTS.probe_logged }),
  watch_changed: object({ ...event, ...PROBE_EVENTS.watch_changed }),
});
export type AnyEvent = Of<typeof anyEvent>;
export type EventOf<T extends AnyEvent['type']> = AnyEvent & { type: T };

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
  store: or(storeState, 'none' as const),
});
export type Welcome = Of<typeof welcome>;

export const gap = object({
  process: text,
  boot: text,
  first: number,
  last: number,
  reason: or(oneOf('slow_viewer', 'bus', 'lost', 'too_many'), 'bus' as const),
});
export type Gap = Of<typeof gap>;

export const busStatus = object({ bus: busState });

/** Items are read one by one by the store, so that one malformed item does not cost its whole batch. */
export const presenceItems = object({ presence: list(anything) });
export const eventItems = object({ events: list(anything) });
export const metricItems = object({ metrics: list(anything) });

const subscribed = object({ subscription: number });
const done = object({});
const processList = object({ processes: list(presence) });

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

const loop = object({
  id: number,
  implementation: text,
  thread: or(text, null),
  lag: or(number, null),
});

export const tasks = object({
  loops: list(loop),
  tasks: list(
    object({
      id: number,
      name: text,
      loop: number,
      state: oneOf('running', 'waiting'),
      coroutine: text,
      frames: list(stackFrame),
      waits_for: or(text, ''),
      awaits: or(number, null),
      awaited_by: or(list(number), []),
      truncated: or(flag, false),
    }),
  ),
  time: number,
  truncated: or(flag, false),
});

export const modules = object({
  modules: list(
    object({ name: text, path: or(text, ''), version: or(text, ''), application: or(flag, false) }),
  ),
  truncated: or(flag, false),
});

export const runtime = object({
  python: text,
  flags: dictionary(anything),
  argv: list(text),
  environment: dictionary(text),
  redacted: or(list(text), []),
  gc_enabled: or(flag, true),
  gc: or(
    list(object({ threshold: number, count: number, collections: number, collected: number, uncollectable: number })),
    [],
  ),
  loops: or(list(loop), []),
  threads: or(number, 0),
  directory: or(text, ''),
  path: or(list(text), []),
});

export const diagnosis = object({
  findings: list(object({ check: text, level: oneOf('fine', 'note', 'problem'), message: text })),
  lines: or(list(number), []),
});

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

/** Methods with the reader of each result. */
export const METHODS = {
  whoami: welcome,
  'token.renew': welcome,
  'process.list': processList,
  subscribe: subscribed,
  unsubscribe: done,
  'process.stacks': stacks,
  'process.sources': sources,
  'process.source': source,
  'process.tasks': tasks,
  'process.modules': modules,
  'process.runtime': runtime,
  'process.diagnose': diagnosis,
  'session.open': sessionState,
  'session.close': done,
  'session.renew': leaseState,
  'session.seat': seatState,
  'probe.add': probeInfo,
  'probe.list': probeList,
  'probe.show': probeDetail,
  'probe.remove': done,
  'probe.results': probeResults,
  'history.events': eventPage,
  'history.sessions': sessionPage,
  'history.session': sessionDetail,
  'fleet.report': fleetReport,
  'snapshot.read': tagged({ snapshot_taken: snapshotTaken }),
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
