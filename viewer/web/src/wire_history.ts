/** What the page and the broker say to each other of the past. `wire/sonde_wire/history.py` is the definition, as
 *  `wire.ts` says of the rest. */

import { anything, dictionary, flag, list, number, object, oneOf, or, text, type Of } from './shape';
import { counts, peaks } from './wire_metrics';
import { breakpointSet } from './wire_sessions';

/** The broker refuses more of one `subscribe`, and a frame of more bytes. */
export const MOST_CURSORS = 256;
export const MOST_FRAME_BYTES = 64 * 1024;

export const storeState = oneOf('up', 'degraded', 'none');
export type StoreState = Of<typeof storeState>;

export const storeStatus = object({ store: storeState, problem: or(text, '') });
export type StoreStatus = Of<typeof storeStatus>;

/** How far somebody has got with the events of a process. */
export interface Cursor {
  readonly process: string;
  readonly boot: string;
  readonly seq: number;
}

export const eventPage = object({
  events: list(anything),
  cursor: or(text, null),
  withheld: or(flag, false),
});

export const sessionRecord = object({
  session: text,
  process: text,
  boot: text,
  viewer: text,
  opened: number,
  first: number,
  name: or(text, ''),
  metadata: or(dictionary(text), {}),
  closed: or(number, null),
  last: or(number, null),
  reason: or(text, null),
});
export type SessionRecord = Of<typeof sessionRecord>;

export const sessionPage = object({ sessions: list(sessionRecord), cursor: or(text, null) });

export const sessionDetail = object({
  session: sessionRecord,
  statistics: object({
    events: number,
    kinds: dictionary(number),
    stops: or(number, 0),
    duration: or(number, null),
    stopped: or(number, 0),
    longest_stop: or(number, 0),
    missing: or(number, 0),
  }),
  breakpoints: or(list(breakpointSet), []),
});
export type SessionDetail = Of<typeof sessionDetail>;

export const fleetReport = object({
  selector: text,
  time: number,
  since: number,
  online: or(number, 0),
  ended: or(number, 0),
  lost: or(number, 0),
  unheard: or(list(text), []),
  events: or(dictionary(number), {}),
  sessions: or(number, 0),
  open_sessions: or(number, 0),
  session_time: or(number, 0),
  snapshots: or(number, 0),
  operations: or(
    list(object({ service: text, name: text, processes: number, total: counts, errors: or(dictionary(number), {}) })),
    [],
  ),
  success_rate: or(number, null),
  error_rate: or(number, null),
  errors: or(dictionary(number), {}),
  peaks: or(list(object({ process: text, peaks })), []),
  history: or(storeState, 'none' as const),
});
export type FleetReport = Of<typeof fleetReport>;
