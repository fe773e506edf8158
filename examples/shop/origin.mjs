// The shop's origin as a server that takes its time: `node origin.mjs [port] [milliseconds]`.

import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";

const SITE = fileURLToPath(new URL("site", import.meta.url));
const TYPES = { ".css": "text/css", ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml" };
const [port = 8081, latencyMs = 150] = process.argv.slice(2).map(Number);

http.createServer(async (request, response) => {
  await new Promise((later) => setTimeout(later, latencyMs));
  try {
    const { pathname } = new URL(request.url, "http://localhost");
    const file = path.join(SITE, path.normalize(pathname.endsWith("/") ? `${pathname}index.html` : pathname));
    const body = await readFile(file);
    response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream" }).end(body);
  } catch {
    response.writeHead(404, { "content-type": "text/plain" }).end("not here");
  }
}).listen(port, "127.0.0.1", () => console.log(`the shop's origin, ${latencyMs} ms an answer: http://127.0.0.1:${port}`));
