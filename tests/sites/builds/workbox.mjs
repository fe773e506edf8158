// Workbox 7, in each of the forms that its documentation offers. Every build puts a service worker into
// the site's folder and returns its path at the site.

import { readFile } from "node:fs/promises";
import path from "node:path";

import { copyWorkboxLibraries, generateSW, injectManifest } from "workbox-build";

import { writeFiles } from "../harness/site.mjs";
import { bundle, workerPath } from "./bundle.mjs";

/** What goes into the precache, and what a build itself wrote does not. */
const FILES = { globPatterns: ["*.{html,css,js}"], globIgnores: ["sw.js", "workbox-*.js", "kept.js"] };

const RUNTIME_CACHING = [
  { urlPattern: /\/count\/cache-first\//, handler: "CacheFirst", options: statusesOf("cache-first") },
  { urlPattern: /\/count\/network-first\//, handler: "NetworkFirst", options: statusesOf("network-first") },
  {
    urlPattern: /\/count\/stale\//,
    handler: "StaleWhileRevalidate",
    options: { ...statusesOf("stale"), broadcastUpdate: { options: { headersToCheck: ["etag"] } } },
  },
  { urlPattern: /\/count\/network-only\//, handler: "NetworkOnly" },
  { urlPattern: /\/count\/cache-only\//, handler: "CacheOnly", options: { cacheName: "kept" } },
  { urlPattern: /\/media\.bin$/, handler: "CacheFirst", options: { ...statusesOf("media"), rangeRequests: true } },
  { urlPattern: ({ request }) => request.mode === "navigate", handler: "NetworkFirst", options: statusesOf("pages") },
];

function statusesOf(cacheName) {
  return { cacheName, cacheableResponse: { statuses: [200] } };
}

/** `generateSW`, everything in one file. */
export const inlined = (site) => generate(site, { inlineWorkboxRuntime: true });

/** `generateSW`, where a loader of AMD modules fetches the runtime. */
export const amd = (site) => generate(site, { inlineWorkboxRuntime: false });

/** `generateSW` as it is by default: nothing but a precache, and no haste. */
export async function patient(site) {
  await generateSW({ ...FILES, globDirectory: site, swDest: path.join(site, "sw.js"), inlineWorkboxRuntime: true, sourcemap: false });
  return "/sw.js";
}

async function generate(site, options) {
  await writeFiles(site, { "kept.js": await worker("kept.js") });
  await generateSW({
    ...FILES,
    ...options,
    globDirectory: site,
    swDest: path.join(site, "sw.js"),
    importScripts: ["kept.js"],
    runtimeCaching: RUNTIME_CACHING,
    navigationPreload: true,
    cleanupOutdatedCaches: true,
    skipWaiting: true,
    clientsClaim: true,
    sourcemap: false,
  });
  return "/sw.js";
}

/** `injectManifest`, over a script of the site's own that is bundled with the modules it imports. */
export async function injected(site) {
  const swDest = path.join(site, "sw.js");
  await bundle("workbox.js", swDest);
  await injectManifest({ ...FILES, globDirectory: site, swSrc: swDest, swDest });
  return "/sw.js";
}

/** `workbox-sw`, which loads its modules one by one, from a copy at the site. */
export async function loaded(site) {
  const folder = await copyWorkboxLibraries(site);
  const files = { ...FILES, globIgnores: [...FILES.globIgnores, `${folder}/**`] };
  await writeFiles(site, { "kept.js": await worker("kept.js") });
  const template = (await worker("workbox-sw.js")).replaceAll("WORKBOX_FOLDER", folder);
  await writeFiles(site, { "sw.js": template });
  const sw = path.join(site, "sw.js");
  await injectManifest({ ...files, globDirectory: site, swSrc: sw, swDest: sw });
  return "/sw.js";
}

function worker(name) {
  return readFile(workerPath(name), "utf8");
}
