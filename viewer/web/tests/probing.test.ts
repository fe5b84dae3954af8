import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Probing } from '../src/probing';
import { snapshotId } from '../src/probes';
import { Failure, METHODS, type Call } from '../src/wire';
import { int, logged, PROBE, probeInfo, probeStatus, snapshotTaken } from './given';

/** The far side: answers through the readers of the wire, and notes what it was asked. */
class FarSide {
  readonly asked: string[] = [];
  refuse: Failure | null = null;
  results: unknown = { events: [] };
  hits = 0;

  readonly call: Call = async (method, params) => {
    this.asked.push(`${method} ${JSON.stringify(params)}`);
    await Promise.resolve();
    if (this.refuse !== null) throw this.refuse;
    const result = {
      'probe.list': { probes: [probeInfo()] },
      'probe.show': { info: probeInfo(), processes: [{ process: 'a/b/c', status: probeStatus('hit', { hits: this.hits }) }] },
      'probe.results': this.results,
      'probe.add': probeInfo('aaaaaaaaaa'),
      'snapshot.read': snapshotTaken([['n', int(1)]]),
    }[method as string];
    return METHODS[method](result ?? {}, method) as never;
  };
}

let far: FarSide;
let probing: Probing;
const shows = () => far.asked.filter((each) => each.startsWith('probe.show')).length;

beforeEach(() => {
  vi.useFakeTimers();
  far = new FarSide();
  probing = new Probing(far.call);
});
afterEach(() => {
  vi.useRealTimers();
});

test('what is followed is asked for, and its states again when its totals change, but not each time', async () => {
  await probing.list();
  probing.follow(PROBE, true);
  await vi.advanceTimersByTimeAsync(0);
  expect(far.asked.slice(1)).toEqual([`probe.show {"probe":"${PROBE}"}`, `probe.results {"probe":"${PROBE}","limit":100}`]);
  far.hits = 9;
  for (let n = 1; n < 20; n += 1) probing.told({ probes: [probeInfo(PROBE, {}, { hits: n }), probeInfo('b')] });
  await vi.advanceTimersByTimeAsync(2000);
  expect(shows()).toBe(2);
  expect(probing.followed.value?.processes?.get('a/b/c')?.hits).toBe(9);
  expect([...probing.known.value.keys()]).toEqual([PROBE, 'b']);
  probing.told({ probes: [probeInfo('b')] });
  await vi.advanceTimersByTimeAsync(2000);
  expect(shows()).toBe(2);
});

test('results that are not understood do not cost the others', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  far.results = { events: [logged('one'), { type: 'probe_logged' }, { type: 'weather' }], more: true };
  probing.follow(PROBE, true);
  await vi.advanceTimersByTimeAsync(0);
  expect(probing.followed.value).toMatchObject({ more: true, results: [{ message: 'one' }] });
  expect(warn).toHaveBeenCalledTimes(2);
  warn.mockRestore();
});

test('what is refused is told, and adding throws it to the form', async () => {
  far.refuse = new Failure('permission_denied', 'scope_missing', 'your token lacks the scope inspect');
  await probing.remove(PROBE);
  expect(probing.trouble.value).toBe('your token lacks the scope inspect');
  await expect(probing.add({})).rejects.toThrow('lacks the scope');
  far.refuse = null;
  await probing.list();
  expect(probing.trouble.value).toBe('');
  await probing.add({ kind: { type: 'log', template: 'x' } });
  expect(far.asked.at(-1)).toBe('probe.add {"probe":{"kind":{"type":"log","template":"x"}}}');
  expect(probing.known.value.has('aaaaaaaaaa')).toBe(true);
});

test('a snapshot that is here is not asked for; another one is, once, and only if that is allowed', async () => {
  const taken = snapshotTaken([['n', int(1)]], 4);
  probing.follow(PROBE, true);
  await vi.advanceTimersByTimeAsync(0);
  probing.heard(taken);
  probing.open(snapshotId(taken), true);
  expect(probing.snapshot.value).toMatchObject({ state: 'ready', value: { seq: 4 } });
  expect(far.asked.some((each) => each.startsWith('snapshot.read'))).toBe(false);
  probing.open('aaaaaaaaaaaa-9', true);
  expect(probing.snapshot.value).toEqual({ state: 'loading' });
  await vi.advanceTimersByTimeAsync(0);
  probing.open('aaaaaaaaaaaa-9', true);
  expect(far.asked.at(-1)).toBe('snapshot.read {"snapshot":"aaaaaaaaaaaa-9"}');
  expect(probing.snapshot.value).toMatchObject({ state: 'ready' });
  probing.open('aaaaaaaaaaaa-10', false);
  expect(probing.snapshot.value).toMatchObject({ state: 'failed' });
  probing.open(null, true);
  expect(probing.snapshot.value).toBeNull();
});

test('the answer about a snapshot that was closed meanwhile is dropped', async () => {
  probing.open('aaaaaaaaaaaa-9', true);
  probing.open(null, true);
  await vi.advanceTimersByTimeAsync(0);
  expect(probing.snapshot.value).toBeNull();
});

test('without the scope for it, what a probe has brought is not asked for', async () => {
  probing.follow(PROBE, false);
  await vi.advanceTimersByTimeAsync(0);
  expect(far.asked).toEqual([`probe.show {"probe":"${PROBE}"}`]);
});

test('where a probe is, is asked once, and again after the page was away', async () => {
  await probing.list();
  probing.locate([PROBE, 'b']);
  probing.locate([PROBE]);
  await vi.advanceTimersByTimeAsync(0);
  expect(shows()).toBe(2);
  expect(probing.followed.value).toBeNull();
  await probing.list();
  probing.locate([PROBE]);
  await vi.advanceTimersByTimeAsync(0);
  expect(shows()).toBe(3);
});

test('whose probe it is', async () => {
  await probing.list();
  expect(probing.isBy('ana', PROBE)).toBe(true);
  expect(probing.isBy('bob', PROBE)).toBe(false);
  expect(probing.isBy(undefined, 'unknown')).toBe(false);
});
