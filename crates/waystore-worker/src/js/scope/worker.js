// What the global of every worker has: self, location, navigator, and what nobody caught.
// Spec: https://html.spec.whatwg.org/#the-workerglobalscope-common-interface
export default function (kit) {
  const { Event, EventTarget } = kit;
  const { defineProperty, freeze, getOwnPropertyDescriptor, setPrototypeOf } = Object;

  // A page without a document is not a worker, and says so.
  const [scopeName, locationName, navigatorName] = kit.isPage
    ? ["Window", "Location", "Navigator"]
    : ["WorkerGlobalScope", "WorkerLocation", "WorkerNavigator"];
  const then = Function.prototype.call.bind(Promise.prototype.then);
  let making = false;

  class Scope extends EventTarget {
    constructor() {
      throw new TypeError(`${scopeName}: illegal constructor`);
    }
  }

  class Location {
    #place;

    constructor(place) {
      if (!making) throw new TypeError(`${locationName}: illegal constructor`);
      this.#place = place;
    }

    get href() {
      return this.#place.href;
    }

    get origin() {
      return this.#place.origin;
    }

    get protocol() {
      return this.#place.protocol;
    }

    get host() {
      return this.#place.host;
    }

    get hostname() {
      return this.#place.hostname;
    }

    get port() {
      return this.#place.port;
    }

    get pathname() {
      return this.#place.pathname;
    }

    get search() {
      return this.#place.search;
    }

    get hash() {
      return this.#place.hash;
    }

    toString() {
      return this.#place.href;
    }
  }

  // Spec: https://html.spec.whatwg.org/#the-navigator-object
  class Navigator {
    #agent;
    #languages = freeze(["en"]);

    constructor(agent) {
      if (!making) throw new TypeError(`${navigatorName}: illegal constructor`);
      this.#agent = agent;
    }

    get userAgent() {
      return this.#agent;
    }

    get appVersion() {
      return this.#agent.replace(/^[^/]*\//, "");
    }

    get appCodeName() {
      return (this.#agent, "Mozilla");
    }

    get appName() {
      return (this.#agent, "Netscape");
    }

    get platform() {
      return (this.#agent, "");
    }

    get product() {
      return (this.#agent, "Gecko");
    }

    get onLine() {
      return (this.#agent, true);
    }

    get language() {
      return this.#languages[0];
    }

    get languages() {
      return this.#languages;
    }

    get hardwareConcurrency() {
      return (this.#agent, 1);
    }

    get storage() {
      return (this.#agent, kit.storage);
    }

    get storageBuckets() {
      return (this.#agent, kit.storageBuckets);
    }
  }

  class PromiseRejectionEvent extends Event {
    #promise;
    #reason;

    constructor(type, init) {
      super(type, init);
      if (typeof init !== "object" || init === null || !("promise" in init)) {
        throw new TypeError("PromiseRejectionEvent needs a promise");
      }
      this.#promise = init.promise;
      this.#reason = init.reason;
    }

    get promise() {
      return this.#promise;
    }

    get reason() {
      return this.#reason;
    }
  }

  class ErrorEvent extends Event {
    #init;

    constructor(type, init = {}) {
      super(...arguments);
      const { message = "", filename = "", lineno = 0, colno = 0, error } = init ?? {};
      this.#init = { message: `${message}`, filename: `${filename}`, lineno: lineno >>> 0, colno: colno >>> 0, error };
    }

    get message() {
      return this.#init.message;
    }

    get filename() {
      return this.#init.filename;
    }

    get lineno() {
      return this.#init.lineno;
    }

    get colno() {
      return this.#init.colno;
    }

    get error() {
      return this.#init.error;
    }
  }

  const rename = (Interface, name) => defineProperty(Interface, "name", { value: name, configurable: true });
  rename(Scope, scopeName);
  kit.exposeIllegal(rename(Location, locationName));
  kit.exposeIllegal(rename(Navigator, navigatorName));
  if (kit.isPage) kit.dress(Scope);
  else kit.expose(Scope);
  kit.expose(PromiseRejectionEvent);
  kit.expose(ErrorEvent);
  kit.GlobalScope = Scope;

  // A worker's members are of the interface that all kinds of workers have, so on its prototype; a page's are
  // its own, since its interface is that of one global only. Spec: https://webidl.spec.whatwg.org/#Global
  const holder = kit.isPage ? globalThis : Scope.prototype;
  const OF_EVERY_SCOPE = [
    "fetch", "caches", "crypto", "performance", "atob", "btoa", "setTimeout", "setInterval", "clearTimeout", "clearInterval",
    "queueMicrotask", "structuredClone", "reportError", "self", "location", "navigator", "origin", "isSecureContext",
    "crossOriginIsolated",
  ];

  function settleMembers() {
    if (holder === globalThis) return;
    for (const name of OF_EVERY_SCOPE) {
      defineProperty(holder, name, getOwnPropertyDescriptor(globalThis, name));
      delete globalThis[name];
    }
  }

  // `place` is the script's URL in parts, `agent` what the navigator says.
  kit.startWorkerScope = (Interface, place, agent) => {
    setPrototypeOf(globalThis, Interface.prototype);
    // The engine's own: what the interface says counts.
    delete globalThis[Symbol.toStringTag];
    // Memory is shared with nobody. Spec: https://html.spec.whatwg.org/#creating-a-new-javascript-realm
    delete globalThis.SharedArrayBuffer;
    kit.adoptEventTarget(globalThis);
    defineMicrotasks();
    kit.handler(holder, "error", runErrorHandler);
    for (const type of ["languagechange", "offline", "online", "rejectionhandled", "unhandledrejection"]) {
      kit.handler(holder, type);
    }

    making = true;
    const location = new Location(place);
    const navigator = new Navigator(agent);
    making = false;

    if (kit.isPage) kit.replaceable("self", globalThis);
    else kit.globalAttribute("self", globalThis);
    kit.globalAttribute("location", location);
    kit.globalAttribute("navigator", navigator);
    kit.replaceable("origin", place.origin);
    kit.globalAttribute("isSecureContext", true);
    kit.globalAttribute("crossOriginIsolated", false);
    settleMembers();
  };

  // The engine's own takes any receiver.
  function defineMicrotasks() {
    const { queueMicrotask: queue } = globalThis;
    const { queueMicrotask } = {
      queueMicrotask(callback) {
        kit.ofGlobal(this, "queueMicrotask");
        queue(callback);
      },
    };
    defineProperty(globalThis, "queueMicrotask", { value: queueMicrotask, writable: true, enumerable: true, configurable: true });
  }

  // `onerror` is given the parts of the event, and says `true` where it took care of it.
  // Spec: https://html.spec.whatwg.org/#onerroreventhandler
  function runErrorHandler(callback, target, event) {
    const isError = event instanceof ErrorEvent;
    const given = isError ? [event.message, event.filename, event.lineno, event.colno, event.error] : [event];
    if (callback.call(target, ...given) === isError) event.preventDefault();
  }

  // Tells the global of what a callback threw; whether a listener took care of it.
  // Spec: https://html.spec.whatwg.org/#report-an-exception
  let reporting = false;
  kit.handleError = (error) => {
    if (reporting || !kit.listens(globalThis, "error")) return false;
    reporting = true;
    try {
      const [, filename = "", lineno = 0, colno = 0] = /([^\s()]+):(\d+):(\d+)\)?\s*$/m.exec(error?.stack ?? "") ?? [];
      const init = { message: `Uncaught ${error}`, filename, lineno, colno, error, cancelable: true };
      return !kit.dispatch(globalThis, kit.trust(new ErrorEvent("error", init))).allowed;
    } catch {
      return false;
    } finally {
      reporting = false;
    }
  };

  // What a module throws is an error of the global, not a rejection.
  // Spec: https://html.spec.whatwg.org/#run-a-module-script
  kit.followModule = (evaluated) => void then(evaluated, undefined, kit.report);

  // Spec: https://html.spec.whatwg.org/#the-hostpromiserejectiontracker-implementation
  let rejected = [];
  const told = new WeakSet();
  kit.trackRejection = (promise, reason, handled) => {
    if (!handled) {
      rejected.push({ promise, reason });
      return;
    }
    const before = rejected.length;
    rejected = rejected.filter((rejection) => rejection.promise !== promise);
    if (rejected.length === before && told.has(promise)) {
      told.delete(promise);
      kit.dispatch(globalThis, kit.trust(new PromiseRejectionEvent("rejectionhandled", { promise, reason })));
    }
  };

  // After the microtasks of a turn: what is still rejected, nobody handled.
  kit.notifyRejections = () => {
    const unhandled = rejected;
    rejected = [];
    for (const { promise, reason } of unhandled) {
      told.add(promise);
      const init = { promise, reason, cancelable: true };
      const event = kit.trust(new PromiseRejectionEvent("unhandledrejection", init));
      if (kit.dispatch(globalThis, event).allowed) kit.reportRejection(reason);
    }
  };
}
