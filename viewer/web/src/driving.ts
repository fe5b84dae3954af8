/** The seat and the lease of a session: what `company.ts` knows, kept up to date, and what one can do about it.
 *
 *  A timer runs while something stands. It moves the countdown, and renews the lease each third of its length while
 *  this page drives or nobody does. Browsers slow the timers of hidden pages down to one a minute, so `keep` is also
 *  called for whatever the broker tells. */

import { computed, signal } from '@preact/signals';
import * as company from './company';
import type { Company } from './company';
import { messageOf, type AnyEvent, type Call, type SessionState } from './wire';

export type SeatAction = 'take' | 'release' | 'ask' | 'grant';

const TICK_MS = 1000;
/** Seconds that are left of a lease when it is shown as a warning. */
export const LAST_SECONDS = 15;

const monotonic = (): number => performance.now() / 1000;

export class Driving {
  readonly company = signal<Company>(company.alone);
  readonly drives = computed(() => company.drives(this.company.value));
  /** The name of who drives, when it is somebody else. */
  readonly other = computed(() => company.otherDriver(this.company.value));
  readonly renews = computed(() => company.renews(this.company.value));
  readonly asked = computed(() => this.company.value.asking.includes(this.company.value.me ?? ''));
  /** Those others who wait for the seat, the longest first. */
  readonly asking = computed(() => {
    const now = this.company.value;
    return now.asking
      .filter((session) => session !== now.me)
      .map((session) => ({ session, name: company.nameOf(now, session) }));
  });
  /** Whole seconds until what stands runs on by itself. */
  readonly left = computed(() => {
    const { lease } = this.company.value;
    return lease === null ? null : Math.max(0, Math.ceil(lease.ends - this.#now.value));
  });

  readonly #now = signal(0);
  #tried = -Infinity;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    readonly call: Call,
    /** Gets what a person should know of a failure. */
    readonly onTrouble: (message: string) => void,
    readonly clock: () => number = monotonic,
  ) {}

  joined(state: SessionState): void {
    this.#set(company.joined(state, this.clock()));
  }

  leave(): void {
    this.#set(company.alone);
  }

  heard(event: AnyEvent): void {
    this.#set(company.heard(this.company.value, event, this.clock()));
  }

  /** The process answered something. */
  awake(): void {
    this.#set(company.awake(this.company.value));
  }

  async seat(action: SeatAction, to?: string): Promise<void> {
    const { me: session, seatChanges } = this.company.value;
    if (session === null) return;
    try {
      const state = await this.call('session.seat', { session, action, ...(to === undefined ? {} : { to }) });
      if (this.company.value.me === session) this.#set(company.seated(this.company.value, state, seatChanges));
    } catch (problem) {
      this.onTrouble(messageOf(problem));
    }
  }

  /** Renews the lease when that is ours to do, and due. */
  keep(): void {
    const { lease } = this.company.value;
    const now = this.clock();
    if (lease === null || !this.renews.value || now < company.renewalDue(lease, this.#tried)) return;
    this.#tried = now;
    void this.#renew();
  }

  /** Events were lost, and that something stands may have been among them: the answer tells. */
  lookAgain(): void {
    void this.#renew();
  }

  async #renew(): Promise<void> {
    const { me: session, leaseChanges } = this.company.value;
    if (session === null) return;
    try {
      const state = await this.call('session.renew', { session });
      if (this.company.value.me === session) {
        this.#set(company.leased(this.company.value, state, leaseChanges, this.clock()));
      }
    } catch (problem) {
      console.warn('the lease of what stands was not renewed:', messageOf(problem)); // the countdown shows it
    }
  }

  #set(next: Company): void {
    if (next.lease === null) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#tried = -Infinity;
    } else {
      this.#now.value = this.clock();
      this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    }
    this.company.value = next;
    this.keep();
  }

  #tick(): void {
    this.#now.value = this.clock();
    this.keep();
  }
}
