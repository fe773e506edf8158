// What "cache only" finds is put there while the worker is installed.
addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open("kept");
    await cache.put("/count/cache-only/there", new Response("kept"));
  };
  event.waitUntil(keep());
});
