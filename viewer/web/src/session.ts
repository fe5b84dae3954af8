/** This viewer's debug session on one process.
 *
 *  idle -> opening -> open -> idle     `open` and `close`, or the far end closes it (`why` says so)
 *
 *  Breakpoints outlive the session: they are wanted by the viewer, and in force while a session is open.
 *  A stop is one thread's. For the selected thread it is followed by stackTrace, scopes and variables; each
 *  load carries the turn it belongs to, and what arrives for an earlier turn is dropped. */

import { batch, computed, signal } from '@preact/signals';
import * as breakpoints from './breakpoints';
import type { Breakpoint, Breakpoints } from './breakpoints';
import * as dap from './dap';
import type { Reader } from './shape';
import { Transcript } from './transcript';
import { Failure, messageOf, type AnyEvent, type Call } from './wire';

export type Phase = 'idle' | 'opening' | 'open';
export type Step = 'next' | 'stepIn' | 'stepOut';
export type Awaited = 'pause' | Step | null;

/** The variables of the selected frame. While the next ones are on their way, the last ones are still shown. */
export interface Scopes {
  readonly turn: number;
  readonly scopes: readonly dap.DapScope[];
}

const FRAMES = 200;
const MOST_EARLY = 10_000;
/** Most steps end sooner than this; until then the last stop stays on the screen, so that nothing flickers. */
const STEP_MS = 250;

const CLOSED = {
  viewer_left: '',
  broker_lost: 'Debugging ended: the broker was lost. Your breakpoints are kept.',
  bus_lost: 'Debugging ended: the bus was lost. Your breakpoints are kept.',
  process_ended: 'Debugging ended: the process ended.',
  debugger_lost: 'Debugging ended: the debugger in the process was lost. Your breakpoints are kept.',
} as const;
export const LINE_LOST = 'Debugging ended when the connection was lost. Your breakpoints are kept.';

export class Session {
  readonly phase = signal<Phase>('idle');
  /** Why the last session ended, when it was not this viewer that ended it; or what was refused. */
  readonly why = signal('');
  readonly breakpoints = signal<Breakpoints>([]);
  readonly stops = signal<ReadonlyMap<number, dap.Stopped>>(new Map());
  readonly threads = signal<readonly dap.Thread[]>([]);
  readonly thread = signal<number | null>(null);
  readonly frames = signal<readonly dap.Frame[]>([]);
  readonly frame = signal<dap.Frame | null>(null);
  readonly scopes = signal<Scopes>({ turn: 0, scopes: [] });
  readonly transcript = new Transcript();
  /** What was asked of the program and has not happened yet. */
  readonly awaited = signal<Awaited>(null);
  readonly stopped = computed(() => this.stops.value.size > 0);

  /** Grows with each stop and each frame selected: references to variables live as long as their turn. */
  #turn = 0;
  #id: string | null = null;
  #boot: string | null = null;
  #opening: Promise<void> | null = null;
  #early: AnyEvent[] = [];
  #seq = 0;
  #children = new Map<number, Promise<readonly dap.Variable[]>>();
  /** Files whose breakpoints are being sent; true when they changed meanwhile. */
  readonly #sending = new Map<string, boolean>();

  constructor(
    readonly process: string,
    readonly call: Call,
  ) {}

  // The session's life ---------------------------------------------------------------------------------

  /** Opens the session unless it is; every caller waits for the same opening. Throws `Failure`. */
  open(): Promise<void> {
    if (this.phase.value === 'open') return Promise.resolve();
    this.#opening ??= this.#open().finally(() => (this.#opening = null));
    return this.#opening;
  }

  async #open(): Promise<void> {
    this.phase.value = 'opening';
    this.why.value = '';
    this.#early = [];
    try {
      const state = await this.call('session.open', { process: this.process });
      this.#id = state.session;
      this.#boot = state.boot;
      const stops = state.stops.map((body) => dap.stoppedBody(body, 'stops'));
      batch(() => {
        this.phase.value = 'open';
        this.stops.value = new Map(stops.flatMap((s) => (s.threadId === null ? [] : [[s.threadId, s]])));
      });
    } catch (problem) {
      this.phase.value = 'idle';
      this.why.value = messageOf(problem);
      throw problem;
    }
    for (const event of this.#early) this.handle(event);
    this.#early = [];
    for (const path of new Set(this.breakpoints.value.map((b) => b.path))) {
      if (!this.#sending.has(path)) void this.#send(path);
    }
    void this.#readThreads();
    const first = [...this.stops.value.keys()][0];
    if (first !== undefined) void this.selectThread(first);
  }

  async close(): Promise<void> {
    const session = this.#id;
    if (session === null) return;
    this.#forget('');
    await this.#tell(() => this.call('session.close', { session }));
  }

  /** The line to the broker is lost, and every session that came through it with it. */
  lineLost(): void {
    if (this.phase.value === 'open') this.#forget(LINE_LOST);
  }

  /** The broker has lost the bus: every process closes its sessions then, and cannot say so. */
  busLost(): void {
    if (this.phase.value === 'open') this.#forget(CLOSED.bus_lost);
  }

  #forget(why: string): void {
    this.#id = null;
    batch(() => {
      this.phase.value = 'idle';
      this.why.value = why;
      this.stops.value = new Map();
      this.threads.value = [];
      this.thread.value = null;
      this.awaited.value = null;
      this.breakpoints.value = breakpoints.forgotten(this.breakpoints.value);
      this.#clearFrames();
    });
  }

  #clearFrames(): void {
    this.#turn += 1;
    this.#children = new Map();
    this.frames.value = [];
    this.frame.value = null;
    this.scopes.value = { turn: this.#turn, scopes: [] };
  }

  // Events ---------------------------------------------------------------------------------------------

  handle(event: AnyEvent): void {
    if (this.phase.value === 'opening' && this.#early.length < MOST_EARLY) this.#early.push(event);
    if (this.phase.value !== 'open' || event.boot !== this.#boot) return;
    if (event.session !== null && event.session !== this.#id) return;
    if (event.type === 'dap') this.#handleDap(event.message.event, event.message.body);
    else if (event.type === 'process_ended') this.#forget(CLOSED.process_ended);
    else if (event.type === 'session_closed' && event.session !== null) this.#forget(CLOSED[event.reason]);
  }

  #handleDap(name: string, body: unknown): void {
    switch (name) {
      case 'stopped':
        return this.#onStopped(dap.stoppedBody(body, name));
      case 'continued': {
        const { threadId, allThreadsContinued } = dap.continuedBody(body, name);
        return this.#runs(allThreadsContinued || threadId === null ? null : threadId);
      }
      case 'breakpoint':
        this.breakpoints.value = breakpoints.changed(
          this.breakpoints.value,
          dap.breakpointBody(body, name).breakpoint,
        );
        return;
      case 'output': {
        const { output, category } = dap.outputBody(body, name);
        if (category !== 'telemetry') this.transcript.printOutput(category === 'stderr' ? 'error' : 'output', output);
        return;
      }
      case 'thread':
        void this.#readThreads();
        return;
      default:
        return; // modules, process and capabilities change nothing here
    }
  }

  #onStopped(stop: dap.Stopped): void {
    if (stop.threadId === null) return;
    this.stops.value = new Map(this.stops.value).set(stop.threadId, stop);
    this.awaited.value = null;
    const selected = this.thread.value;
    if (selected === null || selected === stop.threadId || !this.stops.value.has(selected)) {
      void this.selectThread(stop.threadId);
    }
    void this.#readThreads();
  }

  /** One thread, or all of them, run again. */
  #runs(thread: number | null): void {
    const stops = new Map(thread === null ? [] : this.stops.value);
    if (thread !== null) stops.delete(thread);
    this.stops.value = stops;
    if (this.thread.value === null || stops.has(this.thread.value)) return;
    const turn = this.#turn;
    setTimeout(() => {
      if (turn === this.#turn) batch(() => this.#clearFrames());
    }, STEP_MS);
    const other = [...stops.keys()][0];
    if (other !== undefined && this.awaited.value === null) {
      void this.selectThread(other);
    }
  }

  // Breakpoints ----------------------------------------------------------------------------------------

  /** Sets or takes away a breakpoint; the first one opens the session. */
  async toggleBreakpoint(path: string, line: number): Promise<void> {
    this.breakpoints.value = breakpoints.toggle(this.breakpoints.value, path, line);
    await this.#send(path);
  }

  async setCondition(target: Breakpoint, condition: string): Promise<void> {
    this.breakpoints.value = breakpoints.withCondition(this.breakpoints.value, target, condition);
    await this.#send(target.path);
  }

  /** DAP sends all breakpoints of a file each time. One request for a file is on its way at most, so that the
   *  last that was wanted is the last that arrives. */
  async #send(path: string): Promise<void> {
    if (this.#sending.has(path)) {
      this.#sending.set(path, true);
      return;
    }
    this.#sending.set(path, false);
    try {
      await this.#sendOnce(path);
    } finally {
      const again = this.#sending.get(path) === true;
      this.#sending.delete(path);
      if (again) void this.#send(path);
    }
  }

  async #sendOnce(path: string): Promise<void> {
    let sent = breakpoints.inFile(this.breakpoints.value, path);
    if (sent.length === 0 && this.phase.value === 'idle') return;
    try {
      await this.open();
      sent = breakpoints.inFile(this.breakpoints.value, path); // more may have come meanwhile
      const { breakpoints: said } = await this.#dap('setBreakpoints', dap.setBreakpointsBody, {
        source: { path },
        breakpoints: sent.map(({ line, condition }) => (condition === '' ? { line } : { line, condition })),
      });
      this.breakpoints.value = breakpoints.answered(this.breakpoints.value, sent, said);
    } catch (problem) {
      this.breakpoints.value = breakpoints.failed(this.breakpoints.value, sent, messageOf(problem));
      this.why.value = messageOf(problem);
    }
  }

  // Running and stopping -------------------------------------------------------------------------------

  /** Stops the selected thread, or the main thread; opens the session when there is none. */
  async pause(): Promise<void> {
    await this.#tell(async () => {
      await this.open();
      await this.#readThreads();
      const threads = this.threads.value;
      const main = threads.find((t) => t.name === 'MainThread') ?? threads[0];
      const target = threads.find((t) => t.id === this.thread.value) ?? main;
      if (target === undefined) throw new Failure('not_found', 'no_thread', 'debugpy sees no thread to pause');
      this.awaited.value = 'pause';
      await this.#dap('pause', ignored, { threadId: target.id });
    });
  }

  async resume(): Promise<void> {
    const [first] = this.stops.value.keys();
    const threadId = this.thread.value ?? first;
    if (threadId === undefined) return;
    const before = this.stops.value;
    this.#runs(null);
    await this.#tell(async () => {
      await this.#dap('continue', ignored, { threadId });
    }, () => (this.stops.value = before));
  }

  async step(kind: Step): Promise<void> {
    const threadId = this.thread.value;
    const stop = threadId === null ? undefined : this.stops.value.get(threadId);
    if (threadId === null || stop === undefined) return;
    this.awaited.value = kind;
    this.#runs(threadId);
    await this.#tell(async () => {
      await this.#dap(kind, ignored, { threadId });
    }, () => this.#onStopped(stop));
  }

  // Looking --------------------------------------------------------------------------------------------

  async selectThread(id: number): Promise<void> {
    if (id !== this.thread.value || !this.stops.value.has(id)) {
      batch(() => {
        this.thread.value = id;
        this.#clearFrames();
      });
    }
    if (!this.stops.value.has(id)) return;
    const turn = ++this.#turn;
    await this.#tell(async () => {
      const { stackFrames } = await this.#dap('stackTrace', dap.stackTraceBody, {
        threadId: id,
        startFrame: 0,
        levels: FRAMES,
      });
      if (turn !== this.#turn) return;
      this.frames.value = stackFrames;
      const top = stackFrames.find((f) => f.presentationHint !== 'subtle') ?? stackFrames[0];
      if (top !== undefined) await this.selectFrame(top);
    });
  }

  async selectFrame(frame: dap.Frame): Promise<void> {
    const turn = ++this.#turn;
    this.#children = new Map();
    this.frame.value = frame;
    await this.#tell(async () => {
      const { scopes } = await this.#dap('scopes', dap.scopesBody, { frameId: frame.id });
      if (turn === this.#turn) this.scopes.value = { turn, scopes };
    });
  }

  /** The variables inside a reference of this turn; asked for once. Throws `Failure`. */
  children(reference: number): Promise<readonly dap.Variable[]> {
    const known = this.#children.get(reference);
    if (known !== undefined) return known;
    const asked = this.#dap('variables', dap.variablesBody, { variablesReference: reference }).then(
      (body) => body.variables,
    );
    const children = this.#children;
    children.set(reference, asked);
    asked.catch(() => children.delete(reference)); // asked again the next time
    return asked;
  }

  /** Evaluates in the selected frame, and prints question and answer in the console. */
  async evaluate(expression: string): Promise<void> {
    this.transcript.print('asked', expression);
    try {
      await this.open();
      const frame = this.frame.value;
      const answer = await this.#dap('evaluate', dap.evaluateBody, {
        expression,
        context: 'repl',
        ...(frame === null ? {} : { frameId: frame.id }),
      });
      if (answer.result !== '') this.transcript.print('answer', answer.result, answer.type);
    } catch (problem) {
      this.transcript.print('error', messageOf(problem));
    }
  }

  async #readThreads(): Promise<void> {
    await this.#tell(async () => {
      this.threads.value = (await this.#dap('threads', dap.threadsBody, {})).threads;
    });
  }

  // The line -------------------------------------------------------------------------------------------

  async #dap<T>(command: string, reader: Reader<T>, args: object): Promise<T> {
    if (this.#id === null) throw new Failure('failed_precondition', 'unknown_session', 'nothing is being debugged');
    const request = { seq: ++this.#seq, type: 'request', command, arguments: args };
    const response = await this.call('dap', { session: this.#id, request });
    if (!response.success) {
      throw new Failure('unknown', 'dap', response.message || `the debugger refused ${command}`);
    }
    return reader(response.body, command);
  }

  /** Does something whose failure is told to the person, not to the caller. */
  async #tell(act: () => Promise<unknown>, undo: () => void = () => {}): Promise<void> {
    const id = this.#id;
    try {
      await act();
    } catch (problem) {
      if (id !== null && id !== this.#id) return; // its session is over, and that was told
      this.awaited.value = null;
      undo();
      this.why.value = messageOf(problem);
    }
  }
}

const ignored: Reader<null> = () => null;
