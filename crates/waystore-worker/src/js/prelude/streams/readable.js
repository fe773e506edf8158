// ReadableStream: the life of a stream, and what scripts call on it.
// A stream's controller is a record with `pullSteps(request)`, `cancelSteps(reason)` and
// `releaseSteps()`; its reader one with the requests that wait, each of which has `chunk`, `close`
// and `error`. Spec: https://streams.spec.whatwg.org/#rs-class
export default function (kit) {
  const S = kit.streams;
  const { INTERNAL, attempt, call, dictionary, isObject, method, rejected, resolved, strategyOf, then, underlying } = S;
  const { create, defineProperty, getPrototypeOf, setPrototypeOf } = Object;
  let stateOf;
  let isStream;

  class ReadableStream {
    // native: the handle of a native body that nobody touched yet.
    #state = {
      status: "readable", error: undefined, reader: undefined, disturbed: false, controller: undefined, native: undefined,
    };

    static {
      stateOf = (stream) => stream.#state;
      isStream = (value) => isObject(value) && #state in value;
    }

    constructor(source = undefined, strategy = {}) {
      if (source === INTERNAL) return;
      const given = underlying(source, "the underlying source");
      const queuing = strategyOf(strategy);
      const { autoAllocateChunkSize } = given;
      const algorithms = { cancel: method(given, "cancel"), pull: method(given, "pull"), start: method(given, "start") };
      const { type } = given;
      if (type === undefined) {
        S.startDefault(this.#state, algorithms, queuing.highWaterMark ?? 1, queuing.size);
        return;
      }
      if (`${type}` !== "bytes") throw new TypeError(`\`${type}\` is not a type of stream`);
      if (queuing.size !== undefined) throw new RangeError("the chunks of a byte stream have their own sizes");
      const chunkSize = autoAllocateChunkSize === undefined ? undefined : Math.trunc(Number(autoAllocateChunkSize));
      if (chunkSize !== undefined && !(chunkSize > 0)) throw new TypeError("autoAllocateChunkSize must be positive");
      S.startBytes(this.#state, algorithms, queuing.highWaterMark ?? 0, chunkSize);
    }

    get locked() {
      return this.#state.reader !== undefined;
    }

    cancel(reason = undefined) {
      return attempt(() => {
        const state = this.#state;
        if (state.reader !== undefined) throw new TypeError("the stream is locked to a reader");
        return cancel(state, reason);
      });
    }

    getReader(options = undefined) {
      const state = this.#state;
      const { mode } = dictionary(options, "the options of getReader");
      if (mode === undefined) return S.acquireReader(this);
      if (`${mode}` !== "byob") throw new TypeError(`\`${mode}\` is not a mode of readers`);
      return S.acquireByobReader(this, state);
    }

    pipeThrough(transform, options = {}) {
      const state = this.#state;
      if (arguments.length === 0) throw new TypeError("pipeThrough needs 1 argument, but was given 0");
      if (!isObject(transform)) throw new TypeError("pipeThrough needs a pair of streams");
      const { readable, writable } = transform;
      if (!isStream(readable)) throw new TypeError("`readable` is not a ReadableStream");
      if (!S.isWritable(writable)) throw new TypeError("`writable` is not a WritableStream");
      const how = S.pipeOptions(options);
      if (state.reader !== undefined) throw new TypeError("the stream is locked to a reader");
      if (S.isWritableLocked(writable)) throw new TypeError("`writable` is locked to a writer");
      S.quiet(S.pipe(this, writable, how));
      return readable;
    }

    pipeTo(destination, options = {}) {
      return attempt(() => {
        const state = this.#state;
        if (!S.isWritable(destination)) throw new TypeError("pipeTo needs a WritableStream");
        const how = S.pipeOptions(options);
        if (state.reader !== undefined) throw new TypeError("the stream is locked to a reader");
        if (S.isWritableLocked(destination)) throw new TypeError("the destination is locked to a writer");
        return S.pipe(this, destination, how);
      });
    }

    tee() {
      return S.tee(this, this.#state);
    }

    values(options = undefined) {
      const keeps = Boolean(dictionary(options, "the options of values").preventCancel);
      const state = this.#state;
      const iterator = create(AsyncIterator);
      iterations.set(iterator, { reader: S.lock(state), state, keeps, finished: false, ongoing: undefined });
      return iterator;
    }

    static from(iterable) {
      return from(iterable);
    }
  }
  defineProperty(ReadableStream.prototype, Symbol.asyncIterator, {
    value: ReadableStream.prototype.values,
    writable: true,
    configurable: true,
  });

  function make(start) {
    const stream = new ReadableStream(INTERNAL);
    start(stateOf(stream));
    return stream;
  }

  // Spec: https://streams.spec.whatwg.org/#readable-stream-cancel
  function cancel(state, reason) {
    state.disturbed = true;
    if (state.status === "closed") return resolved(undefined);
    if (state.status === "errored") return rejected(state.error);
    close(state);
    const { reader } = state;
    if (reader?.isByob) {
      const waiting = reader.requests;
      reader.requests = new S.Queue();
      while (waiting.length > 0) waiting.shift().close(undefined);
    }
    return then(state.controller.cancelSteps(reason), S.nothing);
  }

  function close(state) {
    state.status = "closed";
    const { reader } = state;
    if (reader === undefined) return;
    reader.closed.resolve(undefined);
    if (reader.isByob) return;
    const waiting = reader.requests;
    reader.requests = new S.Queue();
    while (waiting.length > 0) waiting.shift().close();
  }

  function fail(state, error) {
    if (state.status !== "readable") return;
    state.status = "errored";
    state.error = error;
    const { reader } = state;
    if (reader === undefined) return;
    reader.closed.reject(error);
    S.quiet(reader.closed.promise);
    const waiting = reader.requests;
    reader.requests = new S.Queue();
    while (waiting.length > 0) waiting.shift().error(error);
  }

  // Async iteration. Spec: https://streams.spec.whatwg.org/#rs-asynciterator
  const iterations = new WeakMap();
  const AsyncIterator = {
    next() {
      return inTurn(this, (iteration) => {
        if (iteration.finished) return { value: undefined, done: true };
        const { promise, resolve, reject } = S.deferred();
        const finish = () => {
          iteration.finished = true;
          S.release(iteration.reader);
        };
        S.read(iteration.reader, {
          chunk: (value) => resolve({ value, done: false }),
          close: () => {
            finish();
            resolve({ value: undefined, done: true });
          },
          error: (error) => {
            finish();
            reject(error);
          },
        });
        return promise;
      });
    },
    return(value) {
      return inTurn(this, (iteration) => {
        const result = { value, done: true };
        if (iteration.finished) return result;
        iteration.finished = true;
        const cancelled = iteration.keeps ? undefined : cancel(iteration.state, value);
        S.release(iteration.reader);
        return cancelled === undefined ? result : then(cancelled, () => result);
      });
    },
  };
  setPrototypeOf(AsyncIterator, getPrototypeOf(getPrototypeOf(async function* () {}).prototype));
  defineProperty(AsyncIterator, Symbol.toStringTag, { value: "ReadableStream AsyncIterator", configurable: true });

  // One call of an iterator after the other.
  function inTurn(iterator, step) {
    return attempt(() => {
      const iteration = iterations.get(iterator);
      if (iteration === undefined) throw new TypeError("ReadableStream AsyncIterator: called on something else");
      const run = () => attempt(() => step(iteration));
      const { ongoing } = iteration;
      iteration.ongoing = ongoing === undefined ? run() : then(ongoing, run, run);
      return iteration.ongoing;
    });
  }

  // Spec: https://streams.spec.whatwg.org/#readable-stream-from-iterable
  function from(iterable) {
    const { iterator, awaits } = iteratorOf(iterable);
    const { next } = iterator;
    const checked = (result) => {
      if (!isObject(result)) throw new TypeError("the iterator gave something other than a result");
      return result;
    };
    const algorithms = {
      pull(controller) {
        return then(attempt(() => call(next, iterator)), (result) => {
          if (checked(result).done) return controller.close();
          const { value } = result;
          if (!awaits) return controller.enqueue(value);
          return then(resolved(value), (value) => controller.enqueue(value));
        });
      },
      cancel(reason) {
        const end = iterator.return;
        if (end === undefined || end === null) return undefined;
        return then(attempt(() => call(end, iterator, reason)), (result) => void checked(result));
      },
    };
    return make((state) => S.startDefault(state, algorithms, 0, undefined));
  }

  function iteratorOf(iterable) {
    if (iterable === undefined || iterable === null) throw new TypeError("from needs something to iterate");
    const asyncMethod = iterable[Symbol.asyncIterator];
    const awaits = asyncMethod === undefined || asyncMethod === null;
    const found = awaits ? iterable[Symbol.iterator] : asyncMethod;
    if (typeof found !== "function") throw new TypeError("from needs something to iterate");
    const iterator = call(found, iterable);
    if (!isObject(iterator)) throw new TypeError("the iterator is not an object");
    return { iterator, awaits };
  }

  kit.expose(ReadableStream);
  Object.assign(S, { stateOf, isStream, make, cancel, close, fail });
}
