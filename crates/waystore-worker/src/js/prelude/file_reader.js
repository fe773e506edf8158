// FileReader, and the events it tells of its progress with. Spec: https://w3c.github.io/FileAPI/#APIASynch
export default function (kit) {
  const { Event, EventTarget, isBlob, dispatch, domException, trust } = kit;
  const { Blob, TextDecoder, Uint8Array, setTimeout: task } = globalThis;
  const call = Function.prototype.call;
  const then = call.bind(Promise.prototype.then);
  const readBytes = call.bind(Blob.prototype.arrayBuffer);
  const toBase64 = call.bind(Uint8Array.prototype.toBase64);
  const [EMPTY, LOADING, DONE] = [0, 1, 2];

  class ProgressEvent extends Event {
    #init;

    constructor(type, init = {}) {
      super(...arguments);
      const { lengthComputable, loaded = 0, total = 0 } = init ?? {};
      this.#init = { lengthComputable: Boolean(lengthComputable), loaded: Number(loaded), total: Number(total) };
    }

    get lengthComputable() {
      return this.#init.lengthComputable;
    }

    get loaded() {
      return this.#init.loaded;
    }

    get total() {
      return this.#init.total;
    }
  }

  class FileReader extends EventTarget {
    // reading: what tells this reading apart from one that was aborted.
    #state = { readyState: EMPTY, result: null, error: null, reading: undefined };

    get error() {
      return this.#state.error;
    }

    get readyState() {
      return this.#state.readyState;
    }

    get result() {
      return this.#state.result;
    }

    abort() {
      const state = this.#state;
      state.result = null;
      if (state.readyState !== LOADING) return;
      state.readyState = DONE;
      state.error = domException("the reading was aborted", "AbortError");
      state.reading = undefined;
      tell(this, "abort", 0, 0);
      if (state.readyState !== LOADING) tell(this, "loadend", 0, 0);
    }

    readAsArrayBuffer(blob) {
      start(this, this.#state, blob, (buffer) => buffer);
    }

    readAsBinaryString(blob) {
      start(this, this.#state, blob, (buffer) => {
        let text = "";
        for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
        return text;
      });
    }

    readAsDataURL(blob) {
      start(this, this.#state, blob, (buffer) => {
        return `data:${blob.type || "application/octet-stream"};base64,${toBase64(new Uint8Array(buffer))}`;
      });
    }

    readAsText(blob, encoding = undefined) {
      const label = encoding === undefined ? undefined : `${encoding}`;
      start(this, this.#state, blob, (buffer) => decoderOf(label, blob.type).decode(buffer));
    }
  }

  // Spec: https://w3c.github.io/FileAPI/#blob-package-data
  function decoderOf(label, type) {
    const charset = /;\s*charset="?([^";]+)/i.exec(type)?.[1];
    for (const name of [label, charset]) {
      try {
        if (name !== undefined) return new TextDecoder(name);
      } catch {
        // The next one.
      }
    }
    return new TextDecoder();
  }

  function start(reader, state, blob, convert) {
    if (!isBlob(blob)) throw new TypeError("a FileReader reads Blobs");
    if (state.readyState === LOADING) throw domException("the reader is reading already", "InvalidStateError");
    const reading = {};
    Object.assign(state, { readyState: LOADING, result: null, error: null, reading });
    const { size } = blob;
    task(() => {
      if (state.reading === reading) tell(reader, "loadstart", 0, size);
    });
    then(readBytes(blob), (buffer) => {
      // A task of its own, as each event of a reader has.
      task(() => {
        if (state.reading !== reading) return;
        if (size > 0) tell(reader, "progress", size, size);
        if (state.reading !== reading) return;
        state.readyState = DONE;
        try {
          state.result = convert(buffer);
        } catch (thrown) {
          state.error = thrown;
        }
        tell(reader, state.error === null ? "load" : "error", size, size);
        if (state.readyState !== LOADING) tell(reader, "loadend", size, size);
      });
    });
  }

  function tell(reader, type, loaded, total) {
    dispatch(reader, trust(new ProgressEvent(type, { lengthComputable: true, loaded, total })));
  }

  kit.expose(ProgressEvent);
  kit.expose(FileReader);
  kit.constants(FileReader, { EMPTY, LOADING, DONE });
  for (const type of ["loadstart", "progress", "load", "abort", "error", "loadend"]) {
    kit.handler(FileReader.prototype, type);
  }
}
