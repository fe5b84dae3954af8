/** The page that comes back: where it goes on, what it drops, what it says of what is missing. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Page } from '../src/page';
import { BOOT, dapEvent, output, presence, sessionOpened } from './given';

interface Sent {
  id: number;
  method: string;
  params: Record<string, unknown>;
}

/** A broker that answers, over one connection after the other. */
class Broker {
  readonly sent: Sent[] = [];
  processes = [presence('a/b/c')];
  scopes = ['observe', 'inspect', 'control'];
  socket: { onopen: () => void; onmessage: (message: { data: string }) => void; onclose: (close: object) => void } | null = null;
  readonly page = new Page('ws://x', { open: () => this.#open() as never, now: () => Date.now(), random: () => 0 });

  async online(): Promise<void> {
    this.socket?.onopen();
    await vi.advanceTimersByTimeAsync(0);
  }

  says(method: string, params: object): void {
    this.socket?.onmessage({ data: JSON.stringify({ method, params }) });
  }

  asked(method: string): Record<string, unknown>[] {
    return this.sent.filter((each) => each.method === method).map(({ params }) => params);
  }

  #open() {
    this.socket = {
      onopen: () => {},
      onmessage: () => {},
      onclose: () => {},
      ...{ send: (text: string) => this.#answer(JSON.parse(text) as Sent), close: () => {} },
    };
    return this.socket;
  }

  #answer(sent: Sent): void {
    this.sent.push(sent);
    const state = { session: 's1', process: 'a/b/c', boot: BOOT, capabilities: {}, threads: [{ id: 1, name: 'MainThread' }] };
    const answers: Record<string, unknown> = {
      whoami: { broker: 'b', version: '1', subject: 'ana', scopes: this.scopes, selectors: ['*/*/*'], expires: 9e9, store: 'up' },
      subscribe: { subscription: this.sent.length },
      'process.list': { processes: this.processes },
      'probe.list': { probes: [] },
      'session.open': state,
    };
    const { socket } = this;
    queueMicrotask(() => socket?.onmessage({ data: JSON.stringify({ id: sent.id, result: answers[sent.method] ?? {} }) }));
  }
}

let broker: Broker;
beforeEach(async () => {
  vi.useFakeTimers();
  broker = new Broker();
  broker.page.socket.connect('abc');
  await broker.online();
});
afterEach(() => {
  vi.useRealTimers();
});

const numbered = (event: object, seq: number) => ({ ...event, seq });
const texts = () => broker.page.store.timeline.value.map(({ text }) => text);

async function back(code: number): Promise<void> {
  broker.socket?.onclose({ code, reason: '' });
  await vi.advanceTimersByTimeAsync(1000);
  await broker.online();
}

test('the first time it asks for what comes, and nothing of before', () => {
  expect(broker.asked('subscribe')).toEqual([{ topics: ['presence', 'events', 'metrics', 'probes'] }]);
});

test.each([1006, 1012, 4440])('after close code %i it goes on behind the newest event that it has', async (code) => {
  broker.says('events', { events: [numbered(dapEvent('stopped', { reason: 'step' }), 4), numbered(sessionOpened('s2', 'bob'), 5)] });
  await back(code);
  expect(broker.asked('subscribe')[1]).toEqual({
    topics: ['presence', 'events', 'metrics', 'probes'],
    cursors: [{ process: 'a/b/c', boot: BOOT, seq: 5 }],
  });
});

test('of a process that has begun since, it asks from the beginning; of one that was only silent, it knows no place', async () => {
  broker.processes = [presence('a/b/c'), presence('a/b/d')];
  await back(1006);
  expect(broker.asked('subscribe')[1]).toMatchObject({ cursors: [{ process: 'a/b/d', boot: BOOT, seq: 0 }] });
});

test('what is told again is not there twice', async () => {
  broker.says('events', { events: [numbered(sessionOpened('s2', 'bob'), 5)] });
  await back(1006);
  broker.says('events', { events: [numbered(sessionOpened('s2', 'bob'), 5), numbered(sessionOpened('s3', 'eve'), 6)] });
  expect(texts()).toEqual(['bob began to debug', 'eve began to debug']);
});

test.each([
  ['lost', 5, 16, '12 events are lost: nobody has them any more'],
  ['slow_viewer', 5, 5, '1 event left out: this page read too slowly'],
  ['bus', 5, 6, '2 events did not reach the broker'],
  ['too_many', 5, 6, '2 events not told again, they were too many; the history may have them'],
])('a gap says why (%s), and it goes on behind it', async (reason, first, last, text) => {
  broker.says('gap', { process: 'a/b/c', boot: BOOT, first, last, reason });
  expect(texts()).toEqual([text]);
  await back(1006);
  expect(broker.asked('subscribe')[1]).toMatchObject({ cursors: [{ process: 'a/b/c', seq: last }] });
});

test('whether the history works is known, and why not', async () => {
  const { history } = broker.page.store;
  expect(history.value).toEqual({ store: 'up', problem: '' });
  broker.says('store', { store: 'degraded', problem: 'the disk is full' });
  expect(history.value).toEqual({ store: 'degraded', problem: 'the disk is full' });
  await back(1006);
  expect(history.value).toEqual({ store: 'up', problem: '' });
});

test('what a program prints is asked for while it is debugged, before its session is opened', async () => {
  const session = broker.page.sessionOf('a/b/c');
  const opening = session.open();
  expect(broker.sent.slice(-2).map(({ method }) => method)).toEqual(['subscribe', 'session.open']);
  expect(broker.asked('subscribe').at(-1)).toEqual({ topics: ['output'], selector: 'a/b/c' });
  const { id } = broker.sent.at(-2) as Sent;
  await opening;
  broker.says('events', { events: [numbered(output('sold 3\n'), 7)] });
  expect(session.transcript.lines.value.map(({ text }) => text)).toEqual(['sold 3\n']);
  await session.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(broker.asked('unsubscribe')).toEqual([{ subscription: id }]);
});

test('without the scope inspect nothing that programs print is asked for', async () => {
  broker.scopes = ['observe', 'control'];
  await back(1006);
  await broker.page.sessionOf('a/b/c').open();
  expect(broker.asked('subscribe').every(({ topics }) => !(topics as string[]).includes('output'))).toBe(true);
});

test('a session is opened with the name that was given to it', async () => {
  const session = broker.page.sessionOf('a/b/c');
  session.name.value = ' the slow cart ';
  await session.open();
  expect(broker.asked('session.open')).toEqual([{ process: 'a/b/c', name: 'the slow cart' }]);
});
