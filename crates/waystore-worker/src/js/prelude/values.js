// Values on their way between script and the native side.
export default function (kit) {
  const { freeze } = Object;
  // Scripts do not see it, but may be given one.
  const SharedArrayBufferHere = SharedArrayBuffer;
  const isView = ArrayBuffer.isView;
  const toBase64 = Function.prototype.call.bind(Uint8Array.prototype.toBase64);
  const MAX_ERRORS = 256;
  const errors = new Map();
  let lastError = 0;

  kit.freeze = freeze;

  kit.isBytes = (value) => isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBufferHere;

  // The bytes of a buffer or view, as text: the native side reads no memory of the engine.
  kit.encoded = (value) => {
    const bytes = isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
    return toBase64(bytes);
  };

  // Fills a view of bytes from another.
  kit.fill = (view, bytes) => {
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(bytes);
    return view;
  };

  // What a script's stream failed with crosses the native side as a number. The latest are kept.
  kit.keepError = (error) => {
    errors.set(++lastError, error);
    if (errors.size > MAX_ERRORS) errors.delete(errors.keys().next().value);
    return lastError;
  };
  kit.keptError = (id) => (errors.has(id) ? errors.get(id) : new TypeError("the body's stream failed"));
}
