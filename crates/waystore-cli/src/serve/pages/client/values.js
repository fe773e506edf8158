// Values that leave the page: written down as docs/messages.md says, and made anew from that. Knows no
// frame and no socket; a port is here only its place in a list.

// Of one message, as text.
const MOST_CHARS = 16 * 1024 * 1024;

const BOXES = ["Boolean", "Number", "String", "BigInt"];
const ERRORS = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
const VIEWS = new Set(
  ("DataView Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array " +
    "BigInt64Array BigUint64Array Float16Array Float32Array Float64Array").split(" "),
);

const cannotClone = (what) => new DOMException(`${what} cannot be cloned`, "DataCloneError");
const kindOf = (value) => (value instanceof MessagePort ? "MessagePort" : Object.prototype.toString.call(value).slice(8, -1));

// A copy of `value` that nobody else holds, and the ports among what is given away, in its place. The
// browser itself copies, so that getters run once and what cannot be copied throws as it does anywhere.
// Spec: https://html.spec.whatwg.org/#structuredserializewithtransfer
function taken(value, transfer) {
  for (const item of transfer) {
    if (item instanceof ArrayBuffer || item instanceof MessagePort) continue;
    throw cannotClone("what is neither an ArrayBuffer nor a MessagePort cannot be given away, and");
  }
  const copy = structuredClone({ value, transfer }, { transfer });
  return { value: copy.value, ports: copy.transfer.filter((item) => item instanceof MessagePort) };
}

// What `taken` returned, as text. `blobs` are those whose bytes are still to be read into it: as long as
// there are any, `text` may not be called.
function packed({ value, ports }) {
  const ids = new Map();
  const nodes = [];
  const blobs = [];
  const ref = (value) => {
    if (typeof value !== "object" || value === null) return primitive(value);
    let id = ids.get(value);
    if (id === undefined) {
      id = nodes.push(null) - 1;
      ids.set(value, id);
      nodes[id] = node(value);
    }
    return { is: "object", id };
  };
  const node = (value) => {
    const kind = kindOf(value);
    const written = described(kind, value, ref, ports);
    if (kind === "Blob" || kind === "File") blobs.push({ blob: value, node: written });
    return written;
  };
  const root = ref(value);
  const text = () => {
    const text = JSON.stringify([root, nodes]);
    if (text.length > MOST_CHARS) throw cannotClone(`a message of ${text.length} characters (${MOST_CHARS} at most)`);
    return text;
  };
  return { blobs, text };
}

// Reads the bytes of blobs into their places.
async function readBlobs(blobs) {
  for (const { blob, node } of blobs) node.bytes = toBase64(new Uint8Array(await blob.arrayBuffer()));
}

// One object, `ref` standing for what is inside.
function described(kind, value, ref, ports) {
  const entries = () => Object.keys(value).map((key) => [key, ref(value[key])]);
  if (BOXES.includes(kind)) return { kind: "Box", value: primitive(value.valueOf()) };
  if (VIEWS.has(kind)) {
    const { buffer, byteOffset: offset } = value;
    const name = kind === "DataView" ? undefined : kind;
    return { kind: "View", name, buffer: ref(buffer), offset, length: name ? value.length : value.byteLength };
  }
  switch (kind) {
    case "Object":
      return { kind, entries: entries() };
    case "Array":
      return { kind, length: value.length, entries: entries() };
    case "Map":
      return { kind, entries: [...value].map(([key, item]) => [ref(key), ref(item)]) };
    case "Set":
      return { kind, entries: [...value].map(ref) };
    case "Date":
      return { kind, time: primitive(value.getTime()) };
    case "RegExp":
      return { kind, source: value.source, flags: value.flags };
    case "Error":
      return { kind, name: value.name, message: own(value, "message"), stack: value.stack, cause: causeOf(value, ref) };
    case "DOMException":
      return { kind, name: value.name, message: value.message };
    case "QuotaExceededError":
      return { kind, message: value.message, quota: value.quota, requested: value.requested };
    case "ArrayBuffer":
      return { kind, bytes: toBase64(new Uint8Array(value)), maximum: value.resizable ? value.maxByteLength : undefined };
    case "Blob":
      return { kind, type: value.type, bytes: undefined };
    case "File":
      return { kind, name: value.name, lastModified: value.lastModified, type: value.type, bytes: undefined };
    case "MessagePort":
      return { kind: "Port", index: ports.indexOf(value) };
    default:
      throw cannotClone(`an object of the kind ${kind}`);
  }
}

const own = (value, key) => (Object.hasOwn(value, key) ? value[key] : undefined);
const causeOf = (error, ref) => (Object.hasOwn(error, "cause") ? [ref(error.cause)] : undefined);

// What JSON has is itself; the rest is an object that says what it is.
function primitive(value) {
  switch (typeof value) {
    case "undefined":
      return { is: "undefined" };
    case "bigint":
      return { is: "bigint", text: `${value}` };
    case "number":
      if (Number.isFinite(value) && !Object.is(value, -0)) return value;
      return { is: "number", text: Object.is(value, -0) ? "-0" : `${value}` };
    default:
      return value;
  }
}

// The value that is written so, with the ports that came along. What is not written as it should be throws.
// Spec: https://html.spec.whatwg.org/#structureddeserialize
function unpacked([root, nodes], ports) {
  const made = new Map();
  const value = (written) => {
    if (typeof written !== "object" || written === null) return written;
    switch (written.is) {
      case "undefined":
        return undefined;
      case "bigint":
        return BigInt(written.text);
      case "number":
        return Number(written.text);
      default:
        return made.has(written.id) ? made.get(written.id) : object(written.id);
    }
  };
  const object = (id) => {
    const node = nodes[id];
    const [clone, fill] = revived(node, value, ports);
    made.set(id, clone);
    fill?.();
    return clone;
  };
  return value(root);
}

// The object that a node says, and what then puts into it what may lead back to it.
function revived(node, value, ports) {
  const entriesInto = (clone) => () => {
    for (const [key, item] of node.entries) define(clone, `${key}`, value(item), true);
  };
  switch (node.kind) {
    case "Object": {
      const clone = {};
      return [clone, entriesInto(clone)];
    }
    case "Array": {
      const clone = new Array(node.length);
      return [clone, entriesInto(clone)];
    }
    case "Map": {
      const clone = new Map();
      return [clone, () => node.entries.forEach(([key, item]) => clone.set(value(key), value(item)))];
    }
    case "Set": {
      const clone = new Set();
      return [clone, () => node.entries.forEach((item) => clone.add(value(item)))];
    }
    case "Date":
      return [new Date(value(node.time))];
    case "RegExp":
      return [new RegExp(node.source, node.flags)];
    case "Box":
      return [Object(value(node.value))];
    case "Error": {
      const error = errorOf(node);
      return [error, () => node.cause && define(error, "cause", value(node.cause[0]), false)];
    }
    case "DOMException":
      return [new DOMException(node.message, node.name)];
    case "QuotaExceededError":
      return [quotaExceeded(node)];
    case "ArrayBuffer":
      return [bufferOf(node)];
    case "View":
      return [viewOf(node, value(node.buffer))];
    case "Blob":
      return [new Blob([fromBase64(node.bytes)], { type: node.type })];
    case "File":
      return [new File([fromBase64(node.bytes)], node.name, { type: node.type, lastModified: node.lastModified })];
    case "Port":
      if (ports[node.index] === undefined) throw new TypeError("the message names a port that did not come with it");
      return [ports[node.index]];
    default:
      throw new TypeError(`the message holds an object of the unknown kind ${node.kind}`);
  }
}

const define = (target, key, value, enumerable) =>
  Object.defineProperty(target, key, { value, enumerable, writable: true, configurable: true });

function errorOf({ name, message, stack }) {
  const Kind = ERRORS.find((Kind) => Kind.name === name) ?? Error;
  const error = new Kind(message);
  define(error, "stack", stack, false);
  return error;
}

// Older browsers have no class for it.
function quotaExceeded({ message, quota, requested }) {
  if (typeof QuotaExceededError !== "function") return new DOMException(message, "QuotaExceededError");
  return new QuotaExceededError(message, { quota: quota ?? undefined, requested: requested ?? undefined });
}

function bufferOf({ bytes, maximum }) {
  const read = fromBase64(bytes);
  if (maximum === undefined) return read.buffer;
  const buffer = new ArrayBuffer(read.length, { maxByteLength: maximum });
  new Uint8Array(buffer).set(read);
  return buffer;
}

function viewOf({ name, offset, length }, buffer) {
  if (name !== undefined && !VIEWS.has(name)) throw new TypeError(`the message holds a view of the unknown kind ${name}`);
  return new (name === undefined ? DataView : globalThis[name])(buffer, offset, length);
}

function toBase64(bytes) {
  if (typeof bytes.toBase64 === "function") return bytes.toBase64();
  let text = "";
  // As many arguments as every engine takes.
  for (let at = 0; at < bytes.length; at += 0x2000) text += String.fromCharCode(...bytes.subarray(at, at + 0x2000));
  return btoa(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
