// A site's own service worker, over Workbox's modules: precaching, and a route for each strategy.

import { BroadcastUpdatePlugin } from "workbox-broadcast-update";
import { CacheableResponsePlugin } from "workbox-cacheable-response";
import { clientsClaim } from "workbox-core";
import * as navigationPreload from "workbox-navigation-preload";
import { cleanupOutdatedCaches, precacheAndRoute } from "workbox-precaching";
import { RangeRequestsPlugin } from "workbox-range-requests";
import { NavigationRoute, registerRoute } from "workbox-routing";
import { CacheFirst, CacheOnly, NetworkFirst, NetworkOnly, StaleWhileRevalidate } from "workbox-strategies";

import "./kept.js";

self.skipWaiting();
clientsClaim();
navigationPreload.enable();
precacheAndRoute(self.__WB_MANIFEST);
cleanupOutdatedCaches();

const onlyWhole = () => new CacheableResponsePlugin({ statuses: [200] });
const under = (name) => new RegExp(`/count/${name}/`);
const keeping = (cacheName, ...plugins) => ({ cacheName, plugins: [onlyWhole(), ...plugins] });

registerRoute(under("cache-first"), new CacheFirst(keeping("cache-first")));
registerRoute(under("network-first"), new NetworkFirst(keeping("network-first")));
const broadcast = new BroadcastUpdatePlugin({ headersToCheck: ["etag"] });
registerRoute(under("stale"), new StaleWhileRevalidate(keeping("stale", broadcast)));
registerRoute(under("network-only"), new NetworkOnly());
registerRoute(under("cache-only"), new CacheOnly({ cacheName: "kept" }));
registerRoute(/\/media\.bin$/, new CacheFirst(keeping("media", new RangeRequestsPlugin())));
registerRoute(new NavigationRoute(new NetworkFirst(keeping("pages"))));
