const form = (...entries) => {
  const made = new FormData();
  for (const entry of entries) made.append(...entry);
  return made;
};

test("a form is a list of names with values, in their order", () => {
  const f = form(["a", 1], ["b", "2"], ["a", "3"]);
  is([f.get("a"), f.getAll("a"), f.has("b"), f.get("c")], ["1", ["1", "3"], true, null]);
  is([...f], [["a", "1"], ["b", "2"], ["a", "3"]]);
  f.set("a", "4");
  f.set("c", "5");
  is([...f.keys()], ["a", "b", "c"]);
  f.delete("a");
  is([...f.values()], ["2", "5"]);
  throws(TypeError, () => f.append("a"));
  throws(TypeError, () => new FormData("form"));
  throws(TypeError, () => FormData.prototype.get.call({}, "a"));
  is(form(["\uD800", "\uD800"]).get("\uFFFD"), "\uFFFD");
});

test("a blob in a form is a file", () => {
  const f = form(["a", new Blob(["x"], { type: "a/b" })], ["b", new File(["y"], "y.txt", { lastModified: 5 }), "z.txt"]);
  const [a, b] = [f.get("a"), f.get("b")];
  is([a instanceof File, a.name, a.type, b.name, b.lastModified], [true, "blob", "a/b", "z.txt", 5]);
  throws(TypeError, () => f.append("a", "text", "name"));
  const file = new File([], "same");
  is(form(["a", file]).get("a") === file, true);
});

test("F30 a form is nothing without its type", async () => {
  await rejects(TypeError, () => new Response(new Uint8Array([97])).formData());
  await rejects(TypeError, () => new Response("a=1").formData());
  await rejects(TypeError, () => new Response("x", { headers: { "content-type": "multipart/form-data" } }).formData());
  const broken = { headers: { "content-type": "multipart/form-data; boundary=b" } };
  await rejects(TypeError, () => new Response("--b\r\n", broken).formData());
  const empty = new Response(null, { headers: { "content-type": "application/x-www-form-urlencoded" } });
  is([...(await empty.formData())], []);
});

test("3.2 a form is a body with a boundary that stays", async () => {
  const given = form(["a", "1\n2"], ["f", new File(["bytes"], 'x "y".txt', { type: "text/x" })]);
  const r = new Response(given);
  const type = r.headers.get("content-type");
  ok(/^multipart\/form-data; boundary=\S+$/.test(type), type);
  given.append("late", "x");
  const copy = r.clone();
  const read = await r.formData();
  is([...read.keys()], ["a", "f"]);
  is(read.get("a"), "1\r\n2");
  const file = read.get("f");
  is([file.name, file.type, await file.text()], ['x "y".txt', "text/x", "bytes"]);
  const text = await copy.text();
  ok(text.startsWith(`--${type.split("=")[1]}\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n2\r\n`), text);
  ok(text.includes('filename="x %22y%22.txt"'), text);
});

test("a form is the body of a request too", async () => {
  const request = new Request("/x", { method: "POST", body: form(["a", "é"]) });
  is((await request.formData()).get("a"), "é");
  const urlencoded = new Request("/x", { method: "POST", body: new URLSearchParams({ a: "1 2" }) });
  is([...(await urlencoded.formData())], [["a", "1 2"]]);
});

test("a file is a blob with a name", async () => {
  const file = new File(["a", "b"], "n\u00e9", { type: "A/B", lastModified: 7.9 });
  is([file.name, file.size, file.type, file.lastModified, await file.text()], ["n\u00e9", 2, "a/b", 7, "ab"]);
  ok(file instanceof Blob && file instanceof File);
  is(Object.prototype.toString.call(file), "[object File]");
  ok(Math.abs(new File([], "x").lastModified - Date.now()) < 1000);
  is(file.slice(0, 1) instanceof File, false);
  throws(TypeError, () => new File([]));
  throws(TypeError, () => new File("x", "name"));
  const copy = structuredClone(file);
  is([copy instanceof File, copy.name, copy.lastModified, await copy.text()], [true, "n\u00e9", 7, "ab"]);
  is(new Response(file).headers.get("content-type"), "a/b");
});

const read = (how, blob, ...rest) => {
  const reader = new FileReader();
  const events = [];
  return new Promise((resolve) => {
    for (const type of ["loadstart", "progress", "load", "error"]) reader[`on${type}`] = () => events.push(type);
    reader.onloadend = () => resolve({ result: reader.result, events, reader });
    reader[how](blob, ...rest);
  });
};

test("a FileReader tells of its progress in events", async () => {
  const { result, events, reader } = await read("readAsText", new Blob(["é"]));
  is([result, events, reader.readyState, reader.error], ["é", ["loadstart", "progress", "load"], FileReader.DONE, null]);
  is((await read("readAsText", new Blob([new Uint8Array([0xe9])]), "latin1")).result, "é");
  is((await read("readAsText", new Blob([new Uint8Array([0xe9])], { type: "a/b;charset=latin1" }))).result, "é");
  is((await read("readAsDataURL", new Blob(["abc"], { type: "a/b" }))).result, "data:a/b;base64,YWJj");
  is((await read("readAsBinaryString", new Blob([new Uint8Array([0, 255])]))).result, "\0\u00ff");
  is((await read("readAsArrayBuffer", new Blob(["abc"]))).result.byteLength, 3);
});

test("a FileReader reads one thing at a time, and can be stopped", async () => {
  const reader = new FileReader();
  const events = [];
  for (const type of ["abort", "load", "loadend"]) reader.addEventListener(type, () => events.push(type));
  reader.readAsText(new Blob(["x"]));
  throws("InvalidStateError", () => reader.readAsText(new Blob(["y"])));
  reader.abort();
  is([events, reader.error.name, reader.result, reader.readyState], [["abort", "loadend"], "AbortError", null, 2]);
  await sleep(3);
  is(events, ["abort", "loadend"]);
  throws(TypeError, () => reader.readAsText("x"));
});
