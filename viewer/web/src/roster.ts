/** The process list: which processes match the filter, how each one is, and in which order they stand. */

import type { Presence } from './wire';

export type Condition = 'paused' | 'debugged' | 'running' | 'lost' | 'ended';

export const CONDITIONS: readonly Condition[] = ['paused', 'debugged', 'running', 'lost', 'ended'];

export function conditionOf(presence: Presence): Condition {
  if (presence.state !== 'online') return presence.state;
  if (presence.stopped_threads > 0) return 'paused';
  return presence.sessions.length > 0 || presence.debugger === 'attached' ? 'debugged' : 'running';
}

export const levels = (process: string): { namespace: string; service: string; instance: string } => {
  const [namespace = '', service = '', instance = ''] = process.split('/');
  return { namespace, service, instance };
};

/** Every word must match: `state:paused`, `service:`, `namespace:`, `host:`, `python:`, `<label>:`, or any part
 *  of the process's name, host, pid or main script. */
export function matches(presence: Presence, filter: string): boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const name = levels(presence.process);
  const facts: Record<string, string> = {
    ...presence.labels,
    ...name,
    state: conditionOf(presence),
    host: presence.host,
    python: presence.python,
    pid: String(presence.pid),
  };
  const anywhere = [presence.process, presence.host, presence.pid, presence.main ?? ''].join(' ').toLowerCase();
  return words.every((word) => {
    const colon = word.indexOf(':');
    const fact = colon > 0 ? facts[word.slice(0, colon)] : undefined;
    return fact === undefined ? anywhere.includes(word) : fact.toLowerCase().startsWith(word.slice(colon + 1));
  });
}

export type Row =
  | { readonly kind: 'group'; readonly key: string; readonly label: string; readonly size: number }
  | {
      readonly kind: 'process';
      readonly key: string;
      readonly presence: Presence;
      /** How many of its forebears stand above it, each a step to the left. */
      readonly depth: number;
      /** Its parent, when that is not the one it stands under. */
      readonly childOf: string | null;
    };

/** Grouped by service, children under the process that made them. Groups and families with something paused come
 *  first, then the names decide. */
export function roster(processes: Iterable<Presence>, filter: string): Row[] {
  const groups = new Map<string, Presence[]>();
  for (const presence of processes) {
    if (!matches(presence, filter)) continue;
    const { namespace, service } = levels(presence.process);
    const label = `${namespace}/${service}`;
    const group = groups.get(label);
    if (group) group.push(presence);
    else groups.set(label, [presence]);
  }
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  const paused = (group: Presence[]) => (group.some((p) => conditionOf(p) === 'paused') ? 0 : 1);
  return [...groups]
    .sort(([a, inA], [b, inB]) => paused(inA) - paused(inB) || compare(a, b))
    .flatMap(([label, group]): Row[] => [
      { kind: 'group', key: `group ${label}`, label, size: group.length },
      ...families(group),
    ]);
}

interface Family {
  readonly presence: Presence;
  readonly children: Family[];
  rank: number;
}

/** A family has the rank of the one in it that most needs to be seen. */
function families(group: readonly Presence[]): Row[] {
  const known = new Map(
    group.map((presence): [string, Family] => [
      presence.process,
      { presence, children: [], rank: CONDITIONS.indexOf(conditionOf(presence)) },
    ]),
  );
  const roots: Family[] = [];
  for (const family of known.values()) {
    const parent = known.get(family.presence.parent ?? '');
    if (parent === undefined || isOwnForebear(family.presence, known)) roots.push(family);
    else parent.children.push(family);
  }
  return roots.map(ranked).sort(before).flatMap((family) => rows(family, 0));
}

/** Whoever says so is wrong, and must not hang the page. */
function isOwnForebear(presence: Presence, known: ReadonlyMap<string, Family>): boolean {
  const seen = new Set<string>();
  for (let at = presence.parent; at !== null && !seen.has(at); at = known.get(at)?.presence.parent ?? null) {
    if (at === presence.process) return true;
    seen.add(at);
  }
  return false;
}

function ranked(family: Family): Family {
  for (const child of family.children) family.rank = Math.min(family.rank, ranked(child).rank);
  family.children.sort(before);
  return family;
}

const before = (a: Family, b: Family): number =>
  a.rank - b.rank || (a.presence.process < b.presence.process ? -1 : 1);

const rows = ({ presence, children }: Family, depth: number): Row[] => [
  { kind: 'process', key: presence.process, presence, depth, childOf: depth === 0 ? presence.parent : null },
  ...children.flatMap((child) => rows(child, depth + 1)),
];

export function counts(processes: Iterable<Presence>): Record<Condition, number> {
  const result = { paused: 0, debugged: 0, running: 0, lost: 0, ended: 0 };
  for (const presence of processes) result[conditionOf(presence)] += 1;
  return result;
}
