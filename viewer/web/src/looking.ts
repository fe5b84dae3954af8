/** What one sees of the selected thread where it stands: its frames, the selected one, and the variables in it.
 *
 *  Each load carries the turn it belongs to, and what arrives for an earlier turn is dropped. References to variables
 *  live as long as their turn. */

import { batch, signal } from '@preact/signals';
import * as dap from './dap';
import type { Reader } from './shape';

/** The variables of the selected frame. While the next ones are on their way, the last ones are still shown. */
export interface Scopes {
  readonly turn: number;
  readonly scopes: readonly dap.DapScope[];
}

/** Sends a DAP request, and reads the body of its response. Throws `Failure`. */
export type Ask = <T>(command: string, reader: Reader<T>, args: object) => Promise<T>;

const FRAMES = 200;
/** Most steps end sooner than this; until then the last stop stays on the screen, so that nothing flickers. */
const STEP_MS = 250;

export class Looking {
  readonly frames = signal<readonly dap.Frame[]>([]);
  readonly frame = signal<dap.Frame | null>(null);
  readonly scopes = signal<Scopes>({ turn: 0, scopes: [] });

  /** Grows with each stop and each frame selected. */
  #turn = 0;
  #children = new Map<number, Promise<readonly dap.Variable[]>>();

  constructor(readonly ask: Ask) {}

  /** Shows the frames of a thread that stands, and selects the first of them that is no library's. Throws `Failure`. */
  async readFrames(threadId: number): Promise<void> {
    const turn = ++this.#turn;
    const { stackFrames } = await this.ask('stackTrace', dap.stackTraceBody, {
      threadId,
      startFrame: 0,
      levels: FRAMES,
    });
    if (turn !== this.#turn) return;
    this.frames.value = stackFrames;
    const top = stackFrames.find((f) => f.presentationHint !== 'subtle') ?? stackFrames[0];
    if (top !== undefined) await this.select(top);
  }

  /** Throws `Failure`. */
  async select(frame: dap.Frame): Promise<void> {
    const turn = ++this.#turn;
    this.#children = new Map();
    this.frame.value = frame;
    const { scopes } = await this.ask('scopes', dap.scopesBody, { frameId: frame.id });
    if (turn === this.#turn) this.scopes.value = { turn, scopes };
  }

  /** The variables inside a reference of this turn; asked for once. Throws `Failure`. */
  children(reference: number): Promise<readonly dap.Variable[]> {
    const known = this.#children.get(reference);
    if (known !== undefined) return known;
    const asked = this.ask('variables', dap.variablesBody, { variablesReference: reference }).then(
      (body) => body.variables,
    );
    const children = this.#children;
    children.set(reference, asked);
    asked.catch(() => children.delete(reference)); // asked again the next time
    return asked;
  }

  clear(): void {
    this.#turn += 1;
    this.#children = new Map();
    batch(() => {
      this.frames.value = [];
      this.frame.value = null;
      this.scopes.value = { turn: this.#turn, scopes: [] };
    });
  }

  /** The thread runs on: unless it stands again soon, there is nothing to see. */
  clearSoon(): void {
    const turn = this.#turn;
    setTimeout(() => {
      if (turn === this.#turn) this.clear();
    }, STEP_MS);
  }
}
