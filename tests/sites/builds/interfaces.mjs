// What the standards define of a service worker's global, from npm, as one text; and the harness that checks a global against it.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { writeFiles } from "../harness/site.mjs";
import { workerPath } from "./bundle.mjs";

const NODE_MODULES = fileURLToPath(new URL("../node_modules/", import.meta.url));
/** The harness of the Web Platform Tests. */
export const HARNESS = path.join(NODE_MODULES, "wpt-runner", "testharness");

const STANDARDS = [
  "service-workers", "fetch", "streams", "dom", "encoding", "compression", "url", "urlpattern", "FileAPI", "hr-time", "storage",
  "storage-buckets", "referrer-policy", "xhr", "webcrypto", "console", "webidl", "html",
];
/** Of HTML, which has much that belongs to documents, sockets and pictures. */
const OF_HTML = [
  "AbstractWorker", "BroadcastChannel", "ErrorEvent", "MessageChannel", "MessageEvent", "MessageEventTarget", "MessagePort", "NavigatorConcurrentHardware",
  "NavigatorID", "NavigatorLanguage", "NavigatorOnLine", "PromiseRejectionEvent", "WindowOrWorkerGlobalScope", "WorkerGlobalScope", "WorkerLocation",
  "WorkerNavigator",
];

/** Puts the worker that checks itself, and all that it needs, into the folder `site`. */
export async function interfaces(site) {
  const files = { "sw.js": await readFile(workerPath("interfaces.js")), "interfaces.idl": await definitions() };
  for (const name of ["testharness.js", "idlharness.js", "webidl2.js"]) files[name] = await readFile(path.join(HARNESS, name));
  await writeFiles(site, files);
  return "/sw.js";
}

async function definitions() {
  const { parse, write } = createRequire(import.meta.url)(path.join(HARNESS, "webidl2.js"));
  const read = async (standard) => {
    const parsed = parse(await readFile(path.join(NODE_MODULES, "@webref", "idl", `${standard}.idl`), "utf8"));
    return parsed.filter((definition) => standard !== "html" || isOfHtml(definition));
  };
  const all = (await Promise.all(STANDARDS.map(read))).flat();
  const known = new Set(all.filter((definition) => !definition.partial && isSeen(definition)).map(({ name }) => name));
  const kept = all.filter((definition) => {
    // What extends something of a standard that is not here.
    if (definition.inheritance && !known.has(definition.inheritance)) return false;
    if (definition.type === "includes") return known.has(definition.target) && known.has(definition.includes);
    return definition.partial ? known.has(definition.name) : isSeen(definition);
  });
  return write(kept);
}

function isOfHtml({ type, name, target }) {
  if (!["interface", "interface mixin", "includes", "namespace"].includes(type)) return true;
  return OF_HTML.includes(type === "includes" ? target : name);
}

/** Whether a service worker sees it: mixins and what has no object of its own count as seen. */
function isSeen({ type, extAttrs }) {
  if (type !== "interface" && type !== "namespace") return true;
  const exposed = extAttrs.find(({ name }) => name === "Exposed");
  if (exposed?.rhs?.type === "*") return true;
  const globals = [exposed?.rhs?.value ?? []].flat().map((global) => global.value ?? global);
  return globals.includes("Worker") || globals.includes("ServiceWorker");
}
