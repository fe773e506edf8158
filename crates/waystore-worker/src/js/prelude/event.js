// Event, CustomEvent, EventTarget, and dispatch without a tree: a target has no parents here.
// Spec: https://dom.spec.whatwg.org/#events
export default function (kit) {
  const { defineProperty, freeze, getOwnPropertyDescriptor } = Object;
  const NONE = 0;
  const AT_TARGET = 2;
  // What an event is, in one array: the engine makes an array at once, and an object property by property.
  // What comes after these is of events that extend it.
  const [TYPE, FLAGS, TARGET, TIME] = [0, 1, 2, 3];
  // The bits of FLAGS.
  const [BUBBLES, CANCELABLE, COMPOSED, TRUSTED, CANCELED] = [1, 2, 4, 8, 16];
  const [STOPPED, STOPPED_AT_ONCE, PASSIVE, DISPATCHING] = [32, 64, 128, 256];
  const STOPS = STOPPED | STOPPED_AT_ONCE;
  // The bits of a listener's marks: those of most are none. HANDLES: its callback is an object.
  const [CAPTURES, ONCE, IS_PASSIVE, REMOVED, HANDLES] = [1, 2, 4, 8, 16];
  // Given to a constructor in the place of a type, this says that what follows is the state as it is to be.
  const ready = freeze({});
  // For dispatch: the states of events, and the listeners of each target.
  let stateOf;
  let isEvent;
  let partGetter;
  const listenersOf = new WeakMap();

  class Event {
    #state;

    static {
      stateOf = (event) => event.#state;
      isEvent = (value) => typeof value === "object" && value !== null && #state in value;
      // The getter of an attribute that is a part of the state, and never undefined where it is there.
      partGetter = (part, name) =>
        ({
          get() {
            const value = this.#state[part];
            if (value === undefined) throw new TypeError(`${name}: called on something else`);
            return value;
          },
        }).get;
    }

    constructor(...given) {
      if (given[0] === ready) {
        this.#state = given[1];
      } else {
        this.#state = initial(given, new.target);
        defineProperty(this, "isTrusted", isTrusted);
      }
    }

    get type() {
      return this.#state[TYPE];
    }

    get target() {
      return this.#state[TARGET];
    }

    get srcElement() {
      return this.#state[TARGET];
    }

    get currentTarget() {
      return currentTarget(this.#state);
    }

    get eventPhase() {
      return (this.#state[FLAGS] & DISPATCHING) === 0 ? NONE : AT_TARGET;
    }

    get bubbles() {
      return (this.#state[FLAGS] & BUBBLES) !== 0;
    }

    get cancelable() {
      return (this.#state[FLAGS] & CANCELABLE) !== 0;
    }

    get composed() {
      return (this.#state[FLAGS] & COMPOSED) !== 0;
    }

    get defaultPrevented() {
      return (this.#state[FLAGS] & CANCELED) !== 0;
    }

    get returnValue() {
      return (this.#state[FLAGS] & CANCELED) === 0;
    }

    set returnValue(value) {
      void this.#state;
      if (!value) this.preventDefault();
    }

    get cancelBubble() {
      return (this.#state[FLAGS] & STOPPED) !== 0;
    }

    set cancelBubble(value) {
      this.#state[FLAGS] |= value ? STOPPED : 0;
    }

    get timeStamp() {
      return this.#state[TIME] - kit.timeOrigin;
    }

    composedPath() {
      const current = currentTarget(this.#state);
      return current === null ? [] : [current];
    }

    stopPropagation() {
      this.#state[FLAGS] |= STOPPED;
    }

    stopImmediatePropagation() {
      this.#state[FLAGS] |= STOPPED | STOPPED_AT_ONCE;
    }

    initEvent(type, bubbles = false, cancelable = false) {
      if (arguments.length === 0) throw new TypeError("initEvent needs 1 argument, but was given 0");
      initialise(this, type, bubbles, cancelable);
    }

    preventDefault() {
      const state = this.#state;
      if ((state[FLAGS] & (CANCELABLE | PASSIVE)) === CANCELABLE) state[FLAGS] |= CANCELED;
    }
  }

  // An own property of each event, which script cannot change. Spec: https://webidl.spec.whatwg.org/#LegacyUnforgeable
  const { get } = getOwnPropertyDescriptor(
    {
      get isTrusted() {
        return (stateOf(this)[FLAGS] & TRUSTED) !== 0;
      },
    },
    "isTrusted",
  );
  const isTrusted = freeze({ __proto__: null, get, enumerable: true });

  // The state of an event that script makes.
  function initial(given, Interface) {
    if (given.length === 0) throw new TypeError(`${Interface.name} needs 1 argument, but was given 0`);
    const type = `${given[0]}`;
    const init = optionsOf(given[1], "init");
    let flags = init?.bubbles ? BUBBLES : 0;
    if (init?.cancelable) flags |= CANCELABLE;
    if (init?.composed) flags |= COMPOSED;
    return [type, flags, null, kit.now()];
  }

  function currentTarget(state) {
    return (state[FLAGS] & DISPATCHING) === 0 ? null : state[TARGET];
  }

  function initialise(event, type, bubbles, cancelable) {
    const state = stateOf(event);
    if (state[FLAGS] & DISPATCHING) return false;
    state[FLAGS] &= COMPOSED;
    state[TARGET] = null;
    state[TYPE] = `${type}`;
    if (bubbles) state[FLAGS] |= BUBBLES;
    if (cancelable) state[FLAGS] |= CANCELABLE;
    return true;
  }

  class CustomEvent extends Event {
    #detail;

    constructor(type, init = {}) {
      super(...arguments);
      this.#detail = init?.detail ?? null;
    }

    get detail() {
      return this.#detail;
    }

    initCustomEvent(type, bubbles = false, cancelable = false, detail = null) {
      void this.#detail;
      if (arguments.length === 0) throw new TypeError("initCustomEvent needs 1 argument, but was given 0");
      if (initialise(this, type, bubbles, cancelable)) this.#detail = detail;
    }
  }

  class EventTarget {
    constructor() {
      listenersOf.set(this, noListeners());
    }

    addEventListener(type, callback, options = {}) {
      const listeners = listenersIn(this, "addEventListener");
      if (arguments.length < 2) throw new TypeError(`addEventListener needs 2 arguments, but was given ${arguments.length}`);
      type = `${type}`;
      const { capture, once, passive, signal } = listenerOptions(options);
      if (signal !== undefined && !kit.isAbortSignal(signal)) throw new TypeError("`signal` is not an AbortSignal");
      if (callback === null || callback === undefined) return;
      if (typeof callback !== "function" && typeof callback !== "object") {
        throw new TypeError("an event listener must be a function or an object");
      }
      if (signal?.aborted) return;
      if (listeners.all.some((listener) => isSame(listener, type, callback, capture))) return;
      let marks = capture ? CAPTURES : 0;
      if (once) marks |= ONCE;
      if (passive) marks |= IS_PASSIVE;
      if (typeof callback !== "function") marks |= HANDLES;
      const listener = { type, callback, marks };
      add(listeners, listener);
      kit.heard?.(this ?? globalThis, type);
      if (signal !== undefined) kit.whenAborted(signal, () => remove(listeners, listener));
    }

    removeEventListener(type, callback, options = {}) {
      const listeners = listenersIn(this, "removeEventListener");
      if (arguments.length < 2) throw new TypeError(`removeEventListener needs 2 arguments, but was given ${arguments.length}`);
      type = `${type}`;
      const { capture } = listenerOptions(options);
      const found = listeners.all.find((listener) => isSame(listener, type, callback, capture));
      if (found) remove(listeners, found);
    }

    dispatchEvent(event) {
      listenersIn(this, "dispatchEvent");
      if (!(event instanceof Event)) throw new TypeError("dispatchEvent needs an Event");
      const state = stateOf(event);
      if (state[FLAGS] & DISPATCHING) throw kit.domException("the event is being dispatched already", "InvalidStateError");
      state[FLAGS] &= ~TRUSTED;
      return kit.dispatch(this ?? globalThis, event).allowed;
    }
  }

  function optionsOf(value, what) {
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "object" && typeof value !== "function") throw new TypeError(`${what} must be an object`);
    return value;
  }

  function listenerOptions(options) {
    if (options === null || (typeof options !== "object" && typeof options !== "function")) {
      return { capture: Boolean(options) };
    }
    return { capture: Boolean(options.capture), once: options.once, passive: options.passive, signal: options.signal };
  }

  function isSame(listener, type, callback, capture) {
    return listener.type === type && listener.callback === callback && captures(listener) === capture;
  }

  function captures(listener) {
    return (listener.marks & CAPTURES) !== 0;
  }

  // The listeners of a target: all in the order in which they came, and by type, as far as somebody asked.
  function noListeners() {
    return { all: [], byType: { __proto__: null } };
  }

  // The listeners of the receiver; a call without one, such as `addEventListener(...)`, means the global.
  function listenersIn(receiver, operation) {
    const listeners = listenersOf.get(receiver ?? globalThis);
    if (listeners === undefined) throw new TypeError(`EventTarget.${operation}: called on something else`);
    return listeners;
  }

  function add(listeners, listener) {
    listeners.all.push(listener);
    listeners.byType = { __proto__: null };
  }

  function remove(listeners, listener) {
    listener.marks |= REMOVED;
    const index = listeners.all.indexOf(listener);
    if (index >= 0) listeners.all.splice(index, 1);
    listeners.byType = { __proto__: null };
  }

  // Those that hear `type`, the capturing ones first. The array does not change: with the listeners comes another.
  function hearersOf(listeners, type) {
    const known = listeners.byType[type];
    if (known !== undefined) return known;
    const hear = (capture) => listeners.all.filter((listener) => listener.type === type && captures(listener) === capture);
    const hearers = [...hear(true), ...hear(false)];
    // Types that nobody listens to are without number.
    if (hearers.length > 0) listeners.byType[type] = hearers;
    return hearers;
  }

  // Makes any object an event target: the global, which no constructor made.
  kit.adoptEventTarget = (object) => {
    if (!listenersOf.has(object)) listenersOf.set(object, noListeners());
  };

  // A listener of the prelude's own.
  kit.listen = (target, type, callback) => {
    kit.heard?.(target, type);
    add(listenersIn(target, "addEventListener"), { type, callback, marks: 0 });
  };

  // Whether any listener hears `type`, and which types are heard at all.
  kit.listens = (target, type) => hearersOf(listenersIn(target, "listens"), type).length > 0;
  kit.listenedTypes = (target) => [...new Set(listenersIn(target, "types").all.map((listener) => listener.type))];

  // Makes an event anew, unless it is being dispatched; whether it was.
  kit.initEvent = initialise;

  // Marks an event as the runtime's own.
  kit.trust = (event) => {
    stateOf(event)[FLAGS] |= TRUSTED;
    return event;
  };

  // Runs the listeners. What one throws is reported and stops no other.
  // Returns whether the default action is allowed, and whether a listener threw.
  // `after` runs after each listener: the microtasks, where no script is below.
  kit.dispatch = (target, event, after) => {
    const state = stateOf(event);
    const hearers = hearersOf(listenersIn(target, "dispatchEvent"), state[TYPE]);
    const threw = fire(hearers, target, event, state, after);
    return { allowed: (state[FLAGS] & CANCELED) === 0, threw };
  };

  // The same, for who has the state and knows who hears it; whether a listener threw.
  function fire(hearers, target, event, state, after) {
    let threw = false;
    let capturing = true;
    state[FLAGS] |= DISPATCHING;
    state[TARGET] = target;
    for (let index = 0; index < hearers.length; index += 1) {
      const listener = hearers[index];
      const { marks } = listener;
      if (state[FLAGS] & STOPS && (state[FLAGS] & STOPPED_AT_ONCE || (capturing && (marks & CAPTURES) === 0))) break;
      if (marks === 0) {
        capturing = false;
      } else {
        capturing &&= captures(listener);
        if (marks & REMOVED) continue;
        if (marks & ONCE) remove(listenersIn(target, "dispatchEvent"), listener);
        if (marks & IS_PASSIVE) state[FLAGS] |= PASSIVE;
      }
      try {
        const { callback } = listener;
        if (marks & HANDLES) callback.handleEvent(event);
        else callback.call(target, event);
      } catch (thrown) {
        threw = true;
        kit.report(thrown);
      }
      if (marks & IS_PASSIVE) state[FLAGS] &= ~PASSIVE;
      after?.();
    }
    state[FLAGS] &= ~(DISPATCHING | STOPS);
    return threw;
  }

  // For events of the runtime's own that extend this one.
  kit.events = { ready, isTrusted, stateOf, isEvent, partGetter, listenersIn, hearersOf, fire };
  Object.assign(kit.events, { TYPE, FLAGS, CANCELABLE, TRUSTED, CANCELED, STOPS, PARTS: 4 });

  defineProperty(Event, "length", { value: 1, configurable: true });
  kit.Event = kit.expose(Event);
  kit.constants(Event, { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });
  kit.expose(CustomEvent);
  kit.EventTarget = kit.expose(EventTarget);
}
