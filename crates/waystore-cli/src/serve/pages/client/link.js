// The connection to the gateway, as docs/channel.md has it: numbered frames that are kept until they are
// acknowledged, so that nothing is lost or done twice over a reconnect. Knows no frame's meaning but that
// of the connection itself, and no socket (wires.js).

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;
const ACK_MS = 400;
// What waits here while there is no connection, or while the gateway has not acknowledged enough.
const MOST_WAITING = 1024;
const MOST_WAITING_CHARS = 8 * 1024 * 1024;
// What may be sent and not be acknowledged, in characters.
const MOST_UNACKNOWLEDGED_CHARS = 1024 * 1024;
// What a number takes in a frame, and what a port does, in characters.
const NUMBER_CHARS = 32;
const PORT_CHARS = 12;

const CLOSE = { done: 1000, tooLarge: 1009, broken: 4400, replaced: 4409 };

class Link {
  // Given by who uses this: what a frame does, by its name; what is to be done with a welcome, and when there will
  // be none any more.
  handlers = {};
  onwelcome = () => {};
  onfailure = () => {};
  // Gives numbers to the ports that go along with a frame, when it is sent.
  numberPorts = () => [];
  // After this nothing more is tried; an error says why.
  failure = undefined;

  #identity;
  // Whether there ever was a welcome.
  #welcomed = false;
  #describe;
  #wire;
  #open = false;
  #sent = 0;
  #received = 0;
  #unacknowledged = [];
  #waiting = [];
  #waitingChars = 0;
  #withPorts = new Map();
  #limits = { messageBytes: 1 << 20, unacknowledged: 256 };
  #acknowledging;
  #pauseMs = FIRST_PAUSE_MS;
  #retry;
  // Before this the gateway does not want to be asked again.
  #notBefore = 0;
  #paused = false;
  #settled = new Set();

  // `client` is the id that the page's navigation brought, `describe()` what the page is now.
  constructor(client, describe) {
    this.#identity = { client };
    this.#describe = describe;
  }

  get limits() {
    return this.#limits;
  }

  // Resolves at the next welcome, at once where there is a connection; rejects when an attempt failed.
  connected() {
    if (this.#open) return Promise.resolve();
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => this.#settled.add({ resolve, reject }));
  }

  // Sends a frame, now or when that is possible. `text` is its JSON without the number and the ports, which
  // get theirs when it is sent: a client that is gone takes no port of what still waits with it. Returns
  // whether there is room for it; `tooLong()` is called where the gateway takes no frame of that length, which only
  // its welcome says.
  send(text, { ports = [], id, tooLong = () => {} } = {}) {
    if (this.failure !== undefined) return false;
    if (this.#waiting.length >= MOST_WAITING || this.#waitingChars + text.length > MOST_WAITING_CHARS) return false;
    this.#waiting.push({ text, ports, id, tooLong });
    this.#waitingChars += text.length;
    this.#flush();
    return true;
  }

  // Whether the frame with this id was not sent yet.
  isWaiting(id) {
    return this.#waiting.some((waiting) => waiting.id === id);
  }

  connect() {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    if (this.#wire !== undefined || this.failure !== undefined || this.#paused) return;
    const wire = openWire({
      hello: () => JSON.stringify(this.#hello()),
      from: () => JSON.stringify({ frame: "from", ...this.#identity }),
      batchChars: () => this.#limits.messageBytes / 4,
      ontext: (text) => this.#wire === wire && this.#take(JSON.parse(text)),
      onend: (end) => this.#wire === wire && this.#ended(end),
    });
    this.#wire = wire;
  }

  // The page is put away (and may come back), or goes for good.
  leave(forGood) {
    this.#paused = true;
    clearTimeout(this.#retry);
    if (forGood && this.#open) {
      this.#wire.last(this.#numbered('{"frame":"bye"}'));
    }
    this.#open = false;
    this.#wire?.close();
    this.#wire = undefined;
  }

  comeBack() {
    this.#paused = false;
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#connectIn(0);
  }

  // There is reason to think that it works now.
  hurry() {
    if (this.#retry !== undefined) this.#connectIn(0);
  }

  #hello() {
    const { client, key } = this.#identity;
    return { frame: "hello", version: 1, client, key, received: this.#received, ...this.#describe() };
  }

  #numbered(text, ports = []) {
    this.#sent += 1;
    const numbers = ports.length > 0 ? `,"ports":${JSON.stringify(ports)}` : "";
    return `${text.slice(0, -1)}${numbers},"n":${this.#sent}}`;
  }

  #flush() {
    while (this.#open && this.#waiting.length > 0 && this.#roomFor(this.#waiting[0].text)) {
      const { text: waiting, ports, tooLong } = this.#waiting.shift();
      this.#waitingChars -= waiting.length;
      if (this.#isTooLong(waiting, ports)) {
        tooLong();
        continue;
      }
      const numbers = this.numberPorts(ports);
      const text = this.#numbered(waiting, numbers);
      this.#unacknowledged.push({ n: this.#sent, text });
      if (numbers.length > 0) this.#remember(this.#sent, numbers);
      this.#wire.send(text);
    }
  }

  #isTooLong(text, ports) {
    const more = NUMBER_CHARS + ports.length * PORT_CHARS;
    const { messageBytes } = this.#limits;
    // A character has three bytes at most.
    return text.length * 3 + more > messageBytes && new TextEncoder().encode(text).length + more > messageBytes;
  }

  // What is refused is refused by its number, and its ports are closed with it.
  #remember(n, ports) {
    this.#withPorts.set(n, ports);
    if (this.#withPorts.size > MOST_WAITING) this.#withPorts.delete(this.#withPorts.keys().next().value);
  }

  portsOf(n) {
    return this.#withPorts.get(n) ?? [];
  }

  #roomFor(text) {
    const chars = this.#unacknowledged.reduce((sum, { text }) => sum + text.length, text.length);
    const { length } = this.#unacknowledged;
    return length === 0 || (length < this.#limits.unacknowledged && chars <= MOST_UNACKNOWLEDGED_CHARS);
  }

  #take(frame) {
    switch (frame.frame) {
      case "welcome":
        return this.#welcome(frame);
      case "ack":
        this.#acknowledged(frame.upto);
        return this.#flush();
      case "ping":
        return this.#wire.send('{"frame":"pong"}');
      case "close":
        return this.#ended(frame);
    }
    if (frame.n <= this.#received) return;
    this.#received = frame.n;
    this.#acknowledging ??= setTimeout(() => this.#acknowledge(), ACK_MS);
    this.handlers[frame.frame]?.(frame);
  }

  #acknowledge() {
    this.#acknowledging = undefined;
    if (this.#open) this.#wire.send(`{"frame":"ack","upto":${this.#received}}`);
  }

  #acknowledged(upto) {
    this.#unacknowledged = this.#unacknowledged.filter(({ n }) => n > upto);
  }

  #welcome(welcome) {
    const again = this.#welcomed;
    this.#welcomed = true;
    this.#identity = { client: welcome.client, key: welcome.key };
    this.#limits = { ...this.#limits, ...welcome.limits };
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#open = true;
    const anew = again && !welcome.resumed;
    let lost = 0;
    if (welcome.resumed) {
      this.#acknowledged(welcome.received);
      for (const { text } of this.#unacknowledged) this.#wire.send(text);
    } else {
      // Whether these were carried out nobody can tell, so they are not sent once more.
      lost = this.#unacknowledged.length + (anew ? this.#forget() : 0);
      this.#unacknowledged = [];
      this.#withPorts.clear();
      this.#sent = 0;
      this.#received = 0;
    }
    this.onwelcome(anew, lost);
    this.#flush();
    for (const { resolve } of this.#settled) resolve();
    this.#settled.clear();
  }

  // Drops what waits and means something only to the client that is gone: what is about its ports and jobs.
  #forget() {
    const kept = this.#waiting.filter(({ text }) => !/^{"frame":"(port|close-port|abort)"/.test(text));
    const forgotten = this.#waiting.length - kept.length;
    this.#waiting = kept;
    this.#waitingChars = kept.reduce((sum, { text }) => sum + text.length, 0);
    return forgotten;
  }

  #ended({ code, reason, retryMs = 0, fatal = false }) {
    this.#wire.close();
    this.#wire = undefined;
    this.#open = false;
    if (this.#paused) return;
    const error = new Error(reason || "the gateway cannot be reached");
    if (fatal || code === CLOSE.done || code === CLOSE.replaced) this.failure = error;
    if (code === CLOSE.broken) this.#identity = { client: undefined, key: undefined };
    if (code === CLOSE.tooLarge) this.#emptyLongest();
    for (const { reject } of this.#settled) reject(error);
    this.#settled.clear();
    if (this.failure !== undefined) return this.onfailure(error);
    this.#notBefore = performance.now() + retryMs;
    this.#connectIn(this.#pauseMs * (1 - Math.random() / 2));
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
  }

  // The gateway takes one of these never. The numbers after it stay what they are, so something has to have its number:
  // a frame that no gateway knows.
  #emptyLongest() {
    const longest = this.#unacknowledged.reduce((one, other) => (other.text.length > (one?.text.length ?? 0) ? other : one), undefined);
    if (longest !== undefined) longest.text = `{"frame":"nothing","n":${longest.n}}`;
  }

  // Connects after this time, or later where the gateway said so.
  #connectIn(pauseMs) {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const pause = Math.max(pauseMs, this.#notBefore - performance.now());
    if (pause <= 0) this.connect();
    else this.#retry = setTimeout(() => this.connect(), pause);
  }
}
