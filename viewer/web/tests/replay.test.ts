import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { tell } from '../src/recorded';
import { LEAST_PAUSE, MOST_PAUSE, pauseAfter, Replay, spotOf, type State } from '../src/replay';
import { Replaying } from '../src/replaying';
import type { AnyEvent } from '../src/wire';
import { breakpointsChanged, dapEvent, debuggerDetached, leaseChanged, output, seatChanged, sessionClosed, sessionOpened, stopLocated } from './given';

const WHOSE = { session: 's1', viewer: 'ana', opened: 100 };
const stopped = (reason: string, ids: number[] = [], threadId = 1) =>
  dapEvent('stopped', { reason, threadId, hitBreakpointIds: ids });
const ran = (threadId = 1) => dapEvent('continued', { threadId, allThreadsContinued: false });

const told = (...events: AnyEvent[]): Replay =>
  new Replay(WHOSE, events.map((event, index) => ({ ...event, seq: index + 1, time: 100 + index + 1 })));

const RECORDED = () =>
  told(
    sessionOpened('s1', 'ana', 'the slow cart'),
    breakpointsChanged('s1', '/app/main.py', 7),
    stopped('breakpoint', [7]),
    leaseChanged('begun', 60),
    seatChanged('taken', 's1', 'ana'),
    output('one\n'),
    ran(),
    stopped('step'),
    sessionOpened('s2', 'bob'),
    breakpointsChanged('s2', '/app/cart.py', 3),
    output('two', 'stderr'),
    breakpointsChanged('s1', '/app/main.py'),
    leaseChanged('ended'),
    sessionClosed('s1', 'viewer_left'),
  );

const facts = ({ standing, breakpoints, driverName, printed, file, closed }: State) => ({
  stood: standing.map(({ thread, stop, at }) => `${thread} ${stop.reason} ${at === null ? '' : `${at.path}:${at.line}`}`.trim()),
  breakpoints: breakpoints.map(({ owner, path }) => `${owner} ${path}`),
  driverName,
  printed,
  file,
  closed,
});

test('each step is what there was then', () => {
  const replay = RECORDED();
  expect(replay.last).toBe(14);
  expect(facts(replay.at(0))).toEqual({ stood: [], breakpoints: [], driverName: null, printed: 0, file: null, closed: null });
  expect(facts(replay.at(6))).toEqual({
    stood: ['1 breakpoint /app/main.py:7'],
    breakpoints: ['s1 /app/main.py'],
    driverName: 'ana',
    printed: 1,
    file: '/app/main.py',
    closed: null,
  });
  expect(facts(replay.at(7)).stood).toEqual([]);
  expect(facts(replay.at(8)).stood).toEqual(['1 step']); // nobody wrote down where
  expect(facts(replay.at(10)).breakpoints).toEqual(['s1 /app/main.py', 's2 /app/cart.py']);
  expect(facts(replay.at(14))).toEqual({
    stood: [],
    breakpoints: ['s2 /app/cart.py'],
    driverName: 'ana',
    printed: 2,
    file: '/app/main.py',
    closed: 'viewer_left',
  });
});

test('going back shows the same as going there, and so does a jump', () => {
  const forward = RECORDED();
  const seen = Array.from({ length: forward.last + 1 }, (_, step) => forward.at(step));
  for (let step = forward.last; step >= 0; step -= 1) expect(forward.at(step)).toBe(seen[step]);
  const jumped = RECORDED();
  expect(jumped.at(jumped.last)).toEqual(seen.at(-1));
  for (const step of [3, 13, 0, 8]) expect(jumped.at(step)).toEqual(seen[step]);
});

test('there is no step beyond the ends, and none between two', () => {
  const replay = RECORDED();
  expect([-4, 99, 2.7].map((step) => replay.at(step).step)).toEqual([0, 14, 2]);
  expect(new Replay(WHOSE, []).at(1).step).toBe(0);
});

test('stops are found in both directions', () => {
  const replay = RECORDED();
  expect([replay.stop(0, 1), replay.stop(3, 1), replay.stop(8, 1)]).toEqual([3, 8, null]);
  expect([replay.stop(14, -1), replay.stop(8, -1), replay.stop(3, -1)]).toEqual([8, 3, null]);
});

test('the output so far is known at each step, whichever was looked at before', () => {
  const replay = RECORDED();
  replay.at(14);
  const texts = (step: number, most = 10) => replay.output(replay.at(step), most).map(({ text }) => text);
  expect([texts(5), texts(6), texts(14), texts(14, 1)]).toEqual([[], ['one\n'], ['one\n', 'two'], ['two']]);
  expect(replay.output(replay.at(14), 1)[0]?.isError).toBe(true);
});

test('of several threads that stand, the source shows the one that stopped last', () => {
  const replay = told(
    breakpointsChanged('s1', '/app/main.py', 7, 9),
    stopped('breakpoint', [7], 1),
    stopped('breakpoint', [9], 2),
    dapEvent('thread', { reason: 'exited', threadId: 2 }),
    debuggerDetached('connection_lost'),
  );
  expect([1, 2, 3, 4, 5].map((step) => spotOf(replay.at(step))?.line)).toEqual([undefined, 7, 9, 7, undefined]);
});

test('where a thread stood is known from its stop on, though it was written down after', () => {
  const replay = told(
    breakpointsChanged('s1', '/app/main.py', 7),
    stopped('breakpoint', [7]),
    ran(),
    stopped('step'),
    leaseChanged('begun', 60),
    stopLocated('/app/cart.py', 42),
    stopped('pause', [], 2), // it ran on before anybody knew
    ran(2),
    stopped('pause', [], 2),
    stopLocated(null, 1, 2),
  );
  const spots = Array.from({ length: replay.last }, (_, step) => spotOf(replay.at(step + 1)));
  const [main, cart] = [{ path: '/app/main.py', line: 7 }, { path: '/app/cart.py', line: 42 }];
  expect(spots).toEqual([null, main, null, cart, cart, cart, null, cart, null, null]);
  expect(replay.at(4).file).toBe('/app/cart.py');
  const stops = Array.from({ length: replay.last }, (_, step) => replay.stop(step, 1));
  expect(stops).toEqual([2, 2, 4, 4, 7, 7, 7, 9, 9, null]);
});

test('who came while a thread stood sees it stand', () => {
  const replay = told(sessionOpened('s1', 'ana'), stopLocated('/app/cart.py', 42), stopLocated('/app/cart.py', 42));
  expect(facts(replay.at(2)).stood).toEqual(['1 step /app/cart.py:42']);
  expect([replay.stop(0, 1), replay.stop(2, 1)]).toEqual([2, null]);
  expect(replay.events.slice(1).map((event) => tell(event, new Map()).text)[0]).toBe('stands at cart.py:42 in total');
});

test('what the debugger tells in another shape changes nothing', () => {
  const replay = told(dapEvent('stopped', { reason: 7 }), dapEvent('stopped', null), dapEvent('weather', {}), output(7 as never));
  expect(facts(replay.at(4))).toEqual(facts(replay.at(0)));
});

test('every event is told in words', () => {
  const replay = RECORDED();
  const { names } = replay.at(replay.last);
  expect(replay.events.map((event) => tell(event, names).text)).toEqual([
    'ana began to debug: the slow cart',
    'ana stops in main.py at line 7',
    'stopped: breakpoint',
    'something stands',
    'ana drives',
    'printed one',
    'runs again',
    'stopped: step',
    'bob began to debug',
    'bob stops in cart.py at line 3',
    'printed two',
    'ana has no breakpoints in main.py any more',
    'nothing stands any more',
    'ana stopped debugging',
  ]);
});

describe('playing', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  const spread = (...times: number[]) =>
    new Replay(WHOSE, times.map((time, index) => ({ ...output('.'), seq: index + 1, time: 100 + time })));

  test('pauses are as long as they were, within bounds, and shorter when it is faster', () => {
    const replay = spread(0, 0, 1, 3600);
    const pauses = (speed: number) => [0, 1, 2, 3].map((step) => pauseAfter(replay.at(step), replay.at(step + 1), speed));
    expect(pauses(1)).toEqual([LEAST_PAUSE, LEAST_PAUSE, 1, MOST_PAUSE]);
    expect(pauses(4)).toEqual(pauses(1).map((pause) => pause / 4));
  });

  test('it goes on by itself to the end, and begins anew from there', () => {
    const replaying = new Replaying(spread(0, 1, 2));
    replaying.play(1);
    vi.advanceTimersByTime(1000 * (LEAST_PAUSE + 1));
    expect(replaying.step.value).toBe(2);
    vi.advanceTimersByTime(1000);
    expect([replaying.step.value, replaying.playing.value]).toEqual([3, null]);
    replaying.play(4);
    expect([replaying.step.value, replaying.playing.value]).toEqual([0, 4]);
  });

  test('whoever goes somewhere stops it, and a faster speed does not run twice', () => {
    const replaying = new Replaying(spread(0, 1, 2, 3, 4, 5));
    replaying.play(1);
    replaying.play(4);
    vi.advanceTimersByTime(1000 * ((LEAST_PAUSE + 1) / 4));
    expect(replaying.step.value).toBe(2);
    replaying.goTo(2);
    expect(replaying.playing.value).toBe(4); // it is there already
    replaying.by(-1);
    vi.advanceTimersByTime(60_000);
    expect([replaying.step.value, replaying.playing.value]).toEqual([1, null]);
  });
});
