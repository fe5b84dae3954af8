/** The breakpoints that this viewer wants in one process, and how they get there.
 *
 *  DAP sends all breakpoints of a file each time. One request for a file is on its way at most, so that the last
 *  that was wanted is the last that arrives. */

import { signal } from '@preact/signals';
import * as breakpoints from './breakpoints';
import type { Breakpoint, Breakpoints } from './breakpoints';
import type { DapBreakpoint } from './dap';
import { messageOf } from './wire';

/** Sets those of a file, and returns what became of each; opens the session for it. Throws `Failure`. */
export type SetInFile = (path: string, wanted: () => Breakpoints) => Promise<readonly DapBreakpoint[]>;

export class Wanted {
  readonly all = signal<Breakpoints>([]);
  /** Files whose breakpoints are being sent; true when they changed meanwhile. */
  readonly #sending = new Map<string, boolean>();

  constructor(
    readonly set: SetInFile,
    readonly onTrouble: (message: string) => void,
  ) {}

  async toggle(path: string, line: number): Promise<void> {
    this.all.value = breakpoints.toggle(this.all.value, path, line);
    await this.#send(path);
  }

  async setCondition(target: Breakpoint, condition: string): Promise<void> {
    this.all.value = breakpoints.withCondition(this.all.value, target, condition);
    await this.#send(target.path);
  }

  /** A session is open: all of them are to be in force. */
  sendAll(): void {
    for (const path of new Set(this.all.value.map((b) => b.path))) {
      if (!this.#sending.has(path)) void this.#send(path);
    }
  }

  /** Something about one of them changed. */
  learn(said: DapBreakpoint): void {
    this.all.value = breakpoints.changed(this.all.value, said);
  }

  /** The session is over: none is in force. */
  forgotten(): void {
    this.all.value = breakpoints.forgotten(this.all.value);
  }

  async #send(path: string): Promise<void> {
    if (this.#sending.has(path)) {
      this.#sending.set(path, true);
      return;
    }
    this.#sending.set(path, false);
    try {
      await this.#sendOnce(path);
    } finally {
      const again = this.#sending.get(path) === true;
      this.#sending.delete(path);
      if (again) void this.#send(path);
    }
  }

  async #sendOnce(path: string): Promise<void> {
    const inFile = () => breakpoints.inFile(this.all.value, path);
    let sent = inFile();
    try {
      const said = await this.set(path, () => (sent = inFile())); // more may have come meanwhile
      this.all.value = breakpoints.answered(this.all.value, sent, said);
    } catch (problem) {
      this.all.value = breakpoints.failed(this.all.value, sent, messageOf(problem));
      this.onTrouble(messageOf(problem));
    }
  }
}
