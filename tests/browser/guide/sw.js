self.addEventListener('install', () => self.skipWaiting()); // completed
self.addEventListener('activate', (event) => event.waitUntil(clients.claim())); // completed

addEventListener('message', (event) => {
  let data = event.data;
  if (data && data.type === 'PREFETCH') {
    let urls = data.payload.urls;
    let fetched = []; // completed
    for (let i in urls) {
      fetched.push(fetchAsync(urls[i], postProcess)); // completed
    }
    event.waitUntil(Promise.allSettled(fetched).then((results) => { // completed
      let failed = results.filter(({ status }) => status === 'rejected').length; // completed
      event.ports[0]?.postMessage({ asked: urls.length, failed }); // completed
    })); // completed
  }
});

async function fetchAsync(url, postProcess) {
  // await response of fetch call
  let prefetched = await fetch(url);
  if (!prefetched.ok) throw new Error(`${url} answered ${prefetched.status}`); // completed

  //(optionally) cache resource in the service worker cache
  let cache = await caches.open('prefetched'); // completed
  await cache.put(url, prefetched.clone()); // completed

  // carry out the post fetch process if supplied
  if (postProcess) {
    await postProcess(prefetched);
  }
}

async function postProcess(prefetched) {
  if (!prefetched.headers.get('content-type').includes('json')) return; // completed
  let productJson = await prefetched.json();
  if (productJson && productJson.productPic) { // completed: the samples write it in two ways
    await fetchAsync(productJson.productPic); // completed
  }
}

addEventListener('fetch', (event) => { // completed
  event.respondWith(caches.match(event.request).then((cached) => cached ?? fetch(event.request))); // completed
}); // completed
