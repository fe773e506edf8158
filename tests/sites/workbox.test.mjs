// Workbox 7: https://developer.chrome.com/docs/workbox

import { amd, injected, inlined, loaded } from "./builds/workbox.mjs";
import { promisesOf } from "./harness/behaviours.mjs";

const precache = (name) => name.startsWith("workbox-precache");

promisesOf("generateSW, inlined", { build: inlined, precache });
promisesOf("generateSW, with its loader", { build: amd, precache });
promisesOf("injectManifest", { build: injected, precache });
promisesOf("workbox-sw", { build: loaded, precache });
