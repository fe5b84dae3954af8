/** What the page knows of probes: `fold(probes, message)` and nothing else changes it. Pure.
 *
 *  Of all probes it knows what they are and their totals. One is followed: of that also its state in each process and
 *  what it brings, newest first and bounded. What it brought before is asked for, and comes together with what it
 *  brings meanwhile, so each result has a key. */

import type { AnyEvent, EventOf, Presence } from './wire';
import type { Probe, ProbeDetail, ProbeInfo, ProbePlace, ProbeSpec, ProbeStatus, Totals } from './wire_probes';

export type Result = EventOf<'snapshot_taken' | 'probe_logged' | 'watch_changed'>;

export interface Followed {
  readonly id: string;
  /** Its state by process, null where nothing was heard; null until that is known. */
  readonly processes: ReadonlyMap<string, ProbeStatus | null> | null;
  readonly results: readonly Result[];
  /** Older results are not here. */
  readonly more: boolean;
}

export interface Probes {
  readonly known: ReadonlyMap<string, ProbeInfo>;
  readonly followed: Followed | null;
  /** The lines that are used where they are others than asked for, by probe and process, as far as they were told. */
  readonly moved: Moved;
}

export type Moved = ReadonlyMap<string, ReadonlyMap<string, number>>;

export type Message =
  | { readonly kind: 'listed'; readonly probes: readonly ProbeInfo[] }
  | { readonly kind: 'changed'; readonly info: ProbeInfo }
  | { readonly kind: 'followed'; readonly id: string | null }
  | { readonly kind: 'shown'; readonly detail: ProbeDetail }
  | { readonly kind: 'brought'; readonly probe: string; readonly results: readonly Result[]; readonly more: boolean }
  | { readonly kind: 'event'; readonly event: AnyEvent };

export const RESULTS = 200;
/** Probes that are over; the oldest go first. */
export const ENDED = 50;

export const nothing: Probes = { known: new Map(), followed: null, moved: new Map() };

export function fold(probes: Probes, message: Message): Probes {
  switch (message.kind) {
    case 'listed':
      return {
        ...probes,
        known: bounded(new Map(message.probes.map((info) => [info.probe.id, info]))),
        moved: nothing.moved, // it is asked for anew
      };
    case 'changed':
      return withInfo(probes, message.info);
    case 'followed':
      if (message.id === (probes.followed?.id ?? null)) return probes;
      return { ...probes, followed: message.id === null ? null : following(message.id) };
    case 'shown': {
      const { info, processes } = message.detail;
      const states = new Map(processes.map(({ process, status }) => [process, status]));
      return withFollowed(withLines(withInfo(probes, info), info.probe.id, states), info.probe.id, (one) => ({ ...one, processes: states }));
    }
    case 'brought':
      return withFollowed(probes, message.probe, (one) => ({
        ...one,
        results: merged(one.results, message.results),
        more: message.more,
      }));
    case 'event':
      return withEvent(probes, message.event);
  }
}

const following = (id: string): Followed => ({ id, processes: null, results: [], more: false });

function withInfo(probes: Probes, info: ProbeInfo): Probes {
  const before = probes.known.get(info.probe.id);
  if (before !== undefined && before.probe.revision > info.probe.revision) return probes;
  const known = bounded(new Map(probes.known).set(info.probe.id, info));
  return { ...probes, known, moved: info.state === 'live' ? probes.moved : without(probes.moved, info.probe.id) };
}

function without(moved: Moved, id: string): Moved {
  if (!moved.has(id)) return moved;
  const others = new Map(moved);
  others.delete(id);
  return others;
}

/** What processes say of where a probe is: nothing new when it is where it was asked for. */
function withLines(probes: Probes, id: string, said: ReadonlyMap<string, ProbeStatus | null>): Probes {
  const info = probes.known.get(id);
  if (info?.state !== 'live') return probes;
  const before = probes.moved.get(id) ?? new Map<string, number>();
  const now = new Map(before);
  for (const [process, status] of said) {
    const line = movedTo(info.probe.spec.place, status);
    if (line === null) now.delete(process);
    else now.set(process, line);
  }
  if (now.size === before.size && [...now].every(([process, line]) => before.get(process) === line)) return probes;
  return { ...probes, moved: now.size === 0 ? without(probes.moved, id) : new Map(probes.moved).set(id, now) };
}

function movedTo(asked: ProbePlace | null, status: ProbeStatus | null): number | null {
  if (asked?.type !== 'line' || status === null) return null;
  const lines = status.places.filter(({ path }) => isFile(asked.path, path)).map(({ line }) => line);
  return lines.includes(asked.line) ? null : (lines[0] ?? null);
}

function withFollowed(probes: Probes, id: string, change: (one: Followed) => Followed): Probes {
  return probes.followed?.id === id ? { ...probes, followed: change(probes.followed) } : probes;
}

function withEvent(probes: Probes, event: AnyEvent): Probes {
  if (event.type === 'probe_changed') {
    const placed = withLines(probes, event.status.id, new Map([[event.process, event.status]]));
    return withFollowed(placed, event.status.id, (one) => ({
      ...one,
      processes: new Map(one.processes).set(event.process, event.status),
    }));
  }
  if (!isResult(event)) return probes;
  return withFollowed(probes, event.probe, (one) => ({ ...one, results: merged(one.results, [event]) }));
}

function bounded(known: Map<string, ProbeInfo>): Map<string, ProbeInfo> {
  const ended = [...known.values()].filter((info) => info.state !== 'live');
  ended.sort((a, b) => b.probe.created - a.probe.created);
  for (const info of ended.slice(ENDED)) known.delete(info.probe.id);
  return known;
}

export const isResult = (event: AnyEvent): event is Result =>
  event.type === 'snapshot_taken' || event.type === 'probe_logged' || event.type === 'watch_changed';

export const isSnapshot = (result: Result): result is EventOf<'snapshot_taken'> => result.type === 'snapshot_taken';

export const keyOf = (result: Result): string => `${result.boot}-${result.seq}`;

/** As `sonde_wire.bus.snapshot_id` makes it. */
export const snapshotId = (event: EventOf<'snapshot_taken'>): string => `${event.boot.slice(0, 12)}-${event.seq}`;

function merged(before: readonly Result[], more: readonly Result[]): readonly Result[] {
  const known = new Set(before.map(keyOf));
  const fresh = more.filter((result) => !known.has(keyOf(result)));
  if (fresh.length === 0) return before;
  return [...before, ...fresh].sort((a, b) => b.time - a.time || b.seq - a.seq).slice(0, RESULTS);
}

// In words ---------------------------------------------------------------------------------------------------

export const KINDS = {
  snapshot: 'Snapshot',
  log: 'Log',
  watch: 'Watch',
  counter: 'Count',
  gauge: 'Gauge',
  histogram: 'Histogram',
  timer: 'Time',
  exception: 'Exception',
} as const satisfies Record<ProbeSpec['kind']['type'], string>;

export const STATES = {
  waiting: 'not heard of yet',
  nowhere: 'no process is meant',
  pending: 'pending',
  active: 'active',
  hit: 'hit',
  throttled: 'throttled',
  suspended: 'suspended',
  expired: 'expired',
  removed: 'removed',
  error: 'error',
} as const;
export type State = keyof typeof STATES;

/** The state of a whole probe: that of some process which a person should know of first. */
export function stateOf({ state, totals }: ProbeInfo): State {
  if (state !== 'live') return state;
  const first = (['error', 'suspended', 'throttled', 'hit'] as const).find((each) => totals[each] > 0);
  if (first !== undefined) return first;
  if (totals.installed > 0) return 'active';
  if (totals.pending > 0) return 'pending';
  if (totals.expired > 0) return 'expired';
  return totals.processes > 0 ? 'waiting' : 'nowhere';
}

/** How many processes have it, and in which states the others are. */
export function spread(totals: Totals): string {
  const words = [
    `installed ${totals.installed}/${totals.processes}`,
    ...(['pending', 'throttled', 'suspended', 'expired', 'error'] as const).flatMap((state) =>
      totals[state] > 0 ? [`${totals[state]} ${STATES[state]}`] : [],
    ),
    ...(totals.unheard > 0 ? [`${totals.unheard} ${STATES.waiting}`] : []),
  ];
  return words.join(', ');
}

export function placeText(place: ProbePlace | null): string {
  if (place === null) return 'anywhere';
  return place.type === 'line' ? `${place.path}:${place.line}` : `${place.module}:${place.function} ${place.on}`;
}

/** What of the program it reads, as it was asked for. */
export function subject({ kind }: ProbeSpec): string {
  switch (kind.type) {
    case 'snapshot':
      return kind.expressions.join(', ');
    case 'log':
      return kind.template;
    case 'timer':
      return kind.until === null ? '' : `until line ${kind.until}`;
    case 'exception':
      return kind.types.join(', ') || 'what nobody catches';
    default:
      return kind.expression ?? '';
  }
}

export type Labels = Readonly<Record<string, string>>;

/** Whether a probe means a process: of its selector and labels, and one of the chosen where only some are. */
export function means({ spec: { target }, within, chosen }: Probe, process: string, labels: Labels): boolean {
  return (
    reaches(target.selector, process) &&
    within.some((selector) => reaches(selector, process)) &&
    Object.entries(target.labels).every(([name, value]) => labels[name] === value) &&
    (chosen === null || chosen.includes(process))
  );
}

/** Each level of a selector is a name, or the beginning of one and `*`. */
export function reaches(selector: string, process: string): boolean {
  const levels = process.split('/');
  return selector.split('/').every((wanted, index) => {
    const level = levels[index] ?? '';
    return wanted.endsWith('*') ? level.startsWith(wanted.slice(0, -1)) : level === wanted;
  });
}

/** Whether a path that a probe names is that of this file: it may be the end of it. */
export const isFile = (asked: string, path: string): boolean => path === asked || path.endsWith(`/${asked}`);

/** The probes on lines of a file that mean a process, with the line that each was asked for. */
export function inFile(known: Iterable<ProbeInfo>, { process, labels }: Presence, path: string): [Probe, number][] {
  return [...known].flatMap(({ probe, state }) => {
    const { place } = probe.spec;
    if (state !== 'live' || place?.type !== 'line' || !isFile(place.path, path)) return [];
    return means(probe, process, labels) ? [[probe, place.line]] : [];
  });
}

/** Their titles, by the line where they are. */
export function onLines(
  known: Iterable<ProbeInfo>,
  presence: Presence,
  path: string,
  moved: Moved,
): ReadonlyMap<number, string> {
  const titles = new Map<number, string>();
  for (const [probe, asked] of inFile(known, presence, path)) {
    const used = moved.get(probe.id)?.get(presence.process) ?? asked;
    const what = [`${KINDS[probe.spec.kind.type]} probe of ${probe.creator}`, subject(probe.spec)].filter(Boolean).join(': ');
    const title = used === asked ? what : `${what} (asked ${asked}, used ${used})`;
    const before = titles.get(used);
    titles.set(used, before === undefined ? title : `${before}\n${title}`);
  }
  return titles;
}
