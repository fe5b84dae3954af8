/** Readers: functions that turn an unknown JSON value into a typed one, or throw `Malformed`.
 *
 *  A type of the wire is the type of its reader (`Of<typeof reader>`), so that what is declared is what is
 *  checked. Unknown fields are left out: a newer peer may send some. */

export type Reader<T> = (value: unknown, at: string) => T;
export type Of<R> = R extends Reader<infer T> ? T : never;

export class Malformed extends Error {
  constructor(
    readonly at: string,
    readonly expected: string,
  ) {
    super(`${at} is not ${expected}`);
  }
}

const primitive =
  <T>(expected: string, is: (value: unknown) => value is T): Reader<T> =>
  (value, at) => {
    if (!is(value)) throw new Malformed(at, expected);
    return value;
  };

export const text = primitive('a text', (v): v is string => typeof v === 'string');
export const number = primitive('a number', (v): v is number => typeof v === 'number');
export const flag = primitive('true or false', (v): v is boolean => typeof v === 'boolean');
export const anything: Reader<unknown> = (value) => value;

export const oneOf = <const T extends string>(...words: readonly T[]): Reader<T> =>
  primitive(`one of ${words.join(', ')}`, (v): v is T => words.includes(v as T));

/** A field that may be absent or null. */
export const or =
  <T, F>(reader: Reader<T>, fallback: F): Reader<T | F> =>
  (value, at) =>
    value === undefined || value === null ? fallback : reader(value, at);

export const list =
  <T>(item: Reader<T>): Reader<readonly T[]> =>
  (value, at) => {
    if (!Array.isArray(value)) throw new Malformed(at, 'a list');
    return value.map((element: unknown, index) => item(element, `${at}[${index}]`));
  };

/** What a value is, or the fallback when it is something else. */
export function readOr<T, F>(reader: Reader<T>, value: unknown, fallback: F): T | F {
  try {
    return reader(value, 'value');
  } catch (problem) {
    if (!(problem instanceof Malformed)) throw problem;
    return fallback;
  }
}

/** Each element by itself, so that one that is malformed does not cost the others: it is left out, with a line in the
 *  browser's console. */
export function readEach<T>(raw: readonly unknown[], item: Reader<T>): readonly T[] {
  return raw.flatMap((value) => {
    try {
      return [item(value, 'item')];
    } catch (problem) {
      if (!(problem instanceof Malformed)) throw problem;
      console.warn('an item was not understood:', problem.message);
      return [];
    }
  });
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const dictionary =
  <T>(item: Reader<T>): Reader<Readonly<Record<string, T>>> =>
  (value, at) => {
    if (!isObject(value)) throw new Malformed(at, 'an object');
    return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, item(v, `${at}.${key}`)]));
  };

export const object =
  <S extends Record<string, Reader<unknown>>>(fields: S): Reader<{ readonly [K in keyof S]: Of<S[K]> }> =>
  (value, at) => {
    if (!isObject(value)) throw new Malformed(at, 'an object');
    const read = Object.entries(fields).map(([key, reader]) => [key, reader(value[key], `${at}.${key}`)]);
    return Object.fromEntries(read) as { readonly [K in keyof S]: Of<S[K]> };
  };

/** One of several objects, told apart by their field `type`. */
export const tagged =
  <M extends Record<string, Reader<unknown>>>(
    kinds: M,
  ): Reader<{ [K in keyof M]: { readonly type: K } & Of<M[K]> }[keyof M]> =>
  (value, at) => {
    const tag = isObject(value) ? value['type'] : undefined;
    const reader = typeof tag === 'string' && Object.hasOwn(kinds, tag) ? kinds[tag] : undefined;
    if (reader === undefined) throw new Malformed(`${at}.type`, `one of ${Object.keys(kinds).join(', ')}`);
    return { type: tag, ...(reader(value, at) as object) } as never;
  };
