// The kit's first tools: how the prelude puts interfaces onto the global, as WebIDL has them.
export default function (kit) {
  const { defineProperty, getOwnPropertyDescriptor, getOwnPropertyNames } = Object;
  const DOMExceptionOfEngine = DOMException;
  const isPrototypeOf = Function.prototype.call.bind(Object.prototype.isPrototypeOf);

  // Called by another name, it runs code as a script, not as a part of this function.
  const evaluate = eval;

  // The handler of a timer that was given code.
  kit.handlerOf = (code) => {
    const text = `${code}`;
    return () => evaluate(text);
  };

  // A property of the global that scripts may replace but do not enumerate.
  kit.global = (name, value) => {
    defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
  };

  // Makes what a class declares look as an interface does: members enumerable, a toStringTag.
  kit.dress = (Interface, name = Interface.name) => {
    for (const [holder, skip] of [[Interface.prototype, ["constructor"]], [Interface, ["prototype", "name", "length"]]]) {
      for (const key of getOwnPropertyNames(holder)) {
        if (skip.includes(key)) continue;
        const descriptor = getOwnPropertyDescriptor(holder, key);
        if (!descriptor.configurable) continue;
        descriptor.enumerable = true;
        defineProperty(holder, key, descriptor);
      }
    }
    defineProperty(Interface.prototype, Symbol.toStringTag, { value: name, configurable: true });
    return Interface;
  };

  // Puts an interface onto the global.
  kit.expose = (Interface, name = Interface.name) => {
    kit.dress(Interface, name);
    kit.global(name, Interface);
    return Interface;
  };

  // One whose objects script cannot make: its constructor takes what only the prelude gives.
  kit.exposeIllegal = (Interface, name = Interface.name) => {
    defineProperty(Interface, "length", { value: 0, configurable: true });
    return kit.expose(Interface, name);
  };

  const named = (called, name) => {
    if (called !== undefined && called.name !== name) defineProperty(called, "name", { value: name, configurable: true });
    return called;
  };

  // Defines an attribute on an interface's prototype (or a static one on the interface).
  kit.accessor = (holder, name, get, set) => {
    defineProperty(holder, name, {
      get: named(get, `get ${name}`),
      set: named(set, `set ${name}`),
      enumerable: true,
      configurable: true,
    });
  };

  // What a member of the global is called on: the global, or nothing.
  kit.ofGlobal = (receiver, name) => {
    if (receiver === undefined || receiver === null || receiver === globalThis) return;
    throw new TypeError(`${name}: called on something else`);
  };

  // A read-only attribute of the global.
  kit.globalGetter = (name, value) => {
    const { get } = {
      get() {
        kit.ofGlobal(this, name);
        return value();
      },
    };
    kit.accessor(globalThis, name, get, undefined);
  };

  // One that is always the same object.
  kit.globalAttribute = (name, value) => kit.globalGetter(name, () => value);

  // An attribute of the global that script may read, and shadow by assigning.
  kit.replaceable = (name, value) => {
    const { get, set } = {
      get() {
        kit.ofGlobal(this, name);
        return value;
      },
      set(other) {
        kit.ofGlobal(this, name);
        defineProperty(globalThis, name, { value: other, writable: true, enumerable: true, configurable: true });
      },
    };
    kit.accessor(globalThis, name, get, set);
  };

  // A constant of an interface, on both of its objects.
  kit.constants = (Interface, values) => {
    for (const [name, value] of Object.entries(values)) {
      for (const holder of [Interface, Interface.prototype]) {
        defineProperty(holder, name, { value, enumerable: true });
      }
    }
  };

  // An event handler attribute: `holder.onname`. What is no object counts as null, and what cannot be
  // called is kept and never called. Spec: https://html.spec.whatwg.org/#event-handler-attributes
  kit.handler = (holder, type, run = runHandler) => {
    const handlers = new WeakMap();
    const targetOf = (receiver) => {
      const target = receiver ?? globalThis;
      if (target === holder ? holder === globalThis : isPrototypeOf(holder, target)) return target;
      throw new TypeError(`on${type}: called on something else`);
    };
    const { get, set } = {
      get() {
        return handlers.get(targetOf(this))?.callback ?? null;
      },
      set(callback) {
        const target = targetOf(this);
        const usable = typeof callback === "function" || typeof callback === "object" ? callback : null;
        const known = handlers.get(target);
        if (known) {
          known.callback = usable;
          return;
        }
        const handler = { callback: usable };
        handlers.set(target, handler);
        kit.listen(target, type, function (event) {
          if (typeof handler.callback === "function") run(handler.callback, target, event);
        });
      },
    };
    kit.accessor(holder, `on${type}`, get, set);
  };

  function runHandler(callback, target, event) {
    if (callback.call(target, event) === false) event.preventDefault();
  }

  kit.domException = (message, name) => new DOMExceptionOfEngine(message, name);

  // Spec: https://webidl.spec.whatwg.org/#quotaexceedederror
  class QuotaExceededError extends DOMExceptionOfEngine {
    #quota;
    #requested;

    constructor(message = "", options = {}) {
      super(message, "QuotaExceededError");
      if (options !== null && options !== undefined && typeof options !== "object" && typeof options !== "function") {
        throw new TypeError("the options of a QuotaExceededError must be an object");
      }
      this.#quota = bytes(options?.quota, "quota");
      this.#requested = bytes(options?.requested, "requested");
      if (this.#quota !== null && this.#requested !== null && this.#requested < this.#quota) {
        throw new RangeError("requested is less than quota");
      }
    }

    get quota() {
      return this.#quota;
    }

    get requested() {
      return this.#requested;
    }
  }

  function bytes(value, name) {
    if (value === undefined) return null;
    const number = Number(value);
    if (!Number.isFinite(number)) throw new TypeError(`${name} is not a finite number`);
    if (number < 0) throw new RangeError(`${name} is negative`);
    return number;
  }

  kit.expose(QuotaExceededError);
  kit.quotaExceeded = (message, requested, quota) => new QuotaExceededError(message, { requested, quota });
}
