// Transforms of text and bytes: TextEncoderStream, TextDecoderStream, CompressionStream, DecompressionStream.
// Spec: https://encoding.spec.whatwg.org/#interface-textdecoderstream, https://compression.spec.whatwg.org/
export default function (kit) {
  const { codecEnd, codecFeed, codecStep, isBytes, newCodec } = kit;
  const { makeTransform, room, uncurried } = kit.streams;
  const { TextDecoder, TextEncoder } = globalThis;
  const encode = uncurried(TextEncoder.prototype.encode);
  const decode = uncurried(TextDecoder.prototype.decode);
  const readers = {};
  for (const name of ["encoding", "fatal", "ignoreBOM"]) {
    readers[name] = uncurried(Object.getOwnPropertyDescriptor(TextDecoder.prototype, name).get);
  }

  class TextEncoderStream {
    #sides;

    constructor() {
      const encoder = new TextEncoder();
      // The first half of a character whose second half is in the next chunk.
      let half = "";
      this.#sides = makeTransform({
        transform(chunk, controller) {
          let text = half + `${chunk}`;
          const last = text.charCodeAt(text.length - 1);
          half = last >= 0xd800 && last <= 0xdbff ? text[text.length - 1] : "";
          if (half !== "") text = text.slice(0, -1);
          if (text !== "") controller.enqueue(encode(encoder, text));
        },
        flush(controller) {
          if (half !== "") controller.enqueue(encode(encoder, half));
        },
      });
    }

    get encoding() {
      return (this.#sides, "utf-8");
    }

    get readable() {
      return this.#sides.readable;
    }

    get writable() {
      return this.#sides.writable;
    }
  }

  class TextDecoderStream {
    #decoder;
    #sides;

    constructor(label = "utf-8", options = {}) {
      const decoder = new TextDecoder(label, options);
      this.#decoder = decoder;
      this.#sides = makeTransform({
        transform(chunk, controller) {
          if (!isBytes(chunk)) throw new TypeError("a chunk must be an ArrayBuffer or a view of one");
          const text = decode(decoder, chunk, { stream: true });
          if (text !== "") controller.enqueue(text);
        },
        flush(controller) {
          const text = decode(decoder);
          if (text !== "") controller.enqueue(text);
        },
      });
    }

    get encoding() {
      return readers.encoding(this.#decoder);
    }

    get fatal() {
      return readers.fatal(this.#decoder);
    }

    get ignoreBOM() {
      return readers.ignoreBOM(this.#decoder);
    }

    get readable() {
      return this.#sides.readable;
    }

    get writable() {
      return this.#sides.writable;
    }
  }

  // What goes in comes out in pieces, each once there is room for it.
  function coded(codec) {
    return makeTransform({
      async transform(chunk, controller) {
        if (!isBytes(chunk)) throw new TypeError("a chunk must be an ArrayBuffer or a view of one");
        codecFeed(codec, chunk);
        let piece;
        while ((piece = codecStep(codec)) !== undefined) {
          if (piece.length === 0) continue;
          await room(controller);
          controller.enqueue(piece);
        }
      },
      flush(controller) {
        const last = codecEnd(codec);
        if (last.length > 0) controller.enqueue(last);
      },
    });
  }

  class CompressionStream {
    #sides;

    constructor(format) {
      if (arguments.length === 0) throw new TypeError("CompressionStream needs 1 argument, but was given 0");
      this.#sides = coded(newCodec(format, false));
    }

    get readable() {
      return this.#sides.readable;
    }

    get writable() {
      return this.#sides.writable;
    }
  }

  class DecompressionStream {
    #sides;

    constructor(format) {
      if (arguments.length === 0) throw new TypeError("DecompressionStream needs 1 argument, but was given 0");
      this.#sides = coded(newCodec(format, true));
    }

    get readable() {
      return this.#sides.readable;
    }

    get writable() {
      return this.#sides.writable;
    }
  }

  kit.expose(TextEncoderStream);
  kit.TextDecoderStream = kit.expose(TextDecoderStream);
  kit.expose(CompressionStream);
  kit.expose(DecompressionStream);
}
