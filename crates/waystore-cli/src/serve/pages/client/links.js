// waystore.links(): asks the gateway to fetch what the visitor may open next: links under the pointer, or
// in view. The page itself fetches nothing.

const LINK_OPTIONS = { hover: true, viewport: false, delay: 80, limit: 50, ignore: [], cache: undefined };
// In view; more of them go together than under the pointer.
const VIEW_DELAY_MS = 500;

// Starts, and returns what stops it. `options` are those above; `ignore` has texts (the start of a path),
// regular expressions, or functions of the URL and the element.
function linksWith(prefetch) {
  return function links(options = {}) {
    const settings = { ...LINK_OPTIONS, ...options };
    const stop = new AbortController();
    const asked = new Set();
    const wanted = (link) => candidate(link, settings);
    const ask = (urls, why) => {
      if (wantsToSave()) return;
      const left = [...new Set(urls)].filter((url) => !asked.has(url)).slice(0, settings.limit - asked.size);
      if (left.length === 0) return;
      for (const url of left) asked.add(url);
      const { cache, follow, onprogress } = settings;
      prefetch({ urls: left, cache, follow, onprogress, signal: stop.signal }).then(
        (results) => settings.onresult?.(results, why),
        (error) => stop.signal.aborted || complain(`links are not fetched ahead: ${error.message}`),
      );
    };
    if (settings.hover) onPointer(settings, stop.signal, wanted, (url) => ask([url], "hover"));
    if (settings.viewport) onView(stop.signal, wanted, (urls) => ask(urls, "viewport"));
    return () => stop.abort();
  };
}

// The URL of a link that may be fetched ahead: another page of this origin, opened by a plain GET.
function candidate(link, { ignore }) {
  if (!(link instanceof HTMLAnchorElement) || link.href === "" || link.hasAttribute("download")) return undefined;
  const url = new URL(link.href);
  url.hash = "";
  if (url.origin !== location.origin || url.href === location.href.split("#")[0]) return undefined;
  if (link.closest("[data-waystore-ignore]") !== null || ignore.some((rule) => ignores(rule, url, link))) return undefined;
  return url.href;
}

function ignores(rule, url, link) {
  if (typeof rule === "function") return rule(url, link);
  return rule instanceof RegExp ? rule.test(url.href) : url.pathname.startsWith(rule);
}

// A pointer that rests on a link, a finger that touches it, the focus that comes to it.
function onPointer({ delay }, signal, wanted, ask) {
  let timer;
  const over = (pause) => ({ target }) => {
    clearTimeout(timer);
    const link = target instanceof Element ? target.closest("a[href]") : null;
    const url = link === null ? undefined : wanted(link);
    if (url !== undefined) timer = setTimeout(() => signal.aborted || ask(url), pause);
  };
  const options = { signal, passive: true, capture: true };
  document.addEventListener("pointerover", over(delay), options);
  document.addEventListener("focusin", over(delay), options);
  document.addEventListener("pointerdown", over(0), options);
}

// Links that came into view and stayed there; those that are added later, too.
function onView(signal, wanted, ask) {
  const seen = new Set();
  let timer;
  const view = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) seen[isIntersecting ? "add" : "delete"](target);
    timer ??= setTimeout(() => {
      timer = undefined;
      ask([...seen].map(wanted).filter((url) => url !== undefined));
      for (const link of seen) view.unobserve(link);
      seen.clear();
    }, VIEW_DELAY_MS);
  });
  const watch = (root) => root.querySelectorAll?.("a[href]").forEach((link) => view.observe(link));
  const added = new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach((node) => {
    if (node instanceof HTMLAnchorElement) view.observe(node);
    watch(node);
  })));
  watch(document);
  added.observe(document, { childList: true, subtree: true });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    view.disconnect();
    added.disconnect();
  });
}
