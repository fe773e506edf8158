const refuses = (value, options) => throws("DataCloneError", () => structuredClone(value, options));

test("primitives are clones of themselves", () => {
  for (const value of [undefined, null, true, 1.5, -0, NaN, 10n, "a\uD800"]) is(structuredClone(value), value);
});

test("objects and arrays are copied deeply, holes and all", () => {
  const value = { a: [1, , { b: "c" }], d: undefined };
  value.a.extra = 1;
  const clone = structuredClone(value);
  ok(clone !== value && clone.a !== value.a && clone.a[2] !== value.a[2]);
  is(clone.a.length, 3);
  is([1 in clone.a, clone.a.extra, "d" in clone, clone.a[2].b], [false, 1, true, "c"]);
  is(structuredClone(new Array(5)).length, 5);
});

test("what leads back to itself does so in the clone", () => {
  const value = { list: [], map: new Map(), set: new Set() };
  value.self = value;
  value.list.push(value.list, value);
  value.map.set(value, value.map);
  value.set.add(value.set);
  const clone = structuredClone(value);
  ok(clone.self === clone);
  ok(clone.list[0] === clone.list && clone.list[1] === clone);
  ok(clone.map.get(clone) === clone.map);
  ok(clone.set.has(clone.set));
});

test("one object met twice is one object in the clone", () => {
  const shared = { a: 1 };
  const clone = structuredClone([shared, shared]);
  ok(clone[0] === clone[1] && clone[0] !== shared);
});

test("only own enumerable properties with text for names are copied, and getters are read", () => {
  class Point {
    #hidden = 1;
    x = 1;
    get y() {
      return this.#hidden;
    }
  }
  const point = structuredClone(new Point());
  ok(Object.getPrototypeOf(point) === Object.prototype);
  is(Object.keys(point), ["x"]);
  const value = { get a() { return 2; }, [Symbol("s")]: 1 };
  Object.defineProperty(value, "b", { value: 3, enumerable: false });
  const clone = structuredClone(value);
  is(Reflect.ownKeys(clone), ["a"]);
  ok("value" in Object.getOwnPropertyDescriptor(clone, "a"));
});

test("a property named __proto__ is a property", () => {
  const clone = structuredClone(JSON.parse('{"__proto__": {"polluted": true}}'));
  ok(Object.getPrototypeOf(clone) === Object.prototype);
  ok(Object.hasOwn(clone, "__proto__"));
});

test("dates, expressions and boxed primitives are of their kind", () => {
  const date = structuredClone(new Date(86_400_000));
  ok(date instanceof Date);
  is(date.getTime(), 86_400_000);
  ok(Number.isNaN(structuredClone(new Date(NaN)).getTime()));
  const source = /a\/(b)/giu;
  source.lastIndex = 3;
  const expression = structuredClone(source);
  is([expression.source, expression.flags, expression.lastIndex], [source.source, "giu", 0]);
  is(typeof structuredClone(new Boolean(false)), "object");
  is(structuredClone(new Boolean(false)).valueOf(), false);
  is(structuredClone(new Number(-0)).valueOf(), -0);
  is(structuredClone(new String("ab")).valueOf(), "ab");
  is(structuredClone(Object(7n)).valueOf(), 7n);
});

test("maps and sets keep their order, whatever happens to the original meanwhile", () => {
  const map = new Map([["a", { get x() { map.delete("b"); return 1; } }], ["b", 2]]);
  const clone = structuredClone(map);
  is([...clone.keys()], ["a", "b"]);
  is(map.size, 1);
  is([...structuredClone(new Set([3, 1, 2]))], [3, 1, 2]);
});

test("errors keep name, message and cause, and nothing that was added", () => {
  const error = new RangeError("m", { cause: { a: 1 } });
  error.added = 1;
  const clone = structuredClone(error);
  ok(clone instanceof RangeError);
  is([clone.name, clone.message, clone.cause.a, clone.added], ["RangeError", "m", 1, undefined]);
  is(clone.stack, error.stack);
  const named = new Error("n");
  named.name = "TypeError";
  ok(structuredClone(named) instanceof TypeError);
  class Mine extends Error {
    name = "Mine";
  }
  const mine = structuredClone(new Mine("x"));
  is([Object.getPrototypeOf(mine) === Error.prototype, mine.name, mine.message], [true, "Error", "x"]);
  ok(!Object.hasOwn(structuredClone(new Error()), "message"));
});

test("S24 a QuotaExceededError keeps its numbers, and a DOMException its name", () => {
  const quota = structuredClone(new QuotaExceededError("m", { quota: 1, requested: 2 }));
  ok(quota instanceof QuotaExceededError);
  is([quota.message, quota.name, quota.quota, quota.requested], ["m", "QuotaExceededError", 1, 2]);
  const plain = structuredClone(new DOMException("m", "NotFoundError"));
  ok(plain instanceof DOMException);
  is([plain.name, plain.message, plain.code], ["NotFoundError", "m", 8]);
});

test("buffers are copied, and views of one buffer stay views of one", () => {
  const buffer = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]).buffer;
  const clone = structuredClone({
    buffer,
    bytes: new Uint8Array(buffer, 2, 3),
    clamped: new Uint8ClampedArray(buffer),
    wide: new BigInt64Array(buffer),
    view: new DataView(buffer, 1, 2),
  });
  ok(clone.buffer !== buffer);
  ok(clone.bytes.buffer === clone.buffer && clone.view.buffer === clone.buffer);
  is([...clone.bytes], [3, 4, 5]);
  is([clone.bytes.byteOffset, clone.clamped.length, clone.wide.length], [2, 8, 1]);
  ok(clone.clamped instanceof Uint8ClampedArray && clone.wide instanceof BigInt64Array);
  is([clone.view.byteOffset, clone.view.byteLength, clone.view.getUint8(0)], [1, 2, 2]);
  clone.bytes[0] = 99;
  is(new Uint8Array(buffer)[2], 3);
});

test("a Blob keeps bytes and type", async () => {
  const blob = new Blob(["a", "b"], { type: "text/plain" });
  const clone = structuredClone({ blob }).blob;
  ok(clone instanceof Blob && clone !== blob);
  is([clone.size, clone.type, await clone.text()], [2, "text/plain", "ab"]);
});

test("a resizable buffer stays one", () => {
  const clone = structuredClone(new ArrayBuffer(4, { maxByteLength: 8 }));
  is([clone.byteLength, clone.resizable, clone.maxByteLength], [4, true, 8]);
});

test("a transferred buffer moves, and is detached here", () => {
  const bytes = new TextEncoder().encode("moved");
  const { buffer } = bytes;
  const clone = structuredClone({ bytes, buffer }, { transfer: [buffer] });
  is([buffer.detached, buffer.byteLength, bytes.length], [true, 0, 0]);
  ok(clone.bytes.buffer === clone.buffer);
  is(new TextDecoder().decode(clone.bytes), "moved");
});

test("a failure detaches nothing", () => {
  const buffer = new ArrayBuffer(4);
  refuses({ buffer, no: () => {} }, { transfer: [buffer] });
  is([buffer.detached, buffer.byteLength], [false, 4]);
});

test("what cannot be transferred, or twice, or is gone already, is refused", () => {
  const buffer = new ArrayBuffer(1);
  refuses(1, { transfer: [buffer, buffer] });
  refuses(1, { transfer: [{}] });
  throws(TypeError, () => structuredClone(1, { transfer: [1] }));
  throws(TypeError, () => structuredClone(1, { transfer: 1 }));
  throws(TypeError, () => structuredClone(1, 1));
  const views = [new Uint8Array(buffer), new DataView(buffer)];
  structuredClone(buffer, { transfer: [buffer] });
  refuses(buffer);
  views.forEach((view) => refuses(view));
  refuses(1, { transfer: [buffer] });
});

test("functions, symbols and objects of interfaces are refused, however deep", () => {
  for (const value of [() => {}, class {}, Symbol("s"), Object(Symbol("s"))]) refuses({ list: [value] });
  for (const value of [new URL("https://a.test"), new URLSearchParams(), new TextDecoder(), new Headers(), new Response(), crypto]) refuses(value);
  for (const value of [new Event("a"), new EventTarget(), new AbortController().signal, globalThis]) refuses(value);
  for (const value of [Promise.resolve(), new WeakMap(), new WeakRef({}), [].values(), (function* () {})()]) refuses(value);
  refuses(new Proxy({}, {}));
  refuses(new Proxy([], {}));
});

test("what only inherits from a kind is a plain object", () => {
  is(Object.keys(structuredClone(Object.create(Map.prototype, { a: { value: 1, enumerable: true } }))), ["a"]);
  is(Object.keys(structuredClone(Object.create(null, { a: { value: 1, enumerable: true } }))), ["a"]);
  class MyMap extends Map {}
  const clone = structuredClone(new MyMap([[1, 2]]));
  ok(Object.getPrototypeOf(clone) === Map.prototype);
  is(clone.get(1), 2);
  class Tagged {
    a = 1;
    get [Symbol.toStringTag]() {
      return "Tagged";
    }
  }
  is(structuredClone(new Tagged()).a, 1);
});

test("what a getter throws is thrown", () => {
  const mine = new RangeError("mine");
  is(throws(RangeError, () => structuredClone({ get a() { throw mine; } })), mine);
  throws(TypeError, () => structuredClone());
});

test("a value too deep to walk is a clean error", () => {
  let deep = {};
  for (let depth = 0; depth < 100_000; depth++) deep = { deep };
  let thrown;
  try {
    structuredClone(deep);
  } catch (error) {
    thrown = error;
  }
  ok(thrown === undefined || thrown instanceof RangeError, `what is thrown is ${thrown}: it`);
});
