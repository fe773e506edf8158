// The shop's service worker: one script for a browser and for Waystore.
//
//   the shell      style, script, logo, the page for when nothing else helps: cached at install
//   pages          from the network, else the copy from the last time; what was fetched ahead at once, and
//                  looked for anew behind that
//   JSON, pictures from the cache, else from the network, and kept
//
// Raise a version when what its cache holds must be fetched again: the old cache goes at activation.

const SHELL = "shell-v1";
const PAGES = "pages-v1";
const GOODS = "goods-v1";
const AHEAD = "ahead-v1";
const CURRENT = [SHELL, PAGES, GOODS, AHEAD];

const OFFLINE_PAGE = "/offline.html";
const SHELL_URLS = [OFFLINE_PAGE, "/shop.css", "/shop.js", "/ahead.js", "/pictures/logo.svg"];

self.addEventListener("install", (event) => {
  event.waitUntil(install());
});

self.addEventListener("activate", (event) => {
  event.waitUntil(activate());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin) {
    return; // not ours to answer: the network does
  }
  if (request.mode === "navigate") {
    event.respondWith(page(event));
  } else if (SHELL_URLS.includes(pathname)) {
    event.respondWith(cacheFirst(event, SHELL));
  } else if (isGoods(pathname)) {
    event.respondWith(cacheFirst(event, GOODS));
  }
});

// { type: "PREFETCH", payload: { urls: ["/products/mug.html", "/api/products/mug.json", ...] } }; the answer, to
// who sent a port along, is what became of each.
self.addEventListener("message", (event) => {
  const { type, payload } = event.data ?? {};
  if (type === "PREFETCH") {
    event.waitUntil(prefetch(payload?.urls ?? []).then((results) => event.ports[0]?.postMessage(results)));
  }
});

async function install() {
  const shell = await caches.open(SHELL);
  await shell.addAll(SHELL_URLS);
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => !CURRENT.includes(name));
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function page(event) {
  const ahead = await caches.open(AHEAD);
  const fetchedAhead = await ahead.match(event.request);
  if (fetchedAhead) {
    event.waitUntil(ahead.add(event.request.url).catch(() => {})); // without the origin it stays as it is
    return fetchedAhead;
  }
  return networkFirst(event);
}

async function networkFirst(event) {
  const pages = await caches.open(PAGES);
  try {
    const response = await fetch(event.request);
    if (response.ok) {
      event.waitUntil(pages.put(event.request, response.clone()));
    }
    return response;
  } catch {
    return (await pages.match(event.request)) ?? offline();
  }
}

async function cacheFirst(event, name) {
  const cached = await caches.match(event.request);
  if (cached) {
    return cached;
  }
  const response = await fetch(event.request);
  if (response.ok) {
    const cache = await caches.open(name);
    event.waitUntil(cache.put(event.request, response.clone()));
  }
  return response;
}

async function offline() {
  const page = await caches.match(OFFLINE_PAGE);
  // 503, so that nobody takes this for the page that was asked for.
  return new Response(await page.text(), { status: 503, headers: { "Content-Type": "text/html; charset=utf-8" } });
}

// One URL that fails costs the others nothing.
async function prefetch(urls) {
  const fetched = await Promise.allSettled(urls.map(prefetchOne));
  const failed = fetched.filter(({ status }) => status === "rejected");
  failed.forEach(({ reason }) => console.warn(`prefetch: ${reason}`));
  console.log(`prefetched ${urls.length - failed.length} of ${urls.length}`);
  return fetched.map(({ value }, at) => value ?? { url: urls[at], source: "failed", bytes: 0 });
}

// Keeps what `url` answers and, where that is JSON, the pictures it names.
async function prefetchOne(url) {
  const { pathname } = new URL(url, self.location);
  const cache = await caches.open(isGoods(pathname) ? GOODS : AHEAD);
  const known = await cache.match(url);
  if (known) {
    return { url, source: "cache", bytes: await lengthOf(known) };
  }
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url} answered ${response.status}`);
  }
  const pictures = pathname.endsWith(".json") ? picturesIn(await response.clone().json()) : [];
  const bytes = await lengthOf(response.clone());
  await cache.put(url, response);
  await (await caches.open(GOODS)).addAll(pictures);
  return { url, source: "network", bytes };
}

async function lengthOf(response) {
  return (await response.blob()).size;
}

// `productPic` of one product, or of each in a list; every one once.
function picturesIn(data) {
  const products = data.products ?? [data];
  return [...new Set(products.map(({ productPic }) => productPic).filter(Boolean))];
}

function isGoods(pathname) {
  return pathname.startsWith("/api/") || pathname.startsWith("/pictures/");
}
