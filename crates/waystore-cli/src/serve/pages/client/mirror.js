// Makes the page's registration what the gateway's is: from each state that is told to the one before,
// the events follow that a browser fires. Knows no link.
// Spec: https://w3c.github.io/ServiceWorker/#update-registration-state-algorithm

const SLOTS = ["installing", "waiting", "active"];

class Mirror {
  #desk;
  #container;
  // By version, as long as a slot or the page holds it.
  #workers = new Map();
  #registration;
  // The page is told of changes to what it saw first, not of what it saw first.
  #waiting = new Set();
  #told = deferred();

  constructor(desk, container) {
    this.#desk = desk;
    this.#container = container;
  }

  get registration() {
    return this.#registration;
  }

  // Resolves once the registration, or that there is none, was told.
  get told() {
    return this.#told.promise;
  }

  // What is there before the page's first line runs: nobody has to be told of it.
  begin(told, controlled) {
    this.#apply(told);
    if (controlled) THE_CONTAINER.setController(this.#container, this.#registration.active);
  }

  // Resolves once `is(registration)` holds of the registration.
  when(is) {
    if (this.#registration !== undefined && is(this.#registration)) return Promise.resolve(this.#registration);
    return new Promise((resolve) => this.#waiting.add({ is, resolve }));
  }

  // The state that was told; `null`: there is no registration. Steps are turns, so that whoever waits for
  // what one brought runs before the next.
  show(told) {
    let events = [];
    turn(() => (events = this.#apply(told)));
    turn(() => events.forEach((fire) => fire()));
  }

  // This version (`null`: none) controls the page. `silent`: it did before the page could look.
  control(version, silent = false) {
    turn(() => {
      const worker = version === null ? null : this.worker({ version });
      if (worker === this.#container.controller) return;
      THE_CONTAINER.setController(this.#container, worker);
      if (!silent) this.#container.dispatchEvent(new Event("controllerchange"));
    });
  }

  // The page's object for a version: always the same one.
  worker({ version, script, state = "activated" }) {
    let worker = this.#workers.get(version);
    if (worker === undefined) {
      const { active, waiting } = this.#registration ?? {};
      const scriptURL = script === undefined ? (active ?? waiting)?.scriptURL ?? "" : here(script);
      worker = new GatewayWorker(INSIDE, { version, desk: this.#desk }, scriptURL, state);
      this.#workers.set(version, worker);
    }
    return worker;
  }

  // Sets what can be seen, and returns what has to be told of it.
  #apply(told) {
    const known = new Set(this.#workers.keys());
    const slots = {};
    const events = [];
    for (const slot of SLOTS) {
      const held = told?.[slot] ?? null;
      slots[slot] = held === null ? null : this.worker(held);
    }
    // As in a browser, who has to go goes before the next one takes its place.
    this.#dropWithout(slots, events);
    for (const slot of SLOTS) if (slots[slot] !== null) this.#change(slots[slot], told[slot].state, events);
    const found = slots.installing !== null && !known.has(THE_WORKER.version(slots.installing));
    this.#told.resolve();
    if (told === null && this.#registration !== undefined) THE_REGISTRATION.set(this.#registration, slots, "imports");
    if (told === null) this.#registration = undefined;
    else this.#fill(told, slots);
    const registration = this.#registration;
    if (found) events.unshift(() => registration.dispatchEvent(new Event("updatefound")));
    return events;
  }

  #fill({ scope: told, updateViaCache }, slots) {
    const scope = here(told);
    if (this.#registration?.scope !== scope) {
      this.#registration = new GatewayRegistration(INSIDE, this.#desk, scope, updateViaCache);
    }
    const registration = this.#registration;
    THE_REGISTRATION.set(registration, slots, updateViaCache);
    for (const wait of [...this.#waiting]) {
      if (!wait.is(registration)) continue;
      this.#waiting.delete(wait);
      wait.resolve(registration);
    }
  }

  #change(worker, state, events) {
    if (worker.state === state) return;
    THE_WORKER.setState(worker, state);
    events.push(() => worker.dispatchEvent(new Event("statechange")));
  }

  // Who is in no slot is redundant; the page's controller is remembered until it has another.
  #dropWithout(slots, events) {
    for (const [version, worker] of this.#workers) {
      if (SLOTS.some((slot) => slots[slot] === worker)) continue;
      this.#change(worker, "redundant", events);
      if (worker !== this.#container.controller) this.#workers.delete(version);
    }
  }
}

// A URL of the site as this page has it, which may have come by another name of it.
function here(url) {
  const { pathname, search } = new URL(url);
  return location.origin + pathname + search;
}

function deferred() {
  let resolve;
  const promise = new Promise((given) => (resolve = given));
  return { promise, resolve };
}
