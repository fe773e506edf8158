// `waystore serve` in a process of its own, and a client that asks it as browsers do.

import { spawn, execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const BINARY = process.env.WAYSTORE_BINARY ?? path.join(ROOT, "target", "debug", "waystore");
/** Milliseconds; longer than anything takes that works. */
const PATIENCE = 60_000;

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
  #address;
  #log = [];
  #watchers = new Set();
  #home;

  /** In front of `origin`, answering through the script at the path `worker` there. */
  static async start(t, origin, worker, flags = []) {
    const gateway = new Gateway();
    gateway.#home = await mkdtemp(path.join(tmpdir(), "waystore-site-"));
    const data = path.join(gateway.#home, "data");
    const listen = ["--listen", "127.0.0.1:0", "--data", data, "--log", "json"];
    gateway.#process = spawn(BINARY, ["serve", ...listen, "--upstream", origin.url, "--worker", worker, ...flags]);
    t.after(() => gateway.#end());
    gateway.#follow(gateway.#process.stderr);
    gateway.#address = await gateway.#greeting();
    return gateway;
  }

  /** Where it listens. */
  get address() {
    return this.#address;
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

  /** Runs another command on this gateway's data directory and returns what it printed. */
  async command(...words) {
    const data = path.join(this.#home, "data");
    const { stdout } = await promisify(execFile)(BINARY, [...words, "--data", data], { timeout: PATIENCE });
    return stdout;
  }

  /** The URLs in a cache, without the origin, in their order. */
  async keys(cache) {
    const keys = JSON.parse(await this.command("cache", "keys", cache, "--json"));
    return keys.map(({ url }) => new URL(url)).map(({ pathname, search }) => pathname + search);
  }

  /** The names of all caches. */
  async caches() {
    return JSON.parse(await this.command("cache", "ls", "--json")).map(({ cache }) => cache);
  }

  /** The first line of the log, written already or still to come, that `is` what is meant. */
  logged(is) {
    const written = this.#log.find(is);
    if (written !== undefined) return written;
    return new Promise((resolve, reject) => {
      const lines = () => this.#log.map((line) => JSON.stringify(line)).join("\n");
      const timer = setTimeout(() => {
        this.#watchers.delete(watcher);
        reject(new Error(`no such line was logged, but:\n${lines()}`));
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

  /** What the log says of errors in the script so far. */
  get errors() {
    return this.#log.filter((line) => line.level === "ERROR");
  }

  #ask(method, target, headers, body) {
    return new Promise((resolve, reject) => {
      const options = { method, headers, agent: false, timeout: PATIENCE };
      const request = http.request(new URL(target, this.#address), options, (response) => {
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

  async #greeting() {
    for await (const line of createInterface({ input: this.#process.stdout })) {
      const at = line.lastIndexOf("http://");
      if (at >= 0) return line.slice(at).trim();
    }
    throw new Error(`the gateway did not start:\n${this.#log.map((line) => line.message).join("\n")}`);
  }

  async #end() {
    const ended = this.#process.exitCode === null ? new Promise((done) => this.#process.once("exit", done)) : undefined;
    this.#process.kill("SIGKILL");
    await ended;
    await rm(this.#home, { recursive: true, force: true });
  }
}
