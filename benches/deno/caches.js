// What a script pays for its caches. Runs as it is in `waystore run` and in Deno, and prints a line for
// each measure: its name and microseconds for one operation. Data is where the program puts it: on disk.

const ENTRIES = 1000;
const BODY = "x".repeat(4096);
const AT_ONCE = 16;
const MILLISECONDS = 400;
const HEADERS = { "content-type": "text/html; charset=utf-8", "cache-control": "max-age=600", etag: '"0123456789abcdef"' };

const url = (number) => `https://shop.example/products/${(number * 7919) % ENTRIES}`;
const missing = (number) => `https://shop.example/missing/${number % ENTRIES}`;

async function put(cache, number) {
  await cache.put(url(number), new Response(BODY, { headers: HEADERS }));
}

async function read(cache, number) {
  const found = await cache.match(url(number));
  const bytes = await found.arrayBuffer();
  if (bytes.byteLength !== BODY.length) throw new Error(`a body of ${bytes.byteLength} bytes`);
}

async function miss(cache, number) {
  if ((await cache.match(missing(number))) !== undefined) throw new Error("a miss that hit");
}

async function readTogether(cache, number) {
  const first = number * AT_ONCE;
  await Promise.all(Array.from({ length: AT_ONCE }, (_, offset) => read(cache, first + offset)));
}

// Microseconds for each of the operations that `one` does, awaited one after the other.
async function measure(name, cache, one, operations) {
  let [number, took] = [0, 0];
  for (const limit of [MILLISECONDS / 4, MILLISECONDS]) {
    const began = performance.now();
    number = 0;
    do {
      for (let more = 0; more < 20; more += 1) await one(cache, number++);
      took = performance.now() - began;
    } while (took < limit);
  }
  console.log(`${name}\t${(took * 1000) / (number * operations)}`);
}

async function main() {
  const cache = await caches.open("v1");
  for (let number = 0; number < ENTRIES; number += 1) await put(cache, number);
  await measure("put", cache, put, 1);
  await measure("match with body", cache, read, 1);
  await measure("miss", cache, miss, 1);
  await measure("sixteen at once", cache, readTogether, AT_ONCE);
}

main();
