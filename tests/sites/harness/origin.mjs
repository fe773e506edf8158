// A site in a folder, and paths that tell how often they were asked for.

import { readFile } from "node:fs/promises";
import path from "node:path";

import { Server, send } from "../../harness/server.mjs";

export class Origin extends Server {
  folder;

  /** Serves `folder`; under `/count/` every path answers with how often it was asked for. */
  static start(t, folder) {
    const origin = new Origin();
    origin.folder = folder;
    return origin.begin(t);
  }

  async answer(pathname, request, response) {
    if (pathname.startsWith("/count/")) return this.#count(pathname, request, response);
    const file = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
    send(response, pathname, await readFile(path.join(this.folder, path.normalize(file))).catch(() => undefined));
  }

  #count(pathname, { url }, response) {
    const status = Number(/\/status-(\d+)/.exec(pathname)?.[1] ?? 200);
    response.writeHead(status, { "content-type": "text/html", etag: `"${this.asked(url)}"` });
    response.end(`${this.asked(url)}`);
  }
}
