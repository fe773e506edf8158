// The same, over `workbox-sw`, which loads each module when its namespace is first named.

importScripts("/WORKBOX_FOLDER/workbox-sw.js");
workbox.setConfig({ modulePathPrefix: "/WORKBOX_FOLDER/", debug: false });
importScripts("/kept.js");

self.skipWaiting();
workbox.core.clientsClaim();
workbox.navigationPreload.enable();
workbox.precaching.precacheAndRoute(self.__WB_MANIFEST);
workbox.precaching.cleanupOutdatedCaches();

const { registerRoute, NavigationRoute } = workbox.routing;
const { CacheFirst, CacheOnly, NetworkFirst, NetworkOnly, StaleWhileRevalidate } = workbox.strategies;
const onlyWhole = () => new workbox.cacheableResponse.CacheableResponsePlugin({ statuses: [200] });
const under = (name) => new RegExp(`/count/${name}/`);
const keeping = (cacheName, ...plugins) => ({ cacheName, plugins: [onlyWhole(), ...plugins] });

registerRoute(under("cache-first"), new CacheFirst(keeping("cache-first")));
registerRoute(under("network-first"), new NetworkFirst(keeping("network-first")));
const broadcast = new workbox.broadcastUpdate.BroadcastUpdatePlugin({ headersToCheck: ["etag"] });
registerRoute(under("stale"), new StaleWhileRevalidate(keeping("stale", broadcast)));
registerRoute(under("network-only"), new NetworkOnly());
registerRoute(under("cache-only"), new CacheOnly({ cacheName: "kept" }));
registerRoute(/\/media\.bin$/, new CacheFirst(keeping("media", new workbox.rangeRequests.RangeRequestsPlugin())));
registerRoute(new NavigationRoute(new NetworkFirst(keeping("pages"))));
