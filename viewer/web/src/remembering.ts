/** What the page asks of the history: sessions and events in pages, the session that is open with its replay, and
 *  reports. */

import { signal } from '@preact/signals';
import { Paged } from './paged';
import { Replay } from './replay';
import { Replaying } from './replaying';
import { levels } from './roster';
import { readEach } from './shape';
import type { Load } from './sources';
import {
  anyEvent,
  messageOf,
  type AnyEvent,
  type Call,
  type FleetReport,
  type SessionDetail,
  type SessionRecord,
} from './wire';

/** Of which processes: the chosen one, those of its service, all. */
export type Reach = 'process' | 'service' | 'all';

export interface Search {
  readonly selector: string;
  /** Seconds since the epoch; null: from the beginning. */
  readonly since: number | null;
  readonly kinds: readonly string[];
  readonly text: string;
}

/** A recorded session. `raw` are its events as they were told, for the file. */
export interface Recording {
  readonly detail: SessionDetail;
  readonly raw: readonly unknown[];
  readonly events: readonly AnyEvent[];
  /** Events with values of programs were left out. */
  readonly withheld: boolean;
  /** It has more than are read. */
  readonly more: boolean;
}

const STORED_MS = 1000;
export const SESSIONS = 50;
const FOUND = 100;
const PAGE = 1000;
/** Events of one session. */
export const MOST_EVENTS = 20_000;

export class Remembering {
  readonly reach = signal<Reach>('process');
  readonly sessions: Paged<string, SessionRecord>;
  readonly found: Paged<Search, AnyEvent>;
  readonly report = signal<Load<FleetReport> | null>(null);
  readonly recording = signal<Load<Recording> | null>(null);
  readonly replay = signal<Replaying | null>(null);
  /** Grows when the list of sessions is to be asked for again. */
  readonly changes = signal(0);
  #open: string | null = null;
  #reports = 0;
  #changing: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly call: Call) {
    this.sessions = new Paged(async (selector, cursor) => {
      const page = await call('history.sessions', { selector, limit: SESSIONS, ...at(cursor) });
      return { items: page.sessions, cursor: page.cursor };
    });
    this.found = new Paged(async ({ selector, since, kinds, text }, cursor) => {
      const page = await call('history.events', {
        selector,
        limit: FOUND,
        ...(since === null ? {} : { since }),
        ...(kinds.length > 0 ? { kinds } : {}),
        ...(text === '' ? {} : { text }),
        ...at(cursor),
      });
      return { items: readEach(page.events, anyEvent), cursor: page.cursor, withheld: page.withheld };
    });
  }

  /** What was found, and the report, are of other processes than are meant now. */
  forget(): void {
    this.#reports += 1;
    this.found.clear();
    this.report.value = null;
  }

  async makeReport(selector: string, since: number): Promise<void> {
    const turn = ++this.#reports;
    this.report.value = { state: 'loading' };
    let made: Load<FleetReport>;
    try {
      made = { state: 'ready', value: await this.call('fleet.report', { selector, since }) };
    } catch (problem) {
      made = { state: 'failed', message: messageOf(problem) };
    }
    if (turn === this.#reports) this.report.value = made;
  }

  /** Opens a session at a step, or closes the one that is open. Again for the same one: only when it could not be read. */
  open(session: string | null, step: number | null): void {
    const isHere = session === this.#open && this.recording.peek()?.state !== 'failed';
    if (isHere) return;
    this.#open = session;
    this.replay.peek()?.pause();
    this.replay.value = null;
    this.recording.value = null;
    if (session !== null) void this.#read(session, step ?? 0);
  }

  /** Sessions that begin and end are in the history a moment later. */
  heard(event: AnyEvent): void {
    if (event.type !== 'session_opened' && event.type !== 'session_closed') return;
    clearTimeout(this.#changing);
    this.#changing = setTimeout(() => (this.changes.value += 1), STORED_MS);
  }

  /** Reads it anew, at the same step. */
  again(): void {
    const session = this.#open;
    const step = this.replay.peek()?.step.peek() ?? null;
    this.#open = null;
    this.open(session, step);
  }

  async #read(session: string, step: number): Promise<void> {
    this.recording.value = { state: 'loading' };
    try {
      const detail = await this.call('history.session', { session });
      const told = await this.#events(session);
      if (session !== this.#open) return;
      this.recording.value = { state: 'ready', value: { detail, ...told } };
      this.replay.value = new Replaying(new Replay(detail.session, told.events), step);
    } catch (problem) {
      if (session === this.#open) this.recording.value = { state: 'failed', message: messageOf(problem) };
    }
  }

  async #events(session: string): Promise<Omit<Recording, 'detail'>> {
    const raw: unknown[] = [];
    let cursor: string | null = null;
    let withheld = false;
    do {
      const page: Awaited<ReturnType<typeof this.call<'history.events'>>> = await this.call('history.events', {
        session,
        order: 'oldest',
        limit: PAGE,
        ...at(cursor),
      });
      raw.push(...page.events);
      withheld ||= page.withheld;
      cursor = page.cursor;
    } while (cursor !== null && raw.length < MOST_EVENTS && session === this.#open);
    return { raw, events: readEach(raw, anyEvent), withheld, more: cursor !== null };
  }
}

const at = (cursor: string | null) => (cursor === null ? {} : { cursor });

export function selectorOf(reach: Reach, process: string | null): string {
  if (process === null || reach === 'all') return '*/*/*';
  const { namespace, service } = levels(process);
  return reach === 'process' ? process : `${namespace}/${service}/*`;
}

/** The file of a session: all that the history has of it. */
export const exported = ({ detail, raw, withheld, more }: Recording): object => ({
  ...detail,
  events: raw,
  ...(withheld ? { withheld } : {}),
  ...(more ? { more } : {}),
});
