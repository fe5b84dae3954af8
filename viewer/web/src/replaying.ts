/** Where a replay is, and playing it: `replay.ts` knows the steps, this one the clock. */

import { computed, signal } from '@preact/signals';
import { pauseAfter, type Replay } from './replay';

export const SPEEDS = [1, 4] as const;
export type Speed = (typeof SPEEDS)[number];

export class Replaying {
  readonly step = signal(0);
  readonly state = computed(() => this.replay.at(this.step.value));
  readonly playing = signal<Speed | null>(null);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly replay: Replay,
    step = 0,
  ) {
    this.step.value = replay.at(step).step;
  }

  /** The nearest step that there is. Whoever goes somewhere else does not want it to go on by itself. */
  goTo(step: number): void {
    const next = this.replay.at(step).step;
    if (next === this.step.peek()) return;
    this.pause();
    this.step.value = next;
  }

  by(steps: number): void {
    this.goTo(this.step.peek() + steps);
  }

  /** To the next stop, or to the one before. */
  toStop(direction: 1 | -1): void {
    const found = this.replay.stop(this.step.peek(), direction);
    if (found !== null) this.goTo(found);
  }

  /** From here, or from the beginning when this is the end. */
  play(speed: Speed): void {
    if (this.step.peek() === this.replay.last) this.step.value = 0;
    this.playing.value = speed;
    this.#wait();
  }

  pause(): void {
    clearTimeout(this.#timer);
    this.playing.value = null;
  }

  #wait(): void {
    clearTimeout(this.#timer);
    const speed = this.playing.peek();
    const step = this.step.peek();
    if (speed === null || step >= this.replay.last) return this.pause();
    const pause = pauseAfter(this.replay.at(step), this.replay.at(step + 1), speed);
    this.#timer = setTimeout(() => {
      this.step.value = step + 1;
      this.#wait();
    }, pause * 1000);
  }
}
