// Fetches ahead what a visitor may open next, and shows in a small panel what that brought.
//
//   on load     the first three cards of a page: a message to the shop's own worker, which answers
//   on hover    the card under the pointer: waystore.prefetch(), which needs no code in the worker
//
// Both ask Waystore to fetch; this page fetches nothing itself. Opened without Waystore, it does nothing.

const TOP_ITEMS = 3;
const HOVER_MS = 60;

if (window.waystore && navigator.serviceWorker.controller) {
  const panel = makePanel();
  showClick(panel);
  onload(panel);
  onhover(panel);
}

function onload(panel) {
  const top = [...document.querySelectorAll(".card a")].slice(0, TOP_ITEMS);
  if (top.length === 0 || navigator.connection?.saveData) {
    return;
  }
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }) => showFetched(panel, data, "on load");
  const urls = top.flatMap(urlsOf);
  navigator.serviceWorker.controller.postMessage({ type: "PREFETCH", payload: { urls } }, [port2]);
}

function onhover(panel) {
  const asked = new Set();
  let timer;
  document.addEventListener("pointerover", ({ target }) => {
    clearTimeout(timer);
    const link = target.closest(".card a");
    if (link && !asked.has(link.href)) {
      timer = setTimeout(() => {
        asked.add(link.href);
        prefetch(link, panel);
      }, HOVER_MS);
    }
  });
}

async function prefetch(link, panel) {
  try {
    const results = await waystore.prefetch({ urls: urlsOf(link), cache: "ahead-v1", follow: ["$.productPic"] });
    showFetched(panel, results, "on hover");
  } catch (error) {
    console.warn(`not fetched ahead: ${error.message}`);
  }
}

// A product's page, and the JSON that it will ask for.
function urlsOf({ pathname }) {
  return [pathname, pathname.replace("/products/", "/api/products/").replace(".html", ".json")];
}

// How long this page took from the click to its content, and whether it had been fetched ahead.
function showClick(panel) {
  const [navigation] = performance.getEntriesByType("navigation");
  const entry = { path: location.pathname, ms: navigation.domInteractive, ahead: remembered("ahead").includes(location.pathname) };
  const clicks = [...remembered("clicks"), entry].filter(({ path }) => path.startsWith("/products/")).slice(-20);
  sessionStorage.setItem("clicks", JSON.stringify(clicks));
  for (const ahead of [true, false]) {
    const times = clicks.filter((click) => click.ahead === ahead).map(({ ms }) => ms).sort((a, b) => a - b);
    const figure = panel.querySelector(ahead ? ".with" : ".without");
    figure.textContent = times.length === 0 ? "–" : `${Math.round(times[times.length >> 1])} ms`;
  }
  const which = panel.querySelector(".this");
  which.textContent = `This page took ${Math.round(entry.ms)} ms${entry.ahead ? ", fetched ahead" : ""}.`;
}

function showFetched(panel, results, why) {
  const paths = results.map(({ url }) => new URL(url, location).pathname);
  sessionStorage.setItem("ahead", JSON.stringify([...new Set([...remembered("ahead"), ...paths])].slice(-200)));
  const list = panel.querySelector("ul");
  results.forEach(({ source, bytes, outcome }, at) => {
    const row = document.createElement("li");
    row.append(span("path", paths[at]), span("from", `${source ?? outcome}, ${why}`), span("bytes", `${bytes} B`));
    list.prepend(row);
  });
  while (list.children.length > 6) {
    list.lastChild.remove();
  }
  panel.dataset.fetched = Number(panel.dataset.fetched ?? 0) + results.length;
}

function makePanel() {
  const panel = document.createElement("aside");
  panel.className = "ahead";
  panel.setAttribute("aria-label", "Fetched ahead");
  panel.innerHTML = `
    <h2>Fetched ahead</h2>
    <p class="figures"><span>Click to content, with <b class="with"></b></span> <span>without <b class="without"></b></span></p>
    <p class="this"></p>
    <ul></ul>`;
  document.body.append(panel);
  return panel;
}

function span(className, textContent) {
  return Object.assign(document.createElement("span"), { className, textContent });
}

function remembered(name) {
  return JSON.parse(sessionStorage.getItem(name) ?? "[]");
}
