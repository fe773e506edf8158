const streamOf = (...chunks) => ReadableStream.from(chunks);
const textOf = (stream) => new Response(stream).text();
const bytesOf = async (stream) => new Uint8Array(await new Response(stream).arrayBuffer());
const joined = async (stream) => {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
};
const FORMATS = ["gzip", "deflate", "deflate-raw"];

test("text is encoded as it comes, pairs in two chunks included", async () => {
  const encoder = new TextEncoderStream();
  is(encoder.encoding, "utf-8");
  is([...(await bytesOf(streamOf("a", "\uD83D", "\uDCA9", "\uD83D").pipeThrough(encoder)))], [
    97, 0xf0, 0x9f, 0x92, 0xa9, 0xef, 0xbf, 0xbd,
  ]);
  is(await textOf(streamOf(1, null).pipeThrough(new TextEncoderStream())), "1null");
});

test("text is decoded as it comes, characters in two chunks included", async () => {
  const euro = [new Uint8Array([0xe2, 0x82]), new Uint8Array([0xac, 97]).buffer, new Uint8Array([0xe2])];
  is(await joined(streamOf(...euro).pipeThrough(new TextDecoderStream())), "€a\uFFFD");
  const fatal = new TextDecoderStream("latin1", { fatal: true, ignoreBOM: true });
  is([fatal.encoding, fatal.fatal, fatal.ignoreBOM], ["windows-1252", true, true]);
  const broken = streamOf(new Uint8Array([0xff])).pipeThrough(new TextDecoderStream("utf-8", { fatal: true }));
  await rejects(TypeError, () => joined(broken));
  await rejects(TypeError, () => joined(streamOf("text").pipeThrough(new TextDecoderStream())));
  throws(RangeError, () => new TextDecoderStream("nothing"));
});

test("what was compressed is decompressed", async () => {
  const text = "the same, and the same again; ".repeat(5000);
  for (const format of FORMATS) {
    const small = await bytesOf(new Response(text).body.pipeThrough(new CompressionStream(format)));
    ok(small.length < 2000, `${format}: ${small.length}`);
    is((await textOf(new Response(small).body.pipeThrough(new DecompressionStream(format)))) === text, true, format);
  }
});

test("what was compressed elsewhere is decompressed, byte by byte", async () => {
  const gzip = Uint8Array.from(atob("H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA=="), (c) => c.charCodeAt(0));
  const whole = new Response(gzip).body.pipeThrough(new DecompressionStream("gzip"));
  is(await textOf(whole), "hello");
  const bytes = [...gzip].map((byte) => new Uint8Array([byte]));
  is(await textOf(streamOf(...bytes).pipeThrough(new DecompressionStream("gzip"))), "hello");
});

test("what is cut short, damaged or too long is an error", async () => {
  for (const format of FORMATS) {
    const whole = await bytesOf(new Response("hello hello hello").body.pipeThrough(new CompressionStream(format)));
    const decompressed = (bytes) => textOf(streamOf(bytes).pipeThrough(new DecompressionStream(format)));
    is(await decompressed(whole), "hello hello hello");
    for (let end = 1; end < whole.length; end++) await rejects(TypeError, () => decompressed(whole.slice(0, end)));
    await rejects(TypeError, () => decompressed(new Uint8Array([...whole, 1])));
    await rejects(TypeError, () => textOf(streamOf().pipeThrough(new DecompressionStream(format))));
  }
  throws(TypeError, () => new CompressionStream("brotli"));
  throws(TypeError, () => new CompressionStream());
  await rejects(TypeError, () => textOf(streamOf("text").pipeThrough(new CompressionStream("gzip"))));
});

test("a chunk that becomes very many bytes is decompressed as it is read", async () => {
  const zeros = new ReadableStream({
    start() {
      this.left = 64;
    },
    pull(c) {
      if (this.left-- > 0) c.enqueue(new Uint8Array(1 << 20));
      else c.close();
    },
  });
  const bomb = await bytesOf(zeros.pipeThrough(new CompressionStream("gzip")));
  const reader = new Response(bomb).body.pipeThrough(new DecompressionStream("gzip")).getReader();
  let pieces = 0;
  let length = 0;
  for (let piece; !(piece = await reader.read()).done; pieces++) {
    ok(piece.value.length <= 64 * 1024, piece.value.length);
    length += piece.value.length;
  }
  is(length, 64 << 20);
});
