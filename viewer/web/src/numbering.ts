/** How far the page has got with the events of each process: what is new, and where it goes on when it comes back.
 *
 *  A process numbers its events from 1 for each boot. Some numbers are for others only, so that a number that is left out
 *  means nothing by itself: what is missing is told by a `gap`. */

import { MOST_CURSORS, MOST_FRAME_BYTES, type Cursor } from './wire_history';

/** Processes; the one that has been silent for longest is forgotten first. */
export const REMEMBERED = 4000;
/** Of one process: what is older cannot be on its way any more. */
const BOOTS = 4;
/** What `subscribe` says beside its cursors fits into the rest of its frame. */
const CURSOR_BYTES = MOST_FRAME_BYTES - 4096;

export class Numbers {
  /** The last number of each boot, by process: the boot and the process that were heard last are the last. */
  readonly #last = new Map<string, Map<string, number>>();

  /** Whether it is new; it is known from now on. */
  note({ process, boot, seq }: Cursor): boolean {
    const boots = this.#last.get(process) ?? new Map<string, number>();
    const before = boots.get(boot) ?? 0;
    boots.delete(boot);
    boots.set(boot, Math.max(before, seq));
    leaveOldest(boots, BOOTS);
    this.#last.delete(process);
    this.#last.set(process, boots);
    leaveOldest(this.#last, REMEMBERED);
    return seq > before;
  }

  /** Of the processes that were heard last, then of those that have begun since; as many as one `subscribe` takes. */
  cursors(begun: readonly { readonly process: string; readonly boot: string }[] = []): readonly Cursor[] {
    const found: Cursor[] = [];
    let bytes = 0;
    const heard = [...this.#last].reverse().flatMap(([process, boots]) => {
      const newest = [...boots].at(-1);
      return newest === undefined ? [] : [{ process, boot: newest[0], seq: newest[1] }];
    });
    const unheard = begun.filter(({ process }) => !this.#last.has(process));
    for (const cursor of [...heard, ...unheard.map(({ process, boot }) => ({ process, boot, seq: 0 }))]) {
      bytes += JSON.stringify(cursor).length + 1; // names are ASCII
      if (found.length === MOST_CURSORS || bytes > CURSOR_BYTES) break;
      found.push(cursor);
    }
    return found;
  }
}

function leaveOldest(all: Map<string, unknown>, most: number): void {
  const [oldest] = all.keys();
  if (all.size > most && oldest !== undefined) all.delete(oldest);
}
