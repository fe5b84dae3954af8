import { beforeEach, expect, test, vi } from 'vitest';
import { LINE_LOST, Session } from '../src/session';
import { LONGEST } from '../src/transcript';
import { Failure, METHODS, type Call } from '../src/wire';
import {
  BOOT,
  breakpointsChanged,
  dapEvent,
  debuggerAttached,
  debuggerDetached,
  leaseChanged,
  seatChanged,
  sessionClosed,
} from './given';

type Dap = Record<string, (args: Record<string, never>) => unknown>;

/** The far side: answers as a broker does, through the readers of the wire, and notes what it was asked. */
class FarSide {
  readonly asked: string[] = [];
  stops: unknown[] = [];
  line = 10;
  refuse: Failure | null = null;

  readonly dap: Dap = {
    threads: () => ({ threads: [{ id: 4, name: 'worker' }, { id: 1, name: 'MainThread' }] }),
    setBreakpoints: ({ breakpoints }) => ({
      breakpoints: (breakpoints as unknown as { line: number }[]).map(({ line }) => ({ id: line, verified: true, line })),
    }),
    stackTrace: () => ({
      stackFrames: [
        { id: 1, name: 'select', line: 1, source: { path: '/lib/select.py' }, presentationHint: 'subtle' },
        { id: 2, name: 'settle', line: this.line, source: { path: '/app/main.py' } },
      ],
    }),
    scopes: () => ({ scopes: [{ name: 'Locals', variablesReference: 9 }] }),
    variables: () => ({ variables: [{ name: 'total', value: '3', type: 'int', variablesReference: 0 }] }),
    evaluate: () => ({ result: '3', type: 'int', variablesReference: 0 }),
  };

  readonly call: Call = async (method, params) => {
    const { request } = params as { request?: { command: string; arguments: Record<string, never> } };
    this.asked.push(request === undefined ? method : `${request.command} ${JSON.stringify(request.arguments)}`);
    await Promise.resolve();
    if (this.refuse !== null) throw this.refuse;
    return METHODS[method](this.#result(method, request), method) as never;
  };

  #result(method: string, request?: { command: string; arguments: Record<string, never> }): unknown {
    if (method === 'session.open') {
      return { session: 's1', process: 'a/b/c', boot: BOOT, capabilities: {}, stops: this.stops };
    }
    if (request === undefined) return {};
    const body = this.dap[request.command]?.(request.arguments) ?? {};
    return body instanceof Error
      ? { type: 'response', command: request.command, success: false, message: body.message }
      : { type: 'response', command: request.command, success: true, body };
  }
}

let far: FarSide;
let session: Session;
beforeEach(() => {
  far = new FarSide();
  session = new Session('a/b/c', far.call);
});

const settled = () => vi.waitFor(() => expect(session.looking.scopes.value.scopes).not.toHaveLength(0));
const stopped = (threadId = 1) => session.handle(dapEvent('stopped', { reason: 'breakpoint', threadId }));

test('the first breakpoint opens the session and is set', async () => {
  await session.toggleBreakpoint('/app/main.py', 10);
  expect(session.phase.value).toBe('open');
  expect(far.asked.filter((a) => a.startsWith('session.open'))).toHaveLength(1);
  expect(far.asked.filter((a) => a.startsWith('setBreakpoints'))).toHaveLength(1);
  expect(session.breakpoints.value[0]).toMatchObject({ state: 'set', actual: 10 });
});

test('a breakpoint that debugpy moves is shown where it stops, and taken away there', async () => {
  far.dap['setBreakpoints'] = () => ({ breakpoints: [{ id: 1, verified: true, line: 12 }] });
  await session.toggleBreakpoint('/app/main.py', 10);
  expect(session.breakpoints.value[0]).toMatchObject({ line: 10, actual: 12 });
  far.dap['setBreakpoints'] = () => ({ breakpoints: [] });
  await session.toggleBreakpoint('/app/main.py', 12);
  expect(session.breakpoints.value).toEqual([]);
});

test('quick clicks are sent one after the other, and the last state is the last that is sent', async () => {
  await session.open();
  void session.toggleBreakpoint('/app/main.py', 1);
  void session.toggleBreakpoint('/app/main.py', 2);
  void session.toggleBreakpoint('/app/main.py', 1);
  const sent = () => far.asked.filter((a) => a.startsWith('setBreakpoints'));
  await vi.waitFor(() => expect(sent()).toHaveLength(2));
  expect(sent().at(-1)).toContain('"breakpoints":[{"line":2}]');
  await vi.waitFor(() => expect(session.breakpoints.value[0]).toMatchObject({ line: 2, state: 'set' }));
});

test('what is refused is told, and its breakpoint will not stop', async () => {
  far.refuse = new Failure('permission_denied', 'missing_scope', 'ask for control');
  await session.toggleBreakpoint('/app/main.py', 10);
  expect(session.phase.value).toBe('idle');
  expect(session.why.value).toBe('ask for control');
  expect(session.breakpoints.value[0]).toMatchObject({ state: 'unset', message: 'ask for control' });
});

test('a stop is followed by its stack, and the first frame of the application is selected', async () => {
  await session.open();
  stopped();
  await settled();
  expect(session.looking.frame.value).toMatchObject({ name: 'settle', line: 10 });
  expect(await session.looking.children(9)).toMatchObject([{ name: 'total', value: '3' }]);
});

test('a late joiner sees the stop that is there', async () => {
  far.stops = [{ reason: 'breakpoint', threadId: 1 }];
  await session.open();
  await settled();
  expect(session.stopped.value).toBe(true);
});

test('a stop that arrives before the answer to session.open is not lost', async () => {
  const opening = session.open();
  stopped();
  await opening;
  await settled();
});

test('variables are asked for once for each stop', async () => {
  await session.open();
  stopped();
  await settled();
  await Promise.all([session.looking.children(9), session.looking.children(9)]);
  expect(far.asked.filter((a) => a.startsWith('variables'))).toHaveLength(1);
  stopped();
  await vi.waitFor(() => expect(far.asked.filter((a) => a.startsWith('scopes'))).toHaveLength(2));
  await session.looking.children(9);
  expect(far.asked.filter((a) => a.startsWith('variables'))).toHaveLength(2);
});

test('another thread that stops does not take the selection away', async () => {
  await session.open();
  stopped(1);
  await settled();
  stopped(4);
  expect(session.thread.value).toBe(1);
  expect(session.stops.value.size).toBe(2);
});

test('a step runs the thread, and the next stop ends it', async () => {
  await session.open();
  stopped();
  await settled();
  await session.step('next');
  expect(session.awaited.value).toBe('next');
  expect(session.stopped.value).toBe(false);
  far.line = 11;
  stopped();
  await vi.waitFor(() => expect(session.looking.frame.value?.line).toBe(11));
  expect(session.awaited.value).toBeNull();
});

test('a step that is refused leaves the thread stopped', async () => {
  await session.open();
  stopped();
  await settled();
  far.dap['next'] = () => new Error('not now');
  await session.step('next');
  expect(session.stopped.value).toBe(true);
  expect(session.why.value).toBe('not now');
});

test('when all run again, the stack goes, though not at once', async () => {
  await session.open();
  stopped();
  await settled();
  vi.useFakeTimers();
  session.handle(dapEvent('continued', { threadId: 1, allThreadsContinued: true }));
  expect(session.stopped.value).toBe(false);
  expect(session.looking.frames.value).toHaveLength(2);
  vi.advanceTimersByTime(1000);
  vi.useRealTimers();
  expect(session.looking.frames.value).toEqual([]);
});

test('pause stops the main thread, whatever the order of threads', async () => {
  await session.pause();
  expect(far.asked).toContain('pause {"threadId":1}');
  expect(session.awaited.value).toBe('pause');
});

test('events of other sessions and of other boots are not ours', async () => {
  await session.open();
  session.handle(dapEvent('stopped', { reason: 'step', threadId: 1 }, 'somebody else'));
  session.handle({ ...dapEvent('stopped', { reason: 'step', threadId: 1 }), boot: 'b'.repeat(32) });
  expect(session.stopped.value).toBe(false);
});

test('evaluating prints question and answer, and errors as errors', async () => {
  await session.open();
  stopped();
  await settled();
  await session.evaluate('total');
  far.dap['evaluate'] = () => new Error('NameError: nope');
  await session.evaluate('nope');
  expect(session.transcript.lines.value.map(({ kind, text }) => [kind, text])).toEqual([
    ['asked', 'total'],
    ['answer', '3'],
    ['asked', 'nope'],
    ['error', 'NameError: nope'],
  ]);
  expect(far.asked.at(-1)).toContain('"frameId":2');
});

test('pieces of output become lines', async () => {
  await session.open();
  for (const output of ['hel', 'lo', '\n', 'next\n']) session.handle(dapEvent('output', { output, category: 'stdout' }));
  expect(session.transcript.lines.value.map((line) => line.text)).toEqual(['hello\n', 'next\n']);
});

test('losing the line ends the session, keeps the breakpoints, and says so', async () => {
  await session.toggleBreakpoint('/app/main.py', 10);
  session.lineLost();
  expect(session.phase.value).toBe('idle');
  expect(session.why.value).toBe(LINE_LOST);
  expect(session.breakpoints.value[0]).toMatchObject({ line: 10, state: 'pending', id: null });
  await session.open();
  await vi.waitFor(() => expect(session.breakpoints.value[0]?.state).toBe('set'));
});

test('a session that the far end closes is over, with the reason', async () => {
  await session.open();
  session.handle(sessionClosed('s2', 'viewer_left'));
  expect(session.phase.value).toBe('open');
  session.handle(sessionClosed('s1', 'debugger_lost'));
  expect(session.phase.value).toBe('idle');
  expect(session.why.value).toContain('the debugger in the process was lost');
});

test('stop debugging closes the session and says nothing more', async () => {
  await session.open();
  await session.close();
  expect(far.asked.at(-1)).toBe('session.close');
  expect([session.phase.value, session.why.value]).toEqual(['idle', '']);
});

test('a session ends with the bus, and its breakpoints are kept', async () => {
  await session.toggleBreakpoint('/app/main.py', 10);
  session.busLost();
  expect(session.phase.value).toBe('idle');
  expect(session.why.value).toContain('bus');
  expect(session.breakpoints.value[0]).toMatchObject({ line: 10, state: 'pending' });
});

test('variables that could not be read are asked for again', async () => {
  await session.open();
  far.dap['variables'] = () => new Error('busy');
  await expect(session.looking.children(9)).rejects.toThrow('busy');
  far.dap['variables'] = () => ({ variables: [] });
  await expect(session.looking.children(9)).resolves.toEqual([]);
});

test('output without an end of line does not grow for ever', () => {
  const { transcript } = session;
  for (let n = 0; n < 30; n += 1) transcript.printOutput('output', 'x'.repeat(1000));
  transcript.print('answer', 'y'.repeat(LONGEST + 7));
  const lengths = transcript.lines.value.map((line) => line.text.length);
  expect(lengths.slice(0, 3)).toEqual([LONGEST, LONGEST, LONGEST]);
  expect(transcript.lines.value.at(-1)?.text).toContain('… (7 more characters)');
});

test('while somebody else drives nothing is asked that only the driver may, and who drives is told', async () => {
  await session.open();
  stopped();
  await settled();
  session.handle(seatChanged('taken', 's2', 'bob'));
  const before = far.asked.length;
  await session.resume();
  await session.step('next');
  await session.pause();
  expect(far.asked).toHaveLength(before);
  expect(session.why.value).toBe('bob drives. Ask for the seat first.');
  expect([session.stopped.value, session.awaited.value]).toEqual([true, null]);
});

test('the session outlives its debugger: what stood runs, and the person is told', async () => {
  await session.toggleBreakpoint('/app/main.py', 10);
  stopped();
  await settled();
  session.handle(debuggerDetached('not_answering'));
  expect([session.phase.value, session.stopped.value]).toEqual(['open', false]);
  expect(session.why.value).toContain('Everything runs on');
  session.handle(debuggerAttached(true));
  expect(session.why.value).toContain('set again');
  session.handle(breakpointsChanged('s1', '/app/main.py', 10));
  expect(session.breakpoints.value[0]).toMatchObject({ state: 'set', actual: 10 });
});

test('while breakpoints sleep none is shown as in force', async () => {
  await session.toggleBreakpoint('/app/main.py', 10);
  expect(session.shown.value[0]).toMatchObject({ state: 'set', message: '' });
  session.handle(leaseChanged('lapsed'));
  expect(session.shown.value[0]).toMatchObject({ state: 'pending', message: 'Asleep, because nobody stayed.' });
  session.handle(leaseChanged('ended'));
  expect(session.shown.value).toBe(session.breakpoints.value);
});

test('threads that come and go ask nothing while breakpoints sleep or something stands', async () => {
  await session.open();
  await vi.waitFor(() => expect(session.threads.value).toHaveLength(2));
  session.handle(leaseChanged('lapsed'));
  const before = far.asked.length;
  session.handle(dapEvent('thread', { reason: 'started', threadId: 9 }));
  session.handle(dapEvent('thread', { reason: 'exited', threadId: 4 }));
  expect(far.asked).toHaveLength(before);
  expect(session.threads.value.map((thread) => thread.id)).toEqual([1]);
  await session.stay();
  expect(session.driving.company.value.asleep).toBe(false);
});
