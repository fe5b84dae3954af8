import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Malformed, type Reader } from '../src/shape';
import * as wire from '../src/wire';
import * as probes from '../src/wire_probes';

const GOLDEN = join(import.meta.dirname, '../../../tests/wire/golden');
const names = readdirSync(GOLDEN)
  .filter((name) => name.endsWith('.json'))
  .map((name) => name.replace(/\.json$/, ''));

const golden = (name: string): unknown => JSON.parse(readFileSync(join(GOLDEN, `${name}.json`), 'utf8'));

const NOTIFICATIONS: Record<string, Reader<unknown>> = {
  presence: wire.presenceItems,
  events: wire.eventItems,
  metrics: wire.metricItems,
  gap: wire.gap,
  bus: wire.busStatus,
  store: wire.storeStatus,
  probes: probes.probeItems,
};

/** The reader of a golden file, or null when the page never receives that message. */
function readerOf(name: string): Reader<unknown> | null {
  const [kind, ...rest] = name.split('.');
  if (kind === 'presence') return wire.presence;
  if (kind === 'metrics') return wire.metrics;
  if (kind === 'event') return wire.anyEvent;
  if (kind === 'notification') return NOTIFICATIONS[rest.join('.')] ?? missing(name);
  if (kind === 'method' && rest.at(-1) === 'result') {
    const method = rest.slice(0, -1).join('.');
    return method in wire.METHODS ? wire.METHODS[method as wire.Method] : missing(name);
  }
  return null;
}

function missing(name: string): never {
  throw new Error(`the page has no reader for ${name}`);
}

/** Each field that was read is the field that was sent. Fields that the page does not use may be left out. */
function expectRead(read: unknown, sent: unknown): void {
  if (Array.isArray(sent)) {
    expect(read).toHaveLength(sent.length);
    sent.forEach((item, index) => expectRead((read as unknown[])[index], item));
  } else if (typeof sent === 'object' && sent !== null) {
    for (const [key, value] of Object.entries(sent)) {
      const field = (read as Record<string, unknown>)[key];
      if (field !== undefined) expectRead(field, value);
    }
  } else {
    expect(read).toEqual(sent);
  }
}

const received = names.filter((name) => readerOf(name) !== null);

test('the golden messages are there', () => {
  expect(received.length).toBeGreaterThan(20);
});

test.each(received)('the golden message %s is read', (name) => {
  const message = golden(name);
  expectRead(readerOf(name)?.(message, name), message);
});

test('the golden items of notifications are read', () => {
  const { events } = wire.eventItems(golden('notification.events'), 'events');
  const { presence } = wire.presenceItems(golden('notification.presence'), 'presence');
  const { metrics } = wire.metricItems(golden('notification.metrics'), 'metrics');
  for (const item of events) wire.anyEvent(item, 'event');
  for (const item of presence) wire.presence(item, 'presence');
  for (const item of metrics) wire.metrics(item, 'metrics');
  expect(events.length + presence.length + metrics.length).toBeGreaterThan(2);
});

test('the golden probe is read of each kind, and what it brings, to the innermost value', () => {
  const { probes: items } = probes.probeItems(golden('notification.probes'), 'probes');
  for (const item of items) expectRead(probes.probeInfo(item, 'probe'), item);
  const listed = golden('method.probe.list.result') as { probes: object[] };
  for (const name of names.filter((each) => each.startsWith('probe.'))) {
    const probe = golden(name) as { spec: { kind: object } };
    const read = probes.probeInfo({ ...listed.probes[0], probe }, name);
    expect(read.probe.spec.kind).toMatchObject(probe.spec.kind);
  }
  const { events } = probes.probeResults(golden('method.probe.results.result'), 'results');
  for (const event of events) wire.anyEvent(event, 'event');
  const snapshot = golden('event.snapshot_taken') as { captured: { frames: { locals: [string, object][] }[] } };
  const read = probes.captured(snapshot.captured, 'captured');
  expectRead(read, snapshot.captured);
  expect(read.frames[0]?.locals?.[0]?.[1].fields).toHaveLength(6);
  const watch = golden('event.watch_changed') as { now: unknown };
  expectRead(probes.value(watch.now, 'now'), watch.now);
});

test('a golden error of JSON-RPC is read', () => {
  const frame = golden('frame.response.error') as { error: { data: { reason: string } } };
  expect(wire.rpcError(frame.error, 'error').data.reason).toBe(frame.error.data.reason);
});

describe('what is not the message is refused, with the place', () => {
  test.each([
    [{ ...(golden('presence.online') as object), pid: '7' }, 'p.pid is not a number'],
    [{ ...(golden('presence.online') as object), state: 'asleep' }, 'p.state is not one of online, ended, lost'],
    [[], 'p is not an object'],
  ])('%#', (value, message) => {
    expect(() => wire.presence(value, 'p')).toThrow(new Malformed(...(message.split(' is not ') as [string, string])));
  });

  test('an unknown type of event', () => {
    expect(() => wire.anyEvent({ type: 'toString' }, 'e')).toThrow(Malformed);
  });
});
