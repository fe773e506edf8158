// The events of a service worker: how long each lives, and what a fetch event is answered with.
// Spec: https://w3c.github.io/ServiceWorker/#extendableevent-interface
export default function (kit) {
  const { Event, domException } = kit;
  const { Request } = globalThis;
  const call = Function.prototype.call;
  const then = call.bind(Promise.prototype.then);
  const promiseOf = Promise.resolve.bind(Promise);
  const { freeze } = Object;
  const nothing = () => {};
  const settled = promiseOf();
  // The states of events under way, by the number the native side gave them.
  const underWay = new Map();
  let stateOf;
  let adopt;
  let isFetchEvent;
  let settleHandled;

  class ExtendableEvent extends Event {
    // Null for events that script made: nothing waits for those.
    #state = null;

    static {
      stateOf = (event) => event.#state;
      adopt = (event, id) => {
        event.#state = { id, dispatching: false, pending: 0, timedOut: false, over: false, failed: false, reason: undefined };
        underWay.set(id, event);
        return kit.trust(event);
      };
    }

    constructor(type, init = {}) {
      if (arguments.length === 0) throw new TypeError("ExtendableEvent needs 1 argument, but was given 0");
      super(type, init);
    }

    waitUntil(promise) {
      const state = this.#state;
      if (arguments.length === 0) throw new TypeError("waitUntil needs 1 argument, but was given 0");
      extend(state, promise, "waitUntil");
    }
  }

  class InstallEvent extends ExtendableEvent {
    constructor(type, init = {}) {
      if (arguments.length === 0) throw new TypeError("InstallEvent needs 1 argument, but was given 0");
      super(type, init);
    }

    // Spec: https://w3c.github.io/ServiceWorker/#dom-installevent-addroutes
    async addRoutes(rules) {
      if (arguments.length === 0) throw new TypeError("addRoutes needs 1 argument, but was given 0");
      // Rules that are refused do not fail the install.
      extend(stateOf(this), undefined, "addRoutes");
      kit.addRoutes(rules);
    }
  }

  class FetchEvent extends ExtendableEvent {
    #request;
    #clientId;
    #resultingClientId;
    #replacesClientId;
    // Promises are made when script asks for them: most scripts do not.
    #preloadResponse = null;
    // The number of the event, while there is a preload that nobody asked for.
    #preload = null;
    #handled = null;
    #settleHandled = null;
    // Why it was not handled, or undefined where it was; null until that is known.
    #unhandled = null;
    #entered = false;

    static {
      settleHandled = (event, unhandled) => {
        event.#unhandled = unhandled;
        event.#settleHandled?.();
      };
      kit.enteredOf = (event) => event.#entered;
      isFetchEvent = (value) => typeof value === "object" && value !== null && #entered in value;
      kit.offerPreload = (event, id) => {
        event.#preload = id;
      };
    }

    constructor(type, init) {
      if (arguments.length < 2) throw new TypeError(`FetchEvent needs 2 arguments, but was given ${arguments.length}`);
      super(type, init);
      if (typeof init !== "object" || init === null || !(init.request instanceof Request)) {
        throw new TypeError("FetchEvent needs a request");
      }
      this.#request = init.request;
      this.#clientId = `${init.clientId ?? ""}`;
      this.#resultingClientId = `${init.resultingClientId ?? ""}`;
      this.#replacesClientId = `${init.replacesClientId ?? ""}`;
      if (init.preloadResponse !== undefined) this.#preloadResponse = promiseOf(init.preloadResponse);
    }

    get request() {
      return this.#request;
    }

    get clientId() {
      return this.#clientId;
    }

    get resultingClientId() {
      return this.#resultingClientId;
    }

    get replacesClientId() {
      return this.#replacesClientId;
    }

    get preloadResponse() {
      if (!isFetchEvent(this)) return wrongReceiver("preloadResponse");
      if (this.#preload !== null) {
        this.#preloadResponse = kit.askForPreload(this.#preload);
        this.#preload = null;
        // Who asks and does not wait is not told that it failed.
        then(this.#preloadResponse, undefined, nothing);
      }
      this.#preloadResponse ??= promiseOf();
      return this.#preloadResponse;
    }

    get handled() {
      if (!isFetchEvent(this)) return wrongReceiver("handled");
      if (this.#handled === null) {
        this.#handled = new Promise((resolve, reject) => {
          this.#settleHandled = () => {
            if (this.#unhandled === undefined) resolve();
            else reject(domException(this.#unhandled, "NetworkError"));
          };
        });
        if (this.#unhandled !== null) this.#settleHandled();
        // Who asks and does not wait is not told that it was not handled.
        then(this.#handled, undefined, nothing);
      }
      return this.#handled;
    }

    respondWith(response) {
      const state = stateOf(this);
      if (arguments.length === 0) throw new TypeError("respondWith needs 1 argument, but was given 0");
      if (state === null || !state.dispatching) throw invalidState("respondWith: the event is not being dispatched");
      if (this.#entered) throw invalidState("respondWith was called already");
      const promise = promiseOf(response);
      const drop = begin(state, "respondWith");
      this.#entered = true;
      this.stopImmediatePropagation();
      kit.eventEntered(state.id);
      then(
        promise,
        (value) => {
          settleHandled(this, kit.eventRespond(state.id, value));
          then(settled, drop);
        },
        (reason) => {
          kit.eventRejected(state.id, reason);
          settleHandled(this, "the promise given to respondWith was rejected");
          then(settled, drop);
        },
      );
    }
  }

  class ExtendableMessageEvent extends ExtendableEvent {
    #init;

    constructor(type, init = {}) {
      super(...arguments);
      const { data = null, origin = "", lastEventId = "", source = null, ports = [] } = init ?? {};
      if (source !== null && !kit.isSource(source)) throw new TypeError("`source` is not what messages come from");
      const list = [...ports];
      if (!list.every(kit.isPort)) throw new TypeError("`ports` must be MessagePorts");
      this.#init = { data, origin: `${origin}`, lastEventId: `${lastEventId}`, source, ports: freeze(list) };
    }

    get data() {
      return this.#init.data;
    }

    get origin() {
      return this.#init.origin;
    }

    get lastEventId() {
      return this.#init.lastEventId;
    }

    get source() {
      return this.#init.source;
    }

    get ports() {
      return this.#init.ports;
    }
  }

  // What an attribute that is a promise gives to who is of another interface.
  function wrongReceiver(name) {
    return Promise.reject(new TypeError(`FetchEvent.${name}: called on something else`));
  }

  function invalidState(message) {
    return domException(message, "InvalidStateError");
  }

  // Spec: https://w3c.github.io/ServiceWorker/#extendableevent-add-lifetime-promise
  function extend(state, value, operation) {
    const promise = promiseOf(value);
    const drop = begin(state, operation);
    then(
      promise,
      () => then(settled, drop),
      (reason) => {
        if (operation === "waitUntil" && !state.failed) {
          state.failed = true;
          state.reason = reason;
        }
        then(settled, drop);
      },
    );
  }

  // One more promise extends the event; what is returned says that it does no longer.
  function begin(state, operation) {
    if (state === null) throw invalidState(`${operation}: the event was made by script`);
    const active = !state.timedOut && (state.dispatching || state.pending > 0);
    if (!active) throw invalidState(`${operation}: the event is over`);
    state.pending += 1;
    // Called a microtask after the promise settled, so that its own reactions can extend on.
    return () => {
      state.pending -= 1;
      conclude(state);
    };
  }

  function conclude(state) {
    if (state.over || state.dispatching || (state.pending > 0 && !state.timedOut)) return;
    state.over = true;
    underWay.delete(state.id);
    kit.eventOver(state.id, state.failed, state.reason);
  }

  for (const Interface of [ExtendableEvent, InstallEvent, FetchEvent, ExtendableMessageEvent]) kit.expose(Interface);

  kit.dispatchInstall = (id) => run(adopt(new InstallEvent("install"), id));
  kit.dispatchActivate = (id) => run(adopt(new ExtendableEvent("activate"), id));
  kit.dispatchMessage = (id, text, ports, origin, source) => {
    const init = { origin, source: kit.sourceOf(source) };
    run(adopt(kit.arrived(text, ports, init, ExtendableMessageEvent), id));
  };
  kit.dispatchFetch = (id, request, clientId, resultingClientId, hasPreload) => {
    const init = { request, clientId, resultingClientId, cancelable: true };
    const event = adopt(new FetchEvent("fetch", init), id);
    if (hasPreload) kit.offerPreload(event, id);
    run(event, (threw) => {
      if (kit.enteredOf(event)) return;
      if (event.defaultPrevented) {
        kit.eventPrevented(id);
        settleHandled(event, "the default was prevented, and no response given");
      } else {
        kit.eventLeft(id, threw);
        settleHandled(event, undefined);
      }
    });
  };

  // The dispatch flag stays set through the microtasks that follow each listener.
  function run(event, then = nothing) {
    const state = stateOf(event);
    state.dispatching = true;
    const { threw } = kit.dispatch(globalThis, event, kit.checkpoint);
    state.dispatching = false;
    then(threw);
    conclude(state);
  }

  kit.timeOutEvent = (id) => {
    const event = underWay.get(id);
    if (event === undefined) return;
    const state = stateOf(event);
    state.timedOut = true;
    if (!state.failed) {
      state.failed = true;
      state.reason = domException("the event took too long", "TimeoutError");
    }
    conclude(state);
  };
}
