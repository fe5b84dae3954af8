/** Messages to test with. */

import type { AnyEvent, Metrics, Presence } from '../src/wire';
import type { Kind, ProbeInfo, ProbeStatus } from '../src/wire_probes';

export const BOOT = 'a'.repeat(32);

export const presence = (process: string, more: Partial<Presence> = {}): Presence => ({
  process,
  boot: BOOT,
  state: 'online',
  time: 100,
  started: 10,
  pid: 7,
  host: 'web-1',
  python: '3.12.4',
  implementation: 'cpython',
  argv: [],
  main: '/app/main.py',
  directory: '/app',
  parent_pid: null,
  parent: null,
  labels: {},
  debugger: 'detached',
  stopped_threads: 0,
  sessions: [],
  driver: null,
  exit: null,
  ...more,
});

export const metrics = (process: string, time: number, cpu: number | null = 1): Metrics => ({
  process,
  boot: BOOT,
  time,
  cpu_percent: cpu,
  memory_rss: 1024,
  threads: 1,
  open_fds: 1,
  context_switches_voluntary: null,
  context_switches_involuntary: null,
  children: 0,
  gc_collections: null,
  gc_collected: null,
  gc_uncollectable: null,
  event_loop_lag: null,
  operations: [],
  operations_dropped: 0,
  unavailable: {},
});

const common = { process: 'a/b/c', boot: BOOT, seq: 1, time: 5, session: null, cause: null };

export const dapEvent = (event: string, body: unknown, session: string | null = null): AnyEvent => ({
  ...common,
  session,
  type: 'dap',
  message: { type: 'event', event, body },
});

export const output = (text: string, category = 'stdout'): AnyEvent => ({
  ...common,
  type: 'output',
  message: { type: 'event', event: 'output', body: { category, output: text } },
});

export const stopLocated = (path: string | null, line: number, thread = 1, reason = 'step'): AnyEvent => ({
  ...common,
  type: 'stop_located',
  thread,
  reason,
  line,
  function: 'total',
  path,
});

export const sessionOpened = (session: string, viewer: string, name = ''): AnyEvent => ({
  ...common,
  type: 'session_opened',
  session,
  viewer,
  name,
  metadata: {},
});

export const sessionClosed = (
  session: string,
  reason: (AnyEvent & { type: 'session_closed' })['reason'],
): AnyEvent => ({ ...common, type: 'session_closed', session, viewer: 'ana', reason });

type Event<T extends AnyEvent['type']> = AnyEvent & { type: T };

export const seatChanged = (
  reason: Event<'seat_changed'>['reason'],
  driver: string | null,
  viewer: string | null = driver,
  asking: readonly string[] = [],
): AnyEvent => ({ ...common, type: 'seat_changed', reason, driver, viewer, asking });

export const leaseChanged = (state: Event<'lease_changed'>['state'], left?: number): AnyEvent => ({
  ...common,
  type: 'lease_changed',
  state,
  lease: left === undefined ? null : { left, length: 60 },
  message: '',
});

export const breakpointsChanged = (owner: string, path: string, ...lines: number[]): AnyEvent => ({
  ...common,
  type: 'breakpoints_changed',
  breakpoints: { owner, path, breakpoints: lines.map((line) => ({ id: line, verified: true, line })) },
});

export const debuggerDetached = (reason: Event<'debugger_detached'>['reason']): AnyEvent => ({
  ...common,
  type: 'debugger_detached',
  reason,
});

export const debuggerAttached = (again: boolean): AnyEvent => ({
  ...common,
  type: 'debugger_attached',
  debugpy: '1.8.22',
  again,
});

export const PROBE = 'k7q2m5xw3a';

const totals: ProbeInfo['totals'] = {
  processes: 1,
  installed: 1,
  pending: 0,
  hit: 0,
  throttled: 0,
  suspended: 0,
  expired: 0,
  error: 0,
  unheard: 0,
  hits: 0,
};

export const probeInfo = (
  id: string = PROBE,
  { kind = { type: 'log', template: 'n={n}' }, ...more }: Partial<ProbeInfo['probe'] & { kind: Kind }> = {},
  counts: Partial<ProbeInfo['totals']> = {},
): ProbeInfo => ({
  probe: {
    id,
    spec: {
      kind,
      place: { type: 'line', path: 'main.py', line: 3 },
      target: { selector: 'a/b/*', labels: {}, canaries: null },
      name: '',
      condition: null,
      python: false,
      calls_user_code: false,
      sample: 1,
      max_hits: null,
      rate: null,
    },
    creator: 'ana',
    created: 1,
    expires: 3601,
    within: ['*/*/*'],
    chosen: null,
    revision: 1,
    ...more,
  },
  totals: { ...totals, ...counts },
  state: 'live',
});

export const probeStatus = (state: ProbeStatus['state'], more: Partial<ProbeStatus> = {}): ProbeStatus => ({
  id: PROBE,
  state,
  message: '',
  hits: 0,
  last_hit: null,
  dropped: 0,
  failures: 0,
  failure: '',
  places: [],
  cpu: 0,
  measured: null,
  engine: 'monitoring',
  title: 'log main.py:3',
  ...more,
});

export const probeChanged = (status: ProbeStatus): AnyEvent => ({ ...common, type: 'probe_changed', status });

export const logged = (message: string, seq = 1, probe = PROBE): Event<'probe_logged'> => ({
  ...common,
  type: 'probe_logged',
  seq,
  time: seq,
  probe,
  hit: seq,
  message,
  path: '/app/main.py',
  line: 3,
  thread: 'MainThread',
});

/** A captured value as it is sent. */
export const int = (value: number) => ({ type: 'int', value: String(value) });

export const snapshotTaken = (locals: readonly (readonly [string, object])[], seq = 1): Event<'snapshot_taken'> => ({
  ...common,
  type: 'snapshot_taken',
  seq,
  probe: PROBE,
  hit: seq,
  captured: {
    frames: [
      { path: '/app/main.py', line: 3, function: 'settle', locals },
      { path: '/app/main.py', line: 9, function: 'main' },
    ],
    thread: { id: 1, name: 'MainThread' },
    duration: 0.00002,
  },
});

export const watchChanged = (before: object | null, now: object): Event<'watch_changed'> => ({
  ...common,
  type: 'watch_changed',
  probe: PROBE,
  hit: 1,
  expression: 'order.state',
  before,
  now,
  path: '/app/main.py',
  line: 3,
  thread: 'MainThread',
});
