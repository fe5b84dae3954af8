/** What was asked, answered, printed and logged by one's own probes, in a session's console. Bounded: the oldest lines go first. */

import { signal } from '@preact/signals';

export interface TranscriptLine {
  readonly key: number;
  readonly kind: 'asked' | 'answer' | 'error' | 'output' | 'logged';
  readonly text: string;
  readonly type: string;
}

const LINES = 1000;
/** Characters of a line; programs print without an end of line too. */
export const LONGEST = 10_000;

const cut = (text: string): string =>
  text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}… (${text.length - LONGEST} more characters)`;

export class Transcript {
  readonly lines = signal<readonly TranscriptLine[]>([]);
  #keys = 0;

  print(kind: TranscriptLine['kind'], text: string, type = ''): void {
    this.lines.value = [...this.lines.value.slice(1 - LINES), { key: ++this.#keys, kind, text: cut(text), type }];
  }

  /** Output comes in pieces, which make a line only together. */
  printOutput(kind: 'output' | 'error', text: string): void {
    const last = this.lines.value.at(-1);
    if (last?.kind !== kind || last.text.endsWith('\n') || last.text.length + text.length > LONGEST) return this.print(kind, text);
    this.lines.value = [...this.lines.value.slice(0, -1), { ...last, text: last.text + text }];
  }
}
