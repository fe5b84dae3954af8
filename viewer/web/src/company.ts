/** Who debugs a process, as one session sees it: the driver's seat, who asks for it, what stands and for how long,
 *  and the breakpoints of the others. Pure: `joined`, then `heard` for each event.
 *
 *  Answers and events come on different ways, so an answer can be older than an event that is here already. Who asks
 *  notes `seatChanges` or `leaseChanges` before; when an event came meanwhile, the answer tells nothing. */

import { breakpoint } from './dap';
import { list } from './shape';
import type { AnyEvent, BreakpointSet, LeaseState, SeatState, SessionState, WireLease } from './wire';

/** Seconds; `ends` is on the clock of whoever was told. */
export interface Lease {
  readonly length: number;
  readonly ends: number;
}

export interface Company {
  readonly me: string | null;
  /** Viewers by session. */
  readonly names: ReadonlyMap<string, string>;
  readonly driver: string | null;
  readonly driverName: string | null;
  readonly asking: readonly string[];
  readonly lease: Lease | null;
  /** The lease lapsed, and nobody has asked anything of the process since. */
  readonly asleep: boolean;
  readonly breakpoints: readonly BreakpointSet[];
  readonly seatChanges: number;
  readonly leaseChanges: number;
}

export const alone: Company = {
  me: null,
  names: new Map(),
  driver: null,
  driverName: null,
  asking: [],
  lease: null,
  asleep: false,
  breakpoints: [],
  seatChanges: 0,
  leaseChanges: 0,
};

const counted = (lease: WireLease | null, now: number): Lease | null =>
  lease === null ? null : { length: lease.length, ends: now + lease.left };

export const joined = (state: SessionState, now: number): Company => ({
  ...alone,
  me: state.session,
  names: new Map(state.sessions.map(({ session, viewer }) => [session, viewer])),
  driver: state.driver,
  asking: state.asking,
  lease: counted(state.lease, now),
  asleep: state.asleep,
  breakpoints: state.breakpoints,
});

export function heard(company: Company, event: AnyEvent, now: number): Company {
  switch (event.type) {
    case 'seat_changed':
      return { ...withSeat(company, event), seatChanges: company.seatChanges + 1 };
    case 'lease_changed':
      return withLease(company, counted(event.lease, now), event.state === 'lapsed');
    case 'debugger_detached':
      return withLease(company, null, company.asleep);
    case 'breakpoints_changed':
      return { ...company, breakpoints: replaced(company.breakpoints, event.breakpoints) };
    case 'session_opened':
      if (event.session === null) return company;
      return { ...company, names: new Map(company.names).set(event.session, event.viewer) };
    case 'session_closed':
      return event.session === null ? company : without(company, event.session);
    default:
      return company;
  }
}

export const seated = (company: Company, state: SeatState, since: number): Company =>
  awake(since === company.seatChanges ? withSeat(company, state) : company);

export const leased = (company: Company, state: LeaseState, since: number, now: number): Company =>
  since === company.leaseChanges ? { ...company, lease: counted(state.lease, now) } : company;

/** The process was asked something, which arms the breakpoints again. */
export const awake = (company: Company): Company => (company.asleep ? { ...company, asleep: false } : company);

const withSeat = (company: Company, { driver, viewer, asking }: SeatState): Company => ({
  ...company,
  driver,
  driverName: viewer,
  asking,
});

const withLease = (company: Company, lease: Lease | null, asleep: boolean): Company => ({
  ...company,
  lease,
  asleep,
  leaseChanges: company.leaseChanges + 1,
});

function replaced(all: readonly BreakpointSet[], set: BreakpointSet): readonly BreakpointSet[] {
  const others = all.filter((each) => each.owner !== set.owner || each.path !== set.path);
  return set.breakpoints.length > 0 ? [...others, set] : others;
}

function without(company: Company, session: string): Company {
  const names = new Map(company.names);
  names.delete(session);
  return {
    ...company,
    names,
    asking: company.asking.filter((each) => each !== session),
    breakpoints: company.breakpoints.filter((each) => each.owner !== session),
  };
}

// What follows from it ---------------------------------------------------------------------------------------

export const nameOf = (company: Company, session: string): string => company.names.get(session) ?? session;

export const drives = (company: Company): boolean => company.driver !== null && company.driver === company.me;

/** Who drives, when it is somebody else; empty otherwise. */
export function otherDriver(company: Company): string {
  if (company.driver === null || company.driver === company.me) return '';
  return company.driverName ?? nameOf(company, company.driver);
}

/** Whether the lease of what stands is ours to renew. */
export const renews = (company: Company): boolean => company.lease !== null && otherDriver(company) === '';

/** When to renew it, having tried last at `tried`: when a third of it has passed, so that two attempts are left. */
export const renewalDue = (lease: Lease, tried: number): number =>
  Math.max(lease.ends - (lease.length * 2) / 3, tried + lease.length / 3);

/** The names of those who have a breakpoint on a line of a file, by line. */
export function othersIn(company: Company, path: string): ReadonlyMap<number, string> {
  const owners = new Map<number, Set<string>>();
  for (const set of company.breakpoints) {
    if (set.owner === company.me || set.path !== path) continue;
    for (const { line } of list(breakpoint)(set.breakpoints, 'breakpoints')) {
      if (line === null) continue;
      owners.set(line, (owners.get(line) ?? new Set()).add(nameOf(company, set.owner)));
    }
  }
  return new Map([...owners].map(([line, names]) => [line, [...names].join(', ')]));
}
