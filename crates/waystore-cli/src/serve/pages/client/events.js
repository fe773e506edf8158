// What the page's objects share with the browser's own: on-handlers, tags, and constructors that nobody
// may call.

// Who has this makes objects of the page's interfaces.
const INSIDE = Symbol("inside");

function onlyInside(key) {
  if (key !== INSIDE) throw new TypeError("Illegal constructor");
}

// The attribute `on${type}` of a class: one listener, which keeps its turn while it is replaced.
// Spec: https://html.spec.whatwg.org/#event-handler-attributes
function handlerOf(Interface, type, set = () => {}) {
  const handlers = new WeakMap();
  Object.defineProperty(Interface.prototype, `on${type}`, {
    configurable: true,
    enumerable: true,
    get() {
      return handlers.get(this)?.callback ?? null;
    },
    set(given) {
      const callback = typeof given === "function" || (typeof given === "object" && given !== null) ? given : null;
      let handler = handlers.get(this);
      if (handler === undefined) {
        handler = { callback: null, listener: (event) => call(handler.callback, this, event) };
        handlers.set(this, handler);
      }
      if (callback === null) this.removeEventListener(type, handler.listener);
      else if (handler.callback === null) this.addEventListener(type, handler.listener);
      handler.callback = callback;
      set(this);
    },
  });
}

function call(callback, target, event) {
  if (typeof callback === "function" && callback.call(target, event) === false) event.preventDefault();
}

// What `Object.prototype.toString` says of the objects of a class, and that its members show in `for in`.
function shown(Interface, name) {
  Object.defineProperty(Interface, "name", { value: name, configurable: true });
  Object.defineProperty(Interface.prototype, Symbol.toStringTag, { value: name, configurable: true });
  for (const key of Object.getOwnPropertyNames(Interface.prototype)) {
    if (key !== "constructor") Object.defineProperty(Interface.prototype, key, { enumerable: true });
  }
}

// The browser's interface of this name takes our objects for its own; where there is none (a page that
// did not come by HTTPS), ours is it.
function standsFor(Interface, name) {
  shown(Interface, name);
  const native = globalThis[name];
  if (typeof native !== "function") {
    Object.defineProperty(globalThis, name, { value: Interface, writable: true, configurable: true });
    return;
  }
  const { [Symbol.hasInstance]: inherited } = Function.prototype;
  Object.defineProperty(native, Symbol.hasInstance, {
    configurable: true,
    value(value) {
      return inherited.call(this, value) || (this === native && inherited.call(Interface, value));
    },
  });
}

// Tasks, one after the other, in their order; what a task's promises lead to is done before the next.
const turns = [];
const turning = new MessageChannel();
turning.port1.onmessage = () => turns.shift()();

function turn(task) {
  turns.push(task);
  turning.port2.postMessage(null);
}
