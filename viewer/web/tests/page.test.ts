import { describe, expect, test } from 'vitest';
import { bytes, isLibrary, percent } from '../src/format';
import { actionOf } from '../src/keys';
import { nowhere, readPlace, writePlace } from '../src/place';
import { conditionOf, counts, matches, roster } from '../src/roster';
import { foldLibrary } from '../src/screen/side';
import { isToken, readPasted, splitFragment, takeToken } from '../src/token';
import { presence } from './given';

describe('the place as a link', () => {
  test.each([
    nowhere,
    { ...nowhere, process: 'prod/shop/shop-1', file: '/app/a b#c.py', line: 7, snapshot: '0f1e2d3c4b5a-42', filter: 'state:paused host:web&1' },
    { ...nowhere, process: 'prod/shop/shop-1', file: 'C:\\app\\main.py', probe: 'k7q2m5xw3a' },
    { ...nowhere, past: true },
    { ...nowhere, past: true, process: 'prod/shop/shop-1', filter: 'a b' },
    { ...nowhere, past: true, session: 's-0%1', step: 12, process: 'prod/shop/shop-1' },
  ])('%# survives the way there and back', (place) => {
    expect(readPlace(writePlace(place))).toEqual(place);
  });

  test('is readable', () => {
    const place = { ...nowhere, process: 'prod/shop/shop-1', file: '/app/main.py', line: 7 };
    expect(writePlace(place)).toBe('#p=prod/shop/shop-1&f=/app/main.py:7');
    expect(writePlace({ ...nowhere, past: true, session: 'b89cc4', step: 12 })).toBe('#/history/b89cc4?step=12');
  });
});

describe('the token', () => {
  test('leaves the address, and the rest of the fragment stays', () => {
    window.location.hash = '#token=abc.d-e_f&p=a/b/c';
    expect(takeToken(window)).toBe('abc.d-e_f');
    expect(window.location.hash).not.toContain('abc');
    expect(readPlace(window.location.hash).process).toBe('a/b/c');
    expect(takeToken(window)).toBe('abc.d-e_f');
  });

  test('can be pasted alone or in its link', () => {
    expect(readPasted(' abc\n')).toBe('abc');
    expect(readPasted('http://127.0.0.1:8080/#token=abc&p=x')).toBe('abc');
    expect(isToken('has space')).toBe(false);
    expect(isToken('')).toBe(false);
    expect(isToken('eyJ.a-b_c.d')).toBe(true);
  });

  test('leaves a link into the history whole', () => {
    expect(splitFragment('#token=abc&/history/s1?step=2')).toEqual({ token: 'abc', rest: '#/history/s1?step=2' });
  });

  test('without one, the fragment is untouched', () => {
    expect(splitFragment('#p=a/b/c')).toEqual({ token: null, rest: '#p=a/b/c' });
  });
});

describe('the roster', () => {
  const paused = presence('prod/shop/shop-2', { stopped_threads: 1 });
  const all = [
    presence('prod/api/api-1'),
    presence('prod/shop/shop-1', { state: 'ended' }),
    paused,
    presence('prod/shop/shop-3', { labels: { version: '2.1' } }),
  ];

  test('what is paused comes first, groups included', () => {
    expect(roster(all, '').map((row) => row.key)).toEqual([
      'group prod/shop',
      'prod/shop/shop-2',
      'prod/shop/shop-3',
      'prod/shop/shop-1',
      'group prod/api',
      'prod/api/api-1',
    ]);
  });

  test('children stand under the process that made them, and a family has the rank of its most urgent', () => {
    const forked = [
      presence('prod/web/web-1'),
      presence('prod/web/web-2', { parent: 'prod/web/web-3' }),
      presence('prod/web/web-3', { parent: 'prod/web/web-4' }),
      presence('prod/web/web-4', { parent: 'prod/boss/boss-1' }),
      presence('prod/web/web-5', { parent: 'prod/web/web-4', stopped_threads: 1 }),
    ];
    const lines = roster(forked, '').flatMap((row) =>
      row.kind === 'process' ? [`${'> '.repeat(row.depth)}${row.key} ${row.childOf ?? ''}`.trim()] : [],
    );
    expect(lines).toEqual([
      'prod/web/web-4 prod/boss/boss-1',
      '> prod/web/web-5',
      '> prod/web/web-3',
      '> > prod/web/web-2',
      'prod/web/web-1',
    ]);
  });

  test('a child whose parent the filter hides says whose child it is', () => {
    const child = presence('prod/web/web-2', { parent: 'prod/web/web-1', pid: 42 });
    const rows = roster([presence('prod/web/web-1'), child], 'pid:42');
    expect(rows[1]).toMatchObject({ key: 'prod/web/web-2', depth: 0, childOf: 'prod/web/web-1' });
  });

  test('processes that say they are their own forebears are still shown, each once', () => {
    const circle = [
      presence('a/b/1', { parent: 'a/b/2' }),
      presence('a/b/2', { parent: 'a/b/1' }),
      presence('a/b/3', { parent: 'a/b/3' }),
      presence('a/b/4', { parent: 'a/b/2' }),
    ];
    const shown = roster(circle, '').flatMap((row) => (row.kind === 'process' ? [row.key] : []));
    expect(shown.sort()).toEqual(['a/b/1', 'a/b/2', 'a/b/3', 'a/b/4']);
  });

  test.each([
    ['shop', 3],
    ['state:paused', 1],
    ['service:api', 1],
    ['version:2 shop', 1],
    ['host:web-1 state:running', 2],
    ['pid:7', 4],
    ['nothing:here', 0],
  ])('the filter %s finds %i', (filter, found) => {
    expect(all.filter((p) => matches(p, filter))).toHaveLength(found);
  });

  test('a process that is gone is not paused, whatever its last word was', () => {
    expect(conditionOf(presence('a/b/c', { state: 'lost', stopped_threads: 1 }))).toBe('lost');
    expect(counts(all)).toEqual({ paused: 1, debugged: 0, running: 2, lost: 0, ended: 1 });
  });
});

describe('keys', () => {
  const none = { ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, code: '' };
  const press = (key: string, more: object = {}) => ({ ...none, key, ...more });

  test('F5 is ours only while something is stopped', () => {
    expect(actionOf(press('F5'), false, false)).toBeNull();
    expect(actionOf(press('F5'), true, false)).toBe('continue');
    expect(actionOf(press('F5', { shiftKey: true }), true, false)).toBeNull();
    expect(actionOf(press('r', { ctrlKey: true, code: 'KeyR' }), true, false)).toBeNull();
  });

  test('there is a second set without F-keys', () => {
    const ctrl = (code: string, shiftKey = false) => press('', { code, ctrlKey: true, shiftKey });
    expect(actionOf(ctrl('Backslash'), true, true)).toBe('continue');
    expect(actionOf(ctrl('Backslash'), false, true)).toBe('pause');
    expect(actionOf(ctrl('Quote'), true, true)).toBe('next');
    expect(actionOf(ctrl('Semicolon'), true, true)).toBe('stepIn');
    expect(actionOf(ctrl('Semicolon', true), true, true)).toBe('stepOut');
  });

  test('letters are not taken from somebody who types', () => {
    expect(actionOf(press('/'), true, true)).toBeNull();
    expect(actionOf(press('?'), false, false)).toBe('help');
  });
});

test('runs of library frames fold, but never the frame where the thread is', () => {
  const frame = (id: number, path: string) => {
    const source = { path, name: null };
    return { id, name: 'f', line: 1, source, presentationHint: 'normal' };
  };
  const lib = '/usr/lib/python3.12/asyncio/events.py';
  const parts = foldLibrary([frame(1, lib), frame(2, lib), frame(3, lib), frame(4, '/app/a.py'), frame(5, lib)]);
  expect(parts.map((part) => ('frame' in part ? part.frame.id : part.folded.map((f) => f.id)))).toEqual([1, [2, 3], 4, [5]]);
});

test('numbers as people read them', () => {
  expect([bytes(0), bytes(1536), bytes(150 * 1024 ** 2)]).toEqual(['0 B', '1.5 KiB', '150 MiB']);
  expect([percent(0), percent(1.25), percent(199.6)]).toEqual(['0%', '1.3%', '200%']);
  expect(isLibrary('/venv/lib/python3.12/site-packages/x.py')).toBe(true);
  expect(isLibrary('/app/library/x.py')).toBe(false);
});
