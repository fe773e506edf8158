// A site's own server: what it was asked for is counted, it may be slow, and be taken away and given back.

import http from "node:http";
import path from "node:path";

const TYPES = {
  ".css": "text/css", ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".json": "application/json",
  ".mjs": "text/javascript", ".png": "image/png", ".svg": "image/svg+xml", ".webmanifest": "application/manifest+json",
};

/** The type of the file at `pathname`. */
export function typeOf(pathname) {
  return TYPES[pathname.endsWith("/") ? ".html" : path.extname(pathname)] ?? "application/octet-stream";
}

/** Whoever extends it has `answer(pathname, request, response)`. */
export class Server {
  #server;
  #port = 0;
  #asked = [];
  #watchers = new Set();
  /** Milliseconds before each answer. */
  latency = 0;
  url;

  /** Starts it, until the test ends. */
  async begin(t) {
    await this.back();
    t.after(() => this.away());
    return this;
  }

  /** How often `target`, a path with its query, was asked for. */
  asked(target) {
    return this.#asked.filter(({ url }) => url === target).length;
  }

  /** The targets that were asked for and begin with `start`. */
  askedUnder(start) {
    return this.#asked.map(({ url }) => url).filter((url) => url.startsWith(start));
  }

  /** Resolves once `target` was asked for. */
  wasAsked(target) {
    if (this.asked(target) > 0) return Promise.resolve();
    return new Promise((resolve) => this.#watchers.add({ target, resolve }));
  }

  /** The headers of the last request for `target`. */
  headers(target) {
    return this.#asked.findLast(({ url }) => url === target)?.headers;
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
    this.#server = http.createServer((request, response) => this.#take(request, response));
    await new Promise((listening) => this.#server.listen(this.#port, "127.0.0.1", listening));
    this.#port = this.#server.address().port;
    this.url = `http://127.0.0.1:${this.#port}`;
  }

  async #take(request, response) {
    const { url, headers } = request;
    this.#asked.push({ url, headers });
    for (const watcher of this.#watchers) if (watcher.target === url) watcher.resolve();
    if (this.latency > 0) await new Promise((later) => setTimeout(later, this.latency));
    await this.answer(new URL(url, this.url).pathname, request, response);
  }
}

/** Answers with a file, or that there is none. */
export function send(response, pathname, file) {
  const type = file === undefined ? "text/plain" : typeOf(pathname);
  response.writeHead(file === undefined ? 404 : 200, { "content-type": type });
  response.end(file ?? `no ${pathname} here`);
}
