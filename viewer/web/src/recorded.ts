/** Each event of a recording in words: also those that the timeline, which is for what happens now, leaves out. */

import * as dap from './dap';
import { baseName } from './format';
import { linesOf } from './replay';
import { readOr } from './shape';
import type { Entry } from './store';
import { describe } from './timeline';
import type { AnyEvent, BreakpointSet, EventOf } from './wire';

export interface Told {
  readonly kind: Entry['kind'] | 'output' | 'breakpoint' | 'debugger';
  readonly text: string;
}

/** How much of a piece of output is told in a line. */
const LONGEST = 200;

export type Names = ReadonlyMap<string, string>;

export function tell(event: AnyEvent, names: Names): Told {
  switch (event.type) {
    case 'output':
      return { kind: 'output', text: printed(event.message.body) };
    case 'breakpoints_changed':
      return { kind: 'breakpoint', text: lines(event.breakpoints, names) };
    case 'lease_changed':
      return { kind: 'run', text: lease(event) };
    case 'debugger_attached':
      return { kind: 'debugger', text: describe(event)?.text ?? `debugger attached: debugpy ${event.debugpy}` };
    case 'debugger_detached':
      return { kind: 'debugger', text: describe(event)?.text ?? 'debugger detached' };
    default: {
      const entry = describe(event);
      if (entry !== null) return { kind: entry.kind, text: entry.text };
      return event.type === 'dap' ? spoken(event) : { kind: 'process', text: event.type };
    }
  }
}

function printed(body: unknown): string {
  const { output } = readOr(dap.outputBody, body, { output: '…', category: '' });
  const line = output.trimEnd();
  if (line === '') return 'printed the end of a line';
  return `printed ${line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line}`;
}

export const ownerOf = (owner: string, names: Names): string => names.get(owner) ?? 'somebody';

function lines({ owner, path, breakpoints }: BreakpointSet, names: Names): string {
  const whose = ownerOf(owner, names);
  const where = path === null ? 'on functions' : `in ${baseName(path)}`;
  if (breakpoints.length === 0) return `${whose} has no breakpoints ${where} any more`;
  const at = linesOf(breakpoints).flatMap(({ line }) => (line === null ? [] : [line]));
  if (at.length === 0) return `${whose} set ${breakpoints.length} ${where}`;
  return `${whose} stops ${where} at line${at.length === 1 ? '' : 's'} ${at.join(', ')}`;
}

const LEASE = {
  begun: 'something stands',
  renewed: 'somebody is still there: it goes on standing',
  ended: 'nothing stands any more',
} as const;

const lease = (event: EventOf<'lease_changed'>): string =>
  event.state === 'lapsed' ? (describe(event)?.text ?? 'nobody stayed') : LEASE[event.state];

function spoken({ message }: EventOf<'dap'>): Told {
  if (message.event === 'output') return { kind: 'output', text: printed(message.body) };
  if (message.event === 'thread') {
    const body = readOr(dap.threadBody, message.body, null);
    if (body !== null) return { kind: 'debugger', text: `thread ${body.threadId} ${body.reason}` };
  }
  return { kind: 'debugger', text: `debugger tells: ${message.event}` };
}
