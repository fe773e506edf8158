// The controller of byte streams: bytes in a queue, and buffers of readers that are filled from it.
// Spec: https://streams.spec.whatwg.org/#rbs-controller-class
export default function (kit) {
  const S = kit.streams;
  const { INTERNAL, Queue, attempt, illegal, uncurried } = S;
  const { isView } = ArrayBuffer;
  const { floor, min } = Math;
  const getter = (holder, name) => uncurried(Object.getOwnPropertyDescriptor(holder, name).get);
  const detached = getter(ArrayBuffer.prototype, "detached");
  const isBuffer = (value) => {
    try {
      return detached(value) !== undefined;
    } catch {
      return false;
    }
  };
  const transferBuffer = uncurried(ArrayBuffer.prototype.transfer);
  const sliceBuffer = uncurried(ArrayBuffer.prototype.slice);
  const VIEWS = new Map(
    [
      Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
      BigInt64Array, BigUint64Array, Float16Array, Float32Array, Float64Array, DataView,
    ].map((View) => [View.name, View]),
  );

  class ReadableByteStreamController {
    #controller;

    constructor(given, controller) {
      illegal(given, "ReadableByteStreamController");
      this.#controller = controller;
    }

    get byobRequest() {
      return requestOf(this.#controller);
    }

    get desiredSize() {
      return S.desiredSize(this.#controller);
    }

    close() {
      const controller = this.#controller;
      if (!S.mayEnqueue(controller)) throw new TypeError("the stream is closed already");
      close(controller);
    }

    enqueue(chunk) {
      const controller = this.#controller;
      if (!isView(chunk)) throw new TypeError("a chunk of a byte stream must be a view");
      S.checkReadable(chunk);
      if (!S.mayEnqueue(controller)) throw new TypeError("the stream takes no more chunks");
      enqueue(controller, chunk);
    }

    error(reason = undefined) {
      fail(this.#controller, reason);
    }
  }

  class ReadableStreamBYOBRequest {
    // Undefined once it was answered, or its buffer was given to somebody else.
    #controller;
    #view;

    static {
      S.invalidate = (request) => {
        request.#controller = undefined;
        request.#view = null;
      };
    }

    constructor(given, controller, view) {
      illegal(given, "ReadableStreamBYOBRequest");
      this.#controller = controller;
      this.#view = view;
    }

    get view() {
      return this.#view;
    }

    respond(bytesWritten) {
      const controller = this.#controller;
      if (arguments.length === 0) throw new TypeError("respond needs 1 argument, but was given 0");
      const written = floor(Number(bytesWritten));
      if (!(written >= 0 && written <= Number.MAX_SAFE_INTEGER)) throw new TypeError("not a number of bytes");
      checkAnswerable(controller, this.#view?.buffer);
      respond(controller, written);
    }

    respondWithNewView(view) {
      const controller = this.#controller;
      if (!isView(view)) throw new TypeError("respondWithNewView needs a view");
      checkAnswerable(controller, view.buffer);
      respondWith(controller, view);
    }
  }

  function checkAnswerable(controller, buffer) {
    if (controller === undefined) throw new TypeError("the request was answered already");
    if (!isBuffer(buffer) || detached(buffer)) throw new TypeError("the view's buffer is detached");
  }

  // A view that a stream may take the buffer of.
  S.checkReadable = (view) => {
    if (view.byteLength === 0) throw new TypeError("the view is empty");
    if (!isBuffer(view.buffer)) throw new TypeError("the view's buffer is shared");
    if (view.buffer.byteLength === 0) throw new TypeError("the view's buffer is empty, or detached");
  };

  // Begins a stream of bytes. Spec: https://streams.spec.whatwg.org/#set-up-readable-byte-stream-controller
  // queue: pieces of buffers; wanted: buffers to fill, the first of which may be somebody's no longer.
  function startBytes(state, algorithms, highWaterMark, chunkSize) {
    const controller = {
      isBytes: true, state, algorithms, highWaterMark, queue: new Queue(), wanted: [], request: null, started: false,
      pulling: false, pullAgain: false, closeRequested: false, object: undefined,
      pullSteps(request) {
        if (controller.queue.total > 0) {
          request.chunk(takeChunk(controller));
          return;
        }
        if (chunkSize !== undefined) {
          let buffer;
          try {
            buffer = new ArrayBuffer(chunkSize);
          } catch (thrown) {
            request.error(thrown);
            return;
          }
          controller.wanted.push(wantedOf(buffer, 0, chunkSize, Uint8Array, 1, 1, "default"));
        }
        state.reader.requests.push(request);
        S.pullIfNeeded(controller);
      },
      pullInto: (view, least, request) => pullInto(controller, view, least, request),
      cancelSteps(reason) {
        forgetWanted(controller);
        controller.queue.clear();
        const { cancel } = controller.algorithms;
        controller.algorithms = {};
        return attempt(() => cancel?.(reason));
      },
      releaseSteps() {
        if (controller.wanted.length === 0) return;
        controller.wanted[0].reader = "none";
        controller.wanted.length = 1;
      },
      isWanted: () => state.reader?.requests.length > 0 || S.desiredSize(controller) > 0,
      fail: (error) => fail(controller, error),
    };
    controller.object = new ReadableByteStreamController(INTERNAL, controller);
    S.begin(controller);
    return controller;
  }

  // A buffer to fill: `reader` is who asked for it.
  function wantedOf(buffer, offset, length, View, elementSize, least, reader) {
    return { buffer, size: buffer.byteLength, offset, length, filled: 0, least: least * elementSize, elementSize, View, reader };
  }

  function requestOf(controller) {
    if (controller.request === null && controller.wanted.length > 0) {
      const [{ buffer, offset, length, filled }] = controller.wanted;
      const view = new Uint8Array(buffer, offset + filled, length - filled);
      controller.request = new ReadableStreamBYOBRequest(INTERNAL, controller, view);
    }
    return controller.request;
  }

  function dropRequest(controller) {
    if (controller.request !== null) S.invalidate(controller.request);
    controller.request = null;
  }

  function forgetWanted(controller) {
    dropRequest(controller);
    controller.wanted = [];
  }

  const hasByobReader = ({ state }) => state.reader?.isByob === true;

  // Spec: https://streams.spec.whatwg.org/#readable-byte-stream-controller-enqueue
  function enqueue(controller, chunk) {
    const { buffer, byteOffset, byteLength } = chunk;
    if (detached(buffer)) throw new TypeError("the chunk's buffer is detached");
    add(controller, { buffer: transferBuffer(buffer), offset: byteOffset, length: byteLength });
  }

  // Adds a piece that nobody else holds.
  function add(controller, piece) {
    if (!S.mayEnqueue(controller)) return;
    const { queue, wanted, state } = controller;
    if (wanted.length > 0) {
      const [first] = wanted;
      if (detached(first.buffer)) throw new TypeError("the buffer of the request is detached");
      dropRequest(controller);
      first.buffer = transferBuffer(first.buffer);
      if (first.reader === "none") queueFilled(controller, wanted.shift());
    }
    if (hasByobReader(controller)) {
      queue.push(piece, piece.length);
      fulfilAll(controller, fillFromQueue(controller));
    } else {
      const requests = state.reader?.requests;
      answerReads(controller);
      if (requests?.length > 0) {
        if (wanted.length > 0) wanted.shift();
        requests.shift().chunk(new Uint8Array(piece.buffer, piece.offset, piece.length));
      } else {
        queue.push(piece, piece.length);
      }
    }
    S.pullIfNeeded(controller);
  }

  // Answers reads that wait with what is in the queue.
  function answerReads({ state, queue }) {
    const requests = state.reader?.requests;
    while (requests?.length > 0 && queue.total > 0) requests.shift().chunk(takeChunk(state.controller));
  }

  function close(controller) {
    if (!S.mayEnqueue(controller)) return;
    if (controller.queue.total > 0) {
      controller.closeRequested = true;
      return;
    }
    const [first] = controller.wanted;
    if (first !== undefined && first.filled % first.elementSize !== 0) {
      const error = new TypeError("the stream ends within an element of the reader's view");
      fail(controller, error);
      throw error;
    }
    controller.closeRequested = true;
    controller.algorithms = {};
    S.close(controller.state);
  }

  function fail(controller, error) {
    if (controller.state.status !== "readable") return;
    forgetWanted(controller);
    controller.queue.clear();
    controller.algorithms = {};
    S.fail(controller.state, error);
  }

  // The first piece of the queue, as a chunk.
  function takeChunk(controller) {
    const { buffer, offset, length } = controller.queue.shift();
    afterTaking(controller);
    return new Uint8Array(buffer, offset, length);
  }

  function afterTaking(controller) {
    if (controller.queue.total === 0 && controller.closeRequested) {
      controller.algorithms = {};
      S.close(controller.state);
    } else {
      S.pullIfNeeded(controller);
    }
  }

  // Spec: https://streams.spec.whatwg.org/#readable-byte-stream-controller-pull-into
  function pullInto(controller, view, least, request) {
    const View = VIEWS.get(kit.viewKind(view)[0]);
    const elementSize = View === DataView ? 1 : View.BYTES_PER_ELEMENT;
    const { byteOffset, byteLength } = view;
    let wanted;
    try {
      wanted = wantedOf(transferBuffer(view.buffer), byteOffset, byteLength, View, elementSize, least, "byob");
    } catch (thrown) {
      request.error(thrown);
      return;
    }
    const { state, queue } = controller;
    if (controller.wanted.length === 0) {
      if (state.status === "closed") {
        request.close(new View(wanted.buffer, byteOffset, 0));
        return;
      }
      if (queue.total > 0) {
        if (fill(controller, wanted)) {
          const filled = viewOf(wanted);
          afterTaking(controller);
          request.chunk(filled);
          return;
        }
        if (controller.closeRequested) {
          const error = new TypeError("the stream ends within an element of the reader's view");
          fail(controller, error);
          request.error(error);
          return;
        }
      }
    }
    controller.wanted.push(wanted);
    state.reader.requests.push(request);
    S.pullIfNeeded(controller);
  }

  // Copies from the queue; whether as much is filled as was asked for.
  function fill(controller, wanted) {
    const { queue } = controller;
    const most = wanted.filled + min(queue.total, wanted.length - wanted.filled);
    const aligned = most - (most % wanted.elementSize);
    const isReady = aligned >= wanted.least;
    let left = (isReady ? aligned : most) - wanted.filled;
    while (left > 0) {
      const piece = queue.peek();
      const count = min(left, piece.length);
      const target = new Uint8Array(wanted.buffer, wanted.offset + wanted.filled, count);
      target.set(new Uint8Array(piece.buffer, piece.offset, count));
      queue.shorten(count);
      if (count < piece.length) {
        piece.offset += count;
        piece.length -= count;
      } else {
        queue.shift();
      }
      wanted.filled += count;
      left -= count;
    }
    return isReady;
  }

  function viewOf({ buffer, offset, filled, elementSize, View }) {
    return new View(transferBuffer(buffer), offset, filled / elementSize);
  }

  // What the queue can fill of the buffers that wait.
  function fillFromQueue(controller) {
    const done = [];
    while (controller.wanted.length > 0 && controller.queue.total > 0 && fill(controller, controller.wanted[0])) {
      done.push(controller.wanted.shift());
    }
    return done;
  }

  function fulfilAll(controller, done) {
    for (const wanted of done) fulfil(controller, wanted);
  }

  function fulfil({ state }, wanted) {
    const request = state.reader.requests.shift();
    const view = viewOf(wanted);
    if (state.status === "closed") request.close(wanted.reader === "byob" ? view : undefined);
    else request.chunk(view);
  }

  // The bytes that were written for a reader that is gone.
  function queueFilled(controller, { buffer, offset, filled }) {
    if (filled > 0) queueCopy(controller, buffer, offset, filled);
  }

  function queueCopy(controller, buffer, offset, length) {
    controller.queue.push({ buffer: sliceBuffer(buffer, offset, offset + length), offset: 0, length }, length);
  }

  function respond(controller, written) {
    const [first] = controller.wanted;
    if (controller.state.status === "closed") {
      if (written !== 0) throw new TypeError("the stream is closed: nothing can be written");
    } else {
      if (written === 0) throw new TypeError("nothing was written, and the stream is not closed");
      if (first.filled + written > first.length) throw new RangeError("more was written than the view holds");
    }
    first.buffer = transferBuffer(first.buffer);
    answer(controller, first, written);
  }

  function respondWith(controller, view) {
    const [first] = controller.wanted;
    const { buffer, byteOffset, byteLength } = view;
    if (controller.state.status === "closed") {
      if (byteLength !== 0) throw new TypeError("the stream is closed: nothing can be written");
    } else if (byteLength === 0) {
      throw new TypeError("nothing was written, and the stream is not closed");
    }
    if (first.offset + first.filled !== byteOffset) throw new RangeError("the view begins somewhere else");
    if (first.size !== buffer.byteLength) throw new RangeError("the view's buffer has another length");
    if (first.filled + byteLength > first.length) throw new RangeError("more was written than the view holds");
    first.buffer = transferBuffer(buffer);
    answer(controller, first, byteLength);
  }

  // Spec: https://streams.spec.whatwg.org/#readable-byte-stream-controller-respond-internal
  function answer(controller, first, written) {
    dropRequest(controller);
    const { state, wanted } = controller;
    if (state.status === "closed") {
      if (first.reader === "none") wanted.shift();
      if (hasByobReader(controller)) fulfilAll(controller, wanted.splice(0, state.reader.requests.length));
      return;
    }
    first.filled += written;
    if (first.reader === "none") {
      queueFilled(controller, wanted.shift());
      if (hasByobReader(controller)) fulfilAll(controller, fillFromQueue(controller));
      else answerReads(controller);
    } else if (first.filled >= first.least) {
      wanted.shift();
      const rest = first.filled % first.elementSize;
      if (rest > 0) queueCopy(controller, first.buffer, first.offset + first.filled - rest, rest);
      first.filled -= rest;
      const done = fillFromQueue(controller);
      fulfil(controller, first);
      fulfilAll(controller, done);
    }
    S.pullIfNeeded(controller);
  }

  kit.exposeIllegal(ReadableByteStreamController);
  kit.exposeIllegal(ReadableStreamBYOBRequest);
  // A chunk that was made for this stream: nobody else holds its buffer.
  S.addBytes = (controller, { buffer, byteOffset, byteLength }) => {
    if (byteLength > 0) add(controller, { buffer, offset: byteOffset, length: byteLength });
    else S.pullIfNeeded(controller);
  };
  Object.assign(S, { startBytes, requestOf, enqueueBytes: enqueue, closeBytes: close, failBytes: fail, respond, respondWith });
}
