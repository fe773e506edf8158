// structuredClone, in the two halves of the standard: a value is first written down as records,
// which hold nothing that a script could still change, then made anew from them.
// Spec: https://html.spec.whatwg.org/#safe-passing-of-structured-data
export default function (kit) {
  const { isProxy, isError, domException } = kit;
  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, hasOwn, keys } = Object;
  const { isArray } = Array;
  const { isView } = ArrayBuffer;
  const QuotaExceededErrorHere = QuotaExceededError;
  const uncurried = (method) => Function.prototype.call.bind(method);
  const getter = (holder, name) => uncurried(getOwnPropertyDescriptor(holder, name).get);

  const typedArray = getPrototypeOf(Uint8Array.prototype);
  const VIEWS = new Map(
    [
      Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
      BigInt64Array, BigUint64Array, Float16Array, Float32Array, Float64Array,
    ].map((View) => [View.name, View]),
  );
  const ERRORS = new Map(
    [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((Kind) => [Kind.name, Kind]),
  );

  const valueOf = (Box) => uncurried(Box.prototype.valueOf);
  const getTime = uncurried(Date.prototype.getTime);
  const sourceOf = getter(RegExp.prototype, "source");
  const flagsOf = getter(RegExp.prototype, "flags");
  const stackOf = getter(Error.prototype, "stack");
  const sizeOfMap = getter(Map.prototype, "size");
  const eachOfMap = uncurried(Map.prototype.forEach);
  const sizeOfSet = getter(Set.prototype, "size");
  const eachOfSet = uncurried(Set.prototype.forEach);
  const sizeOfBlob = getter(Blob.prototype, "size");
  const typeOfBlob = getter(Blob.prototype, "type");
  const sliceOfBlob = uncurried(Blob.prototype.slice);
  const buffer = {
    length: getter(ArrayBuffer.prototype, "byteLength"),
    maximum: getter(ArrayBuffer.prototype, "maxByteLength"),
    resizable: getter(ArrayBuffer.prototype, "resizable"),
    detached: getter(ArrayBuffer.prototype, "detached"),
    transfer: uncurried(ArrayBuffer.prototype.transfer),
  };
  const view = {
    kind: getter(typedArray, Symbol.toStringTag),
    buffer: getter(typedArray, "buffer"),
    offset: getter(typedArray, "byteOffset"),
    length: getter(typedArray, "length"),
  };
  const dataView = {
    buffer: getter(DataView.prototype, "buffer"),
    offset: getter(DataView.prototype, "byteOffset"),
    length: getter(DataView.prototype, "byteLength"),
  };

  // Whether a getter or method takes this receiver.
  const takes = (read) => (value) => {
    try {
      read(value);
      return true;
    } catch {
      return false;
    }
  };

  // A kind of object. `name` is what it is called outside of this context; `is` tells whether a value is
  // of it; `write(value, inner)` is what the record holds, `inner` writes what is inside; `make(data, revive)` is the clone, and `fill(clone, data,
  // revive)` puts into it what may lead back to it.
  const boxed = (Box) => ({ name: "Box", is: takes(valueOf(Box)), write: valueOf(Box), make: Object });

  // By the prototype that the engine's own objects of the kind inherit from.
  const KINDS = new Map([
    [Boolean.prototype, boxed(Boolean)],
    [Number.prototype, boxed(Number)],
    [String.prototype, boxed(String)],
    [BigInt.prototype, boxed(BigInt)],
    [Date.prototype, { name: "Date", is: takes(getTime), write: getTime, make: (time) => new Date(time) }],
    [
      RegExp.prototype,
      {
        name: "RegExp",
        is: takes(sourceOf),
        write: (value) => ({ source: sourceOf(value), flags: flagsOf(value) }),
        make: ({ source, flags }) => new RegExp(source, flags),
      },
    ],
    [ArrayBuffer.prototype, { name: "ArrayBuffer", is: takes(buffer.length), write: writeBuffer, make: makeBuffer }],
    [
      Map.prototype,
      {
        name: "Map",
        is: takes(sizeOfMap),
        write(value, inner) {
          const entries = [];
          eachOfMap(value, (item, key) => entries.push([key, item]));
          return entries.map(([key, item]) => [inner(key), inner(item)]);
        },
        make: () => new Map(),
        fill(clone, entries, revive) {
          for (const [key, item] of entries) clone.set(revive(key), revive(item));
        },
      },
    ],
    [
      Set.prototype,
      {
        name: "Set",
        is: takes(sizeOfSet),
        write(value, inner) {
          const items = [];
          eachOfSet(value, (item) => items.push(item));
          return items.map(inner);
        },
        make: () => new Set(),
        fill(clone, items, revive) {
          for (const item of items) clone.add(revive(item));
        },
      },
    ],
    [Error.prototype, { name: "Error", is: isError, write: writeError, make: makeError, fill: fillError }],
    [
      DOMException.prototype,
      {
        name: "DOMException",
        is: (value) => value instanceof DOMException,
        write: ({ name, message }) => ({ name, message }),
        make: ({ name, message }) => domException(message, name),
      },
    ],
    [
      QuotaExceededErrorHere.prototype,
      {
        name: "QuotaExceededError",
        is: takes(getter(QuotaExceededErrorHere.prototype, "quota")),
        write: ({ message, quota, requested }) => ({ message, quota, requested }),
        make: ({ message, quota, requested }) => new QuotaExceededErrorHere(message, { quota, requested }),
      },
    ],
    // Its bytes never change, so the clone may share them.
    [
      Blob.prototype,
      {
        name: "Blob",
        is: takes(sizeOfBlob),
        write: (value) => value,
        make: (value) => sliceOfBlob(value, 0, sizeOfBlob(value), typeOfBlob(value)),
      },
    ],
  ]);

  // Kinds of the runtime's own interfaces, which come later or elsewhere.
  kit.cloneable = (Interface, kind) => KINDS.set(Interface.prototype, kind);
  kit.cloneable(kit.File, {
    name: "File",
    is: kit.isFile,
    write: (value) => ({ value, name: value.name, lastModified: value.lastModified }),
    make: ({ value, name, lastModified }) => kit.fileOf(value, name, lastModified),
  });

  const ARRAY = {
    name: "Array",
    write: (value, inner) => ({ length: value.length, properties: propertiesOf(value, inner) }),
    make: ({ length }) => new Array(length),
    fill: (clone, { properties }, revive) => define(clone, properties, revive),
  };
  const PLAIN = { name: "Object", write: propertiesOf, make: () => ({}), fill: define };
  const VIEW = { name: "View", write: writeView, make: makeView };
  const MOVED = { name: "Moved", make: ({ target }) => target };
  // For who writes records down: the kind of this name.
  kit.kindNamed = (name) => [ARRAY, PLAIN, VIEW, MOVED, ...KINDS.values()].find((kind) => kind.name === name);
  kit.revived = (record) => make(record, new Map());

  // Interfaces, and classes of the engine that no clone is made of, have a tag that is not writable.
  function kindOf(value) {
    if (isProxy(value) || value === globalThis) throw refused(value);
    if (isArray(value)) return ARRAY;
    if (isView(value)) return VIEW;
    for (let prototype = getPrototypeOf(value); prototype !== null; prototype = getPrototypeOf(prototype)) {
      const kind = KINDS.get(prototype);
      if (kind !== undefined) {
        if (kind.is(value)) return kind;
      } else if (getOwnPropertyDescriptor(prototype, Symbol.toStringTag)?.writable === false) {
        throw refused(value);
      }
    }
    return PLAIN;
  }

  // Spec: https://html.spec.whatwg.org/#structuredserializeinternal
  function write(value, memory) {
    switch (typeof value) {
      case "function":
      case "symbol":
        throw refused(value);
      case "object":
        if (value !== null) break;
      // null is a primitive as the rest is.
      default:
        return { primitive: value };
    }
    const known = memory.get(value);
    if (known !== undefined) return known;
    const record = { kind: kindOf(value), data: undefined };
    memory.set(value, record);
    record.data = record.kind.write(value, (item) => write(item, memory));
    return record;
  }

  // Spec: https://html.spec.whatwg.org/#structureddeserialize
  function make(record, memory) {
    if (record.kind === undefined) return record.primitive;
    if (memory.has(record)) return memory.get(record);
    const revive = (inner) => make(inner, memory);
    const { kind, data } = record;
    const clone = kind.make(data, revive);
    memory.set(record, clone);
    kind.fill?.(clone, data, revive);
    return clone;
  }

  function refused(value) {
    const what = typeof value === "object" ? "an object of this kind" : `a ${typeof value}`;
    return domException(`${what} cannot be cloned`, "DataCloneError");
  }

  // The enumerable properties with text for names; reading one may remove others.
  function propertiesOf(value, inner) {
    const properties = [];
    for (const key of keys(value)) {
      if (hasOwn(value, key)) properties.push([key, inner(value[key])]);
    }
    return properties;
  }

  function define(clone, properties, revive) {
    for (const [key, item] of properties) {
      defineProperty(clone, key, { value: revive(item), writable: true, enumerable: true, configurable: true });
    }
  }

  function writeBuffer(value) {
    if (buffer.detached(value)) throw domException("the ArrayBuffer is detached", "DataCloneError");
    const maximum = buffer.resizable(value) ? buffer.maximum(value) : undefined;
    return { bytes: new Uint8Array(value).slice(), maximum };
  }

  function makeBuffer({ bytes, maximum }) {
    if (maximum === undefined) return bytes.buffer;
    const made = new ArrayBuffer(bytes.length, { maxByteLength: maximum });
    new Uint8Array(made).set(bytes);
    return made;
  }

  function writeView(value, inner) {
    const name = view.kind(value);
    const of = name === undefined ? dataView : view;
    try {
      return { name, buffer: inner(of.buffer(value)), offset: of.offset(value), length: of.length(value) };
    } catch (error) {
      throw error instanceof DOMException ? error : domException("the view is out of its buffer's bounds", "DataCloneError");
    }
  }

  function makeView({ name, buffer, offset, length }, revive) {
    const View = name === undefined ? DataView : VIEWS.get(name);
    return new View(revive(buffer), offset, length);
  }

  // What a script may have put onto an error beyond these is lost, as it is elsewhere.
  function writeError(value, inner) {
    const name = `${value.name}`;
    const own = (key) => getOwnPropertyDescriptor(value, key);
    const message = own("message");
    const cause = own("cause");
    const stack = own("stack")?.value ?? stackOf(value);
    return {
      name: ERRORS.has(name) ? name : "Error",
      message: message && "value" in message ? `${message.value}` : undefined,
      stack: typeof stack === "string" ? stack : undefined,
      cause: cause && "value" in cause ? inner(cause.value) : undefined,
    };
  }

  function makeError({ name, message, stack }) {
    const error = new (ERRORS.get(name))(message);
    defineProperty(error, "stack", { value: stack, writable: true, enumerable: false, configurable: true });
    return error;
  }

  function fillError(clone, { cause }, revive) {
    if (cause === undefined) return;
    defineProperty(clone, "cause", { value: revive(cause), writable: true, enumerable: false, configurable: true });
  }

  // What can be given away. `refusal(value)` says why this one cannot, `move(value)` is the same thing
  // in its new place.
  const TRANSFERS = [
    {
      is: KINDS.get(ArrayBuffer.prototype).is,
      refusal: (value) => (buffer.detached(value) ? "the ArrayBuffer is detached" : undefined),
      move: buffer.transfer,
    },
  ];
  kit.transferable = (kind) => TRANSFERS.push(kind);

  // The records of what is given away. They get their targets once all else is written down, so
  // that a failure leaves everything with its owner.
  function claim(transfer, memory) {
    const claimed = [];
    for (const value of transfer) {
      if (value === null || typeof value !== "object") throw new TypeError("what is transferred must be objects");
      claimed.push(value);
    }
    return claimed.map((value) => {
      const kind = TRANSFERS.find((kind) => kind.is(value));
      if (kind === undefined) throw domException("an object of this kind cannot be transferred", "DataCloneError");
      if (memory.has(value)) throw domException("an object is transferred twice", "DataCloneError");
      const record = { kind: MOVED, data: { target: undefined } };
      memory.set(value, record);
      return { value, kind, record };
    });
  }

  // What `value` was when this was called, and what is given away with it in its new place. `revive`
  // makes the clone. Spec: https://html.spec.whatwg.org/#structuredserializewithtransfer
  kit.serialize = (value, transfer = []) => {
    const memory = new Map();
    const claimed = claim(transfer, memory);
    const record = write(value, memory);
    for (const { value, kind } of claimed) {
      const refusal = kind.refusal(value);
      if (refusal !== undefined) throw domException(refusal, "DataCloneError");
    }
    for (const { value, kind, record } of claimed) record.data.target = kind.move(value);
    return { record, revive: () => kit.revived(record), moved: claimed.map(({ record }) => record.data.target) };
  };

  // The transfer list of a call that takes one, or options that have one.
  kit.transferOf = (given) => {
    if (given === undefined || given === null) return [];
    if (typeof given !== "object" && typeof given !== "function") throw new TypeError("the options must be an object");
    return given[Symbol.iterator] === undefined ? given.transfer ?? [] : given;
  };

  const { structuredClone } = {
    structuredClone(value, options = {}) {
      kit.ofGlobal(this, "structuredClone");
      if (arguments.length === 0) throw new TypeError("structuredClone needs 1 argument, but was given 0");
      if (options !== null && typeof options !== "object" && typeof options !== "function") {
        throw new TypeError("the options of structuredClone must be an object");
      }
      return kit.serialize(value, options?.transfer ?? []).revive();
    },
  };
  defineProperty(globalThis, "structuredClone", {
    value: structuredClone,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}
