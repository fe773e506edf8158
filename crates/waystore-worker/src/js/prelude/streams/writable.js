// WritableStream: its writer, its controller and the order of what happens in it.
// Spec: https://streams.spec.whatwg.org/#ws-class
export default function (kit) {
  const S = kit.streams;
  const { INTERNAL, Queue, attempt, deferred, illegal, isObject, method, quiet, rejected, resolved, strategyOf, then } = S;
  // In the queue of chunks: the stream's end.
  const CLOSE = Object.freeze({});
  let stateOf;
  let isWritable;

  class WritableStream {
    #state = {
      status: "writable", error: undefined, controller: undefined, writer: undefined, backpressure: false,
      // Promises of writes that wait, of the one under way, of the closing that waits or is under way.
      writes: new Queue(), writing: undefined, close: undefined, closing: undefined, abort: undefined,
    };

    static {
      stateOf = (stream) => stream.#state;
      isWritable = (value) => isObject(value) && #state in value;
    }

    constructor(sink = undefined, strategy = {}) {
      if (sink === INTERNAL) return;
      const given = S.underlying(sink, "the underlying sink");
      const queuing = strategyOf(strategy);
      const algorithms = {};
      for (const name of ["abort", "close", "start"]) algorithms[name] = method(given, name);
      if (given.type !== undefined) throw new RangeError("an underlying sink has no type");
      algorithms.write = method(given, "write");
      start(this.#state, algorithms, queuing.highWaterMark ?? 1, queuing.size);
    }

    get locked() {
      return this.#state.writer !== undefined;
    }

    abort(reason = undefined) {
      return attempt(() => abort(unlocked(this.#state), reason));
    }

    close() {
      return attempt(() => close(unlocked(this.#state)));
    }

    getWriter() {
      return new WritableStreamDefaultWriter((this.#state, this));
    }
  }

  class WritableStreamDefaultWriter {
    #writer = newWriter();

    constructor(stream) {
      if (!isWritable(stream)) throw new TypeError("a writer needs a WritableStream");
      attach(this.#writer, stateOf(stream));
    }

    get closed() {
      return attempt(() => this.#writer.closed.promise);
    }

    get desiredSize() {
      return desiredSize(attached(this.#writer));
    }

    get ready() {
      return attempt(() => this.#writer.ready.promise);
    }

    abort(reason = undefined) {
      return attempt(() => abort(attached(this.#writer), reason));
    }

    close() {
      return attempt(() => close(attached(this.#writer)));
    }

    releaseLock() {
      if (this.#writer.state !== undefined) release(this.#writer);
    }

    write(chunk = undefined) {
      return attempt(() => {
        attached(this.#writer);
        return write(this.#writer, chunk);
      });
    }
  }

  class WritableStreamDefaultController {
    #controller;

    constructor(given, controller) {
      illegal(given, "WritableStreamDefaultController");
      this.#controller = controller;
    }

    get signal() {
      return signalOf(this.#controller);
    }

    error(reason = undefined) {
      const { state } = this.#controller;
      if (state.status === "writable") fail(state, reason);
    }
  }

  // A writer as the stream sees it.
  const newWriter = () => ({ state: undefined, closed: pending(), ready: pending() });

  // A promise that tells whether it is settled.
  function pending() {
    const { promise, resolve, reject } = deferred();
    const settle = (how) => (value) => {
      made.isSettled = true;
      how(value);
    };
    const made = { promise, isSettled: false, resolve: settle(resolve), reject: settle(reject) };
    return quiet(promise) && made;
  }

  function unlocked(state) {
    if (state.writer !== undefined) throw new TypeError("the stream is locked to a writer");
    return state;
  }

  function attached(writer) {
    if (writer.state === undefined) throw new TypeError("the writer was released");
    return writer.state;
  }

  const isEnding = (state) => state.close !== undefined || state.closing !== undefined;

  // Makes `writer` the stream's.
  function attach(writer, state) {
    if (state.writer !== undefined) throw new TypeError("the stream is locked to a writer already");
    writer.state = state;
    state.writer = writer;
    const { closed, ready } = writer;
    if (state.status === "writable") {
      if (isEnding(state) || !state.backpressure) ready.resolve(undefined);
    } else if (state.status === "closed") {
      ready.resolve(undefined);
      closed.resolve(undefined);
    } else {
      ready.reject(state.error);
      if (state.status === "errored") closed.reject(state.error);
    }
  }

  // Rejects the promise, or, where it was settled, replaces it by one that is rejected.
  function rejectAnew(writer, name, error) {
    if (writer[name].isSettled) writer[name] = pending();
    writer[name].reject(error);
  }

  function release(writer) {
    const released = new TypeError("the writer was released");
    rejectAnew(writer, "ready", released);
    rejectAnew(writer, "closed", released);
    writer.state.writer = undefined;
    writer.state = undefined;
  }

  // Spec: https://streams.spec.whatwg.org/#set-up-writable-stream-default-controller
  function start(state, algorithms, highWaterMark, size) {
    const controller = {
      state, algorithms, highWaterMark, size, queue: new Queue(), started: false, signal: undefined, aborted: undefined,
    };
    const object = new WritableStreamDefaultController(INTERNAL, controller);
    controller.object = object;
    state.controller = controller;
    setBackpressure(state, isFull(controller));
    then(
      resolved(algorithms.start?.(object)),
      () => {
        controller.started = true;
        advance(controller);
      },
      (error) => {
        controller.started = true;
        fault(state, error);
      },
    );
    return controller;
  }

  // Made when somebody asks for it.
  function signalOf(controller) {
    if (controller.signal === undefined) {
      controller.signal = kit.newSignal();
      if (controller.aborted !== undefined) kit.abortSignal(controller.signal, controller.aborted.reason);
    }
    return controller.signal;
  }

  const isFull = ({ highWaterMark, queue }) => highWaterMark - queue.total <= 0;

  function desiredSize({ status, controller }) {
    if (status === "errored" || status === "erroring") return null;
    return status === "closed" ? 0 : controller.highWaterMark - controller.queue.total;
  }

  function setBackpressure(state, backpressure) {
    const { writer } = state;
    if (writer !== undefined && backpressure !== state.backpressure) {
      if (backpressure) writer.ready = pending();
      else writer.ready.resolve(undefined);
    }
    state.backpressure = backpressure;
  }

  // Spec: https://streams.spec.whatwg.org/#writable-stream-default-writer-write
  function write(writer, chunk) {
    const { state } = writer;
    const { controller } = state;
    const size = sizeOf(controller, chunk);
    if (writer.state !== state) return rejected(new TypeError("the writer was released"));
    if (state.status === "errored") return rejected(state.error);
    if (isEnding(state) || state.status === "closed") return rejected(new TypeError("the stream is closed, or closing"));
    if (state.status === "erroring") return rejected(state.error);
    const written = deferred();
    state.writes.push(written);
    try {
      controller.queue.push(chunk, size);
    } catch (thrown) {
      if (state.status === "writable") fail(state, thrown);
      return written.promise;
    }
    if (!isEnding(state) && state.status === "writable") setBackpressure(state, isFull(controller));
    advance(controller);
    return written.promise;
  }

  function sizeOf(controller, chunk) {
    if (controller.size === undefined) return 1;
    try {
      return controller.size(chunk);
    } catch (thrown) {
      if (controller.state.status === "writable") fail(controller.state, thrown);
      return 1;
    }
  }

  function close(state) {
    if (state.status === "closed" || state.status === "errored" || isEnding(state)) {
      return rejected(new TypeError(`the stream is ${state.status === "errored" ? "errored" : "closed, or closing"}`));
    }
    state.close = deferred();
    const { promise } = state.close;
    if (state.backpressure && state.status === "writable") state.writer?.ready.resolve(undefined);
    state.controller.queue.push(CLOSE, 0);
    advance(state.controller);
    return promise;
  }

  // Spec: https://streams.spec.whatwg.org/#writable-stream-abort
  function abort(state, reason) {
    if (state.status === "closed" || state.status === "errored") return resolved(undefined);
    const { controller } = state;
    controller.aborted ??= { reason };
    if (controller.signal !== undefined) kit.abortSignal(controller.signal, reason);
    if (state.status === "closed" || state.status === "errored") return resolved(undefined);
    if (state.abort !== undefined) return state.abort.done.promise;
    const wasErroring = state.status === "erroring";
    state.abort = { done: deferred(), reason: wasErroring ? undefined : reason, wasErroring };
    const { promise } = state.abort.done;
    if (!wasErroring) fail(state, reason);
    return promise;
  }

  // The stream is about to be errored: what is under way ends first.
  function fail(state, reason) {
    state.controller.algorithms = { abort: state.controller.algorithms.abort };
    state.status = "erroring";
    state.error = reason;
    if (state.writer !== undefined) rejectAnew(state.writer, "ready", reason);
    if (!isUnderWay(state) && state.controller.started) finishErroring(state);
  }

  // Something of the sink failed.
  function fault(state, error) {
    if (state.status === "writable") fail(state, error);
    else if (state.status === "erroring") finishErroring(state);
  }

  const isUnderWay = (state) => state.writing !== undefined || state.closing !== undefined;

  // Spec: https://streams.spec.whatwg.org/#writable-stream-finish-erroring
  function finishErroring(state) {
    state.status = "errored";
    state.controller.queue.clear();
    const waiting = state.writes;
    state.writes = new Queue();
    while (waiting.length > 0) waiting.shift().reject(state.error);
    const request = state.abort;
    state.abort = undefined;
    const { abort } = state.controller.algorithms;
    if (request === undefined || request.wasErroring) {
      request?.done.reject(state.error);
      rejectClosed(state);
      return;
    }
    state.controller.algorithms = {};
    then(
      attempt(() => abort?.(request.reason)),
      () => {
        request.done.resolve(undefined);
        rejectClosed(state);
      },
      (error) => {
        request.done.reject(error);
        rejectClosed(state);
      },
    );
  }

  function rejectClosed(state) {
    state.close?.reject(state.error);
    state.close = undefined;
    state.writer?.closed.reject(state.error);
  }

  // The next thing of the queue, where nothing is under way.
  function advance(controller) {
    const { state, queue } = controller;
    if (!controller.started || state.writing !== undefined) return;
    if (state.status === "erroring") {
      finishErroring(state);
      return;
    }
    if (queue.length === 0) return;
    const chunk = queue.peek();
    if (chunk === CLOSE) runClose(controller);
    else runWrite(controller, chunk);
  }

  function runWrite(controller, chunk) {
    const { state, queue } = controller;
    state.writing = state.writes.shift();
    const { write: sinkWrite } = controller.algorithms;
    then(
      attempt(() => sinkWrite?.(chunk, controller.object)),
      () => {
        state.writing.resolve(undefined);
        state.writing = undefined;
        queue.shift();
        if (!isEnding(state) && state.status === "writable") setBackpressure(state, isFull(controller));
        advance(controller);
      },
      (error) => {
        if (state.status === "writable") controller.algorithms = { abort: controller.algorithms.abort };
        state.writing.reject(error);
        state.writing = undefined;
        fault(state, error);
      },
    );
  }

  function runClose(controller) {
    const { state, queue } = controller;
    state.closing = state.close;
    state.close = undefined;
    queue.shift();
    const { close: sinkClose } = controller.algorithms;
    controller.algorithms = { abort: controller.algorithms.abort };
    then(
      attempt(() => sinkClose?.()),
      () => {
        state.closing.resolve(undefined);
        state.closing = undefined;
        if (state.status === "erroring") {
          state.error = undefined;
          state.abort?.done.resolve(undefined);
          state.abort = undefined;
        }
        state.status = "closed";
        state.writer?.closed.resolve(undefined);
      },
      (error) => {
        state.closing.reject(error);
        state.closing = undefined;
        state.abort?.done.reject(error);
        state.abort = undefined;
        fault(state, error);
      },
    );
  }

  kit.expose(WritableStream);
  kit.expose(WritableStreamDefaultWriter);
  kit.exposeIllegal(WritableStreamDefaultController);
  Object.assign(S, {
    isWritable,
    isWritableLocked: (stream) => stateOf(stream).writer !== undefined,
    writableStateOf: stateOf,
    makeWritable(begin) {
      const stream = new WritableStream(INTERNAL);
      begin(stateOf(stream));
      return stream;
    },
    lockWriter(state) {
      const writer = newWriter();
      attach(writer, state);
      return writer;
    },
    startWritable: start, write, closeWritable: close, abortWritable: abort, failWritable: fail, releaseWriter: release, isEnding,
    writableDesiredSize: desiredSize,
  });
}
