/** What somebody writes into the form of a new probe, and the probe that it asks for. Pure.
 *
 *  Whether an expression is allowed is the broker's to say; its sentence names the offending part, and `marked` finds
 *  it in what was written. */

import { captureOf, limitsOf, type LimitName, type Limits } from './limits';
import { Incomplete, numberIn } from './written';
import type { Kind } from './wire_probes';

export interface Draft {
  readonly kind: Kind['type'];
  /** `file:line`, or `module:function` with `entry` or `exit` behind it. */
  readonly where: string;
  /** By kind: a log's text, expressions one a line, or names of exceptions. */
  readonly text: string;
  readonly until: string;
  readonly condition: string;
  readonly selector: string;
  /** As `name=value, name=value`. */
  readonly labels: string;
  readonly canaries: string;
  readonly hits: string;
  /** Seconds. */
  readonly ttl: number;
  readonly name: string;
  readonly limits: Limits;
  readonly python: boolean;
  /** Values are shown by the program's own `__repr__`. */
  readonly reprs: boolean;
}

/** What the form has an input for. */
export type Field = keyof Draft | LimitName;

export const HOUR = 3600;
export const TTLS: readonly (readonly [number, string])[] = [
  [300, '5 minutes'],
  [HOUR, '1 hour'],
  [8 * HOUR, '8 hours'],
  [24 * HOUR, '24 hours'],
];

export const fresh = (where: string, selector: string): Draft => ({
  kind: 'log',
  where,
  text: '',
  until: '',
  condition: '',
  selector,
  labels: '',
  canaries: '',
  hits: '',
  ttl: HOUR,
  name: '',
  limits: {},
  python: false,
  reprs: false,
});

const MOST_CANARIES = 10_000;
const LAST_LINE = 10_000_000;

/** The spec of the probe, as the wire has it. Throws `Incomplete`. */
export function specOf(draft: Draft): object {
  const canaries = count('canaries', draft.canaries, MOST_CANARIES);
  const hits = count('hits', draft.hits);
  const limits = limitsOf(draft.kind, draft.limits);
  const name = draft.name.trim();
  const place = placeOf(draft);
  const labels = labelsOf(draft);
  return {
    kind: kindOf(draft),
    ...(place === null ? {} : { place }),
    target: {
      selector: draft.selector,
      ...(labels === null ? {} : { labels }),
      ...(canaries === null ? {} : { canaries }),
    },
    ...(name === '' ? {} : { name }),
    ...(draft.condition.trim() === '' ? {} : { condition: draft.condition.trim() }),
    ...(draft.python ? { python: true } : {}),
    ...(draft.reprs && showsValues(draft.kind) ? { calls_user_code: true } : {}),
    ...(hits === null ? {} : { max_hits: hits }),
    ...limits,
    ttl: draft.ttl,
  };
}

export const showsValues = (kind: Draft['kind']): boolean => captureOf(kind).length > 0;

function placeOf({ kind, where }: Draft): object | null {
  const text = where.trim();
  if (text === '' && kind === 'exception') return null;
  const line = /^(.+):(\d+)$/.exec(text);
  if (line !== null) return { type: 'line', path: line[1], line: Number(line[2]) };
  const called = /^([^\s:/\\]+):([^\s:]+)(?:\s+(entry|exit))?$/.exec(text);
  if (called === null) {
    throw new Incomplete('where', 'Write a place as file.py:33, or module:function with entry or exit behind it.');
  }
  return { type: 'function', module: called[1], function: called[2], on: called[3] ?? 'entry' };
}

function kindOf(draft: Draft): object {
  const { kind } = draft;
  const text = draft.text.trim();
  switch (kind) {
    case 'snapshot':
      return { type: kind, expressions: lines(text) };
    case 'exception':
      return { type: kind, types: text.split(/[\s,]+/).filter(Boolean) };
    case 'counter':
      return { type: kind, ...(text === '' ? {} : { expression: text }) };
    case 'timer': {
      const until = count('until', draft.until, LAST_LINE);
      return { type: kind, ...(until === null ? {} : { until }) };
    }
    case 'log':
      if (text === '') throw new Incomplete('text', 'Write what to log, such as total={order.total}.');
      return { type: kind, template: draft.text };
    default:
      if (text === '') throw new Incomplete('text', 'Write an expression, such as order.total.');
      return { type: kind, expression: text };
  }
}

function labelsOf({ labels }: Draft): object | null {
  const pairs = labels.split(/[\s,]+/).filter(Boolean);
  if (pairs.length === 0) return null;
  return Object.fromEntries(
    pairs.map((pair) => {
      const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
      if (name === '' || value === '' || !pair.includes('=')) {
        throw new Incomplete('labels', 'Write labels as name=value, such as version=1.4.2, with commas between.');
      }
      return [name, value];
    }),
  );
}

const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

const count = (field: Field, text: string, most = Infinity): number | null =>
  numberIn(field, text, { least: 1, most, whole: true });

/** A refusal of something that was written: which field, what is wrong, and where the offending part is, when that can
 *  be told. */
export interface Marked {
  readonly field: 'text' | 'condition';
  readonly message: string;
  readonly before: string;
  readonly part: string;
  readonly after: string;
}

/** `kind.template: at 7, 'f(x)': ...`: where in the spec, the place from 1, and the part as Python would write it. */
const REFUSAL = /^(condition|kind\.(?:template|expression|expressions\[(\d+)\])): ((?:at (\d+), (?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"): )?.*)/s;

/** What the broker's sentence says of the draft, or null when it is not about something that was written. */
export function marked(sentence: string, draft: Draft): Marked | null {
  const found = REFUSAL.exec(sentence);
  if (found === null) return null;
  const [, where, index, message = '', at, single, double] = found;
  const field = where === 'condition' ? 'condition' : 'text';
  const text = field === 'condition' ? draft.condition.trim() : asWritten(draft, Number(index ?? 0));
  const part = (single ?? double ?? '').replace(/\\(['"\\])/g, '$1');
  const asked = Number(at ?? 1) - 1;
  const position = text.startsWith(part, asked) ? asked : text.indexOf(part); // that of Python counts within the braces
  if (part === '' || position < 0) return { field, message, before: '', part: '', after: '' };
  return { field, message, before: text.slice(0, position), part, after: text.slice(position + part.length) };
}

/** The text that the spec carries, as `kindOf` made it. */
function asWritten({ kind, text }: Draft, index: number): string {
  if (kind === 'log') return text;
  return kind === 'snapshot' ? (lines(text)[index] ?? '') : text.trim();
}
