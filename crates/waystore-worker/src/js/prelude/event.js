// Event, CustomEvent, EventTarget, and dispatch without a tree: a target has no parents here.
// Spec: https://dom.spec.whatwg.org/#events
export default function (kit) {
  const NONE = 0;
  const AT_TARGET = 2;
  // For dispatch: the writable side of events, and the listeners of each target.
  let inside;
  let typeOf;
  let initialise;
  const listenersOf = new WeakMap();

  class Event {
    #type;
    #flags;
    #state = {
      target: null,
      currentTarget: null,
      phase: NONE,
      stopped: false,
      stoppedAtOnce: false,
      canceled: false,
      passive: false,
      dispatching: false,
      trusted: false,
    };
    #timeStamp = kit.now();

    static {
      inside = (event) => event.#state;
      typeOf = (event) => event.#type;
      initialise = (event, type, bubbles, cancelable) => {
        const state = event.#state;
        if (state.dispatching) return false;
        Object.assign(state, { stopped: false, stoppedAtOnce: false, canceled: false, trusted: false, target: null });
        event.#type = `${type}`;
        event.#flags = { ...event.#flags, bubbles: Boolean(bubbles), cancelable: Boolean(cancelable) };
        return true;
      };
    }

    constructor(type, init = {}) {
      if (arguments.length === 0) throw new TypeError("Event needs 1 argument, but was given 0");
      this.#type = `${type}`;
      const dictionary = optionsOf(init, "init");
      this.#flags = {
        bubbles: Boolean(dictionary?.bubbles),
        cancelable: Boolean(dictionary?.cancelable),
        composed: Boolean(dictionary?.composed),
      };
    }

    get type() {
      return this.#type;
    }

    get target() {
      return this.#state.target;
    }

    get srcElement() {
      return this.#state.target;
    }

    get currentTarget() {
      return this.#state.currentTarget;
    }

    get eventPhase() {
      return this.#state.phase;
    }

    get bubbles() {
      return this.#flags.bubbles;
    }

    get cancelable() {
      return this.#flags.cancelable;
    }

    get composed() {
      return this.#flags.composed;
    }

    get defaultPrevented() {
      return this.#state.canceled;
    }

    get returnValue() {
      return !this.#state.canceled;
    }

    set returnValue(value) {
      if (!value) this.preventDefault();
    }

    get cancelBubble() {
      return this.#state.stopped;
    }

    set cancelBubble(value) {
      if (value) this.#state.stopped = true;
    }

    get isTrusted() {
      return this.#state.trusted;
    }

    get timeStamp() {
      return this.#timeStamp - kit.timeOrigin;
    }

    composedPath() {
      return this.#state.currentTarget === null ? [] : [this.#state.currentTarget];
    }

    stopPropagation() {
      this.#state.stopped = true;
    }

    stopImmediatePropagation() {
      this.#state.stopped = true;
      this.#state.stoppedAtOnce = true;
    }

    initEvent(type, bubbles = false, cancelable = false) {
      if (arguments.length === 0) throw new TypeError("initEvent needs 1 argument, but was given 0");
      initialise(this, type, bubbles, cancelable);
    }

    preventDefault() {
      if (this.#flags.cancelable && !this.#state.passive) this.#state.canceled = true;
    }
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
      listenersOf.set(this, []);
    }

    addEventListener(type, callback, options = {}) {
      const list = listOf(this, "addEventListener");
      if (arguments.length < 2) throw new TypeError(`addEventListener needs 2 arguments, but was given ${arguments.length}`);
      type = `${type}`;
      const { capture, once = false, passive = false, signal } = listenerOptions(options);
      if (signal !== undefined && !kit.isAbortSignal(signal)) throw new TypeError("`signal` is not an AbortSignal");
      if (callback === null || callback === undefined) return;
      if (typeof callback !== "function" && typeof callback !== "object") {
        throw new TypeError("an event listener must be a function or an object");
      }
      if (signal?.aborted) return;
      const known = (listener) => listener.type === type && listener.callback === callback && listener.capture === capture;
      if (list.some(known)) return;
      const listener = { type, callback, capture, once: Boolean(once), passive: Boolean(passive), removed: false };
      list.push(listener);
      kit.heard?.(this ?? globalThis, type);
      if (signal !== undefined) kit.whenAborted(signal, () => remove(list, listener));
    }

    removeEventListener(type, callback, options = {}) {
      const list = listOf(this, "removeEventListener");
      if (arguments.length < 2) throw new TypeError(`removeEventListener needs 2 arguments, but was given ${arguments.length}`);
      type = `${type}`;
      const { capture } = listenerOptions(options);
      const same = (listener) => listener.type === type && listener.callback === callback && listener.capture === capture;
      const found = list.find(same);
      if (found) remove(list, found);
    }

    dispatchEvent(event) {
      listOf(this, "dispatchEvent");
      if (!(event instanceof Event)) throw new TypeError("dispatchEvent needs an Event");
      const state = inside(event);
      if (state.dispatching) throw kit.domException("the event is being dispatched already", "InvalidStateError");
      state.trusted = false;
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

  // The listeners of the receiver; a call without one, such as `addEventListener(...)`, means the global.
  function listOf(receiver, operation) {
    const list = listenersOf.get(receiver ?? globalThis);
    if (list === undefined) throw new TypeError(`EventTarget.${operation}: called on something else`);
    return list;
  }

  function remove(list, listener) {
    listener.removed = true;
    const index = list.indexOf(listener);
    if (index >= 0) list.splice(index, 1);
  }

  // Makes any object an event target: the global, which no constructor made.
  kit.adoptEventTarget = (object) => {
    if (!listenersOf.has(object)) listenersOf.set(object, []);
  };

  // A listener of the prelude's own.
  kit.listen = (target, type, callback) => {
    kit.heard?.(target, type);
    listOf(target, "addEventListener").push({ type, callback, capture: false, once: false, passive: false, removed: false });
  };

  // Whether any listener hears `type`, and which types are heard at all.
  kit.listens = (target, type) => listOf(target, "listens").some((listener) => listener.type === type);
  kit.listenedTypes = (target) => [...new Set(listOf(target, "types").map((listener) => listener.type))];

  // Makes an event anew, unless it is being dispatched; whether it was.
  kit.initEvent = initialise;

  // Marks an event as the runtime's own.
  kit.trust = (event) => {
    inside(event).trusted = true;
    return event;
  };

  // Runs the listeners. What one throws is reported and stops no other.
  // Returns whether the default action is allowed, and whether a listener threw.
  // `after` runs after each listener: the microtasks, where no script is below.
  kit.dispatch = (target, event, after) => {
    const state = inside(event);
    let threw = false;
    state.dispatching = true;
    state.target = target;
    state.currentTarget = target;
    state.phase = AT_TARGET;
    const list = listOf(target, "dispatchEvent");
    const type = typeOf(event);
    const hearing = list.filter((listener) => listener.type === type);
    for (let round = 0; round < 2; round += 1) {
      const wantsCapture = round === 0;
      for (let index = 0; index < hearing.length; index += 1) {
        const listener = hearing[index];
        if (state.stoppedAtOnce) break;
        if (listener.removed || listener.capture !== wantsCapture) continue;
        if (listener.once) remove(list, listener);
        state.passive = listener.passive;
        try {
          const { callback } = listener;
          if (typeof callback === "function") callback.call(target, event);
          else callback.handleEvent(event);
        } catch (thrown) {
          threw = true;
          kit.report(thrown);
        }
        state.passive = false;
        after?.();
      }
      if (state.stopped) break;
    }
    state.phase = NONE;
    state.currentTarget = null;
    state.dispatching = false;
    state.stopped = false;
    state.stoppedAtOnce = false;
    return { allowed: !state.canceled, threw };
  };

  kit.Event = kit.expose(Event);
  kit.constants(Event, { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });
  kit.expose(CustomEvent);
  kit.EventTarget = kit.expose(EventTarget);
}
