// `clients`: the pages and workers that this worker can see and talk to, each as it was when it was asked for.
// Spec: https://w3c.github.io/ServiceWorker/#clients-interface
export default function (kit) {
  const { domException } = kit;
  const { freeze } = Object;
  const { map } = Array.prototype;
  const each = Function.prototype.call.bind(map);
  const wellFormed = Function.prototype.call.bind(String.prototype.toWellFormed);
  const { URL } = globalThis;
  const secret = Symbol("made by the runtime");

  function made(token, name) {
    if (token !== secret) throw new TypeError(`${name}: illegal constructor`);
  }

  function needs(given, operation) {
    if (given === 0) throw new TypeError(`${operation} needs 1 argument, but was given 0`);
  }

  class Client {
    #seen;

    static {
      kit.isClient = (value) => #seen in value;
    }

    constructor(token, seen) {
      made(token, "Client");
      this.#seen = seen;
    }

    get id() {
      return this.#seen.id;
    }

    get url() {
      return this.#seen.url;
    }

    get type() {
      return this.#seen.type;
    }

    get frameType() {
      return this.#seen.frameType;
    }

    // Spec: https://w3c.github.io/ServiceWorker/#dom-client-postmessage-message-options
    postMessage(message, options = undefined) {
      const { id } = this.#seen;
      needs(arguments.length, "postMessage");
      const { text, ports } = kit.pack(message, kit.transferOf(options));
      kit.postToClient(id, text, ports);
    }
  }

  class WindowClient extends Client {
    #seen;
    #ancestorOrigins = freeze([]);

    constructor(token, seen) {
      made(token, "WindowClient");
      super(token, seen);
      this.#seen = seen;
    }

    get visibilityState() {
      return this.#seen.visible ? "visible" : "hidden";
    }

    get focused() {
      return this.#seen.focused;
    }

    get ancestorOrigins() {
      return this.#ancestorOrigins;
    }

    // Who is far away gives nobody's window the focus.
    async focus() {
      void this.#seen;
      throw domException("focus: no user asked for it", "InvalidAccessError");
    }

    // Spec: https://w3c.github.io/ServiceWorker/#client-navigate
    async navigate(url) {
      const { id } = this.#seen;
      needs(arguments.length, "navigate");
      const { href } = new URL(`${url}`, globalThis.location.href);
      if (href === "about:blank") throw new TypeError("navigate: about:blank cannot be navigated to");
      if (!kit.controlsClient(id)) throw new TypeError("navigate: this worker does not control the client");
      throw new TypeError("navigate: the page is in somebody's browser, which nobody navigates from here");
    }
  }

  class Clients {
    #made = true;

    constructor(token) {
      made(token, "Clients");
    }

    async get(id) {
      void this.#made;
      needs(arguments.length, "get");
      const seen = await kit.getClient(wellFormed(`${id}`));
      return seen === undefined ? undefined : clientOf(seen);
    }

    // Spec: https://w3c.github.io/ServiceWorker/#clients-matchall
    async matchAll(options = undefined) {
      void this.#made;
      const { includeUncontrolled, type } = queryOf(options);
      return freeze(each(kit.matchClients(type, includeUncontrolled), clientOf));
    }

    async openWindow(url) {
      void this.#made;
      needs(arguments.length, "openWindow");
      const { href } = new URL(`${url}`, globalThis.location.href);
      if (href === "about:blank") throw new TypeError("openWindow: about:blank cannot be opened");
      throw domException("openWindow: no user asked for a window", "InvalidAccessError");
    }

    async claim() {
      void this.#made;
      if (!kit.claimClients()) throw domException("claim: this worker is not active", "InvalidStateError");
    }
  }

  // Spec: https://w3c.github.io/ServiceWorker/#dictdef-clientqueryoptions
  function queryOf(options) {
    if (options === undefined || options === null) return { includeUncontrolled: false, type: "window" };
    if (typeof options !== "object" && typeof options !== "function") throw new TypeError("the options are not an object");
    const { includeUncontrolled = false, type = "window" } = options;
    return { includeUncontrolled: Boolean(includeUncontrolled), type: wellFormed(`${type}`) };
  }

  function clientOf(seen) {
    return seen.type === "window" ? new WindowClient(secret, seen) : new Client(secret, seen);
  }

  for (const Interface of [Client, WindowClient, Clients]) kit.exposeIllegal(Interface);
  kit.clientOf = clientOf;
  kit.makeClients = () => new Clients(secret);
}
