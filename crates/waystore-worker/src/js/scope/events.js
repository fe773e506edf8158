// The events of a service worker: how long each lives, and what a fetch event is answered with.
// Spec: https://w3c.github.io/ServiceWorker/#extendableevent-interface
export default function (kit) {
  const { Event, domException } = kit;
  const { checkpoint, eventEntered, eventOver, eventPrevented, eventRejected, eventRespond } = kit;
  const { TYPE, FLAGS, CANCELABLE, TRUSTED, CANCELED, STOPS } = kit.events;
  const { fire, hearersOf, isEvent, listenersIn, partGetter, ready, stateOf } = kit.events;
  const { Request, queueMicrotask } = globalThis;
  const then = Function.prototype.call.bind(Promise.prototype.then);
  const promiseOf = Promise.resolve.bind(Promise);
  const { construct } = Reflect;
  const scope = globalThis;
  const { defineProperty, freeze } = Object;
  const nothing = () => {};
  // What the state of an extendable event has after the parts of every event. ID is the number that the native
  // side gave it, null for events that script made: nothing waits for those. PLACE is where those under way are.
  const [ID, PLACE, LIFE, PENDING, REASON] = [0, 1, 2, 3, 4].map((part) => kit.events.PARTS + part);
  // And that of a fetch event. Promises are made when script asks for them: most scripts do not. UNHANDLED says
  // why it was not handled, or is undefined where it was; null until that is known.
  const [REQUEST, CLIENT_ID, RESULTING_CLIENT_ID, REPLACES_CLIENT_ID, PRELOAD_RESPONSE, HANDLED, SETTLE_HANDLED, UNHANDLED] =
    [5, 6, 7, 8, 9, 10, 11, 12].map((part) => kit.events.PARTS + part);
  // The bits of LIFE. HAS_PRELOAD: there is one, and nobody asked for it.
  const [DISPATCHING, TIMED_OUT, OVER, FAILED, ENTERED, HAS_PRELOAD] = [1, 2, 4, 8, 16, 32];
  // What the native side is told of a fetch event at the end of its dispatch.
  const [LEFT, THREW, ENDED] = [1, 2, 4];
  // The states of the events under way that were dispatched, in no order.
  const underWay = [];
  // Those of the global, once there is an event for them.
  let listeners;

  class ExtendableEvent extends Event {
    waitUntil(...given) {
      const state = stateOf(this);
      if (given.length === 0) throw new TypeError("waitUntil needs 1 argument, but was given 0");
      if (state[ID] === undefined && !(this instanceof ExtendableEvent)) {
        throw new TypeError("ExtendableEvent.waitUntil: called on something else");
      }
      extend(state, given[0], "waitUntil");
    }
  }

  class InstallEvent extends ExtendableEvent {
    // Spec: https://w3c.github.io/ServiceWorker/#dom-installevent-addroutes
    async addRoutes(rules) {
      if (arguments.length === 0) throw new TypeError("addRoutes needs 1 argument, but was given 0");
      // Rules that are refused do not fail the install.
      extend(stateOf(this), undefined, "addRoutes");
      kit.addRoutes(rules);
    }
  }

  class FetchEvent extends ExtendableEvent {
    constructor(type, init) {
      super(type, init);
      completeFetch(stateOf(this), init);
    }

    get preloadResponse() {
      if (!isFetchEvent(this)) return wrongReceiver("preloadResponse");
      const state = stateOf(this);
      if (state[LIFE] & HAS_PRELOAD) {
        state[LIFE] &= ~HAS_PRELOAD;
        state[PRELOAD_RESPONSE] = kit.askForPreload(state[ID]);
        // Who asks and does not wait is not told that it failed.
        then(state[PRELOAD_RESPONSE], undefined, nothing);
      }
      state[PRELOAD_RESPONSE] ??= promiseOf();
      return state[PRELOAD_RESPONSE];
    }

    get handled() {
      if (!isFetchEvent(this)) return wrongReceiver("handled");
      const state = stateOf(this);
      if (state[HANDLED] === null) {
        state[HANDLED] = new Promise((resolve, reject) => {
          state[SETTLE_HANDLED] = () => {
            if (state[UNHANDLED] === undefined) resolve();
            else reject(domException(state[UNHANDLED], "NetworkError"));
          };
        });
        if (state[UNHANDLED] !== null) state[SETTLE_HANDLED]();
        // Who asks and does not wait is not told that it was not handled.
        then(state[HANDLED], undefined, nothing);
      }
      return state[HANDLED];
    }

    respondWith(...given) {
      const state = stateOf(this);
      if (state[REQUEST] === undefined) throw new TypeError("FetchEvent.respondWith: called on something else");
      if (given.length === 0) throw new TypeError("respondWith needs 1 argument, but was given 0");
      // Only the runtime's own are ever dispatched in this sense.
      if ((state[LIFE] & DISPATCHING) === 0) throw invalidState("respondWith: the event is not being dispatched");
      if (state[LIFE] & ENTERED) throw invalidState("respondWith was called already");
      const response = given[0];
      // What could not be a promise needs none: its turn is a microtask from now all the same.
      const isPlain = typeof response === "object" && response !== null && !("then" in response);
      const promise = isPlain ? null : promiseOf(response);
      state[PENDING] += 1;
      state[LIFE] |= ENTERED;
      state[FLAGS] |= STOPS;
      eventEntered(state[ID]);
      if (isPlain) {
        answered = state;
        answer = response;
        queueMicrotask(answerNow);
      } else {
        const answering = takeAnswering(state);
        then(promise, answering.fulfilled, answering.rejected);
      }
    }
  }

  // Completes the state of a fetch event that script makes.
  function completeFetch(state, init) {
    if (typeof init !== "object" || init === null || !(init.request instanceof Request)) {
      throw new TypeError("FetchEvent needs a request");
    }
    const [clientId, resultingClientId, replacesClientId] = [init.clientId, init.resultingClientId, init.replacesClientId];
    state[ID] = null;
    state[PLACE] = 0;
    state[LIFE] = 0;
    state[PENDING] = 0;
    state[REASON] = undefined;
    state[REQUEST] = init.request;
    state[CLIENT_ID] = `${clientId ?? ""}`;
    state[RESULTING_CLIENT_ID] = `${resultingClientId ?? ""}`;
    state[REPLACES_CLIENT_ID] = `${replacesClientId ?? ""}`;
    state[PRELOAD_RESPONSE] = init.preloadResponse === undefined ? null : promiseOf(init.preloadResponse);
    state[HANDLED] = null;
    state[SETTLE_HANDLED] = undefined;
    state[UNHANDLED] = null;
  }

  function isFetchEvent(value) {
    return isEvent(value) && stateOf(value)[REQUEST] !== undefined;
  }

  // What an event was answered with that could not be a promise. There is one at most: its microtask comes before
  // the end of its event's dispatch, and so before the next event. Until that end anything extends the event, so
  // that what was answered need not wait for another microtask to let go of it.
  let answered;
  let answer;

  function answerNow() {
    const state = answered;
    const response = answer;
    answered = undefined;
    answer = undefined;
    settleHandled(state, eventRespond(state[ID], response));
    state[PENDING] -= 1;
  }

  // What answers an event once its promise is settled. Functions cost the engine more than all else here, so
  // those that served an event serve the next one; never before this one's promise is settled, however late that is.
  // The first `resting` entries are at rest.
  const answerings = [];
  let resting = 0;
  const MOST_RESTING = 256;

  function takeAnswering(state) {
    const answering = resting > 0 ? answerings[--resting] : newAnswering();
    answering.state = state;
    return answering;
  }

  function newAnswering() {
    const answering = { state: null, fulfilled, rejected };
    function fulfilled(value) {
      settle(eventRespond(answering.state[ID], value));
    }
    function rejected(reason) {
      eventRejected(answering.state[ID], reason);
      settle("the promise given to respondWith was rejected");
    }
    function settle(unhandled) {
      const { state } = answering;
      settleHandled(state, unhandled);
      if (state[LIFE] & DISPATCHING) rest()[PENDING] -= 1;
      else queueMicrotask(drop);
    }
    function drop() {
      dropPromise(rest());
    }
    function rest() {
      const { state } = answering;
      answering.state = null;
      if (resting < MOST_RESTING) answerings[resting++] = answering;
      return state;
    }
    return answering;
  }

  function settleHandled(state, unhandled) {
    state[UNHANDLED] = unhandled;
    if (state[HANDLED] !== null) state[SETTLE_HANDLED]();
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
    begin(state, operation);
    const drop = () => dropPromise(state);
    then(
      promise,
      () => queueMicrotask(drop),
      (reason) => {
        if (operation === "waitUntil") fail(state, reason);
        queueMicrotask(drop);
      },
    );
  }

  // One more promise extends the event.
  function begin(state, operation) {
    if (state[ID] === null || state[ID] === undefined) throw invalidState(`${operation}: the event was made by script`);
    const life = state[LIFE];
    const isActive = (life & TIMED_OUT) === 0 && ((life & DISPATCHING) !== 0 || state[PENDING] > 0);
    if (!isActive) throw invalidState(`${operation}: the event is over`);
    state[PENDING] += 1;
  }

  // It does no longer. Called a microtask after the promise settled, so that its own reactions can extend on.
  function dropPromise(state) {
    state[PENDING] -= 1;
    if (isOver(state)) conclude(state);
  }

  // The first failure counts.
  function fail(state, reason) {
    if (state[LIFE] & FAILED) return;
    state[LIFE] |= FAILED;
    state[REASON] = reason;
  }

  function isOver(state) {
    const life = state[LIFE];
    return (life & (OVER | DISPATCHING)) === 0 && (state[PENDING] === 0 || (life & TIMED_OUT) !== 0);
  }

  // Ends an event that was under way.
  function conclude(state) {
    // The last one takes its place.
    const last = underWay.pop();
    if (last !== state) {
      underWay[state[PLACE]] = last;
      last[PLACE] = state[PLACE];
    }
    tellOver(state);
  }

  function tellOver(state) {
    state[LIFE] |= OVER;
    eventOver(state[ID], (state[LIFE] & FAILED) !== 0, state[REASON]);
  }

  for (const Interface of [ExtendableEvent, InstallEvent, FetchEvent, ExtendableMessageEvent]) kit.expose(Interface);
  // To define it on each of them would cost more than all else that a request's event is made of.
  defineProperty(FetchEvent.prototype, "isTrusted", { ...kit.events.isTrusted, configurable: true });
  for (const [name, part] of Object.entries({
    request: REQUEST,
    clientId: CLIENT_ID,
    resultingClientId: RESULTING_CLIENT_ID,
    replacesClientId: REPLACES_CLIENT_ID,
  })) {
    kit.accessor(FetchEvent.prototype, name, partGetter(part, `FetchEvent.${name}`), undefined);
  }
  for (const holder of [ExtendableEvent, InstallEvent, ExtendableEvent.prototype.waitUntil, FetchEvent.prototype.respondWith]) {
    defineProperty(holder, "length", { value: 1, configurable: true });
  }

  // An event of the runtime's own, not yet dispatched.
  function adopt(event, id) {
    kit.trust(event);
    const state = stateOf(event);
    state[ID] = id;
    state[PLACE] = 0;
    state[LIFE] = DISPATCHING;
    state[PENDING] = 0;
    state[REASON] = undefined;
    run(event, state);
    if (isOver(state)) tellOver(state);
    else goOn(state);
  }

  kit.dispatchInstall = (id) => adopt(new InstallEvent("install"), id);
  kit.dispatchActivate = (id) => adopt(new ExtendableEvent("activate"), id);
  kit.dispatchMessage = (id, text, ports, origin, source) => {
    const init = { origin, source: kit.sourceOf(source) };
    adopt(kit.arrived(text, ports, init, ExtendableMessageEvent), id);
  };
  // Returns what the native side is told: one call less than to tell it.
  kit.dispatchFetch = (id, request, clientId, resultingClientId, hasPreload, time) => {
    const life = hasPreload ? DISPATCHING | HAS_PRELOAD : DISPATCHING;
    // In the order of the parts.
    const state = [
      "fetch", CANCELABLE | TRUSTED, null, time,
      id, 0, life, 0, undefined,
      request, clientId, resultingClientId, "", null, null, undefined, null,
    ];
    parts[1] = state;
    // Past the constructors of what it extends, which have nothing to do.
    const event = construct(Event, parts, FetchEvent);
    parts[1] = null;
    const threw = run(event, state);
    const told = state[LIFE] & ENTERED ? 0 : leave(state, threw);
    if (state[PENDING] > 0) {
      goOn(state);
      return told;
    }
    if (state[LIFE] & FAILED) {
      tellOver(state);
      return told;
    }
    state[LIFE] |= OVER;
    return told | ENDED;
  };
  const parts = [ready, null];

  // Nobody called `respondWith`.
  function leave(state, threw) {
    if (state[FLAGS] & CANCELED) {
      eventPrevented(state[ID]);
      settleHandled(state, "the default was prevented, and no response given");
      return 0;
    }
    settleHandled(state, undefined);
    return threw ? LEFT | THREW : LEFT;
  }

  // The dispatch flag stays set through the microtasks that follow each listener.
  function run(event, state) {
    listeners ??= listenersIn(scope, "dispatchEvent");
    const threw = fire(hearersOf(listeners, state[TYPE]), scope, event, state, checkpoint);
    state[LIFE] &= ~DISPATCHING;
    return threw;
  }

  // It was dispatched, and is not over.
  function goOn(state) {
    state[PLACE] = underWay.length;
    underWay.push(state);
  }

  kit.timeOutEvent = (id) => {
    const state = underWay.find((state) => state[ID] === id);
    if (state === undefined) return;
    state[LIFE] |= TIMED_OUT;
    fail(state, domException("the event took too long", "TimeoutError"));
    conclude(state);
  };
}
