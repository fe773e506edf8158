// The site that is built: a few pages, a style, a script, a file to take ranges of.

import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

/** Bytes of `media.bin`; byte *n* is *n* mod 251. */
export const MEDIA_LENGTH = 100_000;

/** What a site's build puts into the precache. */
export const PRECACHED = ["/about.html", "/app.js", "/index.html", "/style.css"];

/** A new site in a folder that is removed with the test. */
export async function makeSite(t) {
  const folder = await emptySite(t);
  await writeFiles(folder, {
    "index.html": page("Home"),
    "about.html": page("About us"),
    "app.js": "document.title += '!';\n",
    "style.css": "body { margin: 2em }\n",
    "media.bin": Uint8Array.from({ length: MEDIA_LENGTH }, (_, at) => at % 251),
  });
  return folder;
}

/** A folder that is removed with the test. */
export async function emptySite(t) {
  const folder = await mkdtemp(path.join(tmpdir(), "waystore-pages-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes files, by path, into `folder`. */
export async function writeFiles(folder, files) {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

/** A page that says `title`. */
export function page(title) {
  return `<!doctype html><title>${title}</title><link rel="stylesheet" href="/style.css"><script src="/app.js"></script>\n`;
}
