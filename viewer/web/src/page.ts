/** The page behind the screen: socket -> store and sessions, and the place that the page looks at.
 *
 *  Coming online: whoami, subscribe, then the list of what there is. The list replaces what was known, because
 *  what happened while the line was lost is told by nobody. */

import { computed, effect, signal, untracked } from '@preact/signals';
import { baseName } from './format';
import { Places } from './place';
import { Probing } from './probing';
import { Session } from './session';
import { Malformed } from './shape';
import { Socket, type Surroundings } from './socket';
import { Sources } from './sources';
import { read, Store } from './store';
import { isToken, keepToken, readPasted, takeToken } from './token';
import { Failure, messageOf, type AnyEvent, type Scope } from './wire';

const TOPICS = ['presence', 'events', 'metrics', 'probes'] as const;

export class Page {
  readonly store = new Store();
  readonly places = new Places();
  readonly socket: Socket;
  readonly sources: Sources;
  readonly probing: Probing;
  /** What went wrong on the way to a live view, for the banner. */
  readonly trouble = signal('');
  readonly #sessions = new Map<string, Session>();

  readonly process = computed(() => this.places.now.value.process);
  readonly presence = computed(() => {
    const process = this.process.value;
    return process === null ? undefined : this.store.processes.value.get(process);
  });
  readonly session = computed(() => (this.process.value === null ? null : this.sessionOf(this.process.value)));
  readonly scopes = computed(() => new Set(this.store.me.value?.scopes));

  constructor(url: string, surroundings: Surroundings) {
    this.socket = new Socket(url, surroundings);
    this.sources = new Sources(this.socket.call);
    this.probing = new Probing(this.socket.call);
    this.socket.onOnline = () => void this.#greet();
    this.socket.onOffline = () => {
      this.store.apply([{ kind: 'offline' }]);
      for (const session of this.#sessions.values()) session.lineLost();
    };
    this.socket.onNotification = (method, params) => this.#notified(method, params);
  }

  start(window: Window): void {
    const token = takeToken(window);
    this.places.bind(window);
    this.#followStops();
    this.#followProbes();
    this.socket.connect(token);
  }

  may(scope: Scope): boolean {
    return this.scopes.value.has(scope);
  }

  /** Takes a token, or a link with one, that somebody pasted. Returns what is wrong with it, or nothing. While the
   *  page is online it goes on with a fresh token of the same subject, and what is debugged stays. */
  async useToken(window: Window, pasted: string): Promise<string> {
    const token = readPasted(pasted);
    if (!isToken(token)) return 'This is not a token. Paste what `sonde token` prints, or the whole link.';
    if (this.socket.line.value.phase === 'online') {
      try {
        const me = await this.socket.call('token.renew', { token });
        keepToken(window, token);
        this.socket.renewed(token);
        this.store.apply([{ kind: 'welcome', me }]);
        if (!this.store.live.value) void this.#greet(); // the old token did not allow it
        return '';
      } catch (problem) {
        const isOthers = problem instanceof Failure && problem.code === 'permission_denied';
        if (!isOthers) return messageOf(problem);
      }
    }
    keepToken(window, token);
    this.socket.connect(token);
    return '';
  }

  sessionOf(process: string): Session {
    const known = this.#sessions.get(process);
    if (known !== undefined) return known;
    const session = new Session(process, this.socket.call);
    this.#sessions.set(process, session);
    return session;
  }

  async #greet(): Promise<void> {
    const { call } = this.socket;
    try {
      this.store.apply([{ kind: 'welcome', me: await call('whoami', {}) }]);
      await call('subscribe', { topics: TOPICS });
      const { processes } = await call('process.list', {});
      this.store.apply([{ kind: 'listed', processes }]);
      this.trouble.value = '';
      await this.probing.list();
    } catch (problem) {
      this.trouble.value = messageOf(problem);
    }
  }

  #notified(method: string, params: unknown): void {
    if (method === 'probes') return this.probing.told(params);
    const messages = read(method, params, Date.now() / 1000);
    this.store.apply(messages);
    for (const message of messages) {
      if (message.kind === 'bus' && message.bus === 'down') {
        for (const session of this.#sessions.values()) session.busLost();
      }
      if (message.kind === 'gap') {
        this.#sessions.get(message.gap.process)?.driving.lookAgain();
        this.probing.follow(this.places.probe.value, this.may('inspect'));
      }
      if (message.kind !== 'event') continue;
      this.#probesHear(message.item);
      try {
        this.#sessions.get(message.item.process)?.handle(message.item);
      } catch (problem) {
        if (!(problem instanceof Malformed)) throw problem;
        console.warn('an event of the debugger was not understood:', problem.message);
      }
    }
    for (const session of this.#sessions.values()) session.driving.keep();
  }

  /** What this viewer's own probes log is in the console too; there may be any number of the others'. */
  #probesHear(event: AnyEvent): void {
    this.probing.heard(event);
    if (event.type !== 'probe_logged' || !this.probing.isBy(this.store.me.value?.subject, event.probe)) return;
    const where = `${baseName(event.path)}:${event.line}`;
    this.#sessions.get(event.process)?.transcript.print('logged', event.message, where);
  }

  /** The probe and the snapshot of the place, asked for again whenever the page comes online. */
  #followProbes(): void {
    effect(() => {
      const probe = this.places.probe.value;
      if (this.store.live.value) untracked(() => this.probing.follow(probe, this.may('inspect')));
    });
    effect(() => {
      const snapshot = this.places.snapshot.value;
      if (this.store.live.value) untracked(() => this.probing.open(snapshot, this.may('inspect')));
    });
  }

  /** When a frame is selected, the source goes there. */
  #followStops(): void {
    effect(() => {
      const frame = this.session.value?.looking.frame.value;
      const path = frame?.source?.path;
      if (frame && path) this.places.show(path, frame.line);
    });
  }
}
