// A site's own server: files at hand, which may change, be slow, and be taken away and given back.

import http from "node:http";
import path from "node:path";

const TYPES = {
  ".css": "text/css", ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".json": "application/json",
  ".mjs": "text/javascript", ".png": "image/png", ".svg": "image/svg+xml",
};

export class Origin {
  #server;
  #port = 0;
  #asked = [];
  #watchers = new Set();
  /** What is served, by path: a text, bytes, or a function of the request and response. */
  files;
  /** Milliseconds before each answer. */
  latency = 0;
  url;

  static async start(t, files) {
    const origin = new Origin();
    // Browsers ask for it unasked.
    origin.files = { "/favicon.ico": "", ...files };
    await origin.back();
    t.after(() => origin.away());
    return origin;
  }

  /** How often a path was asked for. */
  asked(target) {
    return this.#asked.filter((url) => url === target).length;
  }

  /** Resolves once a path was asked for. */
  wasAsked(target) {
    if (this.asked(target) > 0) return Promise.resolve();
    return new Promise((resolve) => this.#watchers.add({ target, resolve }));
  }

  /** Connections break, and new ones are refused. */
  async away() {
    if (!this.#server.listening) return;
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  /** It is there, where it was before. */
  async back() {
    this.#server = http.createServer((request, response) => this.#answer(request, response));
    await new Promise((listening) => this.#server.listen(this.#port, "127.0.0.1", listening));
    this.#port = this.#server.address().port;
    this.url = `http://127.0.0.1:${this.#port}`;
  }

  async #answer(request, response) {
    this.#asked.push(request.url);
    for (const watcher of this.#watchers) if (watcher.target === request.url) watcher.resolve();
    if (this.latency > 0) await new Promise((later) => setTimeout(later, this.latency));
    const { pathname } = new URL(request.url, this.url);
    const file = this.files[pathname.endsWith("/") ? `${pathname}index.html` : pathname];
    if (typeof file === "function") return file(request, response);
    const type = TYPES[path.extname(pathname)] ?? (pathname.endsWith("/") ? TYPES[".html"] : "application/octet-stream");
    response.writeHead(file === undefined ? 404 : 200, { "content-type": file === undefined ? "text/plain" : type });
    response.end(file ?? `no ${pathname} here`);
  }
}
