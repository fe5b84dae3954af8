/** The probes of the page: what `probes.ts` knows, kept up to date, and what one can do about them.
 *
 *  Totals are told; the state in each process is asked for, of the followed probe alone, at once and then at most each
 *  half second while its totals change. */

import { computed, signal } from '@preact/signals';
import type { Draft } from './draft';
import * as probes from './probes';
import { isSnapshot, type Message, type Probes } from './probes';
import { readEach } from './shape';
import type { Load } from './sources';
import { anyEvent, messageOf, type AnyEvent, type Call, type EventOf } from './wire';
import { probeInfo, probeItems, type ProbeInfo } from './wire_probes';

export interface Spot {
  readonly process: string;
  readonly path: string;
  readonly line: number;
  readonly values: ReadonlyMap<string, string>;
}

const AGAIN_MS = 500;
const EARLIER = 100;
/** At a time. */
const MOST_LOCATED = 20;
const DENIED = 'Your token lacks the scope inspect, which reading snapshots needs.';

export class Probing {
  readonly #probes = signal<Probes>(probes.nothing);
  readonly known = computed(() => this.#probes.value.known);
  readonly followed = computed(() => this.#probes.value.followed);
  readonly moved = computed(() => this.#probes.value.moved);
  /** What was refused, for people. */
  readonly trouble = signal('');
  /** The probe that somebody is about to add. */
  readonly draft = signal<Draft | null>(null);
  /** The frame that is looked at in a snapshot, with its locals in words. */
  readonly spot = signal<Spot | null>(null);
  readonly snapshot = signal<Load<EventOf<'snapshot_taken'>> | null>(null);

  readonly #located = new Set<string>();
  #snapshot: string | null = null;
  #asking = false;
  #changed = false;

  constructor(readonly call: Call) {}

  /** Asks for all there are: after the page came online. */
  async list(): Promise<void> {
    try {
      const { probes: listed } = await this.call('probe.list', { ended: true });
      this.#located.clear();
      this.#apply({ kind: 'listed', probes: listed });
      this.trouble.value = '';
    } catch (problem) {
      this.trouble.value = messageOf(problem);
    }
  }

  /** Items of the notification `probes`. */
  told(params: unknown): void {
    for (const info of readEach(probeItems(params, 'probes').probes, probeInfo)) this.#changedTo(info);
  }

  heard(event: AnyEvent): void {
    this.#apply({ kind: 'event', event });
  }

  isBy(subject: string | undefined, probe: string): boolean {
    return subject !== undefined && this.known.peek().get(probe)?.probe.creator === subject;
  }

  /** Follows this probe, or none. Again for the same one: asks anew, because something may have been missed. */
  follow(id: string | null, mayRead: boolean): void {
    this.#apply({ kind: 'followed', id });
    if (id === null) return;
    void this.#askStates();
    if (mayRead) void this.#askEarlier(id);
  }

  /** Asks, once each, where these probes really are: of one that was there before this page no event tells it. Of one
   *  that moves later, an event does. */
  locate(ids: readonly string[]): void {
    const asked = ids.filter((id) => !this.#located.has(id)).slice(0, MOST_LOCATED);
    for (const id of asked) {
      this.#located.add(id);
      void this.#locateOne(id);
    }
  }

  async #locateOne(probe: string): Promise<void> {
    try {
      this.#apply({ kind: 'shown', detail: await this.call('probe.show', { probe }) });
    } catch (problem) {
      console.warn(`where probe ${probe} is was not told:`, messageOf(problem)); // it is shown where it was asked for
    }
  }

  /** Opens a snapshot by its id, or closes it. */
  open(id: string | null, mayRead: boolean): void {
    if (id === this.#snapshot && (id === null || this.snapshot.peek()?.state === 'ready')) return;
    this.#snapshot = id;
    const here = this.followed.peek()?.results.find((each) => isSnapshot(each) && probes.snapshotId(each) === id);
    if (id === null) this.snapshot.value = null;
    else if (here !== undefined && isSnapshot(here)) this.snapshot.value = { state: 'ready', value: here };
    else if (!mayRead) this.snapshot.value = { state: 'failed', message: DENIED };
    else void this.#readSnapshot(id);
  }

  /** Throws `Failure`. */
  async add(spec: object): Promise<ProbeInfo> {
    const info = await this.call('probe.add', { probe: spec });
    this.#apply({ kind: 'changed', info });
    return info;
  }

  async remove(id: string): Promise<void> {
    try {
      await this.call('probe.remove', { probe: id });
      this.trouble.value = '';
    } catch (problem) {
      this.trouble.value = messageOf(problem);
    }
  }

  #apply(message: Message): void {
    this.#probes.value = probes.fold(this.#probes.value, message);
  }

  #changedTo(info: ProbeInfo): void {
    this.#apply({ kind: 'changed', info });
    if (info.probe.id === this.followed.peek()?.id) void this.#askStates();
  }

  async #askStates(): Promise<void> {
    this.#changed = true;
    if (this.#asking) return;
    this.#asking = true;
    while (this.#changed) {
      this.#changed = false;
      await this.#askStatesOnce();
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
    this.#asking = false;
  }

  async #askStatesOnce(): Promise<void> {
    const id = this.followed.peek()?.id;
    if (id === undefined) return;
    try {
      this.#apply({ kind: 'shown', detail: await this.call('probe.show', { probe: id }) });
    } catch (problem) {
      if (this.followed.peek()?.id === id) this.trouble.value = messageOf(problem);
    }
  }

  async #askEarlier(probe: string): Promise<void> {
    try {
      const { events, more } = await this.call('probe.results', { probe, limit: EARLIER });
      const results = readEach(events, anyEvent).filter(probes.isResult);
      this.#apply({ kind: 'brought', probe, results, more });
    } catch (problem) {
      if (this.followed.peek()?.id === probe) this.trouble.value = messageOf(problem);
    }
  }

  async #readSnapshot(id: string): Promise<void> {
    this.snapshot.value = { state: 'loading' };
    let read: Load<EventOf<'snapshot_taken'>>;
    try {
      read = { state: 'ready', value: await this.call('snapshot.read', { snapshot: id }) };
    } catch (problem) {
      read = { state: 'failed', message: messageOf(problem) };
    }
    if (this.#snapshot === id) this.snapshot.value = read;
  }
}
