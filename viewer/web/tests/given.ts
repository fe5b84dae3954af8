/** Messages to test with. */

import type { AnyEvent, Metrics, Presence } from '../src/wire';

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
