// Puts the parts together: reads what the page's tag says, gives the page its objects, and connects.

const TAG = document.currentScript?.dataset ?? {};
const NATIVE = navigator.serviceWorker;

const link = new Link(clientOfNavigation(), describePage);
const desk = new Desk(link, { others: TAG.others, native: NATIVE, onanew: () => joinAgain() });
const joinAgain = bridgeBroadcasts(link, desk);

desk.begin(TOLD, clientOfNavigation() !== undefined);
const prefetch = prefetchWith(desk);
const links = linksWith(prefetch);
globalThis.waystore = { serviceWorker: desk.container, browser: NATIVE, prefetch, links };
if (TAG.serviceWorker !== "aside") {
  const get = () => desk.container;
  Object.defineProperty(Navigator.prototype, "serviceWorker", { get, enumerable: true, configurable: true });
}
if (TAG.links !== undefined) links(linksOfTag());
followPage();
link.connect();

// The id that the navigation reserved, if the gateway answered it.
function clientOfNavigation() {
  const [navigation] = performance.getEntriesByType("navigation");
  return navigation?.serverTiming?.find(({ name }) => name === "waystore")?.description || undefined;
}

// `data-links="hover viewport"`, `data-links-delay`, `data-links-limit`, `data-links-ignore="/cart /account"`.
function linksOfTag() {
  const ways = TAG.links.split(/\s+/);
  const options = { hover: ways.includes("hover"), viewport: ways.includes("viewport") };
  if (TAG.linksDelay !== undefined) options.delay = Number(TAG.linksDelay);
  if (TAG.linksLimit !== undefined) options.limit = Number(TAG.linksLimit);
  if (TAG.linksIgnore !== undefined) options.ignore = TAG.linksIgnore.trim().split(/\s+/).filter(Boolean);
  if (TAG.linksCache !== undefined) options.cache = TAG.linksCache;
  return options;
}

// What the worker sees of this page.
function describePage() {
  const top = window.top === window;
  const frameType = !top ? "nested" : window.opener === null ? "top-level" : "auxiliary";
  return { url: location.href, type: "window", frameType, ...attention() };
}

function attention() {
  return { visible: document.visibilityState === "visible", focused: document.hasFocus() };
}

function followPage() {
  let last = attention();
  const changed = () => {
    const now = attention();
    if (now.visible) link.hurry();
    if (now.visible === last.visible && now.focused === last.focused) return;
    last = now;
    link.send(JSON.stringify({ frame: "client", ...now }));
  };
  document.addEventListener("visibilitychange", changed);
  for (const type of ["focus", "blur"]) window.addEventListener(type, changed);
  window.addEventListener("online", () => link.hurry());
  window.addEventListener("pagehide", ({ persisted }) => link.leave(!persisted));
  window.addEventListener("pageshow", ({ persisted }) => persisted && link.comeBack());
  const start = () => THE_CONTAINER.start(desk.container);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
}
