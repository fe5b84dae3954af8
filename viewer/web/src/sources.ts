/** The source of the running processes, as they have it on their disk: lists and texts, each asked for once. */

import { signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { messageOf, type Call, type Source, type SourceFile } from './wire';

export type Load<T> =
  | { readonly state: 'loading' }
  | { readonly state: 'ready'; readonly value: T }
  | { readonly state: 'failed'; readonly message: string };

const TEXTS = 64;

export class Sources {
  readonly #lists = new Map<string, Signal<Load<readonly SourceFile[]>>>();
  readonly #texts = new Map<string, Signal<Load<Source>>>();

  constructor(readonly call: Call) {}

  /** Application files first. */
  list(process: string, boot: string): ReadonlySignal<Load<readonly SourceFile[]>> {
    return kept(this.#lists, `${process} ${boot}`, async () => {
      const { files } = await this.call('process.sources', { process });
      return [...files].sort(
        (a, b) => Number(b.application) - Number(a.application) || (a.path < b.path ? -1 : 1),
      );
    });
  }

  text(process: string, boot: string, path: string): ReadonlySignal<Load<Source>> {
    return kept(this.#texts, `${process} ${boot} ${path}`, () => this.call('process.source', { process, path }));
  }

  /** The next `list` asks again, because a program imports more as it runs. */
  refreshList(process: string, boot: string): void {
    this.#lists.delete(`${process} ${boot}`);
  }
}

function kept<T>(
  shelf: Map<string, Signal<Load<T>>>,
  key: string,
  ask: () => Promise<T>,
): ReadonlySignal<Load<T>> {
  const known = shelf.get(key);
  if (known !== undefined) return known;
  const load = signal<Load<T>>({ state: 'loading' });
  shelf.set(key, load);
  const [oldest] = shelf.keys();
  if (shelf.size > TEXTS && oldest !== undefined) shelf.delete(oldest);
  ask().then(
    (value) => (load.value = { state: 'ready', value }),
    (problem: unknown) => {
      load.value = { state: 'failed', message: messageOf(problem) };
      if (shelf.get(key) === load) shelf.delete(key); // asked again the next time somebody looks
    },
  );
  return load;
}
