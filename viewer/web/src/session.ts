/** This viewer's debug session on one process.
 *
 *  idle -> opening -> open -> idle     `open` and `close`, or the far end closes it (`why` says so)
 *
 *  Breakpoints outlive the session: they are wanted by the viewer, and in force while a session is open.
 *  A stop is one thread's. `looking` shows the selected thread where it stands. */

import { batch, computed, signal, type ReadonlySignal } from '@preact/signals';
import { asleep, type Breakpoint, type Breakpoints } from './breakpoints';
import * as dap from './dap';
import { Driving } from './driving';
import { Looking } from './looking';
import { list, type Reader } from './shape';
import { Transcript } from './transcript';
import { Wanted } from './wanted';
import { Failure, messageOf, type AnyEvent, type BreakpointSet, type Call } from './wire';

export type Phase = 'idle' | 'opening' | 'open';
export type Step = 'next' | 'stepIn' | 'stepOut';
export type Awaited = 'pause' | Step | null;

const MOST_EARLY = 10_000;

const CLOSED = {
  viewer_left: '',
  broker_lost: 'Debugging ended: the broker was lost. Your breakpoints are kept.',
  bus_lost: 'Debugging ended: the bus was lost. Your breakpoints are kept.',
  process_ended: 'Debugging ended: the process ended.',
  debugger_lost: 'Debugging ended: the debugger in the process was lost. Your breakpoints are kept.',
} as const;
const DEBUGGER_LOST = {
  connection_lost: 'The debugger in the process was lost. Everything runs on; it is being attached again.',
  not_answering: 'The debugger in the process did not answer any more. Everything runs on; it is being attached again.',
} as const;
const ATTACHED_AGAIN = 'The debugger in the process was attached again, and your breakpoints are set again.';
export const LINE_LOST = 'Debugging ended when the connection was lost. Your breakpoints are kept.';

export class Session {
  readonly phase = signal<Phase>('idle');
  /** Why the last session ended, when it was not this viewer that ended it; or what was refused. */
  readonly why = signal('');
  readonly breakpoints: ReadonlySignal<Breakpoints>;
  /** They, as they are to be shown. */
  readonly shown: ReadonlySignal<Breakpoints>;
  readonly stops = signal<ReadonlyMap<number, dap.Stopped>>(new Map());
  readonly threads = signal<readonly dap.Thread[]>([]);
  readonly thread = signal<number | null>(null);
  readonly looking = new Looking((command, reader, args) => this.#dap(command, reader, args));
  readonly transcript = new Transcript();
  /** What was asked of the program and has not happened yet. */
  readonly awaited = signal<Awaited>(null);
  readonly stopped = computed(() => this.stops.value.size > 0);
  readonly driving: Driving;
  /** What the next session, or the one that is open, is called; people find it by that later. */
  readonly name = signal('');

  #id: string | null = null;
  #boot: string | null = null;
  #opening: Promise<void> | null = null;
  #early: AnyEvent[] = [];
  #seq = 0;
  readonly #wanted: Wanted;

  constructor(
    readonly process: string,
    readonly call: Call,
  ) {
    const onTrouble = (message: string) => (this.why.value = message);
    this.driving = new Driving(call, onTrouble);
    this.#wanted = new Wanted((path, wanted) => this.#setBreakpoints(path, wanted), onTrouble);
    this.breakpoints = this.#wanted.all;
    const isAsleep = computed(() => this.driving.company.value.asleep);
    this.shown = computed(() => (isAsleep.value ? asleep(this.breakpoints.value) : this.breakpoints.value));
  }

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
      const name = this.name.value.trim();
      const state = await this.call('session.open', { process: this.process, ...(name === '' ? {} : { name }) });
      this.#id = state.session;
      this.#boot = state.boot;
      const stops = state.stops.map((body) => dap.stoppedBody(body, 'stops'));
      batch(() => {
        this.phase.value = 'open';
        this.driving.joined(state);
        this.threads.value = state.threads.map((each) => dap.thread(each, 'threads'));
        this.stops.value = new Map(stops.flatMap((s) => (s.threadId === null ? [] : [[s.threadId, s]])));
      });
    } catch (problem) {
      this.phase.value = 'idle';
      this.why.value = messageOf(problem);
      throw problem;
    }
    for (const event of this.#early) this.handle(event);
    this.#early = [];
    this.#wanted.sendAll();
    if (this.threads.value.length === 0) void this.#readThreads();
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
      this.driving.leave();
      this.why.value = why;
      this.stops.value = new Map();
      this.threads.value = [];
      this.thread.value = null;
      this.awaited.value = null;
      this.#wanted.forgotten();
      this.looking.clear();
    });
  }

  // Events ---------------------------------------------------------------------------------------------

  handle(event: AnyEvent): void {
    if (this.phase.value === 'opening' && this.#early.length < MOST_EARLY) this.#early.push(event);
    if (this.phase.value !== 'open' || event.boot !== this.#boot) return;
    this.driving.heard(event);
    if (event.session !== null && event.session !== this.#id) return;
    switch (event.type) {
      case 'dap':
      case 'output':
        return this.#handleDap(event.message.event, event.message.body);
      case 'process_ended':
        return this.#forget(CLOSED.process_ended);
      case 'session_closed':
        if (event.session !== null) this.#forget(CLOSED[event.reason]);
        return;
      case 'debugger_detached':
        return this.#debuggerLost(event.reason);
      case 'debugger_attached':
        if (event.again) this.why.value = ATTACHED_AGAIN;
        return;
      case 'breakpoints_changed':
        return this.#learn(event.breakpoints);
      default:
        return; // of the others, which `driving` has heard
    }
  }

  /** pydevd lets everything run when its line is dropped; the session goes on with the next debugger. */
  #debuggerLost(reason: (AnyEvent & { type: 'debugger_detached' })['reason']): void {
    if (reason !== 'connection_lost' && reason !== 'not_answering') return;
    this.#runs(null);
    this.awaited.value = null;
    this.why.value = DEBUGGER_LOST[reason];
  }

  /** What became of breakpoints of ours that were set anew without our asking. */
  #learn(set: BreakpointSet): void {
    if (set.owner !== this.#id) return;
    for (const said of list(dap.breakpoint)(set.breakpoints, 'breakpoints')) this.#wanted.learn(said);
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
        return this.#wanted.learn(dap.breakpointBody(body, name).breakpoint);
      case 'output': {
        const { output, category } = dap.outputBody(body, name);
        if (category !== 'telemetry') this.transcript.printOutput(category === 'stderr' ? 'error' : 'output', output);
        return;
      }
      case 'thread':
        return this.#onThread(dap.threadBody(body, name));
      default:
        return; // modules, process and capabilities change nothing here
    }
  }

  /** Asking counts as a person's act, which prolongs what stands and wakes breakpoints that sleep: it is not for a
   *  program's threads to do. The next stop tells their names. */
  #onThread({ reason, threadId }: { reason: string; threadId: number }): void {
    if (reason === 'exited') {
      this.threads.value = this.threads.value.filter((each) => each.id !== threadId);
      if (this.stops.value.has(threadId)) this.#runs(threadId);
    } else if (!this.stopped.value && !this.driving.company.value.asleep) {
      void this.#readThreads();
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
    this.looking.clearSoon();
    const other = [...stops.keys()][0];
    if (other !== undefined && this.awaited.value === null) {
      void this.selectThread(other);
    }
  }

  // Breakpoints ----------------------------------------------------------------------------------------

  /** Sets or takes away a breakpoint; the first one opens the session. */
  toggleBreakpoint(path: string, line: number): Promise<void> {
    return this.#wanted.toggle(path, line);
  }

  setCondition(target: Breakpoint, condition: string): Promise<void> {
    return this.#wanted.setCondition(target, condition);
  }

  async #setBreakpoints(path: string, wanted: () => Breakpoints): Promise<readonly dap.DapBreakpoint[]> {
    if (wanted().length === 0 && this.phase.value === 'idle') return [];
    await this.open();
    const { breakpoints } = await this.#dap('setBreakpoints', dap.setBreakpointsBody, {
      source: { path },
      breakpoints: wanted().map(({ line, condition }) => (condition === '' ? { line } : { line, condition })),
    });
    return breakpoints;
  }

  // Running and stopping -------------------------------------------------------------------------------

  /** Says who drives, when it is somebody else. */
  #mayDrive(): boolean {
    const driver = this.driving.other.value;
    if (driver !== '') this.why.value = `${driver} drives. Ask for the seat first.`;
    return driver === '';
  }

  /** Stops the selected thread, or the main thread; opens the session when there is none. */
  async pause(): Promise<void> {
    if (!this.#mayDrive()) return;
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
    if (threadId === undefined || !this.#mayDrive()) return;
    const before = this.stops.value;
    this.#runs(null);
    await this.#tell(async () => {
      await this.#dap('continue', ignored, { threadId });
    }, () => (this.stops.value = before));
  }

  async step(kind: Step): Promise<void> {
    const threadId = this.thread.value;
    const stop = threadId === null ? undefined : this.stops.value.get(threadId);
    if (threadId === null || stop === undefined || !this.#mayDrive()) return;
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
        this.looking.clear();
      });
    }
    if (this.stops.value.has(id)) await this.#tell(() => this.looking.readFrames(id));
  }

  selectFrame(frame: dap.Frame): Promise<void> {
    return this.#tell(() => this.looking.select(frame));
  }

  /** Evaluates in the selected frame, and prints question and answer in the console. */
  async evaluate(expression: string): Promise<void> {
    this.transcript.print('asked', expression);
    try {
      await this.open();
      const frame = this.looking.frame.value;
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

  /** A person is here: what stands goes on standing, and breakpoints that sleep are armed. */
  stay(): Promise<void> {
    return this.#readThreads();
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
    this.driving.awake();
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
