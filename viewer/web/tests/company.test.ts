import { expect, test } from 'vitest';
import * as company from '../src/company';
import type { Company } from '../src/company';
import { sessionState } from '../src/wire';
import { BOOT, breakpointsChanged, debuggerDetached, leaseChanged, seatChanged, sessionClosed } from './given';

const NOW = 1000;

const sessions = [
  { session: 's1', viewer: 'ada', opened: 1 },
  { session: 's2', viewer: 'bob', opened: 2 },
];

/** As session s1 sees it. */
const joined = (more: object = {}): Company =>
  company.joined(
    sessionState({ session: 's1', process: 'a/b/c', boot: BOOT, capabilities: {}, sessions, ...more }, 'state'),
    NOW,
  );

const after = (start: Company, ...events: Parameters<typeof company.heard>[1][]): Company =>
  events.reduce((now, event) => company.heard(now, event, NOW), start);

const at = (owner: string, path: string, ...lines: number[]) => ({
  owner,
  path,
  breakpoints: lines.map((line) => ({ id: line, verified: true, line })),
});

test('a late joiner is told everything', () => {
  const late = joined({
    driver: 's2',
    asking: ['s3'],
    lease: { left: 41.5, length: 60 },
    asleep: true,
    breakpoints: [at('s2', '/app/cart.py', 4)],
  });
  expect(late).toMatchObject({ driver: 's2', asking: ['s3'], lease: { ends: 1041.5 }, asleep: true });
  expect(company.otherDriver(late)).toBe('bob');
  expect([...company.othersIn(late, '/app/cart.py')]).toEqual([[4, 'bob']]);
});

test('the seat goes from hand to hand', () => {
  const free = joined();
  expect([company.drives(free), company.otherDriver(free)]).toEqual([false, '']);
  const mine = after(free, seatChanged('taken', 's1', 'ada'));
  expect([company.drives(mine), company.otherDriver(mine)]).toEqual([true, '']);
  const theirs = after(mine, seatChanged('asked', 's1', 'ada', ['s2']), seatChanged('granted', 's2', 'bob'));
  expect([company.drives(theirs), company.otherDriver(theirs), theirs.asking]).toEqual([false, 'bob', []]);
});

test('the lease is ours to renew while we drive or nobody does', () => {
  const lease = { left: 60, length: 60 };
  expect([null, 's1', 's2'].map((driver) => company.renews(joined({ driver, lease })))).toEqual([true, true, false]);
  expect(company.renews(joined({ driver: 's1' }))).toBe(false);
});

test('it is renewed when a third of it has passed, and tried again a third later', () => {
  const lease = { length: 60, ends: NOW + 60 };
  expect(company.renewalDue(lease, -Infinity)).toBe(NOW + 20);
  expect(company.renewalDue(lease, NOW + 20)).toBe(NOW + 40);
});

test('breakpoints sleep from a lapse until the process is asked something, by anybody', () => {
  const asleep = after(joined(), leaseChanged('begun', 60), leaseChanged('lapsed'));
  expect(asleep).toMatchObject({ asleep: true, lease: null });
  expect(company.awake(asleep).asleep).toBe(false);
  expect(after(asleep, leaseChanged('ended')).asleep).toBe(false);
});

test('an answer that an event overtook tells nothing', () => {
  const before = joined({ lease: { left: 60, length: 60 } });
  const now = after(before, seatChanged('granted', 's1', 'ada'), leaseChanged('ended'));
  const stale = { driver: 's2', viewer: 'bob', asking: ['s1'] };
  expect(company.drives(company.seated(now, stale, before.seatChanges))).toBe(true);
  expect(company.otherDriver(company.seated(now, stale, now.seatChanges))).toBe('bob');
  const renewed = { lease: { left: 60, length: 60 }, renewed: true };
  expect(company.leased(now, renewed, before.leaseChanges, NOW).lease).toBeNull();
  expect(company.leased(now, renewed, now.leaseChanges, NOW).lease).toEqual({ length: 60, ends: NOW + 60 });
});

test('the breakpoints of others come, change and go with their owner; ours are not among them', () => {
  const lines = (now: Company) => [...company.othersIn(now, '/app/cart.py').keys()];
  const some = after(joined(), breakpointsChanged('s2', '/app/cart.py', 4), breakpointsChanged('s1', '/app/cart.py', 9));
  expect(lines(some)).toEqual([4]);
  const more = after(some, breakpointsChanged('s2', '/app/cart.py', 5, 6));
  expect(lines(more)).toEqual([5, 6]);
  expect(lines(after(more, breakpointsChanged('s2', '/app/cart.py')))).toEqual([]);
  expect(lines(after(more, sessionClosed('s2', 'viewer_left')))).toEqual([]);
});

test('several owners of a line are all named', () => {
  const both = after(joined(), breakpointsChanged('s2', '/a.py', 4), breakpointsChanged('s7', '/a.py', 4));
  expect(company.othersIn(both, '/a.py').get(4)).toBe('bob, s7');
});

test('the loss of the debugger ends the lease', () => {
  expect(after(joined(), leaseChanged('begun', 60), debuggerDetached('not_answering')).lease).toBeNull();
});
