import { expect, test, vi } from 'vitest';
import { ENTRIES, fold, GONE, nothing, read, SAMPLES, Store, type Fleet, type Message } from '../src/store';
import {
  dapEvent,
  debuggerAttached,
  debuggerDetached,
  leaseChanged,
  logged,
  metrics,
  presence,
  probeChanged,
  probeStatus,
  seatChanged,
  sessionClosed,
} from './given';

const after = (...messages: Message[]): Fleet => messages.reduce(fold, nothing);

test('the newest presence of a process counts', () => {
  const fleet = after(
    { kind: 'presence', item: presence('a/b/c') },
    { kind: 'presence', item: presence('a/b/c', { state: 'ended' }) },
  );
  expect(fleet.processes.get('a/b/c')?.state).toBe('ended');
});

test('the last will of an earlier boot does not hide the process that took its place', () => {
  const fleet = after(
    { kind: 'presence', item: presence('a/b/c', { boot: 'b'.repeat(32), started: 50 }) },
    { kind: 'presence', item: presence('a/b/c', { state: 'lost', started: 10 }) },
  );
  expect(fleet.processes.get('a/b/c')?.state).toBe('online');
});

test('the list replaces what was known, because the line was lost in between', () => {
  const fleet = after(
    { kind: 'presence', item: presence('a/b/gone') },
    { kind: 'listed', processes: [presence('a/b/here')] },
  );
  expect([...fleet.processes.keys()]).toEqual(['a/b/here']);
  expect(fleet.live).toBe(true);
  expect(fold(fleet, { kind: 'offline' }).live).toBe(false);
});

test('samples are bounded, in order, and the newest wins', () => {
  const times = Array.from({ length: SAMPLES + 5 }, (_, index) => index + 1);
  const fleet = after(
    ...times.map((time): Message => ({ kind: 'metrics', item: metrics('a/b/c', time) })),
    { kind: 'metrics', item: metrics('a/b/c', 3) },
  );
  const samples = fleet.samples.get('a/b/c') ?? [];
  expect(samples).toHaveLength(SAMPLES);
  expect(samples[0]?.time).toBe(6);
  expect(samples.at(-1)?.time).toBe(SAMPLES + 5);
});

test('a process that starts anew starts without samples', () => {
  const fleet = after(
    { kind: 'presence', item: presence('a/b/c') },
    { kind: 'metrics', item: metrics('a/b/c', 1) },
    { kind: 'presence', item: presence('a/b/c', { boot: 'b'.repeat(32), started: 50 }) },
  );
  expect(fleet.samples.get('a/b/c')).toBeUndefined();
});

test('the timeline tells who stopped, and is silent about output', () => {
  const fleet = after(
    { kind: 'event', item: dapEvent('output', { output: 'x' }) },
    { kind: 'event', item: dapEvent('stopped', { reason: 'exception', text: 'ValueError' }) },
    { kind: 'event', item: sessionClosed('s', 'bus_lost') },
    { kind: 'gap', gap: { process: 'a/b/c', boot: 'x', first: 5, last: 6, reason: 'lost' }, time: 9 },
  );
  expect(fleet.timeline.map((entry) => entry.text)).toEqual([
    'stopped: exception, ValueError',
    'ana stopped debugging: the bus was lost',
    '2 events are lost: nobody has them any more',
  ]);
});

test('the timeline tells who drives, a lapse, and that the debugger came back', () => {
  const fleet = after(
    ...[
      seatChanged('taken', 's1', 'ada'),
      seatChanged('asked', 's1', 'ada', ['s2']),
      seatChanged('granted', 's2', 'bob'),
      seatChanged('released', null),
      leaseChanged('begun', 60),
      leaseChanged('renewed', 60),
      leaseChanged('lapsed'),
      debuggerDetached('not_answering'),
      debuggerAttached(true),
      debuggerDetached('last_session_closed'),
      debuggerAttached(false),
    ].map((item): Message => ({ kind: 'event', item })),
  );
  expect(fleet.timeline.map((entry) => entry.text)).toEqual([
    'ada drives',
    'somebody asks ada for the driver’s seat',
    'bob was given the driver’s seat',
    'nobody drives any more',
    'nobody stayed: runs on, and breakpoints sleep',
    'debugger did not answer any more and was dropped; everything runs on',
    'debugger attached again, breakpoints set again',
  ]);
});

test('of what a probe brings, the timeline keeps the newest of each process', () => {
  const events = [logged('one', 1), logged('other', 2, 'bbbbbbbbbb'), { ...logged('far', 3), process: 'a/b/d' }, logged('two', 4)];
  const fleet = after(...events.map((item): Message => ({ kind: 'event', item })));
  expect(fleet.timeline.map((entry) => entry.text.replace('logged at main.py:3: ', ''))).toEqual(['other', 'far', 'two']);
});

test('a probe that is throttled and hit in turns does not fill the timeline', () => {
  const events = ['error', 'hit', 'throttled', 'hit', 'expired'] as const;
  const fleet = after(...events.map((state): Message => ({ kind: 'event', item: probeChanged(probeStatus(state)) })));
  expect(fleet.timeline.map((entry) => entry.text.replace('probe log main.py:3 ', ''))).toEqual([
    'does not work',
    'was hit',
    'has expired',
  ]);
});

test('the timeline is bounded and its keys stay unique', () => {
  const stop: Message = { kind: 'event', item: dapEvent('stopped', { reason: 'step' }) };
  const fleet = after(...Array.from({ length: ENTRIES + 3 }, () => stop));
  expect(fleet.timeline).toHaveLength(ENTRIES);
  expect(new Set(fleet.timeline.map((entry) => entry.key)).size).toBe(ENTRIES);
});

test('metrics of one process do not move the signal of another, nor that of the list', () => {
  const store = new Store();
  store.apply([{ kind: 'listed', processes: [presence('a/b/c'), presence('a/b/d')] }]);
  const list = store.processes.value;
  const other = store.samples('a/b/d').value;
  store.apply([{ kind: 'metrics', item: metrics('a/b/c', 1) }]);
  expect(store.processes.value).toBe(list);
  expect(store.samples('a/b/d').value).toBe(other);
});

test('one malformed item does not cost its batch', () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const messages = read('presence', { presence: [{ process: 7 }, presence('a/b/c')] }, 0);
  expect(messages).toHaveLength(1);
  expect(warn).toHaveBeenCalledOnce();
  warn.mockRestore();
});

test('notifications of a newer broker are passed over', () => {
  expect(read('weather', {}, 0)).toEqual([]);
});

test('what is no longer listed leaves no metrics behind', () => {
  const fleet = after(
    { kind: 'presence', item: presence('a/b/gone') },
    { kind: 'metrics', item: metrics('a/b/gone', 1) },
    { kind: 'metrics', item: metrics('a/b/here', 1) },
    { kind: 'listed', processes: [presence('a/b/here')] },
  );
  expect([...fleet.samples.keys()]).toEqual(['a/b/here']);
  expect([...fleet.latest.keys()]).toEqual(['a/b/here']);
});

test('processes that are gone are bounded, the oldest go first, and those online stay', () => {
  const ended = Array.from({ length: GONE + 2 }, (_, n): Message[] => [
    { kind: 'metrics', item: metrics(`a/b/p${n}`, 1) },
    { kind: 'presence', item: presence(`a/b/p${n}`, { state: 'ended', time: n }) },
  ]).flat();
  const fleet = after({ kind: 'presence', item: presence('a/b/c', { time: 0 }) }, ...ended);
  expect(fleet.processes.size).toBe(GONE + 1);
  expect(fleet.processes.has('a/b/c')).toBe(true);
  expect(fleet.processes.has('a/b/p1')).toBe(false);
  expect(fleet.samples.has('a/b/p1')).toBe(false);
  expect(fleet.samples.size).toBe(GONE);
});
