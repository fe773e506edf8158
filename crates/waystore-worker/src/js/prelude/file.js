// File: a Blob with a name and a time. Spec: https://w3c.github.io/FileAPI/#file-section
export default function (kit) {
  const { Blob } = globalThis;
  const call = Function.prototype.call;
  const sizeOf = call.bind(Object.getOwnPropertyDescriptor(Blob.prototype, "size").get);
  const typeOf = call.bind(Object.getOwnPropertyDescriptor(Blob.prototype, "type").get);
  const { now } = Date;
  let isFile;

  class File extends Blob {
    #name;
    #lastModified;

    static {
      isFile = (value) => typeof value === "object" && value !== null && #name in value;
    }

    constructor(bits, name, options = {}) {
      if (arguments.length < 2) throw new TypeError(`File needs 2 arguments, but was given ${arguments.length}`);
      if (bits === undefined) throw new TypeError("a File's parts must be a sequence");
      super(bits, options);
      this.#name = `${name}`.toWellFormed();
      const { lastModified } = options ?? {};
      this.#lastModified = lastModified === undefined ? now() : Math.trunc(Number(lastModified)) || 0;
    }

    get lastModified() {
      return this.#lastModified;
    }

    get name() {
      return this.#name;
    }

    get webkitRelativePath() {
      return (this.#name, "");
    }
  }

  kit.File = kit.expose(File);
  kit.isFile = isFile;
  kit.isBlob = (value) => {
    try {
      return sizeOf(value) >= 0;
    } catch {
      return false;
    }
  };
  // A file with what a blob holds.
  kit.fileOf = (blob, name, lastModified = undefined) => new File([blob], name, { type: typeOf(blob), lastModified });
}
