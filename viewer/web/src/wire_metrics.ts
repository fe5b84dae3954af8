/** What a process used, and what came of its operations. */

import { dictionary, list, number, object, or, text, type Of } from './shape';

const duration = object({ average: number, least: number, most: number, p50: number, p90: number, p99: number });

export const counts = object({
  ended: or(number, 0),
  errors: or(number, 0),
  cancelled: or(number, 0),
  scope_errors: or(number, 0),
  success_rate: or(number, null),
  error_rate: or(number, null),
  duration: or(duration, null),
});
export type Counts = Of<typeof counts>;

const operation = object({
  name: text,
  active: or(number, 0),
  total: counts,
  last_minute: counts,
  error_types: or(dictionary(number), {}),
});
export type Operation = Of<typeof operation>;

export const peaks = object({
  cpu_percent: or(number, null),
  memory_rss: or(number, null),
  threads: or(number, null),
  open_fds: or(number, null),
  event_loop_lag: or(number, null),
});

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
  gc_collections: or(number, null),
  gc_collected: or(number, null),
  gc_uncollectable: or(number, null),
  event_loop_lag: or(number, null),
  operations: or(list(operation), []),
  operations_dropped: or(number, 0),
  unavailable: or(dictionary(text), {}),
});
export type Metrics = Of<typeof metrics>;
