import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Driving } from '../src/driving';
import { Failure, METHODS, sessionState, type Call } from '../src/wire';
import { BOOT, leaseChanged, seatChanged } from './given';

let now: number;
let asked: [string, object][];
let answers: Partial<Record<string, object>>;
let refuse: Failure | null;
let trouble: string[];
let driving: Driving;

const call: Call = async (method, params) => {
  asked.push([method, params]);
  await Promise.resolve();
  if (refuse !== null) throw refuse;
  return METHODS[method](answers[method] ?? {}, method) as never;
};

const join = (more: object = {}) =>
  driving.joined(sessionState({ session: 's1', process: 'a/b/c', boot: BOOT, capabilities: {}, ...more }, 'state'));
const renewals = () => asked.filter(([method]) => method === 'session.renew').length;
/** The clock and the timers go on. */
const pass = async (seconds: number) => {
  for (let second = 0; second < seconds; second += 1) {
    now += 1;
    await vi.advanceTimersByTimeAsync(1000);
  }
};

beforeEach(() => {
  vi.useFakeTimers();
  now = 5000;
  asked = [];
  answers = { 'session.renew': { lease: { left: 60, length: 60 }, renewed: true } };
  refuse = null;
  trouble = [];
  driving = new Driving(call, (message) => trouble.push(message), () => now);
});
afterEach(() => {
  driving.leave();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test('what stands is renewed each third, and the countdown moves each second', async () => {
  join();
  expect(vi.getTimerCount()).toBe(0);
  driving.heard(leaseChanged('begun', 60));
  expect(driving.left.value).toBe(60);
  await pass(19);
  expect([driving.left.value, renewals()]).toEqual([41, 0]);
  await pass(1);
  expect([driving.left.value, renewals()]).toEqual([60, 1]);
  await pass(40);
  expect(renewals()).toBe(3);
  driving.heard(leaseChanged('ended'));
  expect([driving.left.value, vi.getTimerCount()]).toEqual([null, 0]);
});

test('somebody else who drives renews it, and this page does when they go', async () => {
  join({ driver: 's2', lease: { left: 30, length: 60 } });
  await pass(10);
  expect([driving.left.value, renewals()]).toEqual([20, 0]);
  driving.heard(seatChanged('left', null));
  expect(renewals()).toBe(1);
});

test('a late joiner renews a lease that is nearly over at once', () => {
  join({ lease: { left: 3, length: 60 } });
  expect(renewals()).toBe(1);
});

test('a renewal that prolongs nothing is not tried without a pause, and the time runs out', async () => {
  answers['session.renew'] = { lease: { left: 10, length: 60 }, renewed: false };
  join({ lease: { left: 12, length: 60 } });
  await pass(12);
  expect([renewals(), driving.left.value]).toEqual([1, 0]);
});

test('a renewal that fails is tried again a third later', async () => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  refuse = new Failure('unavailable', 'no_answer', 'no answer');
  join({ lease: { left: 40, length: 60 } });
  await pass(19);
  expect(renewals()).toBe(1);
  await pass(1);
  expect(renewals()).toBe(2);
});

test('timers of a hidden page are slow, so whatever arrives keeps it too', () => {
  join({ lease: { left: 60, length: 60 } });
  now += 25;
  driving.keep();
  driving.keep();
  expect(renewals()).toBe(1);
});

test('the seat is asked for and granted', async () => {
  answers['session.seat'] = { driver: 's2', viewer: 'bob', asking: ['s1'] };
  join();
  await driving.seat('ask');
  expect([driving.other.value, driving.asked.value, driving.drives.value]).toEqual(['bob', true, false]);
  driving.heard(seatChanged('granted', 's1', 'ada', ['s3']));
  expect([driving.drives.value, driving.asking.value]).toEqual([true, [{ session: 's3', name: 's3' }]]);
  await driving.seat('grant', 's3');
  expect(asked.at(-1)).toEqual(['session.seat', { session: 's1', action: 'grant', to: 's3' }]);
});

test('what is refused is told', async () => {
  join();
  refuse = new Failure('failed_precondition', 'not_driver', 'bob drives this process');
  await driving.seat('take');
  expect(trouble).toEqual(['bob drives this process']);
});

test('when events were lost, what stands is asked for', async () => {
  join();
  driving.lookAgain();
  await vi.waitFor(() => expect(driving.left.value).toBe(60));
});

test('without a session nothing is asked', async () => {
  await driving.seat('take');
  driving.keep();
  driving.lookAgain();
  expect(asked).toEqual([]);
});
