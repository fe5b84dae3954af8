/** The page behind the screen: socket -> store and sessions, and the place that the page looks at.
 *
 *  Coming online: whoami, subscribe, then the list of what there is. The list replaces what was known. Events that were
 *  missed since the line was lost are told again before `subscribe` is answered: of the processes of which some were heard,
 *  and of those that have begun since. What a program prints is asked for while this viewer debugs it. */

import { computed, effect, signal, untracked } from '@preact/signals';
import { baseName } from './format';
import { Numbers } from './numbering';
import { Places } from './place';
import { Probing } from './probing';
import { Remembering } from './remembering';
import { Session } from './session';
import { Malformed } from './shape';
import { Socket, type Surroundings } from './socket';
import { Sources } from './sources';
import { read, Store, type Message } from './store';
import { isToken, keepToken, readPasted, takeToken } from './token';
import { Failure, messageOf, type AnyEvent, type Cursor, type Scope } from './wire';

/** Browsers refuse an address that changes many times a second. */
const SETTLED_MS = 300;
const TOPICS = ['presence', 'events', 'metrics', 'probes'] as const;

export class Page {
  readonly store = new Store();
  readonly places = new Places();
  readonly socket: Socket;
  readonly sources: Sources;
  readonly probing: Probing;
  readonly remembering: Remembering;
  /** What went wrong on the way to a live view, for the banner. */
  readonly trouble = signal('');
  readonly #sessions = new Map<string, Session>();
  readonly #numbers = new Numbers();
  #wasLive = false;

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
    this.remembering = new Remembering(this.socket.call);
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
    this.#followHistory();
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
    this.#hearOutput(session);
    return session;
  }

  async #greet(): Promise<void> {
    const { call } = this.socket;
    try {
      this.store.apply([{ kind: 'welcome', me: await call('whoami', {}) }]);
      const cursors = await this.#cursors();
      await call('subscribe', { topics: TOPICS, ...(cursors.length > 0 ? { cursors } : {}) });
      const { processes } = await call('process.list', {});
      this.store.apply([{ kind: 'listed', processes }]);
      this.#wasLive = true;
      this.trouble.value = '';
      await this.probing.list();
    } catch (problem) {
      this.trouble.value = messageOf(problem);
    }
  }

  /** Where to go on: behind the newest event of each process, and at the beginning of those that are new since. The first
   *  time nothing was missed. */
  async #cursors(): Promise<readonly Cursor[]> {
    if (!this.#wasLive) return [];
    const known = this.store.processes.peek();
    const { processes } = await this.socket.call('process.list', {});
    return this.#numbers.cursors(processes.filter(({ process, boot }) => known.get(process)?.boot !== boot));
  }

  #notified(method: string, params: unknown): void {
    if (method === 'probes') return this.probing.told(params);
    const messages = read(method, params, Date.now() / 1000).filter((message) => this.#isNew(message));
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
      this.remembering.heard(message.item);
      try {
        this.#sessions.get(message.item.process)?.handle(message.item);
      } catch (problem) {
        if (!(problem instanceof Malformed)) throw problem;
        console.warn('an event of the debugger was not understood:', problem.message);
      }
    }
    for (const session of this.#sessions.values()) session.driving.keep();
  }

  /** What is told again after the line was lost may be here already. */
  #isNew(message: Message): boolean {
    if (message.kind === 'event') return this.#numbers.note(message.item);
    if (message.kind === 'gap') this.#numbers.note({ ...message.gap, seq: message.gap.last });
    return true;
  }

  /** From just before a session is opened until it is over. */
  #hearOutput(session: Session): void {
    const wanted = computed(() => session.phase.value !== 'idle' && this.may('inspect'));
    let hearing: Promise<number | null> = Promise.resolve(null);
    effect(() => {
      if (wanted.value) hearing = untracked(() => this.#subscribeOutput(session.process));
      else void hearing.then((subscription) => this.#unsubscribe(subscription));
    });
  }

  async #subscribeOutput(process: string): Promise<number | null> {
    try {
      return (await this.socket.call('subscribe', { topics: ['output'], selector: process })).subscription;
    } catch (problem) {
      console.warn(`what ${process} prints is not shown:`, messageOf(problem));
      return null;
    }
  }

  /** A subscription does not outlive its line, which may be lost already. */
  async #unsubscribe(subscription: number | null): Promise<void> {
    if (subscription === null || this.socket.line.peek().phase !== 'online') return;
    try {
      await this.socket.call('unsubscribe', { subscription });
    } catch (problem) {
      console.warn('a subscription was not ended:', messageOf(problem));
    }
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

  /** The recorded session of the place, read again when it could not be. */
  #followHistory(): void {
    effect(() => {
      const session = this.places.recorded.value;
      const can = this.store.live.value && this.store.history.value.store !== 'none';
      if (can || session === null) untracked(() => this.remembering.open(session, this.places.step.peek()));
    });
    effect(() => {
      const step = this.places.step.value;
      if (step !== null) untracked(() => this.remembering.replay.peek()?.goTo(step));
    });
    let settling: ReturnType<typeof setTimeout> | undefined;
    effect(() => {
      const replaying = this.remembering.replay.value;
      void replaying?.step.value;
      clearTimeout(settling);
      settling = setTimeout(() => {
        if (replaying !== null && replaying === this.remembering.replay.peek()) this.places.atStep(replaying.step.peek());
      }, SETTLED_MS);
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
