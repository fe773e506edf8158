// TransformStream: a writable and a readable side, and what happens between them.
// Spec: https://streams.spec.whatwg.org/#ts-class
export default function (kit) {
  const S = kit.streams;
  const { INTERNAL, attempt, deferred, illegal, method, rejected, resolved, strategyOf, then } = S;

  class TransformStream {
    #sides;

    static {
      S.sidesOf = (transform) => transform.#sides;
      S.isTransform = (value) => S.isObject(value) && #sides in value;
      S.transformOfSides = (sides) => new TransformStream(INTERNAL, sides);
    }

    constructor(transformer = undefined, writableStrategy = {}, readableStrategy = {}) {
      if (transformer === INTERNAL) {
        this.#sides = writableStrategy;
        return;
      }
      const given = S.underlying(transformer, "the transformer");
      const [writing, reading] = [strategyOf(writableStrategy), strategyOf(readableStrategy)];
      const algorithms = {};
      for (const name of ["cancel", "flush"]) algorithms[name] = method(given, name);
      if (given.readableType !== undefined) throw new RangeError("the readable side of a transform has no type");
      for (const name of ["start", "transform"]) algorithms[name] = method(given, name);
      if (given.writableType !== undefined) throw new RangeError("the writable side of a transform has no type");
      this.#sides = connect(algorithms, writing, reading);
    }

    get readable() {
      return this.#sides.readable;
    }

    get writable() {
      return this.#sides.writable;
    }
  }

  class TransformStreamDefaultController {
    #transform;

    static {
      S.transformOf = (controller) => controller.#transform;
    }

    constructor(given, transform) {
      illegal(given, "TransformStreamDefaultController");
      this.#transform = transform;
    }

    get desiredSize() {
      return S.desiredSize(this.#transform.reading);
    }

    enqueue(chunk = undefined) {
      enqueue(this.#transform, chunk);
    }

    error(reason = undefined) {
      fail(this.#transform, reason);
    }

    terminate() {
      const transform = this.#transform;
      S.closeDefault(transform.reading);
      failWriting(transform, new TypeError("the transform was terminated"));
    }
  }

  // Makes both sides. Spec: https://streams.spec.whatwg.org/#initialize-transform-stream
  function connect(algorithms, writing, reading) {
    const transform = {
      algorithms, reading: undefined, writable: undefined, backpressure: true, changed: deferred(), finish: undefined,
      object: undefined,
    };
    const started = deferred();
    const start = () => started.promise;
    const writable = S.makeWritable((state) => {
      transform.writable = state;
      const sink = {
        start,
        write: (chunk) => write(transform, chunk),
        abort: (reason) => finish(transform, "cancel", reason, (end) => abortEnded(transform, reason, end)),
        close: () => finish(transform, "flush", undefined, (end) => closeEnded(transform, end)),
      };
      S.startWritable(state, sink, writing.highWaterMark ?? 1, writing.size);
    });
    const readable = S.make((state) => {
      const source = {
        start,
        pull() {
          setBackpressure(transform, false);
          return transform.changed.promise;
        },
        cancel: (reason) => finish(transform, "cancel", reason, (end) => cancelEnded(transform, reason, end)),
      };
      transform.reading = S.startDefault(state, source, reading.highWaterMark ?? 0, reading.size);
    });
    transform.object = new TransformStreamDefaultController(INTERNAL, transform);
    started.resolve(algorithms.start?.(transform.object));
    return { readable, writable };
  }

  function setBackpressure(transform, backpressure) {
    transform.changed.resolve(undefined);
    transform.changed = deferred();
    transform.backpressure = backpressure;
  }

  // Spec: https://streams.spec.whatwg.org/#transform-stream-default-controller-enqueue
  function enqueue(transform, chunk) {
    const { reading } = transform;
    if (!S.mayEnqueue(reading)) throw new TypeError("the readable side takes no more chunks");
    try {
      S.enqueue(reading, chunk);
    } catch (thrown) {
      failWriting(transform, thrown);
      throw reading.state.error;
    }
    if (!reading.isWanted() && !transform.backpressure) setBackpressure(transform, true);
  }

  function fail(transform, error) {
    S.failDefault(transform.reading, error);
    failWriting(transform, error);
  }

  function failWriting(transform, error) {
    transform.algorithms = {};
    if (transform.writable.status === "writable") S.failWritable(transform.writable, error);
    // Who waits for room has to see that there is an error instead.
    if (transform.backpressure) setBackpressure(transform, false);
  }

  function write(transform, chunk) {
    if (!transform.backpressure) return perform(transform, chunk);
    return then(transform.changed.promise, () => {
      if (transform.writable.status === "erroring") throw transform.writable.error;
      return perform(transform, chunk);
    });
  }

  function perform(transform, chunk) {
    const performed = attempt(() => {
      const { transform: change } = transform.algorithms;
      return change === undefined ? enqueue(transform, chunk) : change(chunk, transform.object);
    });
    return then(performed, undefined, (error) => {
      fail(transform, error);
      throw error;
    });
  }

  // The end of the transform, once: what the transformer does for it, and then `ended(end)`, which
  // is given the error of that, if there was one, and gives the error of the whole.
  function finish(transform, name, reason, ended) {
    if (transform.finish !== undefined) return transform.finish.promise;
    transform.finish = deferred();
    S.quiet(transform.finish.promise);
    const last = transform.algorithms[name];
    const performed = attempt(() => (name === "flush" ? last?.(transform.object) : last?.(reason)));
    transform.algorithms = {};
    const settle = (end) => {
      const failed = ended(end);
      if (failed === undefined) transform.finish.resolve(undefined);
      else transform.finish.reject(failed.error);
    };
    then(
      performed,
      () => settle(undefined),
      (error) => settle({ error }),
    );
    return transform.finish.promise;
  }

  function abortEnded(transform, reason, end) {
    const { state } = transform.reading;
    if (end === undefined && state.status === "errored") return { error: state.error };
    S.failDefault(transform.reading, end === undefined ? reason : end.error);
    return end;
  }

  function closeEnded(transform, end) {
    const { state } = transform.reading;
    if (end !== undefined) {
      S.failDefault(transform.reading, end.error);
      return end;
    }
    if (state.status === "errored") return { error: state.error };
    S.closeDefault(transform.reading);
    return undefined;
  }

  function cancelEnded(transform, reason, end) {
    const { writable } = transform;
    if (end === undefined && writable.status === "errored") return { error: writable.error };
    failWriting(transform, end === undefined ? reason : end.error);
    return end;
  }

  // Both sides of a transform of the runtime's own, for interfaces that have one inside.
  S.makeTransform = (algorithms) => connect(algorithms, {}, {});

  // Fulfils when the reader of a transform wants more: a chunk may become many.
  S.room = (controller) => {
    const { backpressure, changed } = S.transformOf(controller);
    return backpressure ? changed.promise : resolved(undefined);
  };

  kit.expose(TransformStream);
  kit.exposeIllegal(TransformStreamDefaultController);
}
