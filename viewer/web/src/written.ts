/** Numbers that somebody writes into a field, read or refused with a sentence for who fills it in. Pure. */

/** What is wrong with a field. */
export class Incomplete<Field extends string = string> extends Error {
  constructor(
    readonly field: Field,
    message: string,
  ) {
    super(message);
  }
}

export interface Range {
  /** The least there may be; of what is not whole, it must be more than that. */
  readonly least: number;
  readonly most: number;
  readonly whole: boolean;
}

/** Null for nothing. Throws `Incomplete`; `label` says which of many fields it is about. */
export function numberIn<Field extends string>(
  field: Field,
  text: string,
  range: Range,
  label = '',
): number | null {
  const written = text.trim();
  if (written === '') return null;
  const number = /^\d*\.?\d+(e[-+]?\d+)?$/i.test(written) ? Number(written) : NaN;
  const { least, most, whole } = range;
  const fits = whole ? Number.isInteger(number) && number >= least : number > least;
  if (fits && number <= most) return number;
  const from = whole ? `a whole number from ${String(least)}` : `a number above ${String(least)}`;
  const to = most === Infinity ? '' : ` ${whole ? 'to' : 'and at most'} ${String(most)}`;
  throw new Incomplete(field, `${label === '' ? 'Write' : `${label}: write`} ${from}${to}, or nothing.`);
}
