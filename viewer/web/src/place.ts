/** Where in the fleet the page looks, and that place as a link: `#p=<process>&f=<file>:<line>&q=<filter>`. */

import { effect, signal } from '@preact/signals';

export interface Place {
  readonly process: string | null;
  readonly file: string | null;
  readonly line: number | null;
  readonly filter: string;
}

export const nowhere: Place = { process: null, file: null, line: null, filter: '' };

export function readPlace(hash: string): Place {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const file = fields.get('f');
  const found = file === null ? null : /^(.*):(\d+)$/.exec(file);
  return {
    process: fields.get('p'),
    file: found?.[1] ?? file,
    line: found ? Number(found[2]) : null,
    filter: fields.get('q') ?? '',
  };
}

/** Slashes and colons may stand in a fragment as they are (RFC 3986, 3.5), and links are read by people. */
const escape = (text: string) =>
  encodeURIComponent(text).replaceAll('%2F', '/').replaceAll('%3A', ':').replaceAll('%40', '@');

export function writePlace(place: Place): string {
  const fields: string[] = [];
  if (place.process !== null) fields.push(`p=${escape(place.process)}`);
  if (place.file !== null) {
    fields.push(`f=${escape(place.file)}${place.line === null ? '' : `:${place.line}`}`);
  }
  if (place.filter !== '') fields.push(`q=${escape(place.filter)}`);
  return fields.length > 0 ? `#${fields.join('&')}` : '';
}

export class Places {
  readonly now = signal(nowhere);

  /** Follows the address, and keeps it up to date. */
  bind(window: Window): void {
    this.now.value = readPlace(window.location.hash);
    window.addEventListener('hashchange', () => {
      this.now.value = readPlace(window.location.hash);
    });
    effect(() => {
      const hash = writePlace(this.now.value);
      if (hash !== window.location.hash) {
        window.history.replaceState(null, '', window.location.pathname + window.location.search + hash);
      }
    });
  }

  select(process: string): void {
    const { process: before, filter } = this.now.peek();
    if (process !== before) this.now.value = { ...nowhere, process, filter };
  }

  leave(): void {
    this.now.value = { ...nowhere, filter: this.now.peek().filter };
  }

  show(file: string, line: number | null = null): void {
    this.now.value = { ...this.now.peek(), file, line };
  }

  filter(text: string): void {
    this.now.value = { ...this.now.peek(), filter: text };
  }
}
