// A gateway that says what the test says: client.js in a real page, its frames in the test's hands. For what a
// gateway that works never does, or does not do when it is wanted.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { PATIENCE } from "../../harness/patience.mjs";

const PAGES = fileURLToPath(new URL("../../../crates/waystore-cli/src/serve/pages/", import.meta.url));
export const ORIGIN = "http://localhost:4321";

/** client.js, as the gateway puts it together. */
export async function clientScript(registration = null) {
  const names = (await readFile(`${PAGES}client.rs`, "utf8")).matchAll(/include_str!\("(client\/\w+\.js)"\)/g);
  const parts = await Promise.all([...names].map(([, name]) => readFile(PAGES + name, "utf8")));
  return `(() => {\n"use strict";\nconst TOLD = ${JSON.stringify(registration)};\n${parts.join("")}})();\n`;
}

export class Scripted {
  /** A frame that came and nobody took, by connection. */
  #waiting = [];
  #takers = [];
  connections = 0;
  received = 0;
  sent = 0;
  socket;

  /** Serves a page with `body` and client.js to `context`. */
  static async start(context, { registration = null, body = "", tag = "" } = {}) {
    const gateway = new Scripted();
    const script = await clientScript(registration);
    const page = `<!doctype html><title>A page</title><script src="/client.js" ${tag}></script>${body}`;
    await context.route(`${ORIGIN}/**`, (route) => {
      const { pathname } = new URL(route.request().url());
      if (pathname === "/client.js") return route.fulfill({ contentType: "text/javascript", body: script });
      if (pathname.startsWith("/.well-known/")) return route.abort();
      return route.fulfill({ contentType: "text/html", body: page, headers: { "server-timing": 'waystore;desc="reserved-id"' } });
    });
    await context.routeWebSocket(/\/\.well-known\/waystore\/channel$/, (socket) => gateway.#connected(socket));
    return gateway;
  }

  #connected(socket) {
    this.connections += 1;
    this.socket = socket;
    socket.onMessage((text) => {
      const frame = JSON.parse(text);
      if (typeof frame.n === "number") this.received = frame.n;
      if (frame.frame === "ack" || frame.frame === "client") return;
      const taker = this.#takers.shift();
      if (taker === undefined) this.#waiting.push(frame);
      else taker(frame);
    });
  }

  /** The next frame of the page, acknowledgements and its attention aside. */
  next() {
    if (this.#waiting.length > 0) return Promise.resolve(this.#waiting.shift());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("the page says nothing")), PATIENCE);
      this.#takers.push((frame) => {
        clearTimeout(timer);
        resolve(frame);
      });
    });
  }

  /** Sends a frame without a number. */
  say(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  /** Sends a frame with the next number. */
  tell(frame) {
    this.say({ ...frame, n: ++this.sent });
  }

  /** Takes the hello and welcomes the page. */
  async welcome(members = {}) {
    const hello = await this.next();
    this.say({ frame: "welcome", version: 1, client: "c1", key: "k1", resumed: false, received: 0, pingMs: 20000, graceMs: 30000, ...members });
    return hello;
  }
}

export const version = (number, state) => ({ version: `v${number}`, script: `${ORIGIN}/sw.js`, state });

/** A registration as frames have it. */
export const registration = (slots, controller = null) => ({
  scope: `${ORIGIN}/`, updateViaCache: "imports", installing: null, waiting: null, active: null, controller, ...slots,
});
