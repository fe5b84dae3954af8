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
  labels: {},
  debugger: 'detached',
  stopped_threads: 0,
  sessions: [],
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
