// How values look on the console: short, one value a line where it fits, bounded in depth and length.
export default function (kit) {
  const { getOwnPropertyDescriptor, getPrototypeOf, keys } = Object;
  const { isArray } = Array;
  const isView = ArrayBuffer.isView;
  const MAX_DEPTH = 3;
  const MAX_ITEMS = 100;
  const MAX_TEXT = 10_000;
  const LINE = 76;

  // What is worth showing of interfaces whose state is behind accessors.
  const SHOWN = {
    Response: ["status", "statusText", "type", "url", "redirected", "bodyUsed", "headers"],
    Request: ["method", "url", "mode", "destination", "headers"],
    URL: ["href"],
    Event: ["type"],
    CustomEvent: ["type", "detail"],
    AbortSignal: ["aborted"],
    Blob: ["size", "type"],
  };

  // The value in words. `depth` counts how deep it is inside of others; `seen` are those others.
  kit.inspect = (value, depth = 0, seen = []) => {
    try {
      return inspect(value, depth, seen);
    } catch {
      return "[a value that cannot be shown]";
    }
  };

  function inspect(value, depth, seen) {
    switch (typeof value) {
      case "string":
        return depth === 0 ? cut(value) : JSON.stringify(cut(value));
      case "bigint":
        return `${value}n`;
      case "symbol":
        return value.toString();
      case "number":
        return Object.is(value, -0) ? "-0" : `${value}`;
      case "function":
        return functionName(value);
      case "object":
        return value === null ? "null" : inspectObject(value, depth, seen);
      default:
        return `${value}`;
    }
  }

  function cut(text) {
    return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}... ${text.length - MAX_TEXT} more` : text;
  }

  function functionName(value) {
    const kind = /^class\b/.test(Function.prototype.toString.call(value)) ? "class" : "function";
    return value.name ? `[${kind} ${value.name}]` : `[${kind}]`;
  }

  function inspectObject(value, depth, seen) {
    if (seen.includes(value)) return "[circular]";
    const name = nameOf(value);
    if (value instanceof Error) return inspectError(value, depth, seen);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return `${value}`;
    if (value instanceof Promise) return "Promise";
    if (value instanceof ArrayBuffer) return `ArrayBuffer(${value.byteLength})`;
    if (depth > MAX_DEPTH) return isArray(value) ? "[array]" : `[${name || "object"}]`;
    const inner = [...seen, value];
    const show = (item) => inspect(item, depth + 1, inner);
    if (isArray(value)) return block("", "[", items(value, show), "]");
    if (isView(value)) {
      const bytes = value instanceof DataView ? [] : [...value.subarray(0, MAX_ITEMS)].map(String);
      return block(`${name}(${value.byteLength}) `, "[", bytes, "]");
    }
    if (value instanceof Map) {
      const entries = limited([...value], ([key, item]) => `${show(key)} => ${show(item)}`);
      return block(`Map(${value.size}) `, "{", entries, "}");
    }
    if (value instanceof Set) return block(`Set(${value.size}) `, "{", limited([...value], show), "}");
    if (name === "Headers" || name === "URLSearchParams") {
      const entries = limited([...value], ([key, item]) => `${key}: ${JSON.stringify(item)}`);
      return block(`${name} `, "{", entries, "}");
    }
    const fields = SHOWN[name] && !getOwnPropertyDescriptor(value, SHOWN[name][0])
      ? SHOWN[name].map((key) => `${key}: ${show(value[key])}`)
      : limited(keys(value), (key) => `${fieldName(key)}: ${field(value, key, show)}`);
    return block(name && name !== "Object" ? `${name} ` : "", "{", fields, "}");
  }

  function inspectError(error, depth, seen) {
    const head = error.message ? `${error.name}: ${error.message}` : `${error.name}`;
    const stack = typeof error.stack === "string" && depth === 0 ? error.stack.trimEnd() : "";
    const cause = "cause" in error ? `\n  cause: ${inspect(error.cause, depth + 1, [...seen, error])}` : "";
    return (stack ? `${head}\n${stack}` : head) + cause;
  }

  function nameOf(value) {
    const tag = value[Symbol.toStringTag];
    if (typeof tag === "string" && tag) return tag;
    const prototype = getPrototypeOf(value);
    if (prototype === null) return "[no prototype]";
    const maker = prototype.constructor;
    return typeof maker === "function" ? maker.name : "";
  }

  function fieldName(key) {
    return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? key : JSON.stringify(key);
  }

  // Getters of scripts are not run for the sake of showing them.
  function field(value, key, show) {
    const descriptor = getOwnPropertyDescriptor(value, key);
    return descriptor && descriptor.get ? "[getter]" : show(value[key]);
  }

  function items(array, show) {
    const shown = [];
    for (let index = 0; index < Math.min(array.length, MAX_ITEMS); index++) {
      shown.push(index in array ? show(array[index]) : "[empty]");
    }
    if (array.length > MAX_ITEMS) shown.push(`... ${array.length - MAX_ITEMS} more`);
    return shown;
  }

  function limited(list, show) {
    const shown = list.slice(0, MAX_ITEMS).map(show);
    if (list.length > MAX_ITEMS) shown.push(`... ${list.length - MAX_ITEMS} more`);
    return shown;
  }

  function block(before, open, parts, close) {
    if (parts.length === 0) return `${before}${open}${close}`;
    const space = open === "{" ? " " : "";
    const line = `${before}${open}${space}${parts.join(", ")}${space}${close}`;
    if (line.length <= LINE && !line.includes("\n")) return line;
    const indented = parts.map((part) => `  ${part.replaceAll("\n", "\n  ")}`);
    return `${before}${open}\n${indented.join(",\n")}\n${close}`;
  }
}
