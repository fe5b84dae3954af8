/** The parts of the Debug Adapter Protocol that the page reads, in DAP's own names and shapes.
 *  https://microsoft.github.io/debug-adapter-protocol/specification */

import { flag, list, number, object, or, text, type Of } from './shape';

export const stoppedBody = object({
  reason: text,
  threadId: or(number, null),
  description: or(text, null),
  text: or(text, null),
  allThreadsStopped: or(flag, false),
  hitBreakpointIds: or(list(number), []),
});
export type Stopped = Of<typeof stoppedBody>;

export const continuedBody = object({ threadId: or(number, null), allThreadsContinued: or(flag, true) });

export const threadBody = object({ reason: text, threadId: number });

export const outputBody = object({ output: text, category: or(text, 'console') });

export const breakpoint = object({
  id: or(number, null),
  verified: flag,
  message: or(text, null),
  line: or(number, null),
});
export type DapBreakpoint = Of<typeof breakpoint>;
export const setBreakpointsBody = object({ breakpoints: list(breakpoint) });
export const breakpointBody = object({ reason: text, breakpoint });

export const thread = object({ id: number, name: text });
export type Thread = Of<typeof thread>;
export const threadsBody = object({ threads: list(thread) });

const stackFrame = object({
  id: number,
  name: text,
  line: number,
  source: or(object({ path: or(text, null), name: or(text, null) }), null),
  presentationHint: or(text, 'normal'),
});
export type Frame = Of<typeof stackFrame>;
export const stackTraceBody = object({ stackFrames: list(stackFrame) });

export const scopesBody = object({
  scopes: list(object({ name: text, variablesReference: number, expensive: or(flag, false) })),
});
export type DapScope = Of<typeof scopesBody>['scopes'][number];

const variable = object({
  name: text,
  value: text,
  type: or(text, ''),
  variablesReference: or(number, 0),
});
export type Variable = Of<typeof variable>;
export const variablesBody = object({ variables: list(variable) });

export const evaluateBody = object({ result: text, type: or(text, '') });
