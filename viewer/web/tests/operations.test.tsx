import { cleanup, render, screen } from '@testing-library/preact';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { seconds, share } from '../src/format';
import { Page } from '../src/page';
import { Screen } from '../src/screen/context';
import { Operations } from '../src/screen/operations';
import { Theme } from '../src/theme';
import { metrics as reader } from '../src/wire';
import { metrics } from './given';

const GOLDEN = join(import.meta.dirname, '../../../tests/wire/golden/metrics.json');

afterEach(cleanup);

function shown(item: ReturnType<typeof metrics>): void {
  const page = new Page('ws://x', { open: () => ({}) as WebSocket, now: () => 0, random: () => 0 });
  page.store.apply([{ kind: 'metrics', item }]);
  render(
    <Screen.Provider value={{ page, theme: new Theme(window) }}>
      <Operations process={item.process} />
    </Screen.Provider>,
  );
}

test('the operations of the last minute are a table, and the whole time is in the title', () => {
  shown(reader(JSON.parse(readFileSync(GOLDEN, 'utf8')), 'metrics'));
  const cells = screen.getAllByRole('cell').map((cell) => cell.textContent);
  expect(cells).toEqual(['charge-card', '2', '10', '100%', '120 ms', '200 ms']);
  const title = screen.getByRole('cell', { name: 'charge-card' }).closest('tr')?.title;
  expect(title).toContain('100 ended, 1 of them cancelled, 3 with an error');
  expect(title).toContain('others: 1');
  expect(screen.getByText(/4 operations were not counted/)).toBeTruthy();
});

test('a program that measures nothing has no table, and names are text', () => {
  shown(metrics('a/b/c', 1));
  expect(screen.queryByRole('table')).toBeNull();
  cleanup();
  const none = { ended: 0, errors: 0, cancelled: 0, scope_errors: 0, success_rate: null, error_rate: null, duration: null };
  const operation = { name: '<img src=x>', active: 1, total: none, last_minute: none, error_types: {} };
  shown({ ...metrics('a/b/c', 1), operations: [operation] });
  expect(screen.getByText('<img src=x>')).toBeTruthy();
  expect(document.querySelector('img')).toBeNull();
});

test('durations and shares as people read them', () => {
  expect([0, 0.00025, 0.0042, 0.12, 1.4, 42].map(seconds)).toEqual(['0 µs', '250 µs', '4.2 ms', '120 ms', '1.4 s', '42 s']);
  expect([0, 0.97, 0.9999, 1].map(share)).toEqual(['0%', '97.0%', '99.9%', '100%']);
});
