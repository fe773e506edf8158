// structuredClone of values that are pure JavaScript, with transfer of buffers.
// Spec: https://html.spec.whatwg.org/#structuredserializeinternal
(function (kit) {
  "use strict";
  const ERRORS = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  const isView = ArrayBuffer.isView;

  kit.global("structuredClone", function structuredClone(value, options = undefined) {
    if (arguments.length === 0) throw new TypeError("structuredClone needs 1 argument, but was given 0");
    const transfer = [...(options?.transfer ?? [])];
    const memory = new Map();
    for (const buffer of transfer) {
      if (!(buffer instanceof ArrayBuffer) || memory.has(buffer)) throw refused(buffer);
      if (buffer.detached) throw refused(buffer);
      memory.set(buffer, undefined);
    }
    for (const buffer of transfer) memory.set(buffer, buffer.transfer === undefined ? refuse(buffer) : deferred(buffer));
    const cloned = clone(value, memory);
    return cloned;
  });
  Object.defineProperty(globalThis, "structuredClone", { enumerable: true });

  // The clone takes the bytes along; the original is left without them.
  function deferred(buffer) {
    return buffer.transfer();
  }

  function refused(value) {
    const what = typeof value === "function" ? `function ${value.name}` : Object.prototype.toString.call(value);
    return kit.domException(`${what} cannot be cloned`, "DataCloneError");
  }

  function refuse(value) {
    throw refused(value);
  }

  function clone(value, memory) {
    if (typeof value === "symbol" || typeof value === "function") throw refused(value);
    if (typeof value !== "object" || value === null) return value;
    if (memory.has(value)) return memory.get(value);
    const keep = (copy) => {
      memory.set(value, copy);
      return copy;
    };
    switch (Object.prototype.toString.call(value)) {
      case "[object Boolean]":
      case "[object Number]":
      case "[object String]":
      case "[object BigInt]":
        return keep(Object(value.valueOf()));
      case "[object Date]":
        return keep(new Date(value.getTime()));
      case "[object RegExp]":
        return keep(new RegExp(value.source, value.flags));
    }
    if (value instanceof ArrayBuffer) return keep(value.slice(0));
    if (isView(value)) return keep(cloneView(value, memory));
    if (value instanceof Map) {
      const copy = keep(new Map());
      for (const [key, item] of [...value]) copy.set(clone(key, memory), clone(item, memory));
      return copy;
    }
    if (value instanceof Set) {
      const copy = keep(new Set());
      for (const item of [...value]) copy.add(clone(item, memory));
      return copy;
    }
    if (value instanceof DOMException) return keep(new DOMException(value.message, value.name));
    if (value instanceof Error) return cloneError(value, memory, keep);
    if (Array.isArray(value)) {
      const copy = keep([]);
      copy.length = value.length;
      return copyMembers(value, copy, memory);
    }
    const prototype = Object.getPrototypeOf(value);
    const tag = value[Symbol.toStringTag];
    if (kit.isPlatformObject(value, prototype, tag)) throw refused(value);
    return copyMembers(value, keep({}), memory);
  }

  function copyMembers(from, to, memory) {
    for (const key of Object.keys(from)) {
      Object.defineProperty(to, key, {
        value: clone(from[key], memory), writable: true, enumerable: true, configurable: true,
      });
    }
    return to;
  }

  function cloneView(view, memory) {
    const buffer = clone(view.buffer, memory);
    if (view instanceof DataView) return new DataView(buffer, view.byteOffset, view.byteLength);
    const View = globalThis[Object.getPrototypeOf(view)[Symbol.toStringTag]] ?? Uint8Array;
    return new View(buffer, view.byteOffset, view.length);
  }

  function cloneError(error, memory, keep) {
    const Kind = ERRORS[error.name] ?? Error;
    const copy = keep(new Kind(error.message));
    for (const key of ["stack", "cause"]) {
      if (!(key in error)) continue;
      const value = key === "stack" ? `${error.stack}` : clone(error.cause, memory);
      Object.defineProperty(copy, key, { value, writable: true, configurable: true });
    }
    return copy;
  }

  // Objects of interfaces, promises, weak maps and the like: what has a tag that no plain object has.
  kit.isPlatformObject = (value, prototype, tag) => {
    if (prototype === null || prototype === Object.prototype) return false;
    return typeof tag === "string" && Object.getOwnPropertyDescriptor(value, Symbol.toStringTag) === undefined;
  };
})
