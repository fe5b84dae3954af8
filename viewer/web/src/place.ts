/** What the page looks at, which is in its address, so that every view is a link:
 *
 *  #p=<process>&f=<file>:<line>&b=<probe>&s=<snapshot>&q=<filter>    what there is now
 *  #/history/<session>?step=<step>&p=<process>&q=<filter>            what there was; without a session: all of them */

import { computed, effect, signal } from '@preact/signals';

export interface Place {
  readonly process: string | null;
  readonly file: string | null;
  readonly line: number | null;
  /** The probe that is followed, by its id, and the snapshot that is open. */
  readonly probe: string | null;
  readonly snapshot: string | null;
  readonly filter: string;
  /** What there was, in place of what there is. */
  readonly past: boolean;
  /** The recorded session that is open, and the step of it. */
  readonly session: string | null;
  readonly step: number | null;
}

export const nowhere: Place = {
  process: null,
  file: null,
  line: null,
  probe: null,
  snapshot: null,
  filter: '',
  past: false,
  session: null,
  step: null,
};

const PAST = /^#\/history(?:\/([^/?]*))?(?:\?(.*))?$/;

export function readPlace(hash: string): Place {
  const past = PAST.exec(hash);
  const fields = new URLSearchParams(past === null ? hash.replace(/^#/, '') : (past[2] ?? ''));
  const file = fields.get('f');
  const found = file === null ? null : /^(.*):(\d+)$/.exec(file);
  const session = unescape(past?.[1] ?? '');
  const step = fields.get('step') ?? '';
  return {
    process: fields.get('p'),
    file: found?.[1] ?? file,
    line: found ? Number(found[2]) : null,
    probe: fields.get('b'),
    snapshot: fields.get('s'),
    filter: fields.get('q') ?? '',
    past: past !== null,
    session: session === '' ? null : session,
    step: session !== '' && /^\d{1,9}$/.test(step) ? Number(step) : null,
  };
}

/** Slashes and colons may stand in a fragment as they are (RFC 3986, 3.5), and links are read by people. */
const escape = (text: string) =>
  encodeURIComponent(text).replaceAll('%2F', '/').replaceAll('%3A', ':').replaceAll('%40', '@');

/** What somebody wrote into the address may be no escape at all. */
function unescape(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (problem) {
    if (!(problem instanceof URIError)) throw problem;
    return text;
  }
}

export function writePlace(place: Place): string {
  const fields: string[] = [];
  if (place.session !== null && place.step !== null) fields.push(`step=${place.step}`);
  if (place.process !== null) fields.push(`p=${escape(place.process)}`);
  if (place.file !== null && !place.past) {
    fields.push(`f=${escape(place.file)}${place.line === null ? '' : `:${place.line}`}`);
  }
  if (place.probe !== null && !place.past) fields.push(`b=${escape(place.probe)}`);
  if (place.snapshot !== null && !place.past) fields.push(`s=${escape(place.snapshot)}`);
  if (place.filter !== '') fields.push(`q=${escape(place.filter)}`);
  const written = fields.join('&');
  if (!place.past) return written === '' ? '' : `#${written}`;
  const session = place.session === null ? '' : `/${encodeURIComponent(place.session)}`;
  return `#/history${session}${written === '' ? '' : `?${written}`}`;
}

export class Places {
  readonly now = signal(nowhere);
  readonly probe = computed(() => this.now.value.probe);
  readonly snapshot = computed(() => this.now.value.snapshot);
  readonly recorded = computed(() => (this.now.value.past ? this.now.value.session : null));
  readonly step = computed(() => this.now.value.step);

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
    const { process: before, filter, probe, past, session } = this.now.peek();
    if (process !== before || session !== null) this.now.value = { ...nowhere, process, filter, probe, past };
  }

  /** One step back: from a recorded session to all of them, from what there was to what there is, from a process to all. */
  leave(): void {
    const now = this.now.peek();
    if (now.session !== null) this.openRecorded(null);
    else if (now.past) this.showPast(false);
    else this.home();
  }

  /** All that there is now. */
  home(): void {
    const { filter, probe, snapshot } = this.now.peek();
    this.now.value = { ...nowhere, filter, probe, snapshot };
  }

  showPast(past: boolean): void {
    this.now.value = { ...this.now.peek(), past, session: null, step: null };
  }

  openRecorded(session: string | null, step: number | null = null): void {
    this.now.value = { ...this.now.peek(), past: true, session, step };
  }

  atStep(step: number): void {
    const now = this.now.peek();
    if (now.session !== null && now.step !== step) this.now.value = { ...now, step };
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
