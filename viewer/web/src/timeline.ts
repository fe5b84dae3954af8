/** Events in words, for the timeline. Those that only debuggers care about have none. */

import { inline } from './captured';
import { stoppedBody } from './dap';
import { baseName } from './format';
import { list, number, object, readOr, text } from './shape';
import type { Entry } from './store';
import type { AnyEvent, EventOf, Gap } from './wire';
import { value } from './wire_probes';

export const CLOSED = {
  viewer_left: '',
  broker_lost: ': its broker was lost',
  bus_lost: ': the bus was lost',
  process_ended: ': the process ended',
  debugger_lost: ': the debugger was lost',
} as const;

/** Those that do not follow from the sessions. */
const LOST = {
  connection_lost: 'lost',
  not_answering: 'did not answer any more and was dropped',
  last_session_closed: null,
  process_ended: null,
} as const;

const BECAME = {
  pending: 'waits for its code',
  active: 'is in place',
  hit: 'was hit',
  throttled: 'is throttled',
  suspended: 'is suspended',
  expired: 'has expired',
  error: 'does not work',
} as const;

export function describe(event: AnyEvent): Omit<Entry, 'key'> | null {
  const { process, time } = event;
  const entry = (kind: Entry['kind'], text: string) => ({ process, time, kind, text });
  switch (event.type) {
    case 'process_started':
      return entry('process', `started, pid ${event.pid}`);
    case 'process_ended':
      return entry('process', event.exit.message);
    case 'session_opened':
      return entry('session', `${event.viewer} began to debug${event.name === '' ? '' : `: ${event.name}`}`);
    case 'session_closed':
      return entry('session', `${event.viewer} stopped debugging${CLOSED[event.reason]}`);
    case 'debugger_attached':
      return event.again ? entry('session', 'debugger attached again, breakpoints set again') : null;
    case 'debugger_detached': {
      const how = LOST[event.reason];
      return how === null ? null : entry('session', `debugger ${how}; everything runs on`);
    }
    case 'seat_changed':
      return entry('session', describeSeat(event));
    case 'lease_changed':
      return event.state === 'lapsed' ? entry('run', 'nobody stayed: runs on, and breakpoints sleep') : null;
    case 'breakpoints_changed':
      return null; // the source shows them
    case 'output':
      return null; // the console shows it
    case 'dap':
      return describeDap(event, entry);
    case 'stop_located': {
      const at = event.path === null ? '' : ` at ${baseName(event.path)}:${event.line}`;
      return entry('stop', `stands${at}${event.function === '' ? '' : ` in ${event.function}`}`);
    }
    case 'probe_changed': {
      const { title, id, state, message } = event.status;
      const told = entry('probe', `probe ${title || id} ${BECAME[state]}${message === '' ? '' : `: ${message}`}`);
      return state === 'hit' || state === 'throttled' ? { ...told, subject: `${id} hits` } : told; // they take turns
    }
    case 'snapshot_taken':
    case 'probe_logged':
    case 'watch_changed':
      return { ...entry('probe', describeResult(event)), subject: event.probe };
  }
}

/** What a viewer will not get, and why. */
export function describeGap({ first, last, reason }: Gap): string {
  const count = last - first + 1;
  const [events, are] = count === 1 ? ['event', 'is'] : ['events', 'are'];
  switch (reason) {
    case 'slow_viewer':
      return `${count} ${events} left out: this page read too slowly`;
    case 'bus':
      return `${count} ${events} did not reach the broker`;
    case 'lost':
      return `${count} ${events} ${are} lost: nobody has them any more`;
    case 'too_many':
      return `${count} ${events} not told again, they were too many; the history may have them`;
  }
}

const top = object({ frames: list(object({ function: text, path: text, line: number })) });

function describeResult(event: EventOf<'snapshot_taken' | 'probe_logged' | 'watch_changed'>): string {
  switch (event.type) {
    case 'snapshot_taken': {
      const frame = readOr(top, event.captured, null)?.frames[0];
      return frame === undefined
        ? `snapshot ${event.hit} taken`
        : `snapshot ${event.hit} taken in ${frame.function}, ${baseName(frame.path)}:${frame.line}`;
    }
    case 'probe_logged':
      return `logged at ${baseName(event.path)}:${event.line}: ${event.message}`;
    case 'watch_changed': {
      const now = readOr(value, event.now, null);
      return `${event.expression} is now ${now === null ? '…' : inline(now)}, at ${baseName(event.path)}:${event.line}`;
    }
  }
}

function describeSeat({ reason, driver, viewer }: AnyEvent & { type: 'seat_changed' }): string {
  const name = viewer ?? driver;
  if (reason === 'asked') return `somebody asks ${name} for the driver’s seat`;
  if (name === null) return reason === 'lapsed' ? 'nobody drives: the driver did not stay' : 'nobody drives any more';
  return reason === 'granted' ? `${name} was given the driver’s seat` : `${name} drives`;
}

function describeDap(
  event: AnyEvent & { type: 'dap' },
  entry: (kind: Entry['kind'], text: string) => Omit<Entry, 'key'>,
): Omit<Entry, 'key'> | null {
  if (event.message.event === 'continued') return entry('run', 'runs again');
  if (event.message.event !== 'stopped') return null;
  const body = readOr(stoppedBody, event.message.body, null);
  return entry('stop', body === null ? 'stopped' : `stopped: ${[body.reason, body.text].filter(Boolean).join(', ')}`);
}
