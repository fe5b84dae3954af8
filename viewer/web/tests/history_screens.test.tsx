import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/preact';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Page } from '../src/page';
import { Screen } from '../src/screen/context';
import { Banners } from '../src/screen/banners';
import { History } from '../src/screen/history';
import { Theme } from '../src/theme';
import { BOOT, breakpointsChanged, dapEvent, output, presence, seatChanged, sessionClosed, sessionOpened } from './given';

const HOSTILE = '<img src=x onerror=alert(1)>';

interface Sent {
  id: number;
  method: string;
  params: Record<string, unknown>;
}

const record = (session: string, more: object = {}) => ({
  session,
  process: 'a/b/c',
  boot: BOOT,
  viewer: 'ana',
  opened: 1000,
  first: 1,
  closed: 1090,
  last: 7,
  reason: 'viewer_left',
  ...more,
});

const EVENTS = [
  sessionOpened('s1', 'ana', HOSTILE),
  breakpointsChanged('s1', '/app/main.py', 3),
  dapEvent('stopped', { reason: 'breakpoint', threadId: 1, hitBreakpointIds: [3] }),
  seatChanged('taken', 's1', 'ana'),
  output(`${HOSTILE}\n`),
  dapEvent('continued', { threadId: 1 }),
  sessionClosed('s1', 'viewer_left'),
].map((event, index) => ({ ...event, seq: index + 1, time: 1000 + index }));

class Shown {
  readonly sent: Sent[] = [];
  store = 'up';
  readonly answers: Record<string, unknown> = {
    subscribe: { subscription: 1 },
    'process.list': { processes: [presence('a/b/c')] },
    'probe.list': { probes: [] },
    'process.source': { path: '/app/main.py', text: 'one\ntwo\nthree\n', sha256: '' },
    'history.sessions': {
      sessions: [record('s1', { name: HOSTILE }), record('s2', { closed: null, reason: null, metadata: { ticket: 'SHOP-17' } })],
      cursor: 'next',
    },
    'history.session': {
      session: record('s1', { name: HOSTILE }),
      statistics: { events: 7, kinds: { 'dap.stopped': 1, output: 1 }, stops: 1, duration: 90, stopped: 3, longest_stop: 3, missing: 2 },
      breakpoints: [{ owner: 's1', path: '/app/main.py', breakpoints: [{ id: 3, verified: true, line: 3 }] }],
    },
    'history.events': { events: EVENTS },
  };
  readonly socket = {
    onopen: () => {},
    onmessage: (_: { data: string }) => {},
    send: (text: string) => this.#answer(JSON.parse(text) as Sent),
    close: () => {},
  };
  readonly page = new Page('ws://x', { open: () => this.socket as never, now: () => 0, random: () => 0 });

  open(fragment: string): void {
    window.location.hash = `#token=abc&${fragment}`;
    this.page.start(window);
    this.socket.onopen();
    render(
      <Screen.Provider value={{ page: this.page, theme: new Theme(window) }}>
        <Banners />
        <History />
      </Screen.Provider>,
    );
  }

  says(method: string, params: object): void {
    this.socket.onmessage({ data: JSON.stringify({ method, params }) });
  }

  asked(method: string): Record<string, unknown>[] {
    return this.sent.filter((each) => each.method === method).map(({ params }) => params);
  }

  #answer(sent: Sent): void {
    this.sent.push(sent);
    const me = { broker: 'b', version: '1', subject: 'ana', scopes: ['observe', 'inspect'], selectors: ['*/*/*'], expires: 9e9, store: this.store };
    const given = sent.method === 'whoami' ? me : this.answers[sent.method];
    const answer: unknown = typeof given === 'function' ? given(sent.params) : given;
    const content = answer instanceof Error ? { error: { code: 1, message: answer.message } } : { result: answer };
    queueMicrotask(() => this.socket.onmessage({ data: JSON.stringify({ id: sent.id, ...content }) }));
  }
}

let shown: Shown;
beforeEach(() => {
  Element.prototype.scrollIntoView = () => {};
  shown = new Shown();
});
afterEach(() => {
  cleanup();
  expect(document.querySelector('img')).toBeNull(); // whatever a process tells is text
});

test('without a history it is said what to do', async () => {
  shown.store = 'none';
  shown.open('/history');
  expect(await screen.findByText('sonde broker --history history.db')).toBeTruthy();
  expect(shown.asked('history.sessions')).toEqual([]);
});

test('while the history does not work, a banner says why', async () => {
  shown.open('/history');
  await screen.findByRole('table');
  shown.says('store', { store: 'degraded', problem: 'the disk is full' });
  expect((await screen.findByRole('alert')).textContent).toContain('the disk is full');
});

test('sessions are listed with how they ended, and more are asked for', async () => {
  shown.open('/history');
  const rows = within(await screen.findByRole('table')).getAllByRole('row');
  const cells = rows.slice(1).map((row) => within(row).getAllByRole('cell').map((cell) => cell.textContent?.trim()));
  expect(cells.map((row) => [row[0], row[1], row[2], row[4], row[5]])).toEqual([
    [HOSTILE, 'ana', 'a/b/c', '1 min 30 s', 'the viewer left'],
    ['session s2 ticket=SHOP-17', 'ana', 'a/b/c', '', 'nobody saw its end'],
  ]);
  shown.answers['history.sessions'] = { sessions: [record('s3')] };
  fireEvent.click(screen.getByRole('button', { name: 'More' }));
  await waitFor(() => expect(screen.getAllByRole('row')).toHaveLength(4));
  expect(shown.asked('history.sessions').at(-1)).toMatchObject({ selector: '*/*/*', cursor: 'next' });
  expect(screen.queryByRole('button', { name: 'More' })).toBeNull();
});

test('they are those of the chosen process, of its service, or all', async () => {
  shown.open('/history?p=a/b/c');
  await screen.findByRole('table');
  const last = () => shown.asked('history.sessions').at(-1)?.['selector'];
  expect(last()).toBe('a/b/c');
  fireEvent.click(screen.getByRole('radio', { name: 'service b' }));
  await waitFor(() => expect(last()).toBe('a/b/*'));
  fireEvent.click(screen.getByRole('radio', { name: 'all' }));
  await waitFor(() => expect(last()).toBe('*/*/*'));
});

test('a refusal of the history is told', async () => {
  shown.answers['history.sessions'] = new Error('ask for less');
  shown.open('/history');
  expect(await screen.findByText('ask for less')).toBeTruthy();
});

test('a link opens a session at its step, and going on changes what stood, where, and what was printed', async () => {
  shown.open('/history/s1?step=3');
  const state = await screen.findByRole('complementary', { name: 'At this step' });
  expect(within(state).getByRole('list', { name: 'What stood' }).textContent).toContain('main.py:3, thread 1');
  expect(screen.getByRole('status', { name: 'Where' }).textContent).toBe('/app/main.py:3');
  expect(within(state).getByRole('list', { name: 'Breakpoints of that moment' }).textContent).toContain('main.py:3');
  expect(state.textContent).toContain('Nobody.');
  expect(screen.getByText('2 events of its time nobody has')).toBeTruthy();

  fireEvent.click(screen.getByRole('button', { name: 'Next step' }));
  await waitFor(() => expect(state.textContent).toContain('Droveana'));
  fireEvent.click(screen.getByRole('tab', { name: 'Output' }));
  const printed = await screen.findByRole('log', { name: 'Output so far' });
  expect(printed.textContent).not.toContain(HOSTILE);
  fireEvent.click(screen.getByRole('button', { name: 'Last step' }));
  await waitFor(() => expect(printed.textContent).toBe(`${HOSTILE}\n`));
  expect(state.textContent).toContain('Nothing stood.');
  expect((screen.getByRole('slider', { name: 'Step' }) as HTMLInputElement).value).toBe('7');
  await waitFor(() => expect(window.location.hash).toBe('#/history/s1?step=7'));
  fireEvent.input(screen.getByRole('slider', { name: 'Step' }), { target: { value: '2' } });
  fireEvent.click(screen.getByRole('button', { name: 'Next stop' }));
  await waitFor(() => expect(screen.getByRole('status', { name: 'Where' }).textContent).toBe('/app/main.py:3'));
});

test('choosing an event goes there, by the keyboard too', async () => {
  shown.open('/history/s1');
  const events = await screen.findByRole('listbox', { name: 'Events of the session' });
  const chosen = () => within(events).queryByRole('option', { selected: true })?.textContent;
  expect(chosen()).toBeUndefined();
  fireEvent.click(within(events).getByText('ana drives'));
  await waitFor(() => expect(chosen()).toContain('ana drives'));
  fireEvent.keyDown(events, { key: 'ArrowDown' });
  await waitFor(() => expect(chosen()).toContain('printed'));
});

test('its figures are its breakpoints as they were set, and its events by kind', async () => {
  shown.open('/history/s1');
  fireEvent.click(await screen.findByRole('tab', { name: 'Figures' }));
  const cells = (name: string) => within(screen.getByRole('table', { name })).getAllByRole('cell').map((cell) => cell.textContent);
  await screen.findByRole('table', { name: 'Its breakpoints' });
  expect(cells('Its breakpoints')).toEqual(['/app/main.py', '3']);
  expect(cells('Events by kind')).toEqual(['dap.stopped', '1', 'output', '1']);
});

test('the session is saved as a file with all of its parts', async () => {
  const blobs: Blob[] = [];
  vi.stubGlobal('URL', Object.assign(URL, { createObjectURL: (blob: Blob) => (blobs.push(blob), 'blob:x'), revokeObjectURL: () => {} }));
  shown.open('/history/s1');
  fireEvent.click(await screen.findByRole('button', { name: 'Save as JSON' }));
  const file = JSON.parse((await blobs[0]?.text()) ?? '') as Record<string, unknown>;
  vi.unstubAllGlobals();
  expect(Object.keys(file)).toEqual(['session', 'statistics', 'breakpoints', 'events']);
  expect(file['events']).toHaveLength(7);
});

test('all pages of its events are read, in their order', async () => {
  shown.answers['history.events'] = ({ cursor }: { cursor?: string }) =>
    cursor === undefined ? { events: EVENTS.slice(0, 3), cursor: 'c1' } : { events: EVENTS.slice(3), withheld: true };
  shown.open('/history/s1');
  expect((await screen.findByRole('slider', { name: 'Step' })).getAttribute('max')).toBe('7');
  expect(shown.asked('history.events').map(({ order, cursor }) => [order, cursor])).toEqual([
    ['oldest', undefined],
    ['oldest', 'c1'],
  ]);
  expect(screen.getByText(/What it printed is left out/)).toBeTruthy();
});

test('a session that the history does not have is told, with a way back', async () => {
  shown.answers['history.session'] = new Error('the history has no session s9');
  shown.open('/history/s9');
  expect(await screen.findByText('the history has no session s9')).toBeTruthy();
  fireEvent.click(screen.getByRole('button', { name: '‹ Sessions' }));
  expect(await screen.findByRole('table')).toBeTruthy();
});

test('events are searched for by time, kind and text, and each can be opened', async () => {
  shown.open('/history?p=a/b/c');
  fireEvent.click(await screen.findByRole('tab', { name: 'Events' }));
  fireEvent.change(screen.getByLabelText('Time'), { target: { value: '0' } });
  fireEvent.change(screen.getByLabelText('Kind'), { target: { value: '3' } });
  fireEvent.input(screen.getByLabelText('Text'), { target: { value: ' cart ' } });
  const before = Date.now() / 1000;
  const search = screen.getByRole<HTMLButtonElement>('button', { name: 'Search' });
  await waitFor(() => expect(search.disabled).toBe(false));
  fireEvent.click(search);
  const found = await screen.findByRole('list', { name: 'Events found' });
  await waitFor(() => expect(within(found).getAllByRole('listitem')).toHaveLength(7));
  const [asked] = shown.asked('history.events');
  expect(asked).toMatchObject({ selector: 'a/b/c', kinds: ['dap.stopped', 'stop_located'], text: 'cart' });
  expect(Math.abs((asked?.['since'] as number) - (before - 600))).toBeLessThan(60);
  fireEvent.click(screen.getAllByRole('button', { name: 'The whole event' })[0] as HTMLElement);
  await waitFor(() => expect(found.querySelector('pre')?.textContent).toContain('"session_opened"'));
});

test('a report is asked for of the processes that are meant, and shown as tables', async () => {
  const golden = join(import.meta.dirname, '../../../tests/wire/golden/method.fleet.report.result.json');
  shown.answers['fleet.report'] = JSON.parse(readFileSync(golden, 'utf8'));
  shown.open('/history?p=a/b/c');
  fireEvent.click(await screen.findByRole('tab', { name: 'Report' }));
  const make = screen.getByRole<HTMLButtonElement>('button', { name: 'Make a report' });
  await waitFor(() => expect(make.disabled).toBe(false));
  fireEvent.click(make);
  expect((await screen.findByRole('table', { name: /^Operations/ })).textContent).toContain('charge');
  expect(shown.asked('fleet.report')).toMatchObject([{ selector: 'a/b/c' }]);
  fireEvent.click(screen.getByRole('radio', { name: 'all' }));
  await waitFor(() => expect(screen.queryAllByRole('table')).toEqual([])); // it was of others
});
