/** Where in the fleet the page looks, and that place as a link: `#p=<process>&f=<file>:<line>&b=<probe>&s=<snapshot>
 *  &q=<filter>`. */

import { computed, effect, signal } from '@preact/signals';

export interface Place {
  readonly process: string | null;
  readonly file: string | null;
  readonly line: number | null;
  /** The probe that is followed, by its id, and the snapshot that is open. */
  readonly probe: string | null;
  readonly snapshot: string | null;
  readonly filter: string;
}

export const nowhere: Place = { process: null, file: null, line: null, probe: null, snapshot: null, filter: '' };

export function readPlace(hash: string): Place {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const file = fields.get('f');
  const found = file === null ? null : /^(.*):(\d+)$/.exec(file);
  return {
    process: fields.get('p'),
    file: found?.[1] ?? file,
    line: found ? Number(found[2]) : null,
    probe: fields.get('b'),
    snapshot: fields.get('s'),
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
  if (place.probe !== null) fields.push(`b=${escape(place.probe)}`);
  if (place.snapshot !== null) fields.push(`s=${escape(place.snapshot)}`);
  if (place.filter !== '') fields.push(`q=${escape(place.filter)}`);
  return fields.length > 0 ? `#${fields.join('&')}` : '';
}

export class Places {
  readonly now = signal(nowhere);
  readonly probe = computed(() => this.now.value.probe);
  readonly snapshot = computed(() => this.now.value.snapshot);

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
    const { process: before, filter, probe } = this.now.peek();
    if (process !== before) this.now.value = { ...nowhere, process, filter, probe };
  }

  leave(): void {
    const { filter, probe, snapshot } = this.now.peek();
    this.now.value = { ...nowhere, filter, probe, snapshot };
  }

  show(file: string, line: number | null = null): void {
    this.now.value = { ...this.now.peek(), file, line };
  }

  follow(probe: string | null): void {
    this.now.value = { ...this.now.peek(), probe, snapshot: null };
  }

  openSnapshot(snapshot: string | null): void {
    this.now.value = { ...this.now.peek(), snapshot };
  }

  filter(text: string): void {
    this.now.value = { ...this.now.peek(), filter: text };
  }
}
