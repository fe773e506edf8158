const bytes = (...list) => new Uint8Array(list);

test("text is encoded as UTF-8, and halves of a pair as U+FFFD", () => {
  const encoder = new TextEncoder();
  is(encoder.encoding, "utf-8");
  is([...encoder.encode("aé€💩")], [97, 195, 169, 226, 130, 172, 240, 159, 146, 169]);
  is([...encoder.encode("\uD800x")], [239, 191, 189, 120]);
  is(encoder.encode().length, 0);
  is(encoder.encode(undefined).length, 0);
  is([...encoder.encode("a\0b")], [97, 0, 98]);
});

test("encodeInto writes whole characters only", () => {
  const encoder = new TextEncoder();
  const room = new Uint8Array(6).fill(9);
  const { read, written } = encoder.encodeInto("a💩€", room);
  is([read, written], [3, 5]);
  is([...room], [97, 240, 159, 146, 169, 9]);
  const part = new Uint8Array(room.buffer, 4, 2);
  is(encoder.encodeInto("xyz", part).written, 2);
  is([...room], [97, 240, 159, 146, 120, 121]);
  throws(TypeError, () => encoder.encodeInto("a", new Int8Array(1)));
  throws(TypeError, () => encoder.encodeInto("a"));
});

test("bytes are decoded from buffers and views of any kind", () => {
  const decoder = new TextDecoder();
  is(decoder.decode(bytes(226, 130, 172)), "€");
  is(decoder.decode(bytes(120, 226, 130, 172).subarray(1)), "€");
  is(decoder.decode(bytes(97, 0, 98).buffer), "a\0b");
  is(decoder.decode(new DataView(bytes(97, 98).buffer, 1)), "b");
  is(decoder.decode(), "");
  throws(TypeError, () => decoder.decode("text"));
  throws(TypeError, () => decoder.decode(null));
});

test("labels name encodings, in any case and among spaces", () => {
  is(new TextDecoder().encoding, "utf-8");
  is(new TextDecoder(" UTF8\n").encoding, "utf-8");
  is(new TextDecoder("latin1").encoding, "windows-1252");
  is(new TextDecoder("utf-16").encoding, "utf-16le");
  is(new TextDecoder("shift_jis").decode(bytes(0x82, 0xa0)), "あ");
  is(new TextDecoder("latin1").decode(bytes(0x80, 0xe9)), "€é");
  throws(RangeError, () => new TextDecoder("utf-7"));
  throws(RangeError, () => new TextDecoder("replacement"));
});

test("malformed bytes become U+FFFD, or a TypeError where they are fatal", () => {
  is(new TextDecoder().decode(bytes(97, 255, 98)), "a\uFFFDb");
  const fatal = new TextDecoder("utf-8", { fatal: true });
  is([fatal.fatal, fatal.ignoreBOM], [true, false]);
  throws(TypeError, () => fatal.decode(bytes(97, 255, 98)));
  throws(TypeError, () => fatal.decode(bytes(226, 130)));
  is(fatal.decode(bytes(97)), "a");
});

test("a byte order mark is left out, unless it is ignored", () => {
  const marked = bytes(239, 187, 191, 97);
  is(new TextDecoder().decode(marked), "a");
  is(new TextDecoder("utf-8", { ignoreBOM: true }).decode(marked), "\uFEFFa");
  is(new TextDecoder("utf-16le").decode(bytes(0xff, 0xfe, 97, 0)), "a");
});

test("a stream of chunks is decoded as one text", () => {
  const decoder = new TextDecoder();
  const parts = [
    decoder.decode(bytes(239, 187), { stream: true }),
    decoder.decode(bytes(191, 226, 130), { stream: true }),
    decoder.decode(bytes(172, 97), { stream: true }),
    decoder.decode(bytes(226), { stream: true }),
    decoder.decode(),
  ];
  is(parts, ["", "", "€a", "", "\uFFFD"]);
  is(decoder.decode(bytes(239, 187, 191, 98)), "b");
});

test("a chunk that fails does not end its stream", () => {
  const fatal = new TextDecoder("utf-8", { fatal: true });
  throws(TypeError, () => fatal.decode(bytes(97, 255), { stream: true }));
  is(fatal.decode(bytes(239, 187, 191, 98)), "\uFEFFb");
  is(fatal.decode(bytes(239, 187, 191, 98)), "b");
});

test("a large text comes back as it was", () => {
  const text = "wide ≠ narrow 💩 ".repeat(20_000);
  is(new TextDecoder().decode(new TextEncoder().encode(text)) === text, true);
});
