// A small ReadableStream: default readers, pull with back pressure, cancel, tee, async iteration.
// Enough for scripts that make or read bodies; pipes, BYOB readers and the other streams come later.
// Spec: https://streams.spec.whatwg.org/#rs-class
(function (kit) {
  "use strict";
  let stateOf;
  let isStream;
  const readers = new WeakMap();

  class ReadableStream {
    // queue: chunks nobody read yet; requests: reads that wait; native: the handle of a native body.
    #state = {
      status: "readable", error: undefined, queue: [], requests: [], reader: undefined, disturbed: false,
      pulling: false, pullAgain: false, closeRequested: false, started: false, source: {}, highWaterMark: 1,
      size: undefined, queued: 0, native: undefined, controller: undefined,
    };

    static {
      stateOf = (stream) => stream.#state;
      isStream = (value) => typeof value === "object" && value !== null && #state in value;
    }

    constructor(source = {}, strategy = {}) {
      if (source === null || typeof source !== "object") throw new TypeError("the underlying source must be an object");
      const { type } = source;
      if (type !== undefined && `${type}` !== "bytes") throw new TypeError(`\`${type}\` is not a type of stream`);
      const state = this.#state;
      const { highWaterMark = type === undefined ? 1 : 0, size } = strategy ?? {};
      if (!(Number(highWaterMark) >= 0)) throw new RangeError("highWaterMark must not be negative");
      state.highWaterMark = Number(highWaterMark);
      if (size !== undefined && typeof size !== "function") throw new TypeError("size must be a function");
      state.size = size;
      for (const key of ["start", "pull", "cancel"]) {
        const method = source[key];
        if (method === undefined) continue;
        if (typeof method !== "function") throw new TypeError(`${key} must be a function`);
        state.source[key] = (...args) => method.apply(source, args);
      }
      state.controller = makeController(state);
      start(state, state.source.start?.(state.controller));
    }

    get locked() {
      return this.#state.reader !== undefined;
    }

    cancel(reason) {
      return attempt(() => {
        if (this.#state.reader !== undefined) throw new TypeError("the stream is locked to a reader");
        return cancel(this.#state, reason);
      });
    }

    getReader(options = undefined) {
      const mode = options?.mode;
      if (mode !== undefined) throw new TypeError(`readers of mode \`${mode}\` are not supported`);
      return new ReadableStreamDefaultReader(this);
    }

    tee() {
      return tee(this);
    }

    values(options = undefined) {
      const reader = this.getReader();
      const keep = Boolean(options?.preventCancel);
      return {
        next: async () => {
          const result = await reader.read();
          if (result.done) reader.releaseLock();
          return result;
        },
        return: async (value) => {
          if (!keep) await reader.cancel(value);
          reader.releaseLock();
          return { value, done: true };
        },
        [Symbol.asyncIterator]() {
          return this;
        },
      };
    }

    static from(iterable) {
      const iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]();
      return new ReadableStream(
        {
          async pull(controller) {
            const { value, done } = await iterator.next();
            if (done) controller.close();
            else controller.enqueue(await value);
          },
          cancel: (reason) => iterator.return?.(reason),
        },
        { highWaterMark: 0 },
      );
    }
  }
  ReadableStream.prototype[Symbol.asyncIterator] = ReadableStream.prototype.values;

  class ReadableStreamDefaultReader {
    #stream;
    #closed = Promise.withResolvers();

    constructor(stream) {
      if (!isStream(stream)) throw new TypeError("a reader needs a ReadableStream");
      const state = stateOf(stream);
      if (state.reader !== undefined) throw new TypeError("the stream is locked to a reader already");
      this.#stream = stream;
      this.#closed.promise.catch(() => {});
      state.reader = this;
      readers.set(this, this.#closed);
      if (state.status === "closed") this.#closed.resolve();
      if (state.status === "errored") this.#closed.reject(state.error);
    }

    get closed() {
      return this.#closed.promise;
    }

    read() {
      return attempt(() => {
        if (this.#stream === undefined) throw new TypeError("the reader was released");
        return read(stateOf(this.#stream));
      });
    }

    cancel(reason) {
      return attempt(() => {
        if (this.#stream === undefined) throw new TypeError("the reader was released");
        return cancel(stateOf(this.#stream), reason);
      });
    }

    releaseLock() {
      if (this.#stream === undefined) return;
      const state = stateOf(this.#stream);
      this.#stream = undefined;
      state.reader = undefined;
      const released = new TypeError("the reader was released");
      const waiting = state.requests;
      state.requests = [];
      for (const request of waiting) request.reject(released);
      if (state.status === "readable") {
        this.#closed.reject(released);
      } else {
        this.#closed = Promise.withResolvers();
        this.#closed.promise.catch(() => {});
        this.#closed.reject(released);
      }
    }
  }

  class ReadableStreamDefaultController {
    #state;

    constructor(state) {
      if (!making) throw new TypeError("ReadableStreamDefaultController: illegal constructor");
      this.#state = state;
    }

    get desiredSize() {
      const { status, highWaterMark, queued } = this.#state;
      if (status === "errored") return null;
      return status === "closed" ? 0 : highWaterMark - queued;
    }

    enqueue(chunk) {
      const state = this.#state;
      if (state.closeRequested || state.status !== "readable") throw new TypeError("the stream takes no more chunks");
      const request = state.requests.shift();
      if (request) {
        request.resolve({ value: chunk, done: false });
      } else {
        const size = state.size === undefined ? 1 : Number(state.size(chunk));
        if (!(size >= 0 && size < Infinity)) throw new RangeError("a chunk's size must be a number");
        state.queue.push({ chunk, size });
        state.queued += size;
      }
      pull(state);
    }

    close() {
      const state = this.#state;
      if (state.closeRequested || state.status !== "readable") throw new TypeError("the stream is closed already");
      state.closeRequested = true;
      if (state.queue.length === 0) close(state);
    }

    error(reason) {
      fail(this.#state, reason);
    }
  }

  let making = false;
  function makeController(state) {
    making = true;
    try {
      return new ReadableStreamDefaultController(state);
    } finally {
      making = false;
    }
  }

  // What a promise-returning method does: nothing it fails with is thrown.
  function attempt(body) {
    try {
      return Promise.resolve(body());
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  function start(state, started) {
    Promise.resolve(started).then(
      () => {
        state.started = true;
        pull(state);
      },
      (reason) => fail(state, reason),
    );
  }

  // Asks the source for more, when somebody waits or the queue has room; never twice at a time.
  function pull(state) {
    const wanted = state.requests.length > 0 || state.queued < state.highWaterMark;
    if (!state.started || state.closeRequested || state.status !== "readable" || !wanted || !state.source.pull) return;
    if (state.pulling) {
      state.pullAgain = true;
      return;
    }
    state.pulling = true;
    attempt(() => state.source.pull(state.controller)).then(
      () => {
        state.pulling = false;
        if (state.pullAgain) {
          state.pullAgain = false;
          pull(state);
        }
      },
      (reason) => fail(state, reason),
    );
  }

  function read(state) {
    state.disturbed = true;
    if (state.status === "errored") return Promise.reject(state.error);
    if (state.queue.length > 0) {
      const { chunk, size } = state.queue.shift();
      state.queued -= size;
      if (state.closeRequested && state.queue.length === 0) close(state);
      else pull(state);
      return Promise.resolve({ value: chunk, done: false });
    }
    if (state.status === "closed") return Promise.resolve({ value: undefined, done: true });
    const request = Promise.withResolvers();
    state.requests.push(request);
    pull(state);
    return request.promise;
  }

  function close(state) {
    state.status = "closed";
    const waiting = state.requests;
    state.requests = [];
    for (const request of waiting) request.resolve({ value: undefined, done: true });
    if (state.reader) readers.get(state.reader).resolve();
  }

  function fail(state, reason) {
    if (state.status !== "readable") return;
    state.status = "errored";
    state.error = reason;
    state.queue = [];
    state.queued = 0;
    const waiting = state.requests;
    state.requests = [];
    for (const request of waiting) request.reject(reason);
    if (state.reader) readers.get(state.reader).reject(reason);
  }

  async function cancel(state, reason) {
    state.disturbed = true;
    if (state.status === "errored") throw state.error;
    if (state.status === "closed") return;
    state.queue = [];
    state.queued = 0;
    close(state);
    await state.source.cancel?.(reason);
  }

  // Spec: https://streams.spec.whatwg.org/#abstract-opdef-readablestreamdefaulttee
  function tee(stream) {
    const reader = stream.getReader();
    const canceled = [undefined, undefined];
    const whenCanceled = Promise.withResolvers();
    const branches = [];
    let reading = false;
    const pullBoth = async () => {
      if (reading) return;
      reading = true;
      try {
        const { value, done } = await reader.read();
        for (const index of [0, 1]) {
          if (canceled[index]) continue;
          if (done) branches[index].close();
          else branches[index].enqueue(value);
        }
        if (done && !(canceled[0] && canceled[1])) whenCanceled.resolve();
      } catch (thrown) {
        for (const branch of branches) branch.error(thrown);
        whenCanceled.resolve();
      } finally {
        reading = false;
      }
    };
    return [0, 1].map(
      (index) =>
        new ReadableStream({
          start: (controller) => {
            branches[index] = controller;
          },
          pull: pullBoth,
          cancel: (reason) => {
            canceled[index] = { reason };
            if (canceled[0] && canceled[1]) {
              whenCanceled.resolve(reader.cancel([canceled[0].reason, canceled[1].reason]));
            }
            return whenCanceled.promise;
          },
        }),
    );
  }

  kit.expose(ReadableStream);
  kit.expose(ReadableStreamDefaultReader);
  kit.expose(ReadableStreamDefaultController);

  kit.isStream = isStream;
  kit.isDisturbed = (stream) => stateOf(stream).disturbed;
  kit.isLocked = (stream) => stateOf(stream).reader !== undefined;

  // A stream over a native body, whose bytes become chunks only when somebody reads them.
  kit.streamOf = (native) => {
    const stream = new ReadableStream(
      {
        async pull(controller) {
          const chunk = await kit.readNative(native);
          if (chunk === undefined) controller.close();
          else controller.enqueue(chunk);
        },
        cancel: () => kit.dropNative(native),
      },
      { highWaterMark: 0 },
    );
    stateOf(stream).native = native;
    return stream;
  };

  // The stream of a body that was read without one: disturbed, and locked for ever.
  kit.usedStream = () => {
    const stream = new ReadableStream();
    stateOf(stream).disturbed = true;
    stream.getReader();
    return stream;
  };

  // Locks the stream for ever and gives its native body back, if it is an untouched one.
  kit.takeNative = (stream) => {
    const state = stateOf(stream);
    const { native } = state;
    if (native === undefined) return undefined;
    stream.getReader();
    state.disturbed = true;
    state.native = undefined;
    state.source = {};
    return native;
  };

  // Locks the stream for ever and reads it for the native side: `read` gives bytes or null.
  kit.drain = (stream) => {
    const reader = stream.getReader();
    stateOf(stream).disturbed = true;
    return {
      read: async () => {
        const { value, done } = await reader.read();
        if (done) return null;
        if (!(value instanceof Uint8Array)) {
          const wrong = new TypeError("a chunk of the stream is not a Uint8Array");
          reader.cancel(wrong).catch(() => {});
          throw wrong;
        }
        return value;
      },
      cancel: () => {
        reader.cancel(kit.domException("nobody reads the body any longer", "AbortError")).catch(() => {});
      },
    };
  };
})
