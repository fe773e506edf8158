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

  for (const Interface of [WorkerGlobalScope, WorkerLocation, WorkerNavigator, PromiseRejectionEvent]) {
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
    kit.handler(globalThis, "error");
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

    kit.replaceable("self", globalThis);
    kit.readonly(globalThis, "location", () => location);
    kit.readonly(globalThis, "navigator", () => navigator);
    kit.replaceable("origin", place.origin);
    kit.readonly(globalThis, "isSecureContext", () => true);
    kit.readonly(globalThis, "crossOriginIsolated", () => false);
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
