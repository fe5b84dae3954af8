/** The page behind the screen: socket -> store and sessions, and the place that the page looks at.
 *
 *  Coming online: whoami, subscribe, then the list of what there is. The list replaces what was known, because
 *  what happened while the line was lost is told by nobody. */

import { computed, effect, signal } from '@preact/signals';
import { Places } from './place';
import { Session } from './session';
import { Malformed } from './shape';
import { Socket, type Surroundings } from './socket';
import { Sources } from './sources';
import { read, Store } from './store';
import { isToken, keepToken, readPasted, takeToken } from './token';
import { Failure, messageOf, type Scope } from './wire';

const TOPICS = ['presence', 'events', 'metrics'] as const;

export class Page {
  readonly store = new Store();
  readonly places = new Places();
  readonly socket: Socket;
  readonly sources: Sources;
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
    } catch (problem) {
      this.trouble.value = messageOf(problem);
    }
  }

  #notified(method: string, params: unknown): void {
    const messages = read(method, params, Date.now() / 1000);
    this.store.apply(messages);
    for (const message of messages) {
      if (message.kind === 'bus' && message.bus === 'down') {
        for (const session of this.#sessions.values()) session.busLost();
      }
      if (message.kind === 'gap') this.#sessions.get(message.gap.process)?.driving.lookAgain();
      if (message.kind !== 'event') continue;
      try {
        this.#sessions.get(message.item.process)?.handle(message.item);
      } catch (problem) {
        if (!(problem instanceof Malformed)) throw problem;
        console.warn('an event of the debugger was not understood:', problem.message);
      }
    }
    for (const session of this.#sessions.values()) session.driving.keep();
  }

  /** When a frame is selected, the source goes there. */
  #followStops(): void {
    effect(() => {
      const frame = this.session.value?.frame.value;
      const path = frame?.source?.path;
      if (frame && path) this.places.show(path, frame.line);
    });
  }
}
