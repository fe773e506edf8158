// An application built by Vite, whose service worker vite-plugin-pwa generates.

import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "vite";
import { VitePWA } from "vite-plugin-pwa";

const APPLICATION = fileURLToPath(new URL("../vite-app", import.meta.url));

/** Builds the application into the folder `site`, with `plugins` of one's own, and returns the worker's path. */
export async function vite(site, plugins = []) {
  const pwa = VitePWA({
    registerType: "autoUpdate",
    manifest: { name: "Notes", icons: [{ src: "/icon.svg", sizes: "any", type: "image/svg+xml" }] },
    workbox: { globPatterns: ["**/*.{html,css,js,svg}"] },
  });
  await build({
    root: APPLICATION,
    configFile: false,
    logLevel: "error",
    build: { outDir: path.resolve(site), emptyOutDir: true },
    plugins: [...plugins, pwa],
  });
  return "/sw.js";
}
