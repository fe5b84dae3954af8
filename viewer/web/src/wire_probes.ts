/** What the page and the broker say to each other of probes. `wire/sonde_wire/probes.py` is the definition, as
 *  `wire.ts` says of the rest. */

import { anything, dictionary, flag, list, number, object, oneOf, or, tagged, text, type Of, type Reader } from './shape';

// What is asked for ------------------------------------------------------------------------------------------

const kind = tagged({
  snapshot: object({ expressions: or(list(text), []) }),
  log: object({ template: text }),
  counter: object({ expression: or(text, null) }),
  gauge: object({ expression: text }),
  histogram: object({ expression: text }),
  timer: object({ until: or(number, null) }),
  exception: object({ types: or(list(text), []) }),
  watch: object({ expression: text }),
});
export type Kind = Of<typeof kind>;

const place = tagged({
  line: object({ path: text, line: number }),
  function: object({ module: text, function: text, on: or(oneOf('entry', 'exit'), 'entry') }),
});
export type ProbePlace = Of<typeof place>;

const EVERYWHERE = '*/*/*';
const target = object({
  selector: or(text, EVERYWHERE),
  labels: or(dictionary(text), {}),
  canaries: or(number, null),
});
export type Target = Of<typeof target>;

const spec = object({
  kind,
  place: or(place, null),
  target: or(target, { selector: EVERYWHERE, labels: {}, canaries: null }),
  name: or(text, ''),
  condition: or(text, null),
  python: or(flag, false),
  calls_user_code: or(flag, false),
  sample: or(number, 1),
  max_hits: or(number, null),
  rate: or(number, null),
});
export type ProbeSpec = Of<typeof spec>;

const probe = object({
  id: text,
  spec,
  creator: text,
  created: number,
  expires: number,
  within: or(list(text), [EVERYWHERE]),
  chosen: or(list(text), null),
  revision: or(number, 1),
});
export type Probe = Of<typeof probe>;

// What has become of it --------------------------------------------------------------------------------------

const totals = object({
  processes: or(number, 0),
  installed: or(number, 0),
  pending: or(number, 0),
  hit: or(number, 0),
  throttled: or(number, 0),
  suspended: or(number, 0),
  expired: or(number, 0),
  error: or(number, 0),
  unheard: or(number, 0),
  hits: or(number, 0),
});
export type Totals = Of<typeof totals>;

export const probeInfo = object({
  probe,
  totals,
  state: or(oneOf('live', 'removed', 'expired'), 'live' as const),
});
export type ProbeInfo = Of<typeof probeInfo>;

/** Of a timer in seconds. */
const measured = object({
  count: number,
  total: or(number, 0),
  last: or(number, null),
  least: or(number, null),
  most: or(number, null),
  p50: or(number, null),
  p90: or(number, null),
  p99: or(number, null),
});
export type Measured = Of<typeof measured>;

const status = object({
  id: text,
  state: oneOf('pending', 'active', 'hit', 'throttled', 'suspended', 'expired', 'error'),
  message: or(text, ''),
  hits: or(number, 0),
  last_hit: or(number, null),
  dropped: or(number, 0),
  failures: or(number, 0),
  failure: or(text, ''),
  places: or(list(object({ path: text, line: number, function: or(text, '') })), []),
  cpu: or(number, 0),
  measured: or(measured, null),
  engine: or(text, ''),
  title: or(text, ''),
});
export type ProbeStatus = Of<typeof status>;

const inProcess = object({ process: text, status: or(status, null) });
export type ProbeInProcess = Of<typeof inProcess>;

export const probeList = object({ probes: list(probeInfo) });
export const probeDetail = object({ info: probeInfo, processes: list(inProcess) });
export type ProbeDetail = Of<typeof probeDetail>;

/** Items of both are read one by one by whoever keeps them. */
export const probeItems = object({ probes: list(anything) });
export const probeResults = object({ events: or(list(anything), []), more: or(flag, false) });

// What it brings ---------------------------------------------------------------------------------------------

/** One value, as far as it was taken. Which fields there are tells what it is. */
export interface Value {
  readonly type: string;
  readonly value: string | null;
  readonly size: number | null;
  readonly items: readonly Value[] | null;
  readonly entries: readonly (readonly [Value, Value])[] | null;
  readonly fields: readonly (readonly [string, Value])[] | null;
  readonly id: number | null;
  /** It stands further up, with the same `id`. */
  readonly seen: boolean;
  readonly cut: 'depth' | 'items' | 'length' | 'fields' | 'bytes' | 'time' | null;
  readonly redacted: boolean;
  /** A summary in place of data. */
  readonly note: string;
}

const inner: Reader<Value> = (item, at) => value(item, at);
export const value: Reader<Value> = object({
  type: text,
  value: or(text, null),
  size: or(number, null),
  items: or(list(inner), null),
  entries: or(list(pair(inner, inner)), null),
  fields: or(list(pair(text, inner)), null),
  id: or(number, null),
  seen: or(flag, false),
  cut: or(oneOf('depth', 'items', 'length', 'fields', 'bytes', 'time'), null),
  redacted: or(flag, false),
  note: or(text, ''),
});

function pair<A, B>(first: Reader<A>, second: Reader<B>): Reader<readonly [A, B]> {
  return (item, at) => {
    const [a, b] = list(anything)(item, at);
    return [first(a, `${at}[0]`), second(b, `${at}[1]`)];
  };
}

export const captured = object({
  frames: list(
    object({
      path: text,
      line: number,
      function: text,
      module: or(text, ''),
      locals: or(list(pair(text, value)), null),
    }),
  ),
  thread: object({ id: number, name: or(text, '') }),
  duration: number,
  expressions: or(list(object({ text, node: or(value, null), error: or(text, '') })), []),
  task: or(object({ name: text, coroutine: or(text, '') }), null),
  context: or(dictionary(value), {}),
  exception: or(object({ type: text, message: or(text, ''), caught: or(flag, null) }), null),
});
export type Captured = Of<typeof captured>;
export type CapturedFrame = Captured['frames'][number];

/** The events of probes, without what all events have. Values are read by whoever shows them: a page that is told of
 *  a whole fleet's snapshots opens few. */
export const PROBE_EVENTS = {
  probe_changed: { status },
  snapshot_taken: { probe: text, hit: number, captured: anything },
  probe_logged: { probe: text, hit: number, message: text, path: text, line: number, thread: or(text, '') },
  watch_changed: {
    probe: text,
    hit: number,
    expression: text,
    now: anything,
    before: or(anything, null),
    path: text,
    line: number,
    thread: or(text, ''),
  },
} as const;
