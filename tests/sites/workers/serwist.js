// A site's own service worker, over Serwist: precaching, and a route for each strategy.

import {
  BroadcastUpdatePlugin,
  CacheFirst,
  CacheOnly,
  CacheableResponsePlugin,
  NetworkFirst,
  NetworkOnly,
  RangeRequestsPlugin,
  Serwist,
  StaleWhileRevalidate,
} from "serwist";

import "./kept.js";

const under = (name) => new RegExp(`/count/${name}/`);
const onlyWhole = () => new CacheableResponsePlugin({ statuses: [200] });
const keeping = (cacheName, ...plugins) => ({ cacheName, plugins: [onlyWhole(), ...plugins] });
const broadcast = new BroadcastUpdatePlugin({ headersToCheck: ["etag"] });

const serwist = new Serwist({
  precacheEntries: self.__SW_MANIFEST,
  precacheOptions: { cleanupOutdatedCaches: true },
  skipWaiting: true,
  clientsClaim: true,
  navigationPreload: true,
  runtimeCaching: [
    { matcher: under("cache-first"), handler: new CacheFirst(keeping("cache-first")) },
    { matcher: under("network-first"), handler: new NetworkFirst(keeping("network-first")) },
    { matcher: under("stale"), handler: new StaleWhileRevalidate(keeping("stale", broadcast)) },
    { matcher: under("network-only"), handler: new NetworkOnly() },
    { matcher: under("cache-only"), handler: new CacheOnly({ cacheName: "kept" }) },
    { matcher: /\/media\.bin$/, handler: new CacheFirst(keeping("media", new RangeRequestsPlugin())) },
    { matcher: ({ request }) => request.mode === "navigate", handler: new NetworkFirst(keeping("pages")) },
  ],
});

serwist.addEventListeners();
