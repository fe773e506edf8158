// What all streams share: promises that no script can tamper with, queues, strategies.
// Spec: https://streams.spec.whatwg.org/#qs
export default function (kit) {
  const bind = Function.prototype.call.bind(Function.prototype.bind);
  // A method as a function whose first argument is the receiver.
  const uncurried = (method) => bind(Function.prototype.call, method);
  const then = uncurried(Promise.prototype.then);
  const call = uncurried(Function.prototype.call);
  const apply = uncurried(Function.prototype.apply);
  const resolved = Promise.resolve.bind(Promise);
  const rejected = Promise.reject.bind(Promise);
  const deferred = Promise.withResolvers.bind(Promise);
  const all = Promise.all.bind(Promise);
  const nothing = () => {};
  // What internal callers give a constructor instead of what scripts would.
  const INTERNAL = Object.freeze({});

  // Nobody has to handle this promise.
  function quiet(promise) {
    then(promise, undefined, nothing);
    return promise;
  }

  // What a promise-returning method does: nothing it fails with is thrown.
  function attempt(body) {
    try {
      return resolved(body());
    } catch (thrown) {
      return rejected(thrown);
    }
  }

  function isObject(value) {
    return typeof value === "function" || (typeof value === "object" && value !== null);
  }

  // A dictionary: an object, or nothing.
  function dictionary(value, what) {
    if (value === undefined || value === null) return {};
    if (!isObject(value)) throw new TypeError(`${what} must be an object`);
    return value;
  }

  // An underlying source, sink or transformer: an object, or missing.
  function underlying(value, what) {
    if (value === undefined) return {};
    if (!isObject(value)) throw new TypeError(`${what} must be an object`);
    return value;
  }

  // A method that is called on the object it was read from; undefined where it has none.
  function method(object, name) {
    const found = object[name];
    if (found === undefined) return undefined;
    if (typeof found !== "function") throw new TypeError(`${name} must be a function`);
    return (...args) => apply(found, object, args);
  }

  function illegal(given, name) {
    if (given !== INTERNAL) throw new TypeError(`${name}: illegal constructor`);
  }

  // How much a queue should hold, and how much a chunk counts; undefined where it does not say.
  function strategyOf(value) {
    const { highWaterMark, size } = dictionary(value, "a queuing strategy");
    const mark = highWaterMark === undefined ? undefined : Number(highWaterMark);
    if (mark !== undefined && !(mark >= 0)) throw new RangeError("highWaterMark must be a number that is not negative");
    if (size !== undefined && typeof size !== "function") throw new TypeError("size must be a function");
    return { highWaterMark: mark, size: size === undefined ? undefined : (chunk) => size(chunk) };
  }

  // Items with sizes, and the sum of those. Items leave in the order they came.
  class Queue {
    #items = [];
    #first = 0;
    total = 0;

    get length() {
      return this.#items.length - this.#first;
    }

    push(item, size = 1) {
      const number = Number(size);
      if (!(number >= 0 && number < Infinity)) throw new RangeError("a chunk's size must be a finite number, not negative");
      this.#items.push({ item, size: number });
      this.total += number;
    }

    peek() {
      return this.#items[this.#first].item;
    }

    shift() {
      const { item, size } = this.#items[this.#first];
      this.#items[this.#first] = undefined;
      this.#first += 1;
      if (this.#first === this.#items.length) {
        this.#items = [];
        this.#first = 0;
      }
      // Sums of fractions are never quite what was added.
      this.total = this.length === 0 ? 0 : Math.max(0, this.total - size);
      return item;
    }

    // The first item is smaller by now.
    shorten(size) {
      this.#items[this.#first].size -= size;
      this.total -= size;
    }

    clear() {
      this.#items = [];
      this.#first = 0;
      this.total = 0;
    }
  }

  function markOf(init, name) {
    if (!isObject(init) || init.highWaterMark === undefined) throw new TypeError(`${name} needs a highWaterMark`);
    return Number(init.highWaterMark);
  }

  const countOf = { size: () => 1 }.size;
  const bytesOf = { size: (chunk) => chunk.byteLength }.size;

  class CountQueuingStrategy {
    #highWaterMark;

    constructor(init) {
      this.#highWaterMark = markOf(init, "CountQueuingStrategy");
    }

    get highWaterMark() {
      return this.#highWaterMark;
    }

    get size() {
      return this.#highWaterMark === undefined ? undefined : countOf;
    }
  }

  class ByteLengthQueuingStrategy {
    #highWaterMark;

    constructor(init) {
      this.#highWaterMark = markOf(init, "ByteLengthQueuingStrategy");
    }

    get highWaterMark() {
      return this.#highWaterMark;
    }

    get size() {
      return this.#highWaterMark === undefined ? undefined : bytesOf;
    }
  }

  kit.expose(ByteLengthQueuingStrategy);
  kit.expose(CountQueuingStrategy);
  kit.streams = {
    INTERNAL, Queue, all, attempt, call, deferred, dictionary, illegal, isObject, method, nothing, quiet, rejected,
    resolved, strategyOf, then, uncurried, underlying,
  };
}
