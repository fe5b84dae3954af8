/** What the page and the broker say to each other of debug sessions: who is in one, who drives, what stands for how
 *  long, and whose breakpoints there are. */

import { anything, flag, list, number, object, or, text, type Of } from './shape';

export const sessionInfo = object({ session: text, viewer: text, opened: number, name: or(text, '') });

export const lease = object({ left: number, length: number });
export type WireLease = Of<typeof lease>;

/** The breakpoints are DAP's; whoever shows them reads them. */
export const breakpointSet = object({ owner: text, breakpoints: list(anything), path: or(text, null) });
export type BreakpointSet = Of<typeof breakpointSet>;

export const seat = { driver: or(text, null), viewer: or(text, null), asking: or(list(text), []) };

export const sessionState = object({
  session: text,
  process: text,
  boot: text,
  capabilities: anything,
  stops: or(list(anything), []),
  sessions: or(list(sessionInfo), []),
  threads: or(list(anything), []),
  breakpoints: or(list(breakpointSet), []),
  driver: or(text, null),
  asking: or(list(text), []),
  lease: or(lease, null),
  asleep: or(flag, false),
});
export type SessionState = Of<typeof sessionState>;

export const leaseState = object({ lease: or(lease, null), renewed: or(flag, false) });
export type LeaseState = Of<typeof leaseState>;

export const seatState = object(seat);
export type SeatState = Of<typeof seatState>;
