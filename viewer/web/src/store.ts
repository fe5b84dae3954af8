/** What the page knows of the fleet: `fold(fleet, message)` and nothing else changes it.
 *
 *  Pure, and sharing what did not change, so that a signal computed from one part of it is silent while the
 *  others move. Samples and the timeline are bounded: the oldest go first. */

import { computed, signal, type ReadonlySignal } from '@preact/signals';
import { readEach } from './shape';
import * as wire from './wire';
import { describe, describeGap } from './timeline';

export interface Sample {
  readonly time: number;
  readonly cpu: number | null;
  readonly rss: number | null;
}

export interface Entry {
  readonly key: number;
  readonly time: number;
  readonly process: string;
  readonly kind: 'process' | 'session' | 'stop' | 'run' | 'gap' | 'probe';
  readonly text: string;
  /** Of what comes often: the newest of a process and subject takes the place of the one before. */
  readonly subject?: string;
}

export interface Fleet {
  readonly processes: ReadonlyMap<string, wire.Presence>;
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  readonly latest: ReadonlyMap<string, wire.Metrics>;
  readonly timeline: readonly Entry[];
  readonly bus: wire.BusState;
  /** Whether what happens is remembered. */
  readonly history: wire.StoreStatus;
  readonly me: wire.Welcome | null;
  /** False until the broker has told what there is, and again while the line is lost. */
  readonly live: boolean;
  readonly entries: number;
}

export type Message =
  | { readonly kind: 'offline' }
  | { readonly kind: 'welcome'; readonly me: wire.Welcome }
  | { readonly kind: 'listed'; readonly processes: readonly wire.Presence[] }
  | { readonly kind: 'presence'; readonly item: wire.Presence }
  | { readonly kind: 'event'; readonly item: wire.AnyEvent }
  | { readonly kind: 'metrics'; readonly item: wire.Metrics }
  | { readonly kind: 'gap'; readonly gap: wire.Gap; readonly time: number }
  | { readonly kind: 'bus'; readonly bus: wire.BusState }
  | { readonly kind: 'history'; readonly history: wire.StoreStatus };

export const SAMPLES = 300;
export const ENTRIES = 500;
/** Processes that are not online any more; the oldest go first, as they do in the broker. */
export const GONE = 1000;

export const nothing: Fleet = {
  processes: new Map(),
  samples: new Map(),
  latest: new Map(),
  timeline: [],
  bus: 'up',
  history: { store: 'none', problem: '' },
  me: null,
  live: false,
  entries: 0,
};

export function fold(fleet: Fleet, message: Message): Fleet {
  switch (message.kind) {
    case 'offline':
      return { ...fleet, live: false };
    case 'welcome':
      return { ...fleet, me: message.me, bus: message.me.bus, history: welcomed(fleet.history, message.me.store) };
    case 'listed': {
      const processes = new Map(message.processes.map((presence) => [presence.process, presence]));
      const known = <T>(all: ReadonlyMap<string, T>) => new Map([...all].filter(([name]) => processes.has(name)));
      return { ...fleet, live: true, processes, samples: known(fleet.samples), latest: known(fleet.latest) };
    }
    case 'presence':
      return withPresence(fleet, message.item);
    case 'event': {
      const entry = describe(message.item);
      return entry === null ? fleet : withEntry(fleet, entry);
    }
    case 'metrics':
      return withMetrics(fleet, message.item);
    case 'gap': {
      const { process } = message.gap;
      return withEntry(fleet, { time: message.time, process, kind: 'gap', text: describeGap(message.gap) });
    }
    case 'bus':
      return { ...fleet, bus: message.bus };
    case 'history':
      return { ...fleet, history: message.history };
  }
}

/** What its problem is, only `store` tells. */
const welcomed = (before: wire.StoreStatus, store: wire.StoreState): wire.StoreStatus =>
  store === before.store ? before : { store, problem: '' };

function withPresence(fleet: Fleet, presence: wire.Presence): Fleet {
  const known = fleet.processes.get(presence.process);
  const isOld = known !== undefined && known.boot !== presence.boot && presence.started < known.started;
  if (isOld) return fleet; // the last will of a boot that has a successor
  const processes = new Map(fleet.processes).set(presence.process, presence);
  const gone = presence.state === 'online' ? [] : tooLongGone(processes);
  for (const name of gone) processes.delete(name);
  const restarted = known !== undefined && known.boot !== presence.boot;
  return without({ ...fleet, processes }, restarted ? [presence.process, ...gone] : gone);
}

function tooLongGone(processes: ReadonlyMap<string, wire.Presence>): string[] {
  const gone = [...processes.values()].filter((p) => p.state !== 'online');
  if (gone.length <= GONE) return [];
  gone.sort((a, b) => a.time - b.time);
  return gone.slice(0, gone.length - GONE).map((p) => p.process);
}

/** Forgets the metrics of these processes. */
function without(fleet: Fleet, names: readonly string[]): Fleet {
  if (names.length === 0) return fleet;
  const samples = new Map(fleet.samples);
  const latest = new Map(fleet.latest);
  for (const name of names) {
    samples.delete(name);
    latest.delete(name);
  }
  return { ...fleet, samples, latest };
}

function withMetrics(fleet: Fleet, metrics: wire.Metrics): Fleet {
  const before = fleet.samples.get(metrics.process) ?? [];
  if (metrics.time <= (before.at(-1)?.time ?? 0)) return fleet; // newest wins
  const sample = { time: metrics.time, cpu: metrics.cpu_percent, rss: metrics.memory_rss };
  return {
    ...fleet,
    samples: new Map(fleet.samples).set(metrics.process, [...before.slice(1 - SAMPLES), sample]),
    latest: new Map(fleet.latest).set(metrics.process, metrics),
  };
}

function withEntry(fleet: Fleet, entry: Omit<Entry, 'key'>): Fleet {
  const key = fleet.entries + 1;
  const { process, subject } = entry;
  const before =
    subject === undefined
      ? fleet.timeline
      : fleet.timeline.filter((each) => each.subject !== subject || each.process !== process);
  return { ...fleet, entries: key, timeline: [...before.slice(1 - ENTRIES), { ...entry, key }] };
}

/** Reads one notification into messages. Those of probes are `probing.ts`'s. */
export function read(method: string, params: unknown, now: number): Message[] {
  switch (method) {
    case 'presence':
      return readEach(wire.presenceItems(params, method).presence, wire.presence).map((item) => ({
        kind: 'presence',
        item,
      }));
    case 'events':
      return readEach(wire.eventItems(params, method).events, wire.anyEvent).map((item) => ({ kind: 'event', item }));
    case 'metrics':
      return readEach(wire.metricItems(params, method).metrics, wire.metrics).map((item) => ({ kind: 'metrics', item }));
    case 'gap':
      return [{ kind: 'gap', gap: wire.gap(params, method), time: now }];
    case 'bus':
      return [{ kind: 'bus', bus: wire.busStatus(params, method).bus }];
    case 'store':
      return [{ kind: 'history', history: wire.storeStatus(params, method) }];
    default:
      return []; // of a newer broker, or somebody else's
  }
}

/** The fleet as signals: one for each fact. */
export class Store {
  readonly #fleet = signal(nothing);
  readonly processes = computed(() => this.#fleet.value.processes);
  readonly timeline = computed(() => this.#fleet.value.timeline);
  readonly bus = computed(() => this.#fleet.value.bus);
  readonly history = computed(() => this.#fleet.value.history);
  readonly me = computed(() => this.#fleet.value.me);
  readonly live = computed(() => this.#fleet.value.live);

  apply(messages: readonly Message[]): void {
    this.#fleet.value = messages.reduce(fold, this.#fleet.value);
  }

  presence(process: string): ReadonlySignal<wire.Presence | undefined> {
    return computed(() => this.#fleet.value.processes.get(process));
  }

  samples(process: string): ReadonlySignal<readonly Sample[]> {
    return computed(() => this.#fleet.value.samples.get(process) ?? NONE);
  }

  latest(process: string): ReadonlySignal<wire.Metrics | undefined> {
    return computed(() => this.#fleet.value.latest.get(process));
  }
}

const NONE: readonly Sample[] = [];
