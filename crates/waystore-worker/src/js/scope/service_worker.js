// The global of a service worker: its registration, and skipWaiting.
// Spec: https://w3c.github.io/ServiceWorker/#serviceworkerglobalscope-interface
export default function (kit) {
  const { Event, EventTarget, domException } = kit;
  const { defineProperty, freeze } = Object;
  const WARN = 2;
  const secret = Symbol("made by the runtime");
  // The service worker objects, one for each version.
  const workers = new Map();
  let slots = { installing: null, waiting: null, active: null };
  let setState;
  let isWorker;

  function made(token, name) {
    if (token !== secret) throw new TypeError(`${name}: illegal constructor`);
  }

  class ServiceWorkerGlobalScope extends kit.GlobalScope {}

  class ServiceWorker extends EventTarget {
    #version;
    #scriptURL;
    #state;

    static {
      isWorker = (value) => #version in value;
      setState = (worker, state) => {
        if (worker.#state === state) return;
        worker.#state = state;
        kit.dispatch(worker, kit.trust(new Event("statechange")));
      };
    }

    constructor(token, version, scriptURL, state) {
      made(token, "ServiceWorker");
      super();
      this.#version = version;
      this.#scriptURL = scriptURL;
      this.#state = state;
    }

    get scriptURL() {
      return this.#scriptURL;
    }

    get state() {
      return this.#state;
    }

    // Spec: https://w3c.github.io/ServiceWorker/#service-worker-postmessage-options
    postMessage(message, options = undefined) {
      if (arguments.length === 0) throw new TypeError("postMessage needs 1 argument, but was given 0");
      const version = this.#version;
      const { text, ports } = kit.pack(message, kit.transferOf(options));
      kit.postMessage(version, text, ports);
    }
  }

  class NavigationPreloadManager {
    #made = true;

    constructor(token) {
      made(token, "NavigationPreloadManager");
    }

    async enable() {
      void this.#made;
      changePreload({ enabled: true });
    }

    async disable() {
      void this.#made;
      changePreload({ enabled: false });
    }

    async setHeaderValue(value) {
      void this.#made;
      if (arguments.length === 0) throw new TypeError("setHeaderValue needs 1 argument, but was given 0");
      const headerValue = `${value}`;
      // Spec: https://fetch.spec.whatwg.org/#header-value
      if (/[^\x00-\xff]|[\0\r\n]|^[\t ]|[\t ]$/.test(headerValue)) throw new TypeError("not a header value");
      changePreload({ headerValue });
    }

    async getState() {
      void this.#made;
      return kit.getPreload();
    }
  }

  function changePreload(change) {
    if (slots.active === null) throw domException("navigationPreload: no worker is active", "InvalidStateError");
    const { enabled, headerValue } = { ...kit.getPreload(), ...change };
    kit.setPreload(enabled, headerValue);
  }

  class ServiceWorkerRegistration extends EventTarget {
    #scope;
    #updateViaCache;
    #navigationPreload = new NavigationPreloadManager(secret);

    constructor(token, scope, updateViaCache) {
      made(token, "ServiceWorkerRegistration");
      super();
      this.#scope = scope;
      this.#updateViaCache = updateViaCache;
    }

    get installing() {
      return (this.#scope, slots.installing);
    }

    get waiting() {
      return (this.#scope, slots.waiting);
    }

    get active() {
      return (this.#scope, slots.active);
    }

    get navigationPreload() {
      return this.#navigationPreload;
    }

    get scope() {
      return this.#scope;
    }

    get updateViaCache() {
      return this.#updateViaCache;
    }

    async update() {
      void this.#scope;
      await kit.updateRegistration();
      return this;
    }

    async unregister() {
      void this.#scope;
      return kit.unregisterRegistration();
    }
  }

  for (const Interface of [
    ServiceWorkerGlobalScope,
    ServiceWorker,
    NavigationPreloadManager,
    ServiceWorkerRegistration,
  ]) {
    kit.exposeIllegal(Interface);
  }
  kit.handler(ServiceWorker.prototype, "statechange");
  kit.handler(ServiceWorker.prototype, "error");
  kit.handler(ServiceWorkerRegistration.prototype, "updatefound");
  kit.ServiceWorkerGlobalScope = ServiceWorkerGlobalScope;

  // What a worker listens to is known from its first evaluation; later listeners may never be woken.
  // Spec: https://w3c.github.io/ServiceWorker/#execution-context-events
  const TYPES = ["install", "activate", "fetch", "message", "messageerror"];
  const heardBefore = kit.heard;
  let evaluated = false;
  kit.heard = (target, type) => {
    heardBefore?.(target, type);
    if (evaluated && target === globalThis && TYPES.includes(type)) {
      kit.print(WARN, `the listener for ${type} was added after the first evaluation of the script: it may never be called`);
    }
  };
  kit.endEvaluation = () => {
    evaluated = true;
    return kit.listenedTypes(globalThis);
  };

  let ownVersion;
  const own = () => workers.get(ownVersion);
  const isObject = (value) => typeof value === "object" && value !== null;
  // Spec: https://w3c.github.io/ServiceWorker/#dictdef-extendablemessageeventinit
  kit.isSource = (value) => isObject(value) && (kit.isClient(value) || isWorker(value) || kit.isPort(value));

  // Who posted a message: a version's name, or a client's parts.
  kit.sourceOf = (source) => {
    if (source === null) return null;
    return typeof source === "string" ? (workers.get(source) ?? null) : kit.clientOf(source);
  };

  function workerOf(seen) {
    if (seen === null) return null;
    const known = workers.get(seen.version);
    if (known !== undefined) return known;
    const worker = new ServiceWorker(secret, seen.version, seen.script, seen.state);
    workers.set(seen.version, worker);
    return worker;
  }

  // The slots changed: objects first, then the events that tell of it.
  kit.setSlots = (installing, waiting, active) => {
    const seen = [installing, waiting, active];
    const found = installing !== null && !workers.has(installing.version) && installing.version !== ownVersion;
    slots = { installing: workerOf(installing), waiting: workerOf(waiting), active: workerOf(active) };
    for (const one of seen) if (one !== null) setState(workers.get(one.version), one.state);
    for (const [version, worker] of workers) {
      if (seen.some((one) => one?.version === version)) continue;
      if (version === ownVersion && worker.state === "parsed") continue;
      setState(worker, "redundant");
      if (version !== ownVersion) workers.delete(version);
    }
    if (found) kit.dispatch(registration, kit.trust(new Event("updatefound")));
  };

  let registration;
  kit.startServiceWorker = (version, script, scope, updateViaCache) => {
    ownVersion = version;
    workers.set(version, new ServiceWorker(secret, version, script, "parsed"));
    registration = new ServiceWorkerRegistration(secret, scope, updateViaCache);
    const clients = kit.makeClients();
    kit.globalAttribute("clients", clients);
    kit.globalAttribute("registration", registration);
    kit.globalGetter("serviceWorker", own);
    for (const type of TYPES) kit.handler(globalThis, type);
    const { skipWaiting, importScripts } = {
      async skipWaiting() {
        kit.ofGlobal(this, "skipWaiting");
        kit.skipWaiting();
      },
      importScripts(...urls) {
        kit.ofGlobal(this, "importScripts");
        kit.importScripts(urls.map((url) => `${url}`));
      },
    };
    const operation = (value) => ({ value, writable: true, enumerable: true, configurable: true });
    defineProperty(globalThis, "skipWaiting", operation(skipWaiting));
    // Of all workers.
    defineProperty(kit.GlobalScope.prototype, "importScripts", operation(importScripts));
  };
}
