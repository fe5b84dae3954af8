// A viewer of Sonde in plain JavaScript, for browsers and for Node: no build, no package.
//
//   <script src="viewer.js"></script>       see viewer.html
//   SONDE_URL=http://127.0.0.1:8080 SONDE_TOKEN=... node viewer.js [SELECTOR]
//                                           (Node 22; Node 20 needs --experimental-websocket)
//
// It comes back by itself when the line breaks and misses nothing: it tells the broker how far it has got with each
// process, and the broker tells first what it missed. What nobody has any more arrives as a gap.
"use strict";

const UNAUTHENTICATED = 4401;
const MOST_CURSORS = 256;
const BROKE = "the line broke";
const IN_BROWSER = typeof document !== "undefined";

class SondeViewer {
  /**
   * @param {string} url of the broker, such as http://127.0.0.1:8080
   * @param {string} token
   * @param {object} on what to call: event(event), gap(gap), presence(process), open(), lost(), refused(message)
   */
  constructor(url, token, on) {
    this.address = url.replace(/^http/, "ws").replace(/\/$/, "") + "/ws";
    this.token = token;
    this.on = on;
    this.selector = "*/*/*";
    this.cursors = new Map(); // by process: its boot, and the number of the last event that arrived
    this.waiting = new Map(); // by number: what settles the call
    this.lastId = 0;
    this.attempt = 0;
    this.ended = false;
  }

  /** Follows the processes of a selector, for ever: until `close`, or until the token is not taken any more. */
  follow(selector) {
    this.selector = selector;
    this.dial();
  }

  close() {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  /** A call of the wire; the promise brings its result or fails with the broker's sentence. */
  call(method, params) {
    const id = ++this.lastId;
    this.socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  dial() {
    // A page cannot set headers on a WebSocket, so its token travels as a subprotocol; the broker never echoes it.
    this.socket = IN_BROWSER
      ? new WebSocket(this.address, ["sonde.v1", `sonde.bearer.${this.token}`])
      : new WebSocket(this.address, { protocols: ["sonde.v1"], headers: { Authorization: `Bearer ${this.token}` } });
    let over = false;
    const end = (code, reason) => {
      if (!over) this.comeBack(code, reason);
      over = true;
    };
    this.socket.onopen = () => this.begin();
    this.socket.onmessage = (message) => this.receive(JSON.parse(message.data));
    this.socket.onclose = (close) => end(close.code, close.reason);
    this.socket.onerror = () => setTimeout(end, 0, 1006, ""); // onclose follows at once, but not in Node 20
  }

  async begin() {
    const cursors = [...this.cursors]
      .slice(-MOST_CURSORS)
      .map(([process, { boot, seq }]) => ({ process, boot, seq }));
    try {
      await this.call("subscribe", { topics: ["presence", "events"], selector: this.selector, cursors });
    } catch (error) {
      if (error.message !== BROKE) this.on.refused?.(error.message);
      return;
    }
    this.attempt = 0;
    this.on.open?.();
  }

  comeBack(code, reason) {
    for (const { reject } of this.waiting.values()) reject(new Error(BROKE));
    this.waiting.clear();
    if (this.ended) return;
    if (code === UNAUTHENTICATED) {
      this.ended = true;
      this.on.refused?.(reason);
      return;
    }
    this.on.lost?.();
    const longest = Math.min(10_000, 200 * 2 ** this.attempt);
    this.attempt = Math.min(this.attempt + 1, 10);
    this.timer = setTimeout(() => this.dial(), Math.random() * longest); // jitter: others come back too
  }

  receive(message) {
    const { method, params } = message;
    if (method === "events") params.events.forEach((event) => this.take(event));
    else if (method === "presence") params.presence.forEach((process) => this.on.presence?.(process));
    else if (method === "gap") this.miss(params);
    else if (message.id !== undefined) this.settle(message);
  }

  settle({ id, result, error }) {
    const call = this.waiting.get(id);
    this.waiting.delete(id);
    if (error) call?.reject(new Error(error.message));
    else call?.resolve(result);
  }

  take(event) {
    const { process, boot, seq } = event;
    const cursor = this.cursors.get(process);
    if (cursor?.boot === boot && seq <= cursor.seq) return; // it came twice
    this.cursors.delete(process); // the newest is the last one of the table
    this.cursors.set(process, { boot, seq });
    this.on.event?.(event);
  }

  miss(gap) {
    const cursor = this.cursors.get(gap.process);
    if (cursor?.boot === gap.boot) cursor.seq = Math.max(cursor.seq, gap.last);
    this.on.gap?.(gap);
  }
}

if (!IN_BROWSER) {
  const say = (text) => console.log(text);
  const viewer = new SondeViewer(process.env.SONDE_URL, process.env.SONDE_TOKEN, {
    open: () => say("following"),
    lost: () => say("the line broke; coming back"),
    presence: (presence) => say(`${presence.process} is ${presence.state}`),
    event: (event) => say(`${event.process} #${event.seq} ${event.type}`),
    gap: (gap) => say(`${gap.process} gap: ${gap.first} to ${gap.last} are lost here`),
    refused: (message) => {
      console.error(`refused: ${message}`);
      process.exit(1);
    },
  });
  viewer.follow(process.argv[2] ?? "*/*/*");
}
