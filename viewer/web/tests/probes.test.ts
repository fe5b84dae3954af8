import { describe, expect, test } from 'vitest';
import { inline, parts, remark, rootsOf, change, beforeOf } from '../src/captured';
import { ENDED, fold, isFile, means, nothing, onLines, reaches, RESULTS, spread, stateOf, type Message, type Probes } from '../src/probes';
import { Transcript } from '../src/transcript';
import { describe as sentence } from '../src/timeline';
import { captured, value, type ProbeInfo } from '../src/wire_probes';
import { int, logged, presence, PROBE, probeChanged, probeInfo, probeStatus, snapshotTaken, watchChanged } from './given';

const after = (...messages: Message[]): Probes => messages.reduce(fold, nothing);
const followed: Message[] = [
  { kind: 'listed', probes: [probeInfo()] },
  { kind: 'followed', id: PROBE },
];

describe('what is known of probes', () => {
  test('the list replaces what was known, and what changed replaces its own', () => {
    const probes = after(
      { kind: 'changed', info: probeInfo('aaaaaaaaaa') },
      { kind: 'listed', probes: [probeInfo()] },
      { kind: 'changed', info: probeInfo(PROBE, {}, { hits: 7 }) },
    );
    expect([...probes.known.keys()]).toEqual([PROBE]);
    expect(probes.known.get(PROBE)?.totals.hits).toBe(7);
  });

  test('an answer that is older than what was told changes nothing', () => {
    const probes = after(
      { kind: 'changed', info: probeInfo(PROBE, { revision: 2, chosen: ['a/b/d'] }) },
      { kind: 'changed', info: probeInfo(PROBE, { revision: 1, chosen: ['a/b/c'] }) },
    );
    expect(probes.known.get(PROBE)?.probe.chosen).toEqual(['a/b/d']);
  });

  test('those that are over are bounded, the oldest go first, and those that live stay', () => {
    const over = Array.from({ length: ENDED + 2 }, (_, n): ProbeInfo => ({ ...probeInfo(`p${n}`, { created: n }), state: 'removed' }));
    const probes = after({ kind: 'listed', probes: [probeInfo(PROBE, { created: -1 }), ...over] });
    expect(probes.known.size).toBe(ENDED + 1);
    expect(probes.known.has(PROBE)).toBe(true);
    expect(probes.known.has('p1')).toBe(false);
  });
});

describe('the probe that is followed', () => {
  test('what it brings is newest first, and what it brought before comes in between without doubles', () => {
    const probes = after(
      ...followed,
      { kind: 'event', event: logged('three', 3) },
      { kind: 'brought', probe: PROBE, results: [logged('one', 1), logged('two', 2), logged('three', 3)], more: true },
      { kind: 'event', event: logged('four', 4) },
    );
    const texts = probes.followed?.results.map((each) => each.type === 'probe_logged' && each.message);
    expect(texts).toEqual(['four', 'three', 'two', 'one']);
    expect(probes.followed?.more).toBe(true);
  });

  test('results are bounded, and those of other probes are not kept', () => {
    const many = Array.from({ length: RESULTS + 5 }, (_, n): Message => ({ kind: 'event', event: logged(`${n}`, n + 1) }));
    const probes = after(...followed, ...many, { kind: 'event', event: logged('other', 9000, 'bbbbbbbbbb') });
    expect(probes.followed?.results).toHaveLength(RESULTS);
    expect(probes.followed?.results[0]).toMatchObject({ message: `${RESULTS + 4}` });
  });

  test('its state in each process is what was asked for, and then what each process tells', () => {
    const detail = { info: probeInfo(), processes: [{ process: 'a/b/c', status: null }, { process: 'a/b/d', status: probeStatus('hit') }] };
    const probes = after(...followed, { kind: 'shown', detail }, { kind: 'event', event: probeChanged(probeStatus('throttled')) });
    expect(probes.followed?.processes?.get('a/b/c')?.state).toBe('throttled');
    expect(probes.followed?.processes?.get('a/b/d')?.state).toBe('hit');
  });

  test('an answer about another one than is followed by now changes nothing of it', () => {
    const detail = { info: probeInfo(), processes: [{ process: 'a/b/c', status: probeStatus('hit') }] };
    const probes = after(...followed, { kind: 'followed', id: 'bbbbbbbbbb' }, { kind: 'shown', detail });
    expect(probes.followed).toMatchObject({ id: 'bbbbbbbbbb', processes: null, results: [] });
  });

  test('to follow it once more keeps what it has brought', () => {
    const probes = after(...followed, { kind: 'event', event: logged('one') }, { kind: 'followed', id: PROBE });
    expect(probes.followed?.results).toHaveLength(1);
  });
});

describe('in words', () => {
  test.each([
    [{ processes: 0, installed: 0 }, 'nowhere'],
    [{ installed: 0, unheard: 1 }, 'waiting'],
    [{ installed: 0, pending: 1 }, 'pending'],
    [{}, 'active'],
    [{ hit: 1 }, 'hit'],
    [{ hit: 1, throttled: 1 }, 'throttled'],
    [{ hit: 1, error: 1 }, 'error'],
    [{ installed: 0, expired: 1 }, 'expired'],
  ] as const)('totals %o are shown as %s', (totals, state) => {
    expect(stateOf(probeInfo(PROBE, {}, totals))).toBe(state);
    expect(stateOf({ ...probeInfo(PROBE, {}, totals), state: 'removed' })).toBe('removed');
  });

  test('totals name the processes that do not have it', () => {
    const { totals } = probeInfo(PROBE, {}, { processes: 40, installed: 37, pending: 2, unheard: 1 });
    expect(spread(totals)).toBe('installed 37/40, 2 pending, 1 not heard of yet');
  });

  test('selectors are names or their beginnings, and a canary is meant alone', () => {
    expect(['*/*/*', 'a/b/c', 'a/b/*', 'a/b/c-*', 'a/x/*', '*/*/d'].filter((s) => reaches(s, 'a/b/c'))).toEqual(['*/*/*', 'a/b/c', 'a/b/*']);
    expect(means(probeInfo(PROBE, { chosen: ['a/b/d'] }).probe, 'a/b/c', {})).toBe(false);
    expect(means(probeInfo(PROBE, { within: ['a/x/*'] }).probe, 'a/b/c', {})).toBe(false);
    const { probe } = probeInfo();
    const labelled = { ...probe, spec: { ...probe.spec, target: { ...probe.spec.target, labels: { version: '2' } } } };
    expect([{}, { version: '1' }, { version: '2', zone: 'a' }].map((labels) => means(labelled, 'a/b/c', labels))).toEqual([false, false, true]);
  });

  test('a probe is shown on its line of a file that ends like its path', () => {
    expect(isFile('shop/worker.py', '/app/shop/worker.py')).toBe(true);
    expect(isFile('worker.py', '/app/coworker.py')).toBe(false);
    const known = [probeInfo(), probeInfo('b', { kind: { type: 'counter', expression: null } }), { ...probeInfo('c'), state: 'removed' } as const];
    expect([...onLines(known, presence('a/b/c'), '/app/main.py', new Map())]).toEqual([[3, 'Log probe of ana: n={n}\nCount probe of ana']]);
    expect(onLines(known, presence('a/x/c'), '/app/main.py', new Map()).size).toBe(0);
  });

  test('a probe is shown on the line that a process uses, which says which one was asked for', () => {
    const at = (...lines: number[]) => ({ places: lines.map((line) => ({ path: '/app/main.py', line, function: 'f' })) });
    const shown = (probes: Probes) => [...onLines(probes.known.values(), presence('a/b/c'), '/app/main.py', probes.moved)];
    const processes = [
      { process: 'a/b/c', status: probeStatus('active', at(5, 9)) },
      { process: 'a/b/d', status: probeStatus('active', at(3)) },
    ];
    const told: Message[] = [
      { kind: 'listed', probes: [probeInfo()] },
      { kind: 'shown', detail: { info: probeInfo(), processes } },
    ];
    expect(shown(after(...told))).toEqual([[5, 'Log probe of ana: n={n} (asked 3, used 5)']]);
    expect([...(after(...told).moved.get(PROBE)?.keys() ?? [])]).toEqual(['a/b/c']);
    const event = (lines: number[]): Message => ({ kind: 'event', event: probeChanged(probeStatus('active', at(...lines))) });
    expect(shown(after(...told, event([7])))[0]?.[0]).toBe(7);
    expect(shown(after(...told, event([9, 3])))).toEqual([[3, 'Log probe of ana: n={n}']]);
    expect(shown(after(...told, event([])))).toEqual([[3, 'Log probe of ana: n={n}']]);
    expect(after(...told, { kind: 'changed', info: { ...probeInfo(), state: 'removed' } }).moved.size).toBe(0);
    expect(after(...told, { kind: 'listed', probes: [probeInfo()] }).moved.size).toBe(0);
    expect(after(event([7])).moved.size).toBe(0);
  });

  test('events are a sentence each', () => {
    const events = [
      probeChanged(probeStatus('throttled', { message: 'more often than 100 a second' })),
      snapshotTaken([['n', int(1)]]),
      { ...snapshotTaken([]), captured: 'nonsense' },
      logged('n=1'),
      watchChanged(null, { type: 'str', value: "'paid'" }),
      watchChanged(null, []),
    ];
    expect(events.map((event) => sentence(event)?.text)).toEqual([
      'probe log main.py:3 is throttled: more often than 100 a second',
      'snapshot 1 taken in settle, main.py:3',
      'snapshot 1 taken',
      'logged at main.py:3: n=1',
      "order.state is now 'paid', at main.py:3",
      'order.state is now …, at main.py:3',
    ]);
    expect(new Set(events.slice(1).map((event) => sentence(event)?.subject))).toEqual(new Set([PROBE]));
    const transcript = new Transcript();
    transcript.print('logged', 'n=1', 'main.py:3');
    expect(transcript.lines.value).toMatchObject([{ kind: 'logged', text: 'n=1', type: 'main.py:3' }]);
  });
});

describe('captured values', () => {
  const read = (raw: object) => value(raw, 'value');
  const order = read({
    type: 'shop.Order',
    id: 1,
    fields: [
      ['total', int(1200)],
      ['items', { type: 'list', size: 250, items: [{ type: 'str', value: "'tea'" }], cut: 'items' }],
      ['card', { type: 'str', redacted: true }],
      ['prices', { type: 'dict', size: 1, entries: [[{ type: 'str', value: "'tea'" }, { type: 'float', value: '4.5' }]] }],
      ['weights', { type: 'numpy.ndarray', note: 'float32 (3, 4)' }],
      ['me', { type: 'shop.Order', id: 1, seen: true }],
    ],
  });

  test('are one line', () => {
    expect(inline(order, 200)).toBe("Order(total=1200, items=['tea', …], card=redacted, prices={'tea': 4.5}, weights=float32 (3, 4), …)");
    expect(inline(order, 20)).toHaveLength(20);
    expect(inline(read({ type: 'dict', size: 9, cut: 'depth' }))).toBe('… 9');
  });

  test('have parts, and remarks that say what is missing', () => {
    const inner = parts(order);
    expect(inner.map((part) => part.name)).toEqual(['total', 'items', 'card', 'prices', 'weights', 'me']);
    expect(inner.map((part) => remark(part.value))).toEqual([
      '',
      '250 in all',
      'redacted',
      '',
      '',
      'the same as further up',
    ]);
    expect(inner.flatMap((part) => parts(part.value)).map((part) => part.name)).toEqual(['[0]', "['tea']"]);
  });

  test('of two snapshots are compared by name, down to the parts, whatever the numbers of their objects', () => {
    const at = (total: number, more: [string, object][], id: number) => {
      const paid = { type: 'Order', id, fields: [['total', int(total)], ['tax', int(19)]] };
      return captured(snapshotTaken([['order', paid], ['same', { type: 'Order', id, fields: [] }], ...more]).captured, 'captured');
    };
    const [locals] = rootsOf(at(12, [['fresh', int(1)]], 1), 0, at(7, [['old', int(2)]], 5));
    const words = locals?.entries.map((each) => (each.value === null ? each.error : change(each.value, each.before)));
    expect(words).toEqual(['was Order(total=7, tax=19)', '', 'new', 'is not there any more']);
    const [order] = locals?.entries ?? [];
    expect(parts(order?.value as never).map((part) => change(part.value, beforeOf(order?.before ?? null, part.name)))).toEqual(['was 7', '']);
    const alone = rootsOf(at(12, [], 1), 0, null);
    expect(alone.map((root) => root.name)).toEqual(['Locals']);
    expect(alone[0]?.entries.map((each) => each.before)).toEqual([null, null]);
    expect(rootsOf(at(12, [], 1), 1, at(7, [], 1))[0]).toMatchObject({ entries: [], none: 'of this frame they were not taken' });
  });
});
