import { describe, expect, test } from 'vitest';
import { fresh, marked, specOf, type Draft } from '../src/draft';
import { Incomplete } from '../src/written';

const draft = (more: Partial<Draft> = {}): Draft => ({ ...fresh('shop/worker.py:33', 'a/b/*'), text: 'n={n}', ...more });

test('a log at a line', () => {
  expect(specOf(draft({ condition: ' n > 3 ', canaries: '2', hits: '10', labels: 'version=1.4.2, zone=a=b' }))).toEqual({
    kind: { type: 'log', template: 'n={n}' },
    place: { type: 'line', path: 'shop/worker.py', line: 33 },
    target: { selector: 'a/b/*', labels: { version: '1.4.2', zone: 'a=b' }, canaries: 2 },
    condition: 'n > 3',
    max_hits: 10,
    ttl: 3600,
  });
});

test.each([
  [draft({ kind: 'snapshot', text: 'a\n\n b.c \n' }), { type: 'snapshot', expressions: ['a', 'b.c'] }],
  [draft({ kind: 'counter', text: '' }), { type: 'counter' }],
  [draft({ kind: 'gauge', text: ' len(q) ' }), { type: 'gauge', expression: 'len(q)' }],
  [draft({ kind: 'timer', until: '40' }), { type: 'timer', until: 40 }],
  [draft({ kind: 'timer' }), { type: 'timer' }],
  [draft({ kind: 'exception', where: '', text: 'ValueError, a.B' }), { type: 'exception', types: ['ValueError', 'a.B'] }],
])('each kind takes what it needs: %#', (given, kind) => {
  expect(specOf(given)).toMatchObject({ kind });
});

test.each([
  ['shop.worker:Worker.step exit', { type: 'function', module: 'shop.worker', function: 'Worker.step', on: 'exit' }],
  ['shop.worker:main', { type: 'function', module: 'shop.worker', function: 'main', on: 'entry' }],
  ['C:\\app\\main.py:7', { type: 'line', path: 'C:\\app\\main.py', line: 7 }],
])('the place %s', (where, place) => {
  expect(specOf(draft({ where }))).toMatchObject({ place });
});

test.each([
  [draft({ where: 'worker.py' }), 'where'],
  [draft({ where: '/app/worker.py:' }), 'where'],
  [draft({ where: '' }), 'where'],
  [draft({ text: ' ' }), 'text'],
  [draft({ kind: 'watch', text: '' }), 'text'],
  [draft({ canaries: '0' }), 'canaries'],
  [draft({ hits: 'many' }), 'hits'],
  [draft({ hits: '1.5' }), 'hits'],
  [draft({ canaries: '10001' }), 'canaries'],
  [draft({ limits: { rate: '0' } }), 'rate'],
  [draft({ limits: { depth: '11' } }), 'depth'],
  [draft({ labels: 'version' }), 'labels'],
  [draft({ labels: '=1' }), 'labels'],
])('what is missing is named: %#', (given, field) => {
  expect(() => specOf(given)).toThrow(expect.objectContaining({ field, name: 'Error' }) as Incomplete);
});

test('a name, limits, and values by their own repr are asked for where they are written', () => {
  const limits = { rate: ' 2.5', burst: '9', sample: '10', depth: '0', seconds: '20', frames: '7', items: ' ' };
  const given = draft({ kind: 'snapshot', text: '', name: ' slow ', limits, reprs: true });
  expect(specOf(given)).toMatchObject({
    name: 'slow',
    rate: 2.5,
    burst: 9,
    sample: 0.1,
    calls_user_code: true,
    capture: { depth: 0, seconds: 0.02, frames: 7 },
  });
  expect(specOf({ ...given, kind: 'log', text: 'x' })).toMatchObject({ capture: { depth: 0 } });
  const counted = specOf({ ...given, kind: 'counter' });
  expect(counted).toMatchObject({ rate: 2.5 });
  expect(Object.keys(counted)).not.toContain('capture');
  expect(Object.keys(counted)).not.toContain('calls_user_code');
});

describe('the offending part of a refusal is found', () => {
  test('in the text of a log, at its place', () => {
    const given = draft({ text: 'f={f(x)} {f(x)}' });
    expect(marked("kind.template: at 11, 'f(x)': calls are not part of the language", given)).toEqual({
      field: 'text',
      message: "at 11, 'f(x)': calls are not part of the language",
      before: 'f={f(x)} {',
      part: 'f(x)',
      after: '}',
    });
  });

  test('in the condition, with the quotes that Python writes', () => {
    const given = draft({ condition: ' x == "it\'s"' });
    expect(marked("condition: at 6, '\"it\\'s\"': no", given)).toMatchObject({ field: 'condition', before: 'x == ', after: '' });
    expect(marked('condition: at 1, "x": no', given)).toMatchObject({ before: '', part: 'x' });
  });

  test('in the expression of a snapshot that is meant, and inside the braces of a log', () => {
    const given = draft({ kind: 'snapshot', text: 'a.pay()\n\norder.pay()' });
    const said = "kind.expressions[1]: at 6, '.pay()': calls run the program";
    expect(marked(said, given)).toMatchObject({ before: 'order', part: '.pay()', after: '' });
    expect(marked("kind.template: at 1, '1x': no", draft({ text: 'n={1x}' }))).toMatchObject({ before: 'n={', after: '}' });
    expect(marked("kind.expression: at 1, 'q': no", draft({ kind: 'gauge', text: ' q' }))).toMatchObject({ part: 'q' });
  });

  test('or the field alone, when the sentence names no part that is there', () => {
    expect(marked('condition: an expression is too long', draft())).toMatchObject({ field: 'condition', part: '' });
    expect(marked("kind.template: at 3, 'zzz': no", draft())).toMatchObject({ field: 'text', part: '' });
    expect(marked('a log needs a place', draft())).toBeNull();
  });
});
