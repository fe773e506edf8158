// Values that leave their context: the records of structuredClone, as text. Objects are listed once
// each, so that cycles and shared parts survive; what is given away is named by its place in a list.
// The form is in docs/messages.md.
export default function (kit) {
  const { domException, isPort, kindNamed, revived, serialize } = kit;
  const { isFinite } = Number;
  const { is: same } = Object;
  const { stringify, parse } = JSON;
  const { isArray } = Array;
  const toBase64 = Function.prototype.call.bind(Uint8Array.prototype.toBase64);
  const fromBase64 = Uint8Array.fromBase64.bind(Uint8Array);
  const isBuffer = kindNamed("ArrayBuffer").is;
  const typeOf = Function.prototype.call.bind(Object.getOwnPropertyDescriptor(Blob.prototype, "type").get);
  const { Blob: BlobHere } = globalThis;
  // Of one message, as text.
  const MOST_CHARS = 16 * 1024 * 1024;

  const properties = {
    out: (list, ref) => list.map(([key, item]) => [key, ref(item)]),
    in: (list, record) => list.map(([key, item]) => [`${key}`, record(item)]),
  };
  const blob = {
    out: (value) => ({ type: typeOf(value), bytes: toBase64(kit.blobBytes(value)) }),
    in: ({ type, bytes }) => new BlobHere([fromBase64(bytes)], { type }),
  };

  // How the data of a record is written, `ref` standing for what is inside, and how it is read.
  const FORMS = {
    Array: {
      out: (data, ref) => ({ length: data.length, entries: properties.out(data.properties, ref) }),
      in: ({ length, entries }, record) => ({ length, properties: properties.in(entries, record) }),
    },
    Object: {
      out: (data, ref) => ({ entries: properties.out(data, ref) }),
      in: ({ entries }, record) => properties.in(entries, record),
    },
    Map: {
      out: (data, ref) => ({ entries: data.map(([key, item]) => [ref(key), ref(item)]) }),
      in: ({ entries }, record) => entries.map(([key, item]) => [record(key), record(item)]),
    },
    Set: {
      out: (data, ref) => ({ entries: data.map(ref) }),
      in: ({ entries }, record) => entries.map(record),
    },
    Box: {
      out: (data) => ({ value: primitive(data) }),
      in: ({ value }) => read(value),
    },
    Date: {
      out: (data) => ({ time: primitive(data) }),
      in: ({ time }) => Number(read(time)),
    },
    View: {
      out: ({ name, buffer, offset, length }, ref) => ({ name, buffer: ref(buffer), offset, length }),
      in: ({ name, buffer, offset, length }, record) => ({ name, buffer: record(buffer), offset, length }),
    },
    ArrayBuffer: {
      out: ({ bytes, maximum }) => ({ bytes: toBase64(bytes), maximum }),
      in: ({ bytes, maximum }) => ({ bytes: fromBase64(bytes), maximum }),
    },
    Error: {
      out: ({ name, message, stack, cause }, ref) => ({ name, message, stack, cause: cause && [ref(cause)] }),
      in: ({ name, message, stack, cause }, record) => ({ name, message, stack, cause: cause && record(cause[0]) }),
    },
    Blob: blob,
    File: {
      out: ({ value, name, lastModified }) => ({ name, lastModified, ...blob.out(value) }),
      in: ({ name, lastModified, ...held }) => ({ value: blob.in(held), name: `${name}`, lastModified }),
    },
    RegExp: plain("source", "flags"),
    DOMException: plain("name", "message"),
    QuotaExceededError: plain("message", "quota", "requested"),
  };

  // Data that is as it is written.
  function plain(...parts) {
    const only = (data) => {
      const copy = {};
      for (const part of parts) copy[part] = data[part];
      return copy;
    };
    return { out: only, in: only };
  }

  // Plain text, numbers and so on are themselves; the rest is an object that says what it is.
  function primitive(value) {
    switch (typeof value) {
      case "undefined":
        return { is: "undefined" };
      case "bigint":
        return { is: "bigint", text: `${value}` };
      case "number":
        return isFinite(value) && !same(value, -0) ? value : { is: "number", text: same(value, -0) ? "-0" : `${value}` };
      default:
        return value;
    }
  }

  function read(written) {
    if (typeof written !== "object" || written === null) return written;
    switch (written.is) {
      case "undefined":
        return undefined;
      case "bigint":
        return BigInt(written.text);
      case "number":
        return Number(written.text);
      default:
        throw new TypeError("the message is not written as it should be");
    }
  }

  // `value` as text, and the ports that go with it, as the numbers of their native ends. Throws where a
  // part of it cannot be cloned, or not sent.
  kit.pack = (value, transfer) => {
    const given = [...transfer];
    for (const item of given) {
      if (typeof item !== "object" || item === null || isPort(item) || isBuffer(item)) continue;
      throw domException("only ArrayBuffers and MessagePorts can be given to somebody else", "DataCloneError");
    }
    const { record, moved } = serialize(value, given);
    const ports = moved.filter(isPort);
    const ids = new Map();
    const nodes = [];
    const ref = (record) => {
      if (record.kind === undefined) return primitive(record.primitive);
      let id = ids.get(record);
      if (id === undefined) {
        id = nodes.push(null) - 1;
        ids.set(record, id);
        nodes[id] = node(record);
      }
      return { is: "object", id };
    };
    const node = ({ kind: { name }, data }) => {
      if (name !== "Moved") return { kind: name, ...FORMS[name].out(data, ref) };
      const { target } = data;
      if (isPort(target)) return { kind: "Port", index: ports.indexOf(target) };
      return { kind: "ArrayBuffer", ...FORMS.ArrayBuffer.out({ bytes: new Uint8Array(target), maximum: maximumOf(target) }) };
    };
    const text = stringify([ref(record), nodes]);
    if (text.length > MOST_CHARS) throw domException("the message is too long", "DataCloneError");
    return { text, ports: ports.map(kit.exportPort) };
  };

  const maximumOf = (buffer) => (buffer.resizable ? buffer.maxByteLength : undefined);

  // The value that `pack` wrote down, and the ports that came with it. What is not written so throws.
  kit.unpack = (text, numbers) => {
    const ports = numbers.map(kit.importPort);
    const [root, nodes] = parse(text);
    const records = new Map();
    const record = (written) => {
      if (typeof written !== "object" || written === null || written.is !== "object") return { primitive: read(written) };
      const known = records.get(written.id);
      return known ?? make(written.id, nodes[written.id]);
    };
    const make = (id, { kind: name, ...rest }) => {
      const made = { kind: kindNamed(name === "Port" ? "Moved" : name), data: undefined };
      if (made.kind === undefined) throw new TypeError("the message holds an object of an unknown kind");
      records.set(id, made);
      if (name !== "Port") {
        made.data = FORMS[name].in(rest, record);
      } else if (ports[rest.index] === undefined) {
        throw new TypeError("the message names a port that did not come with it");
      } else {
        made.data = { target: ports[rest.index] };
      }
      return made;
    };
    if (!isArray(nodes)) throw new TypeError("the message is not written as it should be");
    return { value: revived(record(root)), ports };
  };
}
