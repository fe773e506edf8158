// The readers of streams, and the controller of streams whose chunks are any values.
// Spec: https://streams.spec.whatwg.org/#default-reader-class
export default function (kit) {
  const S = kit.streams;
  const { INTERNAL, Queue, attempt, deferred, dictionary, quiet, rejected, resolved, then } = S;
  const { isView } = ArrayBuffer;

  // A reader as the stream sees it.
  const newReader = (isByob) => ({ isByob, state: undefined, closed: deferred(), requests: new Queue() });

  class ReadableStreamDefaultReader {
    #reader = newReader(false);

    constructor(stream) {
      if (!S.isStream(stream)) throw new TypeError("a reader needs a ReadableStream");
      attach(this.#reader, S.stateOf(stream));
    }

    get closed() {
      return attempt(() => this.#reader.closed.promise);
    }

    cancel(reason = undefined) {
      return attempt(() => S.cancel(attached(this.#reader), reason));
    }

    read() {
      return attempt(() => {
        attached(this.#reader);
        return promisedRead((request) => read(this.#reader, request));
      });
    }

    releaseLock() {
      release(this.#reader);
    }
  }

  class ReadableStreamBYOBReader {
    #reader = newReader(true);

    constructor(stream) {
      if (!S.isStream(stream)) throw new TypeError("a reader needs a ReadableStream");
      const state = S.stateOf(stream);
      if (!state.controller.isBytes) throw new TypeError("only a byte stream fills the reader's buffers");
      attach(this.#reader, state);
    }

    get closed() {
      return attempt(() => this.#reader.closed.promise);
    }

    cancel(reason = undefined) {
      return attempt(() => S.cancel(attached(this.#reader), reason));
    }

    read(view, options = {}) {
      return attempt(() => {
        const reader = this.#reader;
        if (!isView(view)) throw new TypeError("read needs a view");
        const { min = 1 } = dictionary(options, "the options of read");
        const least = Math.trunc(Number(min));
        if (!(least >= 0)) throw new TypeError("min must be a number that is not negative");
        S.checkReadable(view);
        if (least === 0) throw new TypeError("min must not be 0");
        if (least > (view.length ?? view.byteLength)) throw new RangeError("min is more than the view holds");
        attached(reader);
        return promisedRead((request) => {
          const { state } = reader;
          state.disturbed = true;
          if (state.status === "errored") request.error(state.error);
          else state.controller.pullInto(view, least, request);
        });
      });
    }

    releaseLock() {
      release(this.#reader);
    }
  }

  function promisedRead(begin) {
    const { promise, resolve, reject } = deferred();
    begin({
      chunk: (value) => resolve({ value, done: false }),
      close: (value) => resolve({ value, done: true }),
      error: reject,
    });
    return promise;
  }

  function attach(reader, state) {
    if (state.reader !== undefined) throw new TypeError("the stream is locked to a reader already");
    state.reader = reader;
    reader.state = state;
    if (state.status === "closed") reader.closed.resolve(undefined);
    if (state.status === "errored") {
      reader.closed.reject(state.error);
      quiet(reader.closed.promise);
    }
  }

  function attached(reader) {
    if (reader.state === undefined) throw new TypeError("the reader was released");
    return reader.state;
  }

  // A reader that no script holds.
  function lock(state, isByob = false) {
    const reader = newReader(isByob);
    attach(reader, state);
    return reader;
  }

  function read(reader, request) {
    const { state } = reader;
    state.disturbed = true;
    if (state.status === "closed") request.close(undefined);
    else if (state.status === "errored") request.error(state.error);
    else state.controller.pullSteps(request);
  }

  // Spec: https://streams.spec.whatwg.org/#abstract-opdef-readablestreamdefaultreaderrelease
  function release(reader) {
    const { state } = reader;
    if (state === undefined) return;
    const released = new TypeError("the reader was released");
    if (state.status !== "readable") reader.closed = deferred();
    reader.closed.reject(released);
    quiet(reader.closed.promise);
    state.controller.releaseSteps();
    state.reader = undefined;
    reader.state = undefined;
    const waiting = reader.requests;
    reader.requests = new Queue();
    while (waiting.length > 0) waiting.shift().error(released);
  }

  class ReadableStreamDefaultController {
    #controller;

    constructor(given, controller) {
      S.illegal(given, "ReadableStreamDefaultController");
      this.#controller = controller;
    }

    get desiredSize() {
      return desiredSize(this.#controller);
    }

    close() {
      const controller = this.#controller;
      if (!mayEnqueue(controller)) throw new TypeError("the stream is closed already");
      closeDefault(controller);
    }

    enqueue(chunk = undefined) {
      const controller = this.#controller;
      if (!mayEnqueue(controller)) throw new TypeError("the stream takes no more chunks");
      enqueue(controller, chunk);
    }

    error(reason = undefined) {
      failDefault(this.#controller, reason);
    }
  }

  // Begins a stream of any values.
  // Spec: https://streams.spec.whatwg.org/#set-up-readable-stream-default-controller
  function startDefault(state, algorithms, highWaterMark, size) {
    const controller = {
      isBytes: false, state, algorithms, highWaterMark, size, queue: new Queue(), started: false, pulling: false,
      pullAgain: false, closeRequested: false, object: undefined,
      pullSteps(request) {
        const { queue } = controller;
        if (queue.length === 0) {
          state.reader.requests.push(request);
          pullIfNeeded(controller);
          return;
        }
        const chunk = queue.shift();
        if (controller.closeRequested && queue.length === 0) {
          controller.algorithms = {};
          S.close(state);
        } else {
          pullIfNeeded(controller);
        }
        request.chunk(chunk);
      },
      cancelSteps(reason) {
        controller.queue.clear();
        const { cancel } = controller.algorithms;
        controller.algorithms = {};
        return attempt(() => cancel?.(reason));
      },
      releaseSteps() {},
      isWanted: () => controller.state.reader?.requests.length > 0 || desiredSize(controller) > 0,
      fail: (error) => failDefault(controller, error),
    };
    controller.object = new ReadableStreamDefaultController(INTERNAL, controller);
    begin(controller);
    return controller;
  }

  // Starts the source of either kind of controller.
  function begin(controller) {
    controller.state.controller = controller;
    const started = controller.algorithms.start?.(controller.object);
    then(
      resolved(started),
      () => {
        controller.started = true;
        pullIfNeeded(controller);
      },
      controller.fail,
    );
  }

  // Asks the source for more, when somebody waits or the queue has room; never twice at a time.
  function pullIfNeeded(controller) {
    const { status } = controller.state;
    if (status !== "readable" || controller.closeRequested || !controller.started || !controller.isWanted()) return;
    if (controller.pulling) {
      controller.pullAgain = true;
      return;
    }
    controller.pulling = true;
    const { pull } = controller.algorithms;
    then(
      attempt(() => pull?.(controller.object)),
      () => {
        controller.pulling = false;
        if (!controller.pullAgain) return;
        controller.pullAgain = false;
        pullIfNeeded(controller);
      },
      controller.fail,
    );
  }

  function desiredSize({ state, highWaterMark, queue }) {
    if (state.status === "errored") return null;
    return state.status === "closed" ? 0 : highWaterMark - queue.total;
  }

  function mayEnqueue(controller) {
    return !controller.closeRequested && controller.state.status === "readable";
  }

  function enqueue(controller, chunk) {
    if (!mayEnqueue(controller)) return;
    const requests = controller.state.reader?.requests;
    if (requests !== undefined && requests.length > 0) {
      requests.shift().chunk(chunk);
    } else {
      try {
        const { size } = controller;
        controller.queue.push(chunk, size === undefined ? 1 : size(chunk));
      } catch (thrown) {
        failDefault(controller, thrown);
        throw thrown;
      }
    }
    pullIfNeeded(controller);
  }

  function closeDefault(controller) {
    if (!mayEnqueue(controller)) return;
    controller.closeRequested = true;
    if (controller.queue.length > 0) return;
    controller.algorithms = {};
    S.close(controller.state);
  }

  function failDefault(controller, error) {
    if (controller.state.status !== "readable") return;
    controller.queue.clear();
    controller.algorithms = {};
    S.fail(controller.state, error);
  }

  kit.expose(ReadableStreamDefaultReader);
  kit.expose(ReadableStreamBYOBReader);
  kit.exposeIllegal(ReadableStreamDefaultController);
  Object.assign(S, {
    acquireReader: (stream) => new ReadableStreamDefaultReader(stream),
    acquireByobReader: (stream) => new ReadableStreamBYOBReader(stream),
    begin, closeDefault, desiredSize, enqueue, failDefault, lock, mayEnqueue, pullIfNeeded, read, release, startDefault,
  });
}
