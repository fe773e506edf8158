// Values of a page, as text and back: the form of docs/messages.md.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const source = await readFile(new URL("../../crates/waystore-cli/src/serve/pages/client/values.js", import.meta.url), "utf8");
const { taken, packed, readBlobs, unpacked } = new Function(`${source}; return { taken, packed, readBlobs, unpacked };`)();

const textOf = (value, transfer = []) => packed(taken(value, transfer)).text();
const again = (value) => unpacked(JSON.parse(textOf(value)), []);

test("a message is written as the document has it", () => {
  const written =
    '[{"is":"object","id":0},[{"kind":"Object","entries":[["type","PREFETCH"],["urls",{"is":"object","id":1}]]},' +
    '{"kind":"Array","length":1,"entries":[["0","/a"]]}]]';
  assert.equal(textOf({ type: "PREFETCH", urls: ["/a"] }), written);
});

test("what JSON does not have is written in words", () => {
  assert.deepEqual(JSON.parse(textOf(undefined))[0], { is: "undefined" });
  assert.deepEqual(JSON.parse(textOf(-0))[0], { is: "number", text: "-0" });
  assert.deepEqual(JSON.parse(textOf(Number.NaN))[0], { is: "number", text: "NaN" });
  assert.deepEqual(JSON.parse(textOf(12n))[0], { is: "bigint", text: "12" });
  assert.deepEqual(JSON.parse(textOf(new DataView(new ArrayBuffer(2), 1)))[1], [
    { kind: "View", buffer: { is: "object", id: 1 }, offset: 1, length: 1 },
    { kind: "ArrayBuffer", bytes: "AAA=" },
  ]);
});

test("every kind of value comes back as what it was", () => {
  const bytes = new Uint8Array([1, 2, 3, 250]);
  const error = new RangeError("r", { cause: [undefined, -0, Number.NaN] });
  const value = {
    map: new Map([[1n, new Set(["x"])]]), date: new Date(Number.NaN), day: new Date(0), rule: /a+/gi, view: bytes.subarray(1),
    buffer: bytes.buffer, error, boxes: [Object("s"), Object(1), Object(true), Object(2n)],
    lone: "\ud800", list: [, "b"], nothing: null, ["__proto__x"]: 1,
  };
  value.self = value;
  const copy = again(value);
  assert.equal(copy.self, copy);
  assert.ok(copy.map.get(1n).has("x"));
  assert.ok(Number.isNaN(copy.date.getTime()) && copy.day.getTime() === 0);
  assert.equal(`${copy.rule}`, "/a+/gi");
  assert.deepEqual([...copy.view], [2, 3, 250]);
  assert.equal(copy.view.buffer, copy.buffer);
  assert.ok(copy.error instanceof RangeError && copy.error.message === "r" && copy.error.stack === error.stack);
  assert.ok(Object.is(copy.error.cause[1], -0) && copy.error.cause.length === 3);
  assert.deepEqual(copy.boxes.map((box) => typeof box.valueOf()), ["string", "number", "boolean", "bigint"]);
  assert.equal(copy.lone, "\ud800");
  assert.ok(!(0 in copy.list) && copy.list.length === 2);
  assert.equal(copy.nothing, null);
});

test("a name that JavaScript gives a meaning is a property like any other", () => {
  const copy = again(JSON.parse('{"__proto__": {"evil": true}}'));
  assert.equal(Object.getPrototypeOf(copy), Object.prototype);
  assert.deepEqual(Object.keys(copy), ["__proto__"]);
  assert.equal({}.evil, undefined);
});

test("blobs are read into their places", async () => {
  const written = packed(taken([new Blob(["blob"], { type: "a/b" })], []));
  assert.equal(written.blobs.length, 1);
  await readBlobs(written.blobs);
  const [copy] = unpacked(JSON.parse(written.text()), []);
  assert.equal(copy.type, "a/b");
  assert.equal(await copy.text(), "blob");
});

test("bytes of every length and value survive", () => {
  for (const length of [0, 1, 2, 3, 255, 0x2000, 0x2001]) {
    const bytes = Uint8Array.from({ length }, (_, at) => at % 256);
    assert.deepEqual(again(bytes), bytes);
  }
});

test("ports are named by their place, and what is given away leaves", () => {
  const { port1, port2 } = new MessageChannel();
  const { buffer } = new Uint8Array(4);
  const copy = taken({ port: port1, buffer }, [buffer, port1, port2]);
  assert.equal(buffer.byteLength, 0);
  assert.equal(copy.ports.length, 2);
  const [, nodes] = JSON.parse(packed(copy).text());
  assert.deepEqual(nodes[1], { kind: "Port", index: 0 });
  const arrived = {};
  assert.equal(unpacked([{ is: "object", id: 1 }, nodes], [arrived]), arrived);
  copy.ports.forEach((port) => port.close());
});

test("what cannot be cloned throws at once, and nothing is given away", () => {
  const dataCloneError = { name: "DataCloneError" };
  assert.throws(() => textOf({ f() {} }), dataCloneError);
  assert.throws(() => textOf(Symbol("s")), dataCloneError);
  const { buffer } = new Uint8Array(4);
  assert.throws(() => textOf(() => {}, [buffer]), dataCloneError);
  assert.equal(buffer.byteLength, 4);
  assert.throws(() => textOf(null, [new ReadableStream()]), dataCloneError);
});

test("what is not written as it should be throws", () => {
  for (const wrong of [null, {}, [{ is: "object", id: 0 }], [{ is: "object", id: 3 }, []], [{ is: "object", id: 0 }, [{ kind: "Odd" }]]]) {
    assert.throws(() => unpacked(wrong, []), undefined, JSON.stringify(wrong));
  }
  assert.throws(() => unpacked([{ is: "object", id: 0 }, [{ kind: "Port", index: 0 }]], []));
});
