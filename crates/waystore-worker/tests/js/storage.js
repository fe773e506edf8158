// navigator.storage, named buckets, and the error of a full one.
const { storage, storageBuckets } = navigator;
const fresh = async (name, options) => {
  await storageBuckets.delete(name);
  return storageBuckets.open(name, options);
};

test("S6 a worker asks how much, and does not ask for persistence", async () => {
  is("persist" in storage, false);
  is(typeof storage.persisted, "function");
  is(typeof storage.estimate, "function");
  is(storage === navigator.storage && storageBuckets === navigator.storageBuckets, true);
  is(Object.prototype.toString.call(storage), "[object StorageManager]");
  throws(TypeError, () => new StorageManager());
});

test("S7 what is fresh is not persistent", async () => is(await storage.persisted(), false));

test("S12 an estimate settles after the microtasks that were queued behind it", async () => {
  const order = [];
  const estimated = storage.estimate().then(() => order.push("estimate"));
  queueMicrotask(() => order.push("microtask"));
  await Promise.resolve();
  await Promise.resolve();
  await Promise.resolve();
  is(order, ["microtask"]);
  await estimated;
  is(order, ["microtask", "estimate"]);
});

test("S13 an estimate has usage and quota, and grows with what is stored", async () => {
  const before = await storage.estimate();
  is(Object.keys(before), ["quota", "usage"]);
  await (await caches.open("v1")).put("/x", new Response("x".repeat(10_000)));
  const after = await storage.estimate();
  ok(after.usage >= before.usage + 10_000 && after.usage <= after.quota, `${before.usage} to ${after.usage}`);
});

test("S43 a bucket's name is checked, and the promise rejects", async () => {
  for (const name of ["Inbox", "_a", "", "a".repeat(65), "é"]) {
    await rejects(TypeError, () => storageBuckets.open(name));
    await rejects("InvalidCharacterError", () => storageBuckets.delete(name));
  }
  await rejects(TypeError, () => storageBuckets.open());
  is(await storageBuckets.delete("absent"), undefined);
});

test("S44 S49 equal names in two buckets are two caches, and the default one sees neither", async () => {
  const [inbox, drafts] = [await fresh("inbox"), await fresh("drafts")];
  await (await inbox.caches.open("att")).put("/r", new Response("bread"));
  await (await drafts.caches.open("att")).put("/r", new Response("eggs"));
  is(await (await inbox.caches.match("/r")).text(), "bread");
  is(await (await drafts.caches.match("/r")).text(), "eggs");
  is(await caches.match("/r"), undefined);
  is(await storageBuckets.keys(), ["drafts", "inbox"]);
  is(inbox.caches === inbox.caches && inbox.caches !== caches && inbox.caches instanceof CacheStorage, true);
  is(inbox.name, "inbox");
  for (const name of await storageBuckets.keys()) await storageBuckets.delete(name);
});

test("S45 a removed bucket ends its handles and comes back empty", async () => {
  const inbox = await fresh("inbox");
  await (await inbox.caches.open("att")).put("/r", new Response("bread"));
  await storageBuckets.delete("inbox");
  await rejects("UnknownError", () => inbox.caches.open("att"));
  for (const call of ["persisted", "estimate", "expires"]) await rejects("InvalidStateError", () => inbox[call]());
  await rejects("InvalidStateError", () => inbox.setExpires(Date.now() + 60_000));
  const again = await storageBuckets.open("inbox");
  is(await again.caches.keys(), []);
  is(await again.expires(), null);
});

test("S46 S47 a bucket has an end, which must be to come", async () => {
  await rejects(TypeError, () => storageBuckets.open("t", { expires: Date.now() - 1 }));
  await rejects(TypeError, () => storageBuckets.open("t", { quota: 0 }));
  await rejects(TypeError, () => storageBuckets.open("t", { quota: -1 }));
  await rejects(TypeError, () => storageBuckets.open("t", { expires: NaN }));
  const end = Date.now() + 60_000;
  const bucket = await fresh("t", { expires: end });
  is(await bucket.expires(), end);
  await bucket.setExpires(end + 1);
  is(await bucket.expires(), end + 1);
  await rejects(TypeError, () => bucket.setExpires());
});

test("S21 S48 a full bucket fails a put with a QuotaExceededError, and nothing changes", async () => {
  const bucket = await fresh("t", { quota: 1000 });
  is((await bucket.estimate()).quota, 1000);
  const cache = await bucket.caches.open("v1");
  const error = await rejects("QuotaExceededError", () => cache.put("/x", new Response("x".repeat(2000))));
  is(error.code, 22);
  is(error instanceof DOMException && error instanceof QuotaExceededError, true);
  is(error.quota, 1000);
  ok(error.requested > 2000, "requested");
  is((await cache.keys()).length, 0);
});

test("a worker's bucket is not persistent though it asks to be", async () => {
  is("persist" in StorageBucket.prototype, false);
  is(await (await fresh("t", { persisted: true })).persisted(), false);
});

test("S22 the parts of a QuotaExceededError are checked", () => {
  throws(RangeError, () => new QuotaExceededError("m", { quota: 5, requested: 4 }));
  throws(RangeError, () => new QuotaExceededError("m", { quota: -1 }));
  throws(RangeError, () => new QuotaExceededError("m", { requested: -1 }));
  throws(TypeError, () => new QuotaExceededError("m", { quota: Infinity }));
  throws(TypeError, () => new QuotaExceededError("m", 1));
  is(new QuotaExceededError("m", { quota: 5, requested: 5 }).requested, 5);
});

test("S23 a QuotaExceededError without parts has none", () => {
  const error = new QuotaExceededError();
  is(error.quota, null);
  is(error.requested, null);
  is(error.message, "");
  is(error.name, "QuotaExceededError");
  is(new DOMException("m", "QuotaExceededError") instanceof QuotaExceededError, false);
});

test("S24 a clone of a QuotaExceededError keeps its parts", () => {
  const clone = structuredClone(new QuotaExceededError("m", { quota: 5, requested: 7 }));
  is([clone.name, clone.message, clone.quota, clone.requested], ["QuotaExceededError", "m", 5, 7]);
  ok(clone instanceof QuotaExceededError);
});
