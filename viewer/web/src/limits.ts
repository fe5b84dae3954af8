/** The limits of a probe as somebody writes them into its form: how often it may be hit, and how much of values is taken.
 *  Pure. Nothing written means what the wire's definition says, which the form shows in its place. */

import { numberIn, type Range } from './written';
import type { Kind } from './wire_probes';

type KindName = Kind['type'];

export interface Limit extends Range {
  readonly label: string;
  /** What it means, where the label alone does not say it. */
  readonly about: string;
  /** What holds when nothing is written; null: no limit. */
  readonly usual: number | null | ((kind: KindName, rate: number | null) => number | null);
  /** What is written, by what the wire has: percent, milliseconds. */
  readonly scale?: number;
}

const whole = (least: number, most: number): Range => ({ least, most, whole: true });
const above = (least: number, most: number): Range => ({ least, most, whole: false });

const MEASURES: readonly KindName[] = ['counter', 'gauge', 'histogram', 'timer'];
const usualRate = (kind: KindName) => (MEASURES.includes(kind) ? null : kind === 'log' ? 100 : 1);
/** In each process. */
export const usualHits = (kind: KindName): number | null => (MEASURES.includes(kind) ? null : 100);

export const OFTEN = {
  rate: {
    ...above(0, 10_000),
    label: 'Hits a second',
    about: 'In each process; what comes more often is not seen.',
    usual: usualRate,
  },
  burst: {
    ...whole(1, 10_000),
    label: 'At once',
    about: 'So many hits may follow one another at once before the rate holds.',
    usual: (kind, rate) => {
      const each = rate ?? usualRate(kind);
      return each === null ? null : Math.max(1, Math.floor(each));
    },
  },
  sample: {
    ...above(0, 100),
    label: 'Share of hits, %',
    about: 'Only that share of the hits counts, chosen by chance.',
    usual: 100,
    scale: 100,
  },
} as const satisfies Record<string, Limit>;

export const CAPTURE = {
  frames: { ...whole(1, 200), label: 'Frames', about: 'Of the stack, from the innermost.', usual: 20 },
  frames_with_locals: {
    ...whole(0, 50),
    label: 'With locals',
    about: 'So many of the frames, from the innermost, with their local variables.',
    usual: 5,
  },
  depth: { ...whole(0, 10), label: 'Depth', about: 'How deep values are taken.', usual: 3 },
  items: { ...whole(0, 10_000), label: 'Items', about: 'Of each list, dict or other collection.', usual: 100 },
  length: { ...whole(1, 100_000), label: 'Characters', about: 'Of one text.', usual: 255 },
  fields: { ...whole(0, 1000), label: 'Fields', about: 'Of each object.', usual: 20 },
  size: { ...whole(256, 262_144), label: 'Bytes in all', about: 'Of one snapshot.', usual: 65_536 },
  seconds: {
    ...above(0, 1000),
    label: 'Milliseconds',
    about: 'In which one snapshot is taken; what is not taken by then is left out.',
    usual: 50,
    scale: 1000,
  },
} as const satisfies Record<string, Limit>;

export type OftenName = keyof typeof OFTEN;
export type CaptureName = keyof typeof CAPTURE;
export type LimitName = OftenName | CaptureName;
/** As it was written. */
export type Limits = Readonly<Partial<Record<LimitName, string>>>;

const OF_VALUES: readonly CaptureName[] = ['depth', 'items', 'length', 'fields'];

/** Those of what a kind takes. */
export function captureOf(kind: KindName): readonly CaptureName[] {
  if (kind === 'snapshot' || kind === 'exception') return Object.keys(CAPTURE) as CaptureName[];
  return kind === 'log' || kind === 'watch' ? OF_VALUES : [];
}

export const OFTEN_NAMES = Object.keys(OFTEN) as OftenName[];

/** What stands in an empty field. */
export function usual(limit: Limit, kind: KindName, limits: Limits): string {
  const rate = Number(limits.rate);
  const value = typeof limit.usual === 'function' ? limit.usual(kind, rate > 0 ? rate : null) : limit.usual;
  return value === null ? 'no limit' : String(value);
}

/** The fields of the spec that were written. Throws `Incomplete`. */
export function limitsOf(kind: KindName, limits: Limits): object {
  const capture = read(CAPTURE, captureOf(kind), limits);
  return { ...read(OFTEN, OFTEN_NAMES, limits), ...(Object.keys(capture).length === 0 ? {} : { capture }) };
}

function read<Name extends LimitName>(table: Record<Name, Limit>, names: readonly Name[], limits: Limits): object {
  return Object.fromEntries(
    names.flatMap((name) => {
      const number = numberIn(name, limits[name] ?? '', table[name], table[name].label);
      return number === null ? [] : [[name, number / (table[name].scale ?? 1)]];
    }),
  );
}
