// Serwist: a script of the site's own, bundled, with the manifest put in.

import path from "node:path";

import { injectManifest } from "@serwist/build";

import { bundle } from "./bundle.mjs";

/** Puts `/sw.js` into the folder `site` and returns its path. */
export async function serwist(site) {
  const swDest = path.join(site, "sw.js");
  await bundle("serwist.js", swDest);
  const globPatterns = ["*.{html,css,js}"];
  await injectManifest({ globDirectory: site, globPatterns, globIgnores: ["sw.js"], swSrc: swDest, swDest });
  return "/sw.js";
}
