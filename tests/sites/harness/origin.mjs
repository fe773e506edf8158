// A site's own server: a folder of files, and paths that tell how often they were asked for.

import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
};

export class Origin {
  #server;
  #asked = [];
  folder;
  url;

  /** Serves `folder`; under `/count/` every path answers with how often it was asked for. */
  static async start(t, folder) {
    const origin = new Origin();
    origin.folder = folder;
    origin.#server = http.createServer((request, response) => origin.#answer(request, response));
    await new Promise((listening) => origin.#server.listen(0, "127.0.0.1", listening));
    origin.url = `http://127.0.0.1:${origin.#server.address().port}`;
    t.after(() => origin.stop());
    return origin;
  }

  /** How often `target`, a path with its query, was asked for. */
  asked(target) {
    return this.#asked.filter(({ url }) => url === target).length;
  }

  /** The targets that were asked for and begin with `start`. */
  askedUnder(start) {
    return this.#asked.map(({ url }) => url).filter((url) => url.startsWith(start));
  }

  /** The headers of the last request for `target`. */
  headers(target) {
    return this.#asked.findLast(({ url }) => url === target)?.headers;
  }

  /** Takes the origin away: connections break, and new ones are refused. */
  async stop() {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request, response) {
    this.#asked.push({ url: request.url, headers: request.headers });
    const { pathname } = new URL(request.url, this.url);
    if (pathname.startsWith("/count/")) {
      const status = Number(/\/status-(\d+)/.exec(pathname)?.[1] ?? 200);
      response.writeHead(status, { "content-type": "text/html", etag: `"${this.asked(request.url)}"` });
      response.end(`${this.asked(request.url)}`);
      return;
    }
    try {
      const file = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
      const body = await readFile(path.join(this.folder, path.normalize(file)));
      response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream" });
      response.end(body);
    } catch {
      response.writeHead(404, { "content-type": "text/plain" });
      response.end(`no ${pathname} here`);
    }
  }
}
