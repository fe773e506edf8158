// What page and worker say to each other: values with ports, in frames. A port whose other end is at the
// gateway is one end of a channel of the browser's; what comes out of the end that is kept here goes over
// the link, and the other way round.

// The last thing that comes out of a port; no page posts it.
const CLOSED = `closed ${Math.random()}`;

// The other ends of channels that the page made.
const PARTNERS = new WeakMap();

class PairedChannel extends MessageChannel {
  constructor() {
    super();
    PARTNERS.set(this.port1, this.port2);
    PARTNERS.set(this.port2, this.port1);
  }
}

shown(PairedChannel, "MessageChannel");
Object.defineProperty(globalThis, "MessageChannel", { value: PairedChannel, writable: true, configurable: true });

// Browsers do not tell one end of a channel that the other was closed, so this one says it, behind what was posted before.
function tellWhenClosed(port) {
  const close = function () {
    this.postMessage(CLOSED);
    MessagePort.prototype.close.call(this);
  };
  define(port, "close", close, false);
}

class Post {
  #link;
  #ports = new Map();
  #lastPort = -1;
  // Those through which something came, the last one last.
  #answered = new Set();
  // Messages with blobs, whose bytes are still read, and those behind them.
  #behind = 0;
  #reading = Promise.resolve();

  constructor(link) {
    this.#link = link;
    link.numberPorts = (ports) => ports.map((port) => this.#sent(port));
    // By turns as messages are, since a port comes with a message, and what comes through it comes behind that.
    link.handlers.port = ({ port, data, ports = [] }) => turn(() => this.#deliver(port, data, ports));
    link.handlers["close-port"] = ({ port }) => turn(() => this.#drop(port));
  }

  // Sends `value` in a frame that has `members`. Throws where it cannot be cloned.
  send(members, value, transfer = []) {
    const partners = transfer.map((item) => PARTNERS.get(item)).filter((port) => port !== undefined);
    const copy = taken(value, transfer);
    partners.forEach(tellWhenClosed);
    const written = packed(copy);
    this.#inOrder(() => this.#go(members, written.text(), copy.ports), written.blobs);
  }

  // Does this behind what waits for blobs, and once these ones are read.
  #inOrder(go, blobs = []) {
    if (blobs.length === 0 && this.#behind === 0) return go();
    this.#behind += 1;
    const later = async () => {
      await readBlobs(blobs);
      go();
    };
    this.#reading = this.#reading.then(later).catch((error) => complain(`a message was not sent: ${error.message}`));
    this.#reading = this.#reading.then(() => (this.#behind -= 1));
  }

  // The value and the ports that came; throws where they are not as they should be.
  receive(data, numbers = []) {
    const ports = numbers.map((number) => this.#arrived(number));
    try {
      return { value: unpacked(data, ports), ports };
    } catch (error) {
      for (const port of ports) port.close();
      throw error;
    }
  }

  // The other side knows none of the ports any more.
  closeAll() {
    for (const number of [...this.#ports.keys()]) this.#drop(number);
    this.#lastPort = -1;
  }

  #go(members, data, ports) {
    const text = `${JSON.stringify(members).slice(0, -1)},"data":${data}}`;
    const tooLong = () => {
      complain(`a message has more than the ${this.#link.limits.messageBytes} bytes that this gateway takes, and was not sent`);
      for (const port of ports) port.close();
    };
    if (!this.#link.send(text, { ports, tooLong })) {
      complain(`a message was not sent: ${this.#link.failure?.message ?? "too many wait for the gateway"}`);
    }
  }

  // The frame of this number was not carried out.
  refused(n) {
    for (const number of this.#link.portsOf(n)) this.#drop(number);
  }

  // A port that goes away gets an odd number, in the order of the frames.
  #sent(port) {
    this.#lastPort += 2;
    this.#keep(this.#lastPort, port);
    return this.#lastPort;
  }

  #arrived(number) {
    const { port1, port2 } = new MessageChannel();
    this.#keep(number, port2);
    tellWhenClosed(port1);
    return port1;
  }

  // Nobody tells that nobody has the other end any more: where there are many, the one goes that was answered longest
  // ago, since most are made for one answer. Some are left over, because the worker lets go a little later.
  #makeRoom() {
    const { ports } = this.#link.limits;
    if (ports === undefined || this.#ports.size < (ports * 3) / 4) return;
    const [answered] = this.#answered;
    if (answered !== undefined) this.#closed(answered);
  }

  // This side ends it.
  #closed(number) {
    if (!this.#ports.has(number)) return;
    this.#drop(number);
    this.#inOrder(() => this.#link.send(JSON.stringify({ frame: "close-port", port: number })));
  }

  #keep(number, port) {
    this.#makeRoom();
    this.#ports.set(number, port);
    port.onmessage = ({ data, ports }) => {
      if (data === CLOSED) return this.#closed(number);
      try {
        this.send({ frame: "port", port: number }, data, ports);
      } catch (error) {
        complain(`a message was not sent: ${error.message}`);
      }
    };
  }

  #deliver(number, data, numbers) {
    const port = this.#ports.get(number);
    if (port === undefined) return;
    try {
      const { value, ports } = this.receive(data, numbers);
      port.postMessage(value, ports);
      this.#answered.delete(number);
      this.#answered.add(number);
    } catch (error) {
      complain(`a message for a port cannot be read: ${error.message}`);
    }
  }

  #drop(number) {
    const port = this.#ports.get(number);
    this.#ports.delete(number);
    this.#answered.delete(number);
    port?.close();
  }
}

// The second argument of a `postMessage`: a list, or options that have one.
function transferOf(given) {
  if (given === undefined || given === null) return [];
  if (typeof given !== "object" && typeof given !== "function") throw new TypeError("the options are not an object");
  return [...(given[Symbol.iterator] === undefined ? given.transfer ?? [] : given)];
}

// For whoever writes the page; the same once only, since what is refused is often refused again.
const complaints = new Set();
function complain(text) {
  if (complaints.has(text) || complaints.size >= 100) return;
  complaints.add(text);
  console.warn(`waystore: ${text}`);
}
