// What the global of every worker has: self, location, navigator, and what nobody caught.
// Spec: https://html.spec.whatwg.org/#the-workerglobalscope-common-interface
(function (kit) {
  "use strict";
  const { Event, EventTarget } = kit;
  const { create, defineProperty, freeze, setPrototypeOf } = Object;

  class WorkerGlobalScope extends EventTarget {
    constructor() {
      throw new TypeError("WorkerGlobalScope: illegal constructor");
    }
  }

  class WorkerLocation {
    constructor() {
      throw new TypeError("WorkerLocation: illegal constructor");
    }

    toString() {
      return this.href;
    }
  }

  class WorkerNavigator {
    constructor() {
      throw new TypeError("WorkerNavigator: illegal constructor");
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

  for (const Interface of [WorkerGlobalScope, WorkerLocation, WorkerNavigator, PromiseRejectionEvent, ErrorEvent]) {
    kit.expose(Interface);
  }
  kit.WorkerGlobalScope = WorkerGlobalScope;

  // An attribute of the global that script may read, and shadow by assigning.
  kit.replaceable = (name, value) => {
    defineProperty(globalThis, name, {
      get: () => value,
      set: (other) => defineProperty(globalThis, name, { value: other, writable: true, enumerable: true, configurable: true }),
      enumerable: true,
      configurable: true,
    });
  };
  // One that script cannot change.
  kit.readonly = (holder, name, get) => {
    defineProperty(holder, name, { get, set: undefined, enumerable: true, configurable: true });
  };

  // `place` is the script's URL in parts, `agent` what the navigator says.
  kit.startWorkerScope = (Interface, place, agent) => {
    setPrototypeOf(globalThis, Interface.prototype);
    kit.adoptEventTarget(globalThis);
    defineErrorHandler();
    kit.handler(globalThis, "unhandledrejection");
    kit.handler(globalThis, "rejectionhandled");

    const location = create(WorkerLocation.prototype);
    for (const part of ["href", "origin", "protocol", "host", "hostname", "port", "pathname", "search", "hash"]) {
      kit.readonly(WorkerLocation.prototype, part, () => place[part]);
    }
    const navigator = create(WorkerNavigator.prototype);
    const languages = freeze(["en"]);
    const said = { userAgent: agent, onLine: true, language: "en", languages, hardwareConcurrency: 1 };
    for (const name of ["userAgent", "onLine", "language", "languages", "hardwareConcurrency"]) {
      kit.readonly(WorkerNavigator.prototype, name, () => said[name]);
    }

    for (const name of ["storage", "storageBuckets"]) kit.readonly(WorkerNavigator.prototype, name, () => kit[name]);

    kit.replaceable("self", globalThis);
    kit.readonly(globalThis, "location", () => location);
    kit.readonly(globalThis, "navigator", () => navigator);
    kit.replaceable("origin", place.origin);
    kit.readonly(globalThis, "isSecureContext", () => true);
    kit.readonly(globalThis, "crossOriginIsolated", () => false);
  };

  // `onerror` is given the parts of the event, and says `true` where it took care of it.
  // Spec: https://html.spec.whatwg.org/#onerroreventhandler
  function defineErrorHandler() {
    let handler = null;
    let listening = false;
    const hear = (event) => {
      if (handler === null) return;
      const isError = event instanceof ErrorEvent;
      const given = isError ? [event.message, event.filename, event.lineno, event.colno, event.error] : [event];
      if (handler.call(globalThis, ...given) === isError) event.preventDefault();
    };
    defineProperty(globalThis, "onerror", {
      get: () => handler,
      set: (callback) => {
        handler = typeof callback === "function" ? callback : null;
        if (handler !== null && !listening) kit.listen(globalThis, "error", hear);
        listening ||= handler !== null;
      },
      enumerable: true,
      configurable: true,
    });
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
})
