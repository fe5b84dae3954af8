/** A recorded debug session, gone through step by step. Pure: events in, states out.
 *
 *  Step 0 is before the first event; step n is what there was after the n-th. A state never changes and is made from the one
 *  before it, once: going back shows what was seen on the way there.
 *
 *  Where a thread stood is written down a moment after its stop (`stop_located`), and known here from the stop on. A session
 *  that joined while a thread stood already has nothing but that of the stop: it is the stop then. */

import * as dap from './dap';
import { list, number, object, readOr } from './shape';
import type { AnyEvent, BreakpointSet, EventOf } from './wire';

export interface At {
  readonly path: string;
  readonly line: number;
}

export interface Standing {
  readonly thread: number;
  readonly stop: dap.Stopped;
  readonly at: At | null;
}

export interface State {
  readonly step: number;
  readonly time: number;
  /** What led to it; null at step 0. */
  readonly event: AnyEvent | null;
  /** The threads that stand, the one that came to stand last is the last. */
  readonly standing: readonly Standing[];
  /** Whether a thread has just come to stand. */
  readonly isStop: boolean;
  /** Of all sessions that were told of. */
  readonly breakpoints: readonly BreakpointSet[];
  /** The session that drives, and its viewer. */
  readonly driver: string | null;
  readonly driverName: string | null;
  /** Viewers by session, as far as they were told. */
  readonly names: ReadonlyMap<string, string>;
  /** How many pieces of output there were. */
  readonly printed: number;
  /** The file that was last spoken of. */
  readonly file: string | null;
  /** Why the session was over, once it was. */
  readonly closed: string | null;
}

export interface Printed {
  readonly text: string;
  readonly isError: boolean;
}

/** Whose session it is, and when it began. */
export interface Whose {
  readonly session: string;
  readonly viewer: string;
  readonly opened: number;
}

export class Replay {
  readonly #states: State[];
  readonly #printed: Printed[] = [];

  /** `events` in the order of their numbers. */
  constructor(
    readonly whose: Whose,
    readonly events: readonly AnyEvent[],
  ) {
    this.#states = [
      {
        step: 0,
        time: whose.opened,
        event: null,
        standing: [],
        isStop: false,
        breakpoints: [],
        driver: null,
        driverName: null,
        names: new Map([[whose.session, whose.viewer]]),
        printed: 0,
        file: null,
        closed: null,
      },
    ];
  }

  /** The number of the last step. */
  get last(): number {
    return this.events.length;
  }

  /** The nearest step that there is. */
  at(step: number): State {
    const wanted = Math.max(0, Math.min(Math.trunc(step), this.last));
    for (let known = this.#states.length; known <= wanted; known++) {
      const event = this.events[known - 1];
      const before = this.#states[known - 1];
      if (event === undefined || before === undefined) break;
      const piece = pieceOf(event);
      if (piece !== null) this.#printed.push(piece);
      const state = after(before, event, this.whose.session, piece !== null);
      this.#states.push(withStop(state, event, () => this.#from(known)));
    }
    return this.#states[wanted] as State;
  }

  *#from(index: number): Iterable<AnyEvent> {
    for (let at = index; at < this.last; at++) {
      const event = this.events[at];
      if (event !== undefined) yield event;
    }
  }

  /** The step of the next stop after this one, or of the one before it; null when there is none. */
  stop(from: number, direction: 1 | -1): number | null {
    for (let step = from + direction; step > 0 && step <= this.last; step += direction) {
      if (this.at(step).isStop) return step;
    }
    return null;
  }

  /** What was printed until a state, at most its last `most` pieces. */
  output(state: State, most: number): readonly Printed[] {
    return this.#printed.slice(Math.max(0, state.printed - most), state.printed);
  }
}

/** Where the thread stands that came to stand last. */
export const spotOf = (state: State): At | null => state.standing.at(-1)?.at ?? null;

/** Seconds to wait at a step while it is played: as long as it took, within bounds, so that nobody waits for a pause. */
export function pauseAfter(state: State, next: State, speed: number): number {
  const passed = Math.max(0, next.time - state.time);
  return Math.min(Math.max(passed, LEAST_PAUSE), MOST_PAUSE) / speed;
}

export const LEAST_PAUSE = 0.3;
export const MOST_PAUSE = 2;

function after(before: State, event: AnyEvent, session: string, isPrinted: boolean): State {
  const state: State = {
    ...before,
    step: before.step + 1,
    time: event.time,
    event,
    isStop: false,
    printed: before.printed + (isPrinted ? 1 : 0),
  };
  switch (event.type) {
    case 'dap':
      return withDap(state, event.message.event, event.message.body);
    case 'breakpoints_changed':
      return withBreakpoints(state, event.breakpoints);
    case 'seat_changed':
      return { ...state, driver: event.driver, driverName: event.viewer };
    case 'lease_changed':
      return event.state === 'ended' || event.state === 'lapsed' ? withStanding(state, []) : state;
    case 'debugger_detached':
      return withStanding(state, []);
    case 'session_opened':
      if (event.session === null) return state;
      return { ...state, names: new Map(state.names).set(event.session, event.viewer) };
    case 'session_closed':
      return event.session === session ? { ...state, closed: event.reason } : state;
    case 'process_ended':
      return { ...withStanding(state, []), closed: state.closed ?? 'process_ended' };
    default:
      return state;
  }
}

const withStanding = (state: State, standing: readonly Standing[]): State =>
  standing.length === 0 && state.standing.length === 0 ? state : { ...state, standing };

function withDap(state: State, name: string, body: unknown): State {
  switch (name) {
    case 'continued': {
      const ran = readOr(dap.continuedBody, body, null);
      return ran === null ? state : withStanding(state, others(state, ran.allThreadsContinued ? null : ran.threadId));
    }
    case 'thread': {
      const told = readOr(dap.threadBody, body, null);
      return told?.reason === 'exited' ? withStanding(state, others(state, told.threadId)) : state;
    }
    default:
      return state; // of breakpoints, `breakpoints_changed` tells the same, and of stops see `withStop`
  }
}

const others = (state: State, thread: number | null): readonly Standing[] =>
  state.standing.filter((each) => thread !== null && each.thread !== thread);

/** `later` are the events behind it. */
function withStop(state: State, event: AnyEvent, later: () => Iterable<AnyEvent>): State {
  const stop = stopOf(event, state);
  if (stop === null || stop.threadId === null) return state;
  const told = event.type === 'stop_located' ? event : writtenDown(stop.threadId, later());
  const at = told?.path ? { path: told.path, line: told.line } : placeOf(stop, state.breakpoints);
  const standing = [...others(state, stop.threadId), { thread: stop.threadId, stop, at }];
  return { ...state, standing, isStop: true, file: at?.path ?? state.file };
}

/** A place is a stop for who was not told of the stop. */
function stopOf(event: AnyEvent, { standing }: State): dap.Stopped | null {
  if (event.type === 'stop_located') {
    const { thread: threadId, reason } = event;
    return standing.some(({ thread }) => thread === threadId) ? null : readOr(dap.stoppedBody, { reason, threadId }, null);
  }
  if (event.type !== 'dap' || event.message.event !== 'stopped') return null;
  return readOr(dap.stoppedBody, event.message.body, null);
}

/** Where it stands, told before that thread is told of again. */
function writtenDown(thread: number, later: Iterable<AnyEvent>): EventOf<'stop_located'> | null {
  for (const event of later) {
    if (event.type === 'stop_located' && event.thread === thread) return event;
    if (event.type !== 'dap' || !['stopped', 'continued'].includes(event.message.event)) continue;
    if (readOr(ofThread, event.message.body, null)?.threadId === thread) return null;
  }
  return null;
}

const ofThread = object({ threadId: number });

/** By the breakpoint that it hit. */
function placeOf(stop: dap.Stopped, sets: readonly BreakpointSet[]): At | null {
  for (const { path, breakpoints } of sets) {
    if (path === null) continue;
    for (const { id, line } of linesOf(breakpoints)) {
      if (id !== null && line !== null && stop.hitBreakpointIds.some((hit) => hit === id)) return { path, line };
    }
  }
  return null;
}

export const linesOf = (breakpoints: readonly unknown[]): readonly dap.DapBreakpoint[] =>
  readOr(list(dap.breakpoint), breakpoints, []);

function withBreakpoints(state: State, set: BreakpointSet): State {
  const others = state.breakpoints.filter((each) => each.owner !== set.owner || each.path !== set.path);
  const breakpoints = set.breakpoints.length > 0 ? [...others, set] : others;
  return { ...state, breakpoints, file: set.path ?? state.file };
}

function pieceOf(event: AnyEvent): Printed | null {
  const isOutput = event.type === 'output' || (event.type === 'dap' && event.message.event === 'output');
  if (!isOutput) return null;
  const body = readOr(dap.outputBody, event.message.body, null);
  if (body === null || body.category === 'telemetry') return null;
  return { text: body.output, isError: body.category === 'stderr' };
}
