/** The breakpoints of one process as this viewer wants them, and what became of each. Pure functions.
 *
 *  `line` is where it was asked for, `actual` where debugpy put it (the next line that has code).
 *  pending: not sent, or sent and not yet answered; set: stops there; unset: will not stop, `message` says why. */

import type { DapBreakpoint } from './dap';

export interface Breakpoint {
  readonly path: string;
  readonly line: number;
  readonly condition: string;
  readonly state: 'pending' | 'set' | 'unset';
  readonly id: number | null;
  readonly actual: number;
  readonly message: string;
}

export type Breakpoints = readonly Breakpoint[];

export const fresh = (path: string, line: number, condition = ''): Breakpoint => ({
  path,
  line,
  condition,
  state: 'pending',
  id: null,
  actual: line,
  message: '',
});

export const inFile = (all: Breakpoints, path: string): Breakpoints => all.filter((b) => b.path === path);

const stands = (b: Breakpoint, path: string, line: number) => b.path === path && b.actual === line;

/** Takes away what stands on the line, or puts a breakpoint there. */
export function toggle(all: Breakpoints, path: string, line: number): Breakpoints {
  const others = all.filter((b) => !stands(b, path, line));
  return others.length < all.length ? others : [...all, fresh(path, line)];
}

export function withCondition(all: Breakpoints, target: Breakpoint, condition: string): Breakpoints {
  return all.map((b) => (b.path === target.path && b.line === target.line ? { ...fresh(b.path, b.line, condition), actual: b.actual } : b));
}

const taught = (b: Breakpoint, said: DapBreakpoint): Breakpoint => ({
  ...b,
  id: said.id ?? b.id,
  state: said.verified ? 'set' : 'unset',
  actual: said.line ?? b.actual,
  message: said.message ?? '',
});

/** Those of `sent` that are still wanted learn what became of them. */
export function answered(all: Breakpoints, sent: Breakpoints, said: readonly DapBreakpoint[]): Breakpoints {
  return all.map((b) => {
    const answer = said[sent.indexOf(b)];
    return answer === undefined ? b : taught(b, answer);
  });
}

/** DAP's `breakpoint` event: something about one of them changed. */
export const changed = (all: Breakpoints, said: DapBreakpoint): Breakpoints =>
  said.id === null ? all : all.map((b) => (b.id === said.id ? taught(b, said) : b));

export const failed = (all: Breakpoints, sent: Breakpoints, message: string): Breakpoints =>
  all.map((b) => (sent.includes(b) ? { ...b, state: 'unset', message } : b));

/** Without a session none is in force, and debugpy's ids mean nothing any more. */
export const forgotten = (all: Breakpoints): Breakpoints =>
  all.map((b) => ({ ...fresh(b.path, b.line, b.condition) }));

/** As they are while no breakpoint of the process is armed. */
export const asleep = (all: Breakpoints): Breakpoints =>
  all.map((b) => (b.state === 'set' ? { ...b, state: 'pending', message: 'Asleep, because nobody stayed.' } : b));
