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
  | { readonly kind: 'process'; readonly key: string; readonly presence: Presence };

/** Grouped by service. Groups and rows with something paused come first, then the names decide. */
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
  const rank = (presence: Presence) => CONDITIONS.indexOf(conditionOf(presence));
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  const paused = (group: Presence[]) => (group.some((p) => conditionOf(p) === 'paused') ? 0 : 1);
  return [...groups]
    .sort(([a, inA], [b, inB]) => paused(inA) - paused(inB) || compare(a, b))
    .flatMap(([label, group]): Row[] => [
      { kind: 'group', key: `group ${label}`, label, size: group.length },
      ...group
        .sort((a, b) => rank(a) - rank(b) || compare(a.process, b.process))
        .map((presence): Row => ({ kind: 'process', key: presence.process, presence })),
    ]);
}

export function counts(processes: Iterable<Presence>): Record<Condition, number> {
  const result = { paused: 0, debugged: 0, running: 0, lost: 0, ended: 0 };
  for (const presence of processes) result[conditionOf(presence)] += 1;
  return result;
}
