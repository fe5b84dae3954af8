/** Events in words, for the timeline. Those that only debuggers care about have none. */

import { stoppedBody } from './dap';
import { Malformed } from './shape';
import type { Entry } from './store';
import type { AnyEvent } from './wire';

const CLOSED = {
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

export function describe(event: AnyEvent): Omit<Entry, 'key'> | null {
  const { process, time } = event;
  const entry = (kind: Entry['kind'], text: string) => ({ process, time, kind, text });
  switch (event.type) {
    case 'process_started':
      return entry('process', `started, pid ${event.pid}`);
    case 'process_ended':
      return entry('process', event.exit.message);
    case 'session_opened':
      return entry('session', `${event.viewer} began to debug`);
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
    case 'dap':
      return describeDap(event, entry);
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
  try {
    const body = stoppedBody(event.message.body, 'stopped');
    return entry('stop', `stopped: ${[body.reason, body.text].filter(Boolean).join(', ')}`);
  } catch (problem) {
    if (!(problem instanceof Malformed)) throw problem;
    return entry('stop', 'stopped');
  }
}
