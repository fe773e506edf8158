// A service worker that imports modules, made into one classic script as sites do it.

import { fileURLToPath } from "node:url";

import { build } from "esbuild";

/** Bundles `workers/NAME` into the file `outfile`. */
export async function bundle(name, outfile) {
  await build({
    entryPoints: [workerPath(name)],
    bundle: true,
    define: { "process.env.NODE_ENV": '"production"' },
    logLevel: "error",
    outfile,
  });
}

/** Where the source `workers/NAME` is. */
export function workerPath(name) {
  return fileURLToPath(new URL(`../workers/${name}`, import.meta.url));
}
