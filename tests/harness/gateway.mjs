// `waystore serve` in a process of its own, which can be killed and started again where it was, and a client that asks it
// as browsers do.

import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { PATIENCE } from "./patience.mjs";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BINARY = process.env.WAYSTORE_BINARY ?? path.join(ROOT, "target", "debug", "waystore");

/** The headers by which a gateway knows that somebody opens a page. */
export const NAVIGATION = {
  accept: "text/html",
  "sec-fetch-dest": "document",
  "sec-fetch-mode": "navigate",
  "sec-fetch-site": "none",
};

/** `waystore run WORDS`: its exit code, the lines that it printed, and what it said beside them. */
export async function run(...words) {
  const ran = promisify(execFile)(BINARY, ["run", ...words], { timeout: PATIENCE });
  const { code = 0, stdout, stderr } = await ran.catch((failed) => failed);
  return { code, lines: stdout.trimEnd().split("\n"), complaint: stderr };
}

export class Gateway {
  #process;
  #home;
  #words;
  #listen = "127.0.0.1:0";
  #log = [];
  #watchers = new Set();
  /** The public origin, such as `http://localhost:1234`. */
  url;

  /** In front of `origin`, with the script at `worker` there, and more flags. */
  static async start(t, origin, { worker = "/sw.js", flags = [], site = [] } = {}) {
    const gateway = new Gateway();
    gateway.#home = await mkdtemp(path.join(tmpdir(), "waystore-gateway-"));
    const upstream = ["--upstream", origin.url ?? origin, "--worker", worker];
    gateway.#words = ["serve", ...site, ...upstream, "--data", gateway.data, "--log", "json", ...flags];
    t.after(async () => {
      await gateway.kill();
      await rm(gateway.#home, { recursive: true, force: true });
    });
    await gateway.begin();
    return gateway;
  }

  get data() {
    return path.join(this.#home, "data");
  }

  /** Where it listens. */
  get address() {
    return `http://${this.#listen}`;
  }

  get pid() {
    return this.#process.pid;
  }

  /** Starts it, again at the same port. */
  async begin() {
    this.#process = spawn(BINARY, [...this.#words, "--listen", this.#listen]);
    this.#follow(this.#process.stderr);
    for await (const line of createInterface({ input: this.#process.stdout })) {
      const at = line.lastIndexOf("http://");
      if (at < 0) continue;
      const { port } = new URL(line.slice(at).trim());
      this.url = `http://localhost:${port}`;
      this.#listen = `127.0.0.1:${port}`;
      return;
    }
    throw new Error(`the gateway did not start:\n${this.#text()}`);
  }

  /** Asks for `target`, a path. The response's body is a `Buffer`. */
  get(target, headers = {}) {
    return this.#ask("GET", target, headers);
  }

  /** Sends `body` to `target`, a path. */
  post(target, body) {
    return this.#ask("POST", target, {}, body);
  }

  /** Opens the page at `target`. */
  visit(target) {
    return this.get(target, NAVIGATION);
  }

  async kill() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((done) => this.#process.once("exit", done));
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** Runs another command on this gateway's data directory and returns what it printed. */
  async command(...words) {
    const { stdout } = await promisify(execFile)(BINARY, [...words, "--data", this.data], { timeout: PATIENCE });
    return stdout;
  }

  /** What is in a cache, by path: its status, bytes and so on. Empty where there is no such cache. */
  async cache(name) {
    if (!(await this.caches()).includes(name)) return new Map();
    const entries = JSON.parse(await this.command("cache", "keys", name, "--json"));
    return new Map(entries.map((entry) => [new URL(entry.url).pathname, entry]));
  }

  /** The URLs in a cache, without the origin, in their order. */
  async keys(name) {
    const keys = JSON.parse(await this.command("cache", "keys", name, "--json"));
    return keys.map(({ url }) => new URL(url)).map(({ pathname, search }) => pathname + search);
  }

  /** The names of all caches. */
  async caches() {
    return JSON.parse(await this.command("cache", "ls", "--json")).map(({ cache }) => cache);
  }

  /** The first line of the log, written already or still to come, that `is` what is meant. */
  logged(is, after = 0) {
    const written = this.#log.slice(after).find(is);
    if (written !== undefined) return Promise.resolve(written);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#watchers.delete(watcher);
        reject(new Error(`no such line was logged, but:\n${this.#text()}`));
      }, PATIENCE);
      const watcher = (line) => {
        if (!is(line)) return;
        clearTimeout(timer);
        this.#watchers.delete(watcher);
        resolve(line);
      };
      this.#watchers.add(watcher);
    });
  }

  /** How many lines were logged so far, for `logged`. */
  get lines() {
    return this.#log.length;
  }

  /** What the log says of errors in the script so far. */
  get errors() {
    return this.#log.filter((line) => line.level === "ERROR");
  }

  #ask(method, target, headers, body) {
    return new Promise((resolve, reject) => {
      const options = { method, headers, agent: false, timeout: PATIENCE };
      const request = http.request(new URL(target, this.address), options, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const body = Buffer.concat(chunks);
          resolve({ status: response.statusCode, headers: response.headers, body, text: body.toString() });
        });
      });
      request.on("timeout", () => request.destroy(new Error(`no answer to ${target} in time`)));
      request.on("error", reject);
      request.end(body);
    });
  }

  #text() {
    return this.#log.map((line) => JSON.stringify(line)).join("\n");
  }

  #follow(stderr) {
    createInterface({ input: stderr }).on("line", (text) => {
      if (process.env.SHOW_LOG !== undefined) console.log(text);
      let line;
      try {
        line = JSON.parse(text);
      } catch {
        line = { message: text };
      }
      this.#log.push(line);
      for (const watcher of [...this.#watchers]) watcher(line);
    });
  }
}
