import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/preact';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fresh } from '../src/draft';
import { Page } from '../src/page';
import { Screen } from '../src/screen/context';
import { ProbeForm } from '../src/screen/probe_form';
import { Probes } from '../src/screen/probes';
import { snapshotId } from '../src/probes';
import { Theme } from '../src/theme';
import { int, logged, presence, PROBE, probeInfo, probeStatus, snapshotTaken, watchChanged } from './given';

const HOSTILE = '<img src=x onerror=alert(1)>';

interface Sent {
  id: number;
  method: string;
  params: Record<string, unknown>;
}

/** A page that is online, and the broker behind it. */
class Shown {
  readonly sent: Sent[] = [];
  readonly answers: Record<string, unknown> = {
    whoami: { broker: 'b', version: '1', subject: 'ana', scopes: ['observe', 'inspect', 'control'], selectors: ['*/*/*'], expires: 9e9 },
    subscribe: { subscription: 1 },
    'process.list': { processes: [presence('a/b/c'), presence('a/b/d')] },
    'probe.list': { probes: [probeInfo()] },
    'probe.show': { info: probeInfo(), processes: [{ process: 'a/b/c', status: probeStatus('hit') }] },
    'probe.results': { events: [] },
    'probe.add': probeInfo('aaaaaaaaaa'),
    'probe.remove': {},
  };
  readonly socket = {
    onopen: () => {},
    onmessage: (_: { data: string }) => {},
    send: (text: string) => this.#answer(JSON.parse(text) as Sent),
    close: () => {},
  };
  readonly page = new Page('ws://x', { open: () => this.socket as never, now: () => 0, random: () => 0 });

  constructor() {
    window.location.hash = '#token=abc&p=a/b/c';
    this.page.start(window);
    this.socket.onopen();
    render(
      <Screen.Provider value={{ page: this.page, theme: new Theme(window) }}>
        <Probes process="a/b/c" />
        <ProbeForm />
      </Screen.Provider>,
    );
  }

  says(method: string, params: object): void {
    this.socket.onmessage({ data: JSON.stringify({ method, params }) });
  }

  asked(method: string): Sent[] {
    return this.sent.filter((each) => each.method === method);
  }

  #answer(sent: Sent): void {
    this.sent.push(sent);
    const answer = this.answers[sent.method];
    const content = answer instanceof Error ? { error: { code: 1, message: answer.message } } : { result: answer };
    queueMicrotask(() => this.socket.onmessage({ data: JSON.stringify({ id: sent.id, ...content }) }));
  }
}

let shown: Shown;
beforeEach(() => {
  shown = new Shown();
});
afterEach(cleanup);

const row = () => screen.findByRole('button', { name: /^Log main.py:3/ });

test('a probe is listed with its state in a word, and its results are text, newest first', async () => {
  fireEvent.click(await row());
  expect((await row()).textContent).toContain('active');
  const texts = () => [...document.querySelectorAll('.result .text')].map((each) => each.textContent);
  shown.says('events', { events: [logged('one', 1), logged(HOSTILE, 2), logged('elsewhere', 3, 'bbbbbbbbbb')] });
  await waitFor(() => expect(texts()).toEqual([HOSTILE, 'one']));
  shown.says('events', { events: [watchChanged(int(1), { type: 'str', value: HOSTILE })].map((each) => ({ ...each, seq: 9, time: 9 })) });
  await waitFor(() => expect(texts()).toEqual([`order.state: 1 → ${HOSTILE}`, HOSTILE, 'one']));
  expect(document.querySelector('img')).toBeNull();
  shown.says('probes', { probes: [probeInfo(PROBE, {}, { throttled: 1, hits: 12 })] });
  await waitFor(async () => expect((await row()).textContent).toContain('throttled'));
  expect((await row()).textContent).toContain('12 hits');
});

test('to go elsewhere in the source asks nothing anew of the probe that is followed', async () => {
  fireEvent.click(await row());
  await screen.findByText('It has brought nothing yet.');
  shown.page.places.show('/app/main.py', 9);
  shown.page.places.filter('x');
  await screen.findByText('It has brought nothing yet.');
  expect(shown.asked('probe.results')).toHaveLength(1);
  shown.says('gap', { process: 'a/b/c', boot: 'a'.repeat(32), first: 1, last: 3 });
  expect(shown.asked('probe.results')).toHaveLength(2); // what is missing may be its
});

test('the state in each process is a word with its reason', async () => {
  const status = probeStatus('error', { message: HOSTILE, failures: 3, failure: 'there is no name n', places: [{ path: '/app/main.py', line: 4, function: 'f' }] });
  const processes = [{ process: 'a/b/c', status }, { process: 'a/b/d', status: null }];
  shown.answers['probe.show'] = { info: probeInfo(), processes };
  fireEvent.click(await row());
  fireEvent.click(await screen.findByRole('tab', { name: 'Processes' }));
  const [, first, second] = await screen.findAllByRole('row');
  expect(first?.textContent).toContain('error');
  expect(first?.textContent).toContain(HOSTILE);
  expect(first?.textContent).toContain('3 of its expressions failed: there is no name n');
  expect(first?.textContent).toContain('the next line with code after 3');
  expect(second?.textContent).toContain('not heard of yet');
});

test('what was measured is a table', async () => {
  const info = probeInfo(PROBE, { kind: { type: 'timer', until: null } });
  const measured = { count: 3, total: 0.6, last: 0.2, least: 0.1, most: 0.3, p50: 0.2, p90: 0.3, p99: 0.3 };
  const timer = { ...info, probe: { ...info.probe, spec: { ...info.probe.spec, kind: { type: 'timer' } } } };
  shown.answers['probe.show'] = { info: timer, processes: [{ process: 'a/b/c', status: probeStatus('hit', { measured }) }] };
  fireEvent.click(await row());
  const cells = (await screen.findAllByRole('cell')).map((cell) => cell.textContent);
  expect(cells).toEqual(['c', '3', '600 ms', '200 ms', '100 ms', '200 ms', '300 ms', '300 ms', '300 ms']);
});

test('a probe is removed', async () => {
  fireEvent.click(await screen.findByRole('button', { name: 'Remove Log main.py:3' }));
  await waitFor(() => expect(shown.asked('probe.remove')).toMatchObject([{ params: { probe: PROBE } }]));
  shown.says('probes', { probes: [{ ...probeInfo(), state: 'removed' }] });
  await waitFor(async () => expect((await row()).textContent).toContain('removed'));
  expect(screen.queryByRole('button', { name: 'Remove Log main.py:3' })).toBeNull();
});

test('the form asks for what was written, and goes to the new probe', async () => {
  await row();
  shown.page.probing.draft.value = fresh('/app/main.py:7', 'a/b/c');
  const dialog = within(await screen.findByRole('dialog', { name: 'Add a probe' }));
  fireEvent.click(dialog.getByLabelText('Watch'));
  fireEvent.input(await dialog.findByLabelText('Expression'), { target: { value: 'order.state' } });
  fireEvent.input(dialog.getByLabelText('Only if'), { target: { value: 'n > 3' } });
  fireEvent.click(dialog.getByLabelText(/^all of a\/b, 2 now/));
  fireEvent.click(dialog.getByRole('button', { name: 'Add probe' }));
  await waitFor(() => expect(shown.page.places.now.value.probe).toBe('aaaaaaaaaa'));
  expect(shown.asked('probe.add')[0]?.params).toEqual({
    probe: {
      kind: { type: 'watch', expression: 'order.state' },
      place: { type: 'line', path: '/app/main.py', line: 7 },
      target: { selector: 'a/b/*' },
      condition: 'n > 3',
      ttl: 3600,
    },
  });
});

test('a refusal is the broker’s sentence, with the offending part marked, and what was written stays', async () => {
  await row();
  shown.answers['probe.add'] = new Error("kind.template: at 3, 'f(x)': calls run the program; read an attribute instead");
  shown.page.probing.draft.value = fresh('/app/main.py:7', 'a/b/c');
  const dialog = within(await screen.findByRole('dialog', { name: 'Add a probe' }));
  const text = dialog.getByLabelText<HTMLTextAreaElement>('Line to log');
  fireEvent.click(dialog.getByRole('button', { name: 'Add probe' }));
  expect((await dialog.findByRole('alert')).textContent).toContain('Write what to log');
  expect(text.getAttribute('aria-invalid')).toBe('true');
  fireEvent.input(text, { target: { value: 'x{f(x)}' } });
  fireEvent.click(dialog.getByRole('button', { name: 'Add probe' }));
  await waitFor(() => expect(dialog.getByRole('alert').querySelector('mark')?.textContent).toBe('f(x)'));
  expect(dialog.getByRole('alert').textContent).toContain('calls run the program');
  expect(text.value).toBe('x{f(x)}');
});

test('limits are folded away, show what is usual, and open where one of them is wrong', async () => {
  await row();
  shown.page.probing.draft.value = { ...fresh('/app/main.py:7', 'a/b/c'), kind: 'snapshot' };
  const dialog = within(await screen.findByRole('dialog', { name: 'Add a probe' }));
  const [limits, capture] = [...document.querySelectorAll('details')];
  expect([limits?.open, capture?.open]).toEqual([false, false]);
  expect(capture?.textContent).toContain('as usual');
  const depth = dialog.getByLabelText<HTMLInputElement>('Depth');
  expect([depth.placeholder, dialog.getByLabelText<HTMLInputElement>('Hits a second').placeholder]).toEqual(['3', '1']);
  fireEvent.input(depth, { target: { value: '11' } });
  fireEvent.input(dialog.getByLabelText('Name'), { target: { value: 'slow' } });
  await waitFor(() => expect([limits, capture].map((fold) => fold?.textContent?.includes('1 given'))).toEqual([true, true]));
  fireEvent.click(dialog.getByRole('button', { name: 'Add probe' }));
  expect((await dialog.findByRole('alert')).textContent).toContain('Depth: write a whole number from 0 to 10, or nothing.');
  expect([limits?.open, capture?.open, document.activeElement === depth]).toEqual([false, true, true]);
  expect(depth.getAttribute('aria-invalid')).toBe('true');
  expect(dialog.queryByLabelText(/__repr__/)).toBeNull(); // the token lacks execute
  fireEvent.input(depth, { target: { value: '1' } });
  fireEvent.click(dialog.getByRole('button', { name: 'Add probe' }));
  await waitFor(() => expect(shown.asked('probe.add')[0]?.params).toMatchObject({ probe: { name: 'slow', capture: { depth: 1 } } }));
});

test('what only counts takes no values, and says that nothing limits it', async () => {
  await row();
  shown.page.probing.draft.value = { ...fresh('/app/main.py:7', 'a/b/c'), kind: 'timer' };
  const dialog = within(await screen.findByRole('dialog', { name: 'Add a probe' }));
  expect(document.querySelectorAll('details')).toHaveLength(1);
  for (const label of ['Hits each, at most', 'Hits a second', 'At once']) {
    expect(dialog.getByLabelText<HTMLInputElement>(label).placeholder).toBe('no limit');
  }
});

test('a snapshot opens as a stack with its locals, which are a tree', async () => {
  const order = { type: 'Order', fields: [[HOSTILE, int(12)], ['card', { type: 'str', redacted: true }]] };
  const taken = snapshotTaken([['order', order]]);
  fireEvent.click(await row());
  await screen.findByText('It has brought nothing yet.');
  shown.says('events', { events: [taken] });
  fireEvent.click(await screen.findByRole('button', { name: /^Snapshot 1 in settle/ }));
  expect(shown.page.places.now.value.snapshot).toBe(snapshotId(taken));
  const local = await screen.findByRole('treeitem', { name: /^order/ });
  fireEvent.keyDown(local, { key: 'ArrowRight' });
  expect(await screen.findByRole('treeitem', { name: /^card.*redacted/ })).toBeTruthy();
  expect(screen.getByText(HOSTILE)).toBeTruthy();
  expect(document.querySelector('img')).toBeNull();
  expect(shown.page.probing.spot.value?.values.get('order')).toContain('Order(');
  fireEvent.keyDown(screen.getByRole('listbox', { name: 'Stack of the snapshot' }), { key: 'ArrowDown' });
  expect(await screen.findByText('of this frame they were not taken')).toBeTruthy();
  fireEvent.click(screen.getByRole('button', { name: '‹ Back' }));
  expect(await screen.findByRole('log', { name: 'Results' })).toBeTruthy();
  expect(shown.page.probing.spot.value).toBeNull();
});
