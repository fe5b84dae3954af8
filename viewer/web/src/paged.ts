/** A list that is asked for page by page. What arrives for an earlier question is dropped. */

import { signal } from '@preact/signals';
import { messageOf } from './wire';

export interface PageOf<T> {
  readonly items: readonly T[];
  /** Where the next one begins; null: there is no more. */
  readonly cursor: string | null;
  readonly withheld?: boolean;
}

/** Asks for a page. Throws `Failure`. */
export type ReadPage<Q, T> = (question: Q, cursor: string | null) => Promise<PageOf<T>>;

export interface Listed<T> {
  readonly state: 'idle' | 'loading' | 'ready' | 'failed';
  readonly items: readonly T[];
  readonly more: boolean;
  /** Some were left out, because they carry values of programs. */
  readonly withheld: boolean;
  readonly message: string;
}

const EMPTY = { state: 'idle', items: [], more: false, withheld: false, message: '' } as const;

export class Paged<Q, T> {
  readonly listed = signal<Listed<T>>(EMPTY);
  #question: Q | null = null;
  #cursor: string | null = null;
  #turn = 0;

  constructor(readonly read: ReadPage<Q, T>) {}

  /** Begins anew. While its first page is on its way, what was there stays. */
  async ask(question: Q): Promise<void> {
    this.#question = question;
    this.#cursor = null;
    await this.#read(true);
  }

  async more(): Promise<void> {
    if (this.listed.peek().state !== 'loading' && this.#question !== null) await this.#read(false);
  }

  clear(): void {
    this.#turn += 1;
    this.#question = null;
    this.listed.value = EMPTY;
  }

  async #read(anew: boolean): Promise<void> {
    const question = this.#question;
    if (question === null) return;
    const turn = ++this.#turn;
    this.listed.value = { ...this.listed.peek(), state: 'loading', message: '' };
    try {
      const { items, cursor, withheld = false } = await this.read(question, this.#cursor);
      if (turn !== this.#turn) return;
      const before = this.listed.peek();
      this.#cursor = cursor;
      this.listed.value = {
        state: 'ready',
        items: anew ? items : [...before.items, ...items],
        more: cursor !== null,
        withheld: withheld || (!anew && before.withheld),
        message: '',
      };
    } catch (problem) {
      if (turn !== this.#turn) return;
      const { items, more, withheld } = anew ? EMPTY : this.listed.peek();
      this.listed.value = { state: 'failed', items, more, withheld, message: messageOf(problem) };
    }
  }
}
