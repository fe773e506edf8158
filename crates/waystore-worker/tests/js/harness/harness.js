// Cases, and what they are checked with.
const cases = [];

globalThis.test = (name, body) => cases.push([name, body]);

globalThis.runCases = async () => {
  for (const [name, body] of cases) {
    try {
      for (const cache of await (globalThis.caches?.keys() ?? [])) await caches.delete(cache);
      await body();
      record(name, null);
    } catch (thrown) {
      const where = thrown?.stack ? `\n${thrown.stack}` : "";
      record(name, `${thrown?.name ?? typeof thrown}: ${thrown?.message ?? thrown}${where}`);
    }
  }
};

const show = (value) => {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
};

globalThis.is = (actual, expected, what = "it") => {
  const same = Array.isArray(expected) ? show(actual) === show(expected) : Object.is(actual, expected);
  if (!same) throw new Error(`${what} is ${show(actual)}, not ${show(expected)}`);
};

globalThis.ok = (value, what = "it") => {
  if (!value) throw new Error(`${what} does not hold`);
};

const matches = (thrown, kind) => {
  if (typeof kind === "function") return thrown instanceof kind && (kind !== TypeError || thrown.name === "TypeError");
  if (typeof kind === "string") return thrown instanceof DOMException && thrown.name === kind;
  return false;
};

const kindName = (kind) => (typeof kind === "function" ? kind.name : kind);

// The call throws, at once: a constructor, or the name of a DOMException.
globalThis.throws = (kind, call) => {
  let thrown;
  try {
    call();
  } catch (caught) {
    if (matches(caught, kind)) return caught;
    thrown = caught;
    throw new Error(`it throws ${thrown}, not a ${kindName(kind)}`);
  }
  throw new Error(`it does not throw a ${kindName(kind)}`);
};

// The call returns a promise, and that rejects.
globalThis.rejects = async (kind, call) => {
  const promise = call();
  ok(promise instanceof Promise, "what is returned is a promise");
  try {
    await promise;
  } catch (caught) {
    if (typeof kind === "object" && kind !== null && "exactly" in kind) {
      is(caught, kind.exactly, "the rejection");
      return caught;
    }
    if (matches(caught, kind)) return caught;
    throw new Error(`it rejects with ${caught}, not a ${kindName(kind)}`);
  }
  throw new Error(`it does not reject with a ${kindName(kind)}`);
};

globalThis.sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
