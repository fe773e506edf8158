// What needs IndexedDB, which there is none of, beside what does not.

import { BackgroundSyncPlugin } from "workbox-background-sync";
import { ExpirationPlugin } from "workbox-expiration";
import { registerRoute } from "workbox-routing";
import { CacheFirst, NetworkOnly } from "workbox-strategies";

self.skipWaiting();

const expiring = new CacheFirst({ cacheName: "expiring", plugins: [new ExpirationPlugin({ maxEntries: 10 })] });
registerRoute(/\/count\/expiring\//, expiring);
registerRoute(/\/count\/plain\//, new CacheFirst({ cacheName: "plain" }));
const queue = new BackgroundSyncPlugin("orders");
registerRoute(/\/count\/orders$/, new NetworkOnly({ plugins: [queue] }), "POST");
