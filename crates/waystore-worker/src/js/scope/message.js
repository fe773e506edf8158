// Messages between workers, whose globals share nothing: what structuredClone made, as text.
// Objects are listed once each, so that cycles and shared parts survive.
(function (kit) {
  "use strict";
  const { domException } = kit;
  const { structuredClone, JSON, Map, Set, Date, RegExp, ArrayBuffer, DataView, Uint8Array, DOMException } = globalThis;
  const { getPrototypeOf, keys, defineProperty } = Object;
  const { stringify, parse } = JSON;
  const { isArray, from } = Array;
  const { isView } = ArrayBuffer;
  const uncurried = (method) => Function.prototype.call.bind(method);
  const eachOfMap = uncurried(Map.prototype.forEach);
  const eachOfSet = uncurried(Set.prototype.forEach);
  const getTime = uncurried(Date.prototype.getTime);
  const ERRORS = new Map([Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((E) => [E.prototype, E]));
  const BOXES = new Map([Boolean, Number, String, BigInt].map((Box) => [Box.prototype, uncurried(Box.prototype.valueOf)]));
  const VIEWS = new Map(
    [
      DataView, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
      BigInt64Array, BigUint64Array, Float16Array, Float32Array, Float64Array,
    ].map((View) => [View.name, View]),
  );
  // Of one message, as text.
  const MOST_CHARS = 16 * 1024 * 1024;

  // `value` as text; throws where a part of it cannot be cloned, or not sent.
  kit.pack = (value, transfer) => {
    const ids = new Map();
    const nodes = [];
    const root = write(structuredClone(value, { transfer }));
    const text = stringify([root, nodes]);
    if (text.length > MOST_CHARS) throw domException("the message is too long", "DataCloneError");
    return text;

    // Plain text, numbers and so on are themselves; the rest is an object that says what it is.
    function write(item) {
      switch (typeof item) {
        case "undefined":
          return { is: "undefined" };
        case "bigint":
          return { is: "bigint", text: `${item}` };
        case "number":
          return Number.isFinite(item) && !Object.is(item, -0) ? item : { is: "number", text: Object.is(item, -0) ? "-0" : `${item}` };
        case "object":
          return item === null ? null : { is: "object", id: idOf(item) };
        default:
          return item;
      }
    }

    function idOf(object) {
      const known = ids.get(object);
      if (known !== undefined) return known;
      const id = nodes.push(null) - 1;
      ids.set(object, id);
      nodes[id] = describe(object);
      return id;
    }

    function describe(object) {
      const prototype = getPrototypeOf(object);
      if (isArray(object)) return { kind: "Array", length: object.length, entries: properties(object) };
      if (isView(object)) {
        const { buffer, byteOffset, byteLength } = object;
        const length = object.length ?? byteLength;
        return { kind: "View", name: prototype.constructor.name, buffer: write(buffer), offset: byteOffset, length };
      }
      if (BOXES.has(prototype)) return { kind: "Box", value: write(BOXES.get(prototype)(object)) };
      if (ERRORS.has(prototype)) {
        const { message, stack } = object;
        const cause = "cause" in object ? [write(object.cause)] : [];
        return { kind: "Error", name: ERRORS.get(prototype).name, message, stack, cause };
      }
      const entries = [];
      switch (prototype) {
        case Object.prototype:
          return { kind: "Object", entries: properties(object) };
        case Map.prototype:
          eachOfMap(object, (item, key) => entries.push([write(key), write(item)]));
          return { kind: "Map", entries };
        case Set.prototype:
          eachOfSet(object, (item) => entries.push(write(item)));
          return { kind: "Set", entries };
        case Date.prototype:
          return { kind: "Date", time: write(getTime(object)) };
        case RegExp.prototype:
          return { kind: "RegExp", source: object.source, flags: object.flags };
        case ArrayBuffer.prototype:
          return { kind: "ArrayBuffer", bytes: from(new Uint8Array(object)) };
        case DOMException.prototype:
          return { kind: "DOMException", name: object.name, message: object.message };
        default:
          throw domException("an object of this kind cannot be sent to another worker", "DataCloneError");
      }
    }

    function properties(object) {
      return keys(object).map((key) => [key, write(object[key])]);
    }
  };

  // The value that `pack` wrote down.
  kit.unpack = (text) => {
    const [root, nodes] = parse(text);
    const made = new Map();
    return read(root);

    function read(item) {
      if (typeof item !== "object" || item === null) return item;
      switch (item.is) {
        case "undefined":
          return undefined;
        case "bigint":
          return BigInt(item.text);
        case "number":
          return Number(item.text);
        default:
          return made.has(item.id) ? made.get(item.id) : make(item.id, nodes[item.id]);
      }
    }

    function make(id, node) {
      const keep = (object) => {
        made.set(id, object);
        return object;
      };
      switch (node.kind) {
        case "Array":
          return define(keep(new Array(node.length)), node.entries);
        case "Object":
          return define(keep({}), node.entries);
        case "Map": {
          const map = keep(new Map());
          for (const [key, item] of node.entries) map.set(read(key), read(item));
          return map;
        }
        case "Set": {
          const set = keep(new Set());
          for (const item of node.entries) set.add(read(item));
          return set;
        }
        case "View":
          return keep(new (VIEWS.get(node.name))(read(node.buffer), node.offset, node.length));
        case "Box":
          return keep(Object(read(node.value)));
        case "Error": {
          const [Kind] = [...ERRORS.values()].filter(({ name }) => name === node.name);
          const error = keep(new Kind(node.message));
          hide(error, "stack", node.stack);
          for (const cause of node.cause) hide(error, "cause", read(cause));
          return error;
        }
        case "Date":
          return keep(new Date(read(node.time)));
        case "RegExp":
          return keep(new RegExp(node.source, node.flags));
        case "ArrayBuffer":
          return keep(new Uint8Array(node.bytes).buffer);
        default:
          return keep(domException(node.message, node.name));
      }
    }

    function define(object, entries) {
      for (const [key, item] of entries) {
        defineProperty(object, key, { value: read(item), writable: true, enumerable: true, configurable: true });
      }
      return object;
    }

    function hide(error, key, value) {
      defineProperty(error, key, { value, writable: true, enumerable: false, configurable: true });
    }
  };
})
