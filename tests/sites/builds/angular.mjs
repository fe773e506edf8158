// Angular's service worker, ready made, and the manifest that `ng build` has its own tool write.

import { execFile } from "node:child_process";
import { copyFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";

import { writeFiles } from "../harness/site.mjs";

const PACKAGE = path.dirname(createRequire(import.meta.url).resolve("@angular/service-worker/package.json"));

/** What `ngsw-config.json` of an application says. */
const CONFIG = {
  index: "/index.html",
  assetGroups: [
    { name: "app", installMode: "prefetch", resources: { files: ["/index.html", "/about.html", "/*.css", "/app.js"] } },
    { name: "media", installMode: "lazy", updateMode: "prefetch", resources: { files: ["/media.bin"] } },
  ],
  dataGroups: [
    { name: "slow", urls: ["/count/performance/**"], cacheConfig: { maxSize: 2, maxAge: "1d", strategy: "performance" } },
    { name: "fresh", urls: ["/count/freshness/**"], cacheConfig: { maxSize: 9, maxAge: "1d", timeout: "20s", strategy: "freshness" } },
  ],
};

/** Puts the worker and the manifest of what is in the folder `site` there, and returns the worker's path. */
export async function angular(site) {
  await writeFiles(site, { "ngsw-config.json": JSON.stringify(CONFIG) });
  // The tool takes both its folder and its configuration from where it runs.
  const tool = path.join(PACKAGE, "ngsw-config.js");
  await promisify(execFile)(process.execPath, [tool, ".", "ngsw-config.json", "/"], { cwd: site });
  await copyFile(path.join(PACKAGE, "ngsw-worker.js"), path.join(site, "ngsw-worker.js"));
  return "/ngsw-worker.js";
}

/** Puts the worker that takes itself away in the place of the other. */
export async function safety(site) {
  await copyFile(path.join(PACKAGE, "safety-worker.js"), path.join(site, "ngsw-worker.js"));
}
