import { expect, test } from 'vitest';
import { Numbers, REMEMBERED } from '../src/numbering';
import { MOST_CURSORS, MOST_FRAME_BYTES } from '../src/wire';

const [A, B] = ['a'.repeat(32), 'b'.repeat(32)];
const at = (process: string, seq: number, boot = A) => ({ process, boot, seq });

test('an event is new once, and a gap is gone past', () => {
  const numbers = new Numbers();
  expect([1, 2, 2, 5, 3].map((seq) => numbers.note(at('a/b/c', seq)))).toEqual([true, true, false, true, false]);
  numbers.note(at('a/b/c', 9));
  expect(numbers.cursors()).toEqual([at('a/b/c', 9)]);
});

test('each boot is counted for itself, and the one that was heard last is gone on from', () => {
  const numbers = new Numbers();
  expect(numbers.note(at('a/b/c', 7))).toBe(true);
  expect(numbers.note(at('a/b/c', 1, B))).toBe(true);
  expect(numbers.note(at('a/b/c', 7))).toBe(false);
  numbers.note(at('a/b/c', 2, B));
  expect(numbers.cursors()).toEqual([at('a/b/c', 2, B)]);
});

test('cursors are of the processes that were heard last, as many as a frame takes', () => {
  const numbers = new Numbers();
  for (let n = 0; n < MOST_CURSORS + 10; n += 1) numbers.note(at(`a/b/p${n}`, 1));
  numbers.note(at('a/b/p0', 2));
  const cursors = numbers.cursors();
  expect(cursors).toHaveLength(MOST_CURSORS);
  expect(cursors[0]).toEqual(at('a/b/p0', 2));
  expect(cursors.some(({ process }) => process === 'a/b/p5')).toBe(false);

  const long = new Numbers();
  for (let n = 0; n < MOST_CURSORS; n += 1) long.note(at(`${'x'.repeat(250)}${n}`, 1));
  expect(JSON.stringify(long.cursors()).length).toBeLessThan(MOST_FRAME_BYTES - 1000);
  expect(long.cursors().length).toBeGreaterThan(100);
});

test('a process that has been silent for longest is forgotten first', () => {
  const numbers = new Numbers();
  for (let n = 0; n < REMEMBERED + 1; n += 1) numbers.note(at(`a/b/p${n}`, 1));
  expect(numbers.note(at('a/b/p0', 1))).toBe(true);
  expect(numbers.note(at(`a/b/p${REMEMBERED}`, 1))).toBe(false);
});
