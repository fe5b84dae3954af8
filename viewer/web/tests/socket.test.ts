import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Page } from '../src/page';
import { Socket } from '../src/socket';
import { takeToken } from '../src/token';
import { Failure } from '../src/wire';

class FarEnd {
  static all: FarEnd[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((close: { code: number; reason: string }) => void) | null = null;
  readonly sent: { id: number; method: string }[] = [];

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FarEnd.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as { id: number; method: string });
  }

  close(): void {
    this.onclose?.({ code: 1000, reason: '' });
  }

  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify({ jsonrpc: '2.0', ...message }) });
  }
}

const latest = () => FarEnd.all.at(-1) as FarEnd;

function connected(random = 0): Socket {
  const socket = new Socket('ws://broker/ws', {
    open: (url, protocols) => new FarEnd(url, protocols) as unknown as WebSocket,
    now: () => Date.now(),
    random: () => random,
  });
  socket.connect('abc.def.ghi');
  latest().onopen?.();
  return socket;
}

beforeEach(() => {
  vi.useFakeTimers();
  FarEnd.all = [];
});
afterEach(() => {
  vi.useRealTimers();
});

test('the token is offered as a subprotocol beside the public one', () => {
  connected();
  expect(latest().protocols).toEqual(['sonde.v1', 'sonde.bearer.abc.def.ghi']);
});

test('without a token nothing is connected', () => {
  const socket = new Socket('ws://broker/ws', { open: () => expect.fail(), now: () => 0, random: () => 0 });
  socket.connect(null);
  expect(socket.line.value).toMatchObject({ phase: 'refused', because: 'no_token' });
});

test('answers find their calls, whatever their order', async () => {
  const socket = connected();
  const first = socket.call('subscribe', { topics: ['events'] });
  const second = socket.call('subscribe', { topics: ['metrics'] });
  const [a, b] = latest().sent;
  latest().says({ id: b?.id, result: { subscription: 2 } });
  latest().says({ id: a?.id, result: { subscription: 1 } });
  expect(await first).toEqual({ subscription: 1 });
  expect(await second).toEqual({ subscription: 2 });
});

test('an error of the broker becomes a Failure with its reason', async () => {
  const socket = connected();
  const call = socket.call('whoami', {});
  latest().says({
    id: latest().sent[0]?.id,
    error: { code: -32007, message: 'ask for it', data: { code: 'permission_denied', reason: 'missing_scope' } },
  });
  await expect(call).rejects.toMatchObject({ reason: 'missing_scope', message: 'ask for it' });
});

test('a call that nobody answers ends', async () => {
  const socket = connected();
  const call = expect(socket.call('whoami', {})).rejects.toMatchObject({ reason: 'no_answer' });
  await vi.advanceTimersByTimeAsync(30_000);
  await call;
});

test('when the line is lost, calls end and later ones are refused', async () => {
  const socket = connected();
  const call = socket.call('whoami', {});
  latest().onclose?.({ code: 1006, reason: '' });
  await expect(call).rejects.toBeInstanceOf(Failure);
  await expect(socket.call('whoami', {})).rejects.toMatchObject({ reason: 'line_lost' });
});

test.each([
  [4401, 'unauthenticated'],
  [4400, 'mismatch'],
])('close code %i is final until a person acts', async (code, because) => {
  const socket = connected();
  latest().onclose?.({ code, reason: 'because' });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FarEnd.all).toHaveLength(1);
  expect(socket.line.value).toEqual({ phase: 'refused', because, message: 'because' });
});

test.each([
  [1012, 'restart'],
  [4440, 'slow'],
  [1006, 'line'],
])('after close code %i it comes back', async (code, because) => {
  const socket = connected();
  latest().onclose?.({ code, reason: '' });
  expect(socket.line.value).toMatchObject({ phase: 'waiting', because });
  await vi.advanceTimersByTimeAsync(1000);
  expect(FarEnd.all).toHaveLength(2);
});

test('it waits longer each time, up to a limit, and not at all when told to', async () => {
  const socket = connected(1);
  const waits: number[] = [];
  for (let attempt = 0; attempt < 7; attempt += 1) {
    const before = Date.now();
    latest().onclose?.({ code: 1006, reason: '' });
    await vi.advanceTimersToNextTimerAsync();
    waits.push(Date.now() - before);
  }
  expect(waits).toEqual([1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  latest().onclose?.({ code: 1006, reason: '' });
  socket.retryNow();
  expect(socket.line.value.phase).toBe('connecting');
});

test('what an old connection still says is not heard', () => {
  const socket = connected();
  const old = latest();
  old.onclose?.({ code: 1006, reason: '' });
  socket.retryNow();
  socket.onNotification = () => expect.fail('heard the old connection');
  old.says({ method: 'bus', params: { bus: 'up' } });
});

test('nonsense is dropped, and the line stands', () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const socket = connected();
  latest().onmessage?.({ data: '{' });
  latest().onmessage?.({ data: '[]' });
  expect(warn).toHaveBeenCalledTimes(2);
  expect(socket.line.value.phase).toBe('online');
  warn.mockRestore();
});

test('another token makes another connection, and what was begun over the old one ends', async () => {
  const socket = connected();
  let offline = 0;
  socket.onOffline = () => (offline += 1);
  const call = socket.call('whoami', {});
  socket.connect('x.y.z');
  await expect(call).rejects.toMatchObject({ reason: 'line_lost' });
  expect(offline).toBe(1);
  expect(latest().protocols[1]).toBe('sonde.bearer.x.y.z');
});

test('a token that was renewed is the one of the next connection', async () => {
  const socket = connected();
  socket.renewed('x.y.z');
  latest().onclose?.({ code: 1006, reason: '' });
  await vi.advanceTimersByTimeAsync(1000);
  expect(latest().protocols[1]).toBe('sonde.bearer.x.y.z');
});

describe('a token that is pasted while the page is online', () => {
  const me = { broker: 'b', version: '0', subject: 'ada', scopes: [], selectors: [], expires: 9 };

  function online(): Page {
    const page = new Page('ws://broker/ws', {
      open: (url, protocols) => new FarEnd(url, protocols) as unknown as WebSocket,
      now: () => Date.now(),
      random: () => 0,
    });
    page.socket.connect('abc.def.ghi');
    latest().onopen?.();
    return page;
  }
  const last = () => latest().sent.at(-1);

  test('takes the place of the old one, and the connection stays', async () => {
    const page = online();
    const used = page.useToken(window, 'x.y.z');
    expect(last()).toMatchObject({ method: 'token.renew', params: { token: 'x.y.z' } });
    latest().says({ id: last()?.id, result: me });
    expect(await used).toBe('');
    expect(page.store.me.value?.expires).toBe(9);
    expect(FarEnd.all).toHaveLength(1);
    expect(takeToken(window)).toBe('x.y.z');
  });

  test.each([
    ['permission_denied', '', 2],
    ['unauthenticated', 'no', 1],
  ])('when it is refused as %s it says %j', async (code, says, connections) => {
    const used = online().useToken(window, 'x.y.z');
    latest().says({ id: last()?.id, error: { code: 1, message: 'no', data: { code, reason: 'bad_token' } } });
    expect(await used).toBe(says);
    expect(FarEnd.all).toHaveLength(connections);
  });
});

test('when the bus is lost, what is debugged is over', () => {
  const page = new Page('ws://broker/ws', { open: () => expect.fail(), now: () => 0, random: () => 0 });
  const lost = vi.spyOn(page.sessionOf('a/b/c'), 'busLost');
  page.socket.onNotification('bus', { bus: 'down' });
  expect(lost).toHaveBeenCalledOnce();
});
