// What the native side asks of streams: one over a native body, and a body of one.
export default function (kit) {
  const S = kit.streams;
  const { stateOf } = S;
  const { defineProperty, getOwnPropertyDescriptor } = Object;
  const ReadableStreamHere = ReadableStream;
  const pipeThrough = Function.prototype.call.bind(ReadableStream.prototype.pipeThrough);

  kit.isStream = S.isStream;
  kit.isDisturbed = (stream) => stateOf(stream).disturbed;
  kit.isLocked = (stream) => stateOf(stream).reader !== undefined;

  // A stream over a native body, whose bytes become chunks only when somebody reads them.
  kit.streamOf = (native) => {
    const stream = S.make((state) => {
      const algorithms = {
        async pull() {
          state.native = undefined;
          const chunk = await kit.readNative(native);
          if (chunk !== undefined) {
            S.addBytes(state.controller, chunk);
            return;
          }
          S.closeBytes(state.controller);
          if (state.controller.wanted.length > 0) S.respond(state.controller, 0);
        },
        cancel() {
          state.native = undefined;
          kit.dropNative(native);
        },
      };
      S.startBytes(state, algorithms, 0, undefined);
    });
    stateOf(stream).native = native;
    return stream;
  };

  // The stream of a body that was read without one: disturbed, and locked for ever.
  kit.usedStream = () => {
    const stream = S.make((state) => S.startBytes(state, {}, 0, undefined));
    stateOf(stream).disturbed = true;
    S.lock(stateOf(stream));
    return stream;
  };

  // Locks the stream for ever and gives its native body back, if it is an untouched one.
  kit.takeNative = (stream) => {
    const state = stateOf(stream);
    const { native } = state;
    if (native === undefined) return undefined;
    S.lock(state);
    state.disturbed = true;
    state.native = undefined;
    return native;
  };

  // Both halves of an untouched native body, which never become chunks unless they are read.
  kit.teeNative = (stream) => kit.splitNative(kit.takeNative(stream)).map(kit.streamOf);

  // Spec: https://fetch.spec.whatwg.org/#dom-body-textstream
  kit.addTextStream = (Interface) => {
    const bodyOf = Function.prototype.call.bind(getOwnPropertyDescriptor(Interface.prototype, "body").get);
    const { textStream } = {
      textStream() {
        const body = bodyOf(this);
        if (body === null) return new ReadableStreamHere({ start: (controller) => controller.close() });
        if (kit.isDisturbed(body) || kit.isLocked(body)) throw new TypeError("the body was read already, or is being read");
        return pipeThrough(body, new kit.TextDecoderStream());
      },
    };
    addOperation(Interface.prototype, "textStream", textStream);
  };

  // Spec: https://w3c.github.io/FileAPI/#dom-blob-textstream
  const streamOfBlob = Function.prototype.call.bind(Blob.prototype.stream);
  const { textStream } = {
    textStream() {
      return pipeThrough(streamOfBlob(this), new kit.TextDecoderStream());
    },
  };
  addOperation(Blob.prototype, "textStream", textStream);

  function addOperation(holder, name, value) {
    defineProperty(holder, name, { value, writable: true, enumerable: true, configurable: true });
  }

  // Locks the stream for ever and reads it for the native side: `read` gives bytes or null.
  kit.drain = (stream) => {
    const state = stateOf(stream);
    const reader = S.lock(state);
    state.disturbed = true;
    return {
      read() {
        const { promise, resolve, reject } = S.deferred();
        S.read(reader, {
          chunk(value) {
            if (value instanceof Uint8Array) {
              resolve(value);
              return;
            }
            const wrong = new TypeError("a chunk of the stream is not a Uint8Array");
            S.quiet(S.cancel(state, wrong));
            reject(wrong);
          },
          close: () => resolve(null),
          error: reject,
        });
        // The native side takes a rejection that is there already without a handler.
        return S.quiet(promise);
      },
      cancel() {
        S.quiet(S.cancel(state, kit.domException("nobody reads the body any longer", "AbortError")));
      },
    };
  };
}
