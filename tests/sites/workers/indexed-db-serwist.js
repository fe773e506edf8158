// The same, over Serwist.

import { BackgroundSyncPlugin, CacheFirst, ExpirationPlugin, NetworkOnly, Serwist } from "serwist";

const expiring = new CacheFirst({ cacheName: "expiring", plugins: [new ExpirationPlugin({ maxEntries: 10 })] });
const queue = new BackgroundSyncPlugin("orders");

const serwist = new Serwist({
  skipWaiting: true,
  runtimeCaching: [
    { matcher: /\/count\/expiring\//, handler: expiring },
    { matcher: /\/count\/plain\//, handler: new CacheFirst({ cacheName: "plain" }) },
    { matcher: /\/count\/orders$/, handler: new NetworkOnly({ plugins: [queue] }), method: "POST" },
  ],
});

serwist.addEventListeners();
