/** The page's line to the broker: one WebSocket, JSON-RPC ids, and coming back when the line is lost.
 *
 *  idle -> connecting -> online -> waiting -> connecting -> ...
 *  connecting, online, waiting -> refused, when coming back cannot help: a person has to do something first.
 *
 *  1012 the broker restarts       come back soon
 *  4440 we read too slowly        come back soon, and say so
 *  4401 the token is bad or over  refused until there is another one
 *  4400 we sent nonsense          refused: page and broker do not fit together, reload
 *  else the line was lost         come back, each time later, with jitter, at most 15 s later */

import { signal, type ReadonlySignal } from '@preact/signals';
import { text, object, or, anything, Malformed } from './shape';
import { BEARER_SUBPROTOCOL_PREFIX, Close, Failure, METHODS, rpcError, SUBPROTOCOL, type Call } from './wire';

export type RefusedBecause = 'no_token' | 'unauthenticated' | 'mismatch';
export type LostBecause = 'line' | 'restart' | 'slow';
export type Line =
  | { readonly phase: 'idle' | 'connecting' | 'online' }
  | { readonly phase: 'waiting'; readonly because: LostBecause; readonly until: number }
  | { readonly phase: 'refused'; readonly because: RefusedBecause; readonly message: string };

/** The parts of the browser that it needs, so that tests can stand in for them. */
export interface Surroundings {
  open(url: string, protocols: string[]): WebSocket;
  now(): number;
  random(): number;
}

interface Waiter {
  readonly method: keyof typeof METHODS;
  readonly timer: ReturnType<typeof setTimeout>;
  resolve(result: unknown): void;
  reject(failure: Error): void;
}

const envelope = object({
  id: or(anything, null),
  method: or(text, null),
  params: or(anything, {}),
  result: anything,
  error: or(anything, null),
});

const CALL_TIMEOUT_MS = 30_000;
const LONGEST_WAIT_MS = 15_000;
const lineLost = () =>
  new Failure('unavailable', 'line_lost', 'the connection to the broker is lost; try again when it is back');

export class Socket {
  readonly #line = signal<Line>({ phase: 'idle' });
  readonly line: ReadonlySignal<Line> = this.#line;
  /** Set by whoever listens, before `connect`. */
  onOnline: () => void = () => {};
  onOffline: () => void = () => {};
  onNotification: (method: string, params: unknown) => void = () => {};

  #socket: WebSocket | null = null;
  #token: string | null = null;
  #attempt = 0;
  #nextId = 1;
  #comeBack: ReturnType<typeof setTimeout> | undefined;
  readonly #waiters = new Map<unknown, Waiter>();

  constructor(
    readonly url: string,
    readonly surroundings: Surroundings,
  ) {}

  connect(token: string | null): void {
    this.#token = token;
    this.#attempt = 0;
    if (token === null) {
      this.#line.value = { phase: 'refused', because: 'no_token', message: 'this page has no token' };
      return;
    }
    this.#open();
  }

  /** The broker goes on with this token; it counts from the next connection on. */
  renewed(token: string): void {
    this.#token = token;
  }

  retryNow(): void {
    if (this.#line.value.phase === 'waiting') this.#open();
  }

  readonly call: Call = (method, params) =>
    new Promise((resolve, reject) => {
      if (this.#line.value.phase !== 'online' || this.#socket === null) {
        reject(lineLost());
        return;
      }
      const id = this.#nextId++;
      const timer = setTimeout(() => {
        this.#waiters.delete(id);
        reject(new Failure('deadline_exceeded', 'no_answer', `${method} was not answered in time`));
      }, CALL_TIMEOUT_MS);
      this.#waiters.set(id, { method, timer, resolve: resolve as (result: unknown) => void, reject });
      this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });

  #open(): void {
    clearTimeout(this.#comeBack);
    const previous = this.#socket;
    this.#socket = null;
    if (previous !== null) {
      previous.close();
      this.#giveUp();
    }
    this.#line.value = { phase: 'connecting' };
    const socket = this.surroundings.open(this.url, [SUBPROTOCOL, BEARER_SUBPROTOCOL_PREFIX + this.#token]);
    this.#socket = socket;
    socket.onopen = () => {
      if (this.#socket !== socket) return;
      this.#line.value = { phase: 'online' };
      this.onOnline();
    };
    socket.onmessage = (message: MessageEvent) => {
      if (this.#socket === socket) this.#receive(message.data);
    };
    socket.onclose = (close: CloseEvent) => {
      if (this.#socket === socket) this.#lost(close.code, close.reason);
    };
  }

  #receive(data: unknown): void {
    try {
      const message = envelope(JSON.parse(String(data)) as unknown, 'message');
      if (message.method !== null) {
        this.#attempt = 0;
        this.onNotification(message.method, message.params);
      } else {
        this.#answer(message.id, message.result, message.error);
      }
    } catch (problem) {
      if (!(problem instanceof Malformed || problem instanceof SyntaxError)) throw problem;
      console.warn('a message of the broker was not understood:', problem.message);
    }
  }

  #answer(id: unknown, result: unknown, error: unknown): void {
    const waiter = this.#waiters.get(id);
    if (waiter === undefined) return; // it waited too long and is gone
    this.#waiters.delete(id);
    clearTimeout(waiter.timer);
    this.#attempt = 0;
    try {
      if (error === null) {
        waiter.resolve(METHODS[waiter.method](result, waiter.method));
      } else {
        const { message, data } = rpcError(error, 'error');
        waiter.reject(new Failure(data.code, data.reason, message));
      }
    } catch (problem) {
      waiter.reject(problem as Error);
    }
  }

  #lost(code: number, reason: string): void {
    this.#socket = null;
    this.#line.value = this.#next(code, reason);
    this.#giveUp();
  }

  /** What was begun over a line does not outlive it. */
  #giveUp(): void {
    for (const waiter of this.#waiters.values()) {
      clearTimeout(waiter.timer);
      waiter.reject(lineLost());
    }
    this.#waiters.clear();
    this.onOffline();
  }

  #next(code: number, message: string): Line {
    switch (code) {
      case Close.unauthenticated:
        return { phase: 'refused', because: 'unauthenticated', message };
      case Close.badMessage:
        return { phase: 'refused', because: 'mismatch', message };
      case Close.brokerRestarts:
        return this.#wait('restart');
      case Close.slowViewer:
        return this.#wait('slow');
      default:
        return this.#wait('line');
    }
  }

  /** Half of the wait is fixed and half is chance, so that many pages do not come back at one moment. */
  #wait(because: LostBecause): Line {
    const longest = Math.min(1000 * 2 ** this.#attempt++, LONGEST_WAIT_MS);
    const wait = longest / 2 + (this.surroundings.random() * longest) / 2;
    this.#comeBack = setTimeout(() => this.#open(), wait);
    return { phase: 'waiting', because, until: this.surroundings.now() + wait };
  }
}
