// navigator.serviceWorker of a page whose worker is the gateway's: the interfaces, as the standard has
// them. What they show is set by mirror.js; what they are asked for goes to `desk`.
// Spec: https://w3c.github.io/ServiceWorker/#document-context

const THE_WORKER = {};

class GatewayWorker extends EventTarget {
  #of;
  #scriptURL;
  #state;

  static {
    THE_WORKER.setState = (worker, state) => (worker.#state = state);
    THE_WORKER.version = (worker) => worker.#of.version;
  }

  constructor(key, of, scriptURL, state) {
    onlyInside(key);
    super();
    this.#of = of;
    this.#scriptURL = scriptURL;
    this.#state = state;
  }

  get scriptURL() {
    return this.#scriptURL;
  }

  get state() {
    return this.#state;
  }

  postMessage(message, transfer) {
    if (arguments.length === 0) throw new TypeError("postMessage needs 1 argument, but was given 0");
    this.#of.desk.post(this.#of.version, message, transferOf(transfer));
  }
}

handlerOf(GatewayWorker, "statechange");
handlerOf(GatewayWorker, "error");
standsFor(GatewayWorker, "ServiceWorker");

const THE_REGISTRATION = {};

class GatewayRegistration extends EventTarget {
  #desk;
  #scope;
  #updateViaCache;
  #slots = { installing: null, waiting: null, active: null };

  static {
    THE_REGISTRATION.set = (registration, slots, updateViaCache) => {
      registration.#slots = slots;
      registration.#updateViaCache = updateViaCache;
    };
  }

  constructor(key, desk, scope, updateViaCache) {
    onlyInside(key);
    super();
    this.#desk = desk;
    this.#scope = scope;
    this.#updateViaCache = updateViaCache;
  }

  get installing() {
    return this.#slots.installing;
  }

  get waiting() {
    return this.#slots.waiting;
  }

  get active() {
    return this.#slots.active;
  }

  get scope() {
    return this.#scope;
  }

  get updateViaCache() {
    return this.#updateViaCache;
  }

  async update() {
    await this.#desk.ask("update");
    return this;
  }

  async unregister() {
    return (await this.#desk.ask("unregister")) !== false;
  }
}

handlerOf(GatewayRegistration, "updatefound");
standsFor(GatewayRegistration, "ServiceWorkerRegistration");

const THE_CONTAINER = {};

class GatewayContainer extends EventTarget {
  #desk;
  #controller = null;
  #ready;
  // Messages wait until the page is ready for them, as in a browser.
  #started = false;
  #early = [];

  static {
    THE_CONTAINER.setController = (container, worker) => (container.#controller = worker);
    THE_CONTAINER.start = (container) => container.#start();
    THE_CONTAINER.deliver = (container, event) => {
      if (container.#started) container.dispatchEvent(event);
      else if (container.#early.push(event) > MOST_EARLY) container.#early.shift();
    };
  }

  constructor(key, desk) {
    onlyInside(key);
    super();
    this.#desk = desk;
  }

  get controller() {
    return this.#controller;
  }

  get ready() {
    return (this.#ready ??= this.#desk.ready());
  }

  async register(scriptURL, options = {}) {
    if (arguments.length === 0) throw new TypeError("register needs 1 argument, but was given 0");
    return this.#desk.register(parsed(scriptURL), options ?? {});
  }

  async getRegistration(clientURL = "") {
    const url = parsed(clientURL);
    if (url.origin !== location.origin) throw new DOMException(`${url} is at another origin`, "SecurityError");
    return this.#desk.registrationFor(url);
  }

  async getRegistrations() {
    return this.#desk.registrations();
  }

  startMessages() {
    this.#start();
  }

  #start() {
    this.#started = true;
    for (const event of this.#early.splice(0)) turn(() => this.dispatchEvent(event));
  }
}

// Beyond these the oldest go.
const MOST_EARLY = 256;

handlerOf(GatewayContainer, "controllerchange");
handlerOf(GatewayContainer, "message", (container) => THE_CONTAINER.start(container));
handlerOf(GatewayContainer, "messageerror");
standsFor(GatewayContainer, "ServiceWorkerContainer");

function parsed(url) {
  return new URL(url, document.baseURI);
}
