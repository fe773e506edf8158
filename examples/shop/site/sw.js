// The shop's service worker: one script for a browser and for Waystore.
//
//   the shell      style, script, logo, the page for when nothing else helps: cached at install
//   pages          from the network, else the copy from the last time
//   JSON, pictures from the cache, else from the network, and kept
//
// Raise a version when what its cache holds must be fetched again: the old cache goes at activation.

const SHELL = "shell-v1";
const PAGES = "pages-v1";
const GOODS = "goods-v1";
const CURRENT = [SHELL, PAGES, GOODS];

const OFFLINE_PAGE = "/offline.html";
const SHELL_URLS = [OFFLINE_PAGE, "/shop.css", "/shop.js", "/pictures/logo.svg"];

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
    event.respondWith(networkFirst(event));
  } else if (SHELL_URLS.includes(pathname)) {
    event.respondWith(cacheFirst(event, SHELL));
  } else if (isGoods(pathname)) {
    event.respondWith(cacheFirst(event, GOODS));
  }
});

// { type: "PREFETCH", payload: { urls: ["/products/mug.html", "/api/products/mug.json", ...] } }
self.addEventListener("message", (event) => {
  const { type, payload } = event.data ?? {};
  if (type === "PREFETCH") {
    event.waitUntil(prefetch(payload?.urls ?? []));
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
  const cache = await caches.open(name);
  const cached = await cache.match(event.request);
  if (cached) {
    return cached;
  }
  const response = await fetch(event.request);
  if (response.ok) {
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
}

// Keeps what `url` answers and, where that is JSON, the pictures it names.
async function prefetchOne(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url} answered ${response.status}`);
  }
  const { pathname } = new URL(url, self.location);
  const cache = await caches.open(isGoods(pathname) ? GOODS : PAGES);
  const pictures = pathname.endsWith(".json") ? picturesIn(await response.clone().json()) : [];
  await cache.put(url, response);
  await (await caches.open(GOODS)).addAll(pictures);
}

// `productPic` of one product, or of each in a list; every one once.
function picturesIn(data) {
  const products = data.products ?? [data];
  return [...new Set(products.map(({ productPic }) => productPic).filter(Boolean))];
}

function isGoods(pathname) {
  return pathname.startsWith("/api/") || pathname.startsWith("/pictures/");
}
