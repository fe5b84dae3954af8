/** Captured values in words and parts. They are as the process took them: bounded, and redacted there. */

import type { Captured, Value } from './wire_probes';

/** One value inside another, with how it is reached from it. */
export interface Part {
  readonly name: string;
  readonly value: Value;
}

const CUT = {
  depth: 'not looked into further',
  items: 'not all items were taken',
  length: 'the text goes on',
  fields: 'not all fields were taken',
  bytes: 'no room was left for more',
  time: 'no time was left for more',
} as const;

export function parts(value: Value): readonly Part[] {
  return [
    ...(value.fields ?? []).map(([name, inner]) => ({ name, value: inner })),
    ...(value.items ?? []).map((inner, index) => ({ name: `[${index}]`, value: inner })),
    ...(value.entries ?? []).map(([key, inner]) => ({ name: `[${inline(key)}]`, value: inner })),
  ];
}

/** What there is to say of a value besides what it is; empty when there is nothing. */
export function remark(value: Value): string {
  const taken = value.items?.length ?? value.entries?.length ?? 0;
  const size = value.size !== null && value.size !== taken ? `${value.size} in all` : '';
  const items = value.cut === 'items' && size !== ''; // which says it too
  return [
    value.redacted ? 'redacted' : '',
    value.seen ? 'the same as further up' : '',
    value.cut === null || items ? '' : CUT[value.cut],
    size,
  ]
    .filter(Boolean)
    .join('; ');
}

/** A value in one line of about `room` characters. */
export function inline(value: Value, room = 80): string {
  if (value.redacted) return 'redacted';
  if (value.value !== null) return clipped(value.value, room);
  if (value.note !== '') return clipped(value.note, room);
  if (value.seen) return '…';
  const inner = (each: Value) => inline(each, room / 2);
  if (value.items !== null) return clipped(`[${joined(value, value.items.map(inner))}]`, room);
  if (value.entries !== null) {
    const texts = value.entries.map(([key, item]) => `${inner(key)}: ${inner(item)}`);
    return clipped(`{${joined(value, texts)}}`, room);
  }
  if (value.fields !== null) {
    const texts = value.fields.map(([name, field]) => `${name}=${inner(field)}`);
    return clipped(`${shortType(value.type)}(${joined(value, texts)})`, room);
  }
  return value.size === null ? '…' : `… ${value.size}`;
}

const SHOWN = 5;

function joined(value: Value, texts: readonly string[]): string {
  const all = texts.length <= SHOWN && value.cut === null;
  return [...texts.slice(0, SHOWN), ...(all ? [] : ['…'])].join(', ');
}

export const shortType = (type: string): string => type.slice(type.lastIndexOf('.') + 1);

const clipped = (text: string, room: number): string =>
  text.length <= room ? text : `${text.slice(0, Math.max(1, Math.floor(room) - 1))}…`;

// A snapshot, and what is different in it --------------------------------------------------------------------

/** What a value is compared with, null when it is with nothing; its value is null when it was not there. */
export type Before = { readonly value: Value | null } | null;

export interface Entry {
  readonly name: string;
  /** Null when there is none; then `error` says why. */
  readonly value: Value | null;
  readonly error: string;
  readonly before: Before;
}

export interface Root {
  readonly name: string;
  readonly entries: readonly Entry[];
  /** What to say when it has none. */
  readonly none: string;
}

type Named = readonly { readonly name: string; readonly value: Value | null; readonly error: string }[];

const plain = (values: Iterable<readonly [string, Value]>): Named =>
  [...values].map(([name, value]) => ({ name, value, error: '' }));

/** Expressions, the locals of a frame, and context variables, compared with those of another snapshot. */
export function rootsOf(content: Captured, at: number, other: Captured | null): readonly Root[] {
  const frame = content.frames[at];
  const twin = other?.frames.find((each) => each.path === frame?.path && each.function === frame.function);
  const expressions = ({ expressions: all }: Captured): Named =>
    all.map(({ text, node, error }) => ({ name: text, value: node, error }));
  const context = ({ context: all }: Captured) => plain(Object.entries(all));
  const root = (name: string, mine: Named, theirs: Named | null, none = '') => ({
    name,
    entries: compared(mine, theirs),
    none,
  });
  const none = frame?.locals ? 'none' : 'of this frame they were not taken';
  return [
    root('Expressions', expressions(content), other && expressions(other)),
    root('Locals', plain(frame?.locals ?? []), twin?.locals ? plain(twin.locals) : null, none),
    root('Context', context(content), other && context(other)),
  ].filter(({ name, entries }) => name === 'Locals' || entries.length > 0);
}

function compared(mine: Named, theirs: Named | null): readonly Entry[] {
  if (theirs === null) return mine.map((each) => ({ ...each, before: null }));
  const before = new Map(theirs.map(({ name, value }) => [name, value]));
  const names = new Set(mine.map(({ name }) => name));
  return [
    ...mine.map((each) => ({ ...each, before: { value: before.get(each.name) ?? null } })),
    ...theirs
      .filter(({ name }) => !names.has(name))
      .map(({ name }) => ({ name, value: null, error: 'is not there any more', before: null })),
  ];
}

/** What a part of a value is compared with. */
export function beforeOf(before: Before, name: string): Before {
  if (before === null || before.value === null) return null;
  return { value: parts(before.value).find((part) => part.name === name)?.value ?? null };
}

/** How a value differs from what it is compared with; empty when it does not. */
export function change(value: Value, before: Before): string {
  if (before === null) return '';
  if (before.value === null) return 'new';
  return bare(before.value) === bare(value) ? '' : `was ${inline(before.value, 60)}`;
}

/** Without the numbers of objects, which each snapshot gives anew. */
const bare = (value: Value): string => JSON.stringify(value, (key, inner: unknown) => (key === 'id' ? undefined : inner));
