test("a blob is its parts", async () => {
  const blob = new Blob(["a", new Uint8Array([98]), new Blob(["c"]), new ArrayBuffer(1)], { type: "Text/Plain" });
  is([blob.size, blob.type, await blob.text()], [4, "text/plain", "abc\0"]);
  is(await blob.slice(1, -1, "x/y").text(), "bc");
  is((await blob.arrayBuffer()).byteLength, 4);
  is(await new Response(blob.stream()).text(), "abc\0");
  throws(TypeError, () => new Blob("a"));
});
