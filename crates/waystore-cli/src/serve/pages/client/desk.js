// What the page's objects ask for, turned into frames, and frames into what the page sees.

const ANSWERED_MS = 30_000;

class Desk {
  #link;
  #post;
  #mirror;
  #container;
  #options;
  // Of requests, by number: who waits for the answer.
  #asked = new Map();
  #lastAsked = 0;
  // Whether the gateway left out steps: then its next one says who controls the page.
  #skipped = false;
  // Of prefetches, by number: a function for each frame that comes for it.
  #jobs = new Map();

  constructor(link, options) {
    this.#link = link;
    this.#options = options;
    this.#post = new Post(link);
    this.#container = new GatewayContainer(INSIDE, this);
    this.#mirror = new Mirror(this, this.#container);
    Object.assign(link.handlers, {
      message: (frame) => turn(() => this.#message(frame)),
      registration: (frame) => this.#registration(frame),
      controller: ({ version }) => this.#mirror.control(version),
      answer: (frame) => turn(() => this.#answer(frame)),
      refused: (frame) => turn(() => this.#refused(frame)),
      lost: (frame) => this.#lost(frame),
      progress: (frame) => turn(() => this.#jobs.get(frame.id)?.progress(frame)),
      end: (frame) => turn(() => this.#jobs.get(frame.id)?.end(frame)),
    });
    link.onwelcome = (anew, lost) => this.#welcome(anew, lost);
    link.onfailure = (error) => this.#over(error);
  }

  get container() {
    return this.#container;
  }

  // What the gateway said of its registration when it sent this script: a page that it answered is
  // controlled from its first line on.
  begin(told, controlled) {
    if (told !== null) this.#mirror.begin(told, controlled);
  }

  post(version, message, transfer) {
    this.#post.send({ frame: "message", version }, message, transfer);
  }

  broadcast(name, message) {
    this.#post.send({ frame: "broadcast", name }, message);
  }

  // The value that came with a broadcast; throws as `Post::receive` does.
  received(data) {
    return this.#post.receive(data).value;
  }

  ready() {
    return this.#mirror.when(({ active }) => active !== null);
  }

  registrations() {
    const { registration } = this.#mirror;
    return registration === undefined ? [] : [registration];
  }

  async registrationFor(url) {
    await this.#link.connected().then(() => this.#mirror.told, () => {});
    return this.registrations().find(({ scope }) => url.href.startsWith(scope)) ?? this.#others()?.getRegistration(url.href);
  }

  // Spec: https://w3c.github.io/ServiceWorker/#navigator-service-worker-register
  async register(script, options) {
    checkScript(script, options);
    const registration = await this.#registered();
    const { installing, waiting, active } = registration;
    const ours = new URL((installing ?? waiting ?? active).scriptURL);
    const scope = options.scope === undefined ? registration.scope : parsed(options.scope).href;
    if (withoutHash(script) === withoutHash(ours) && scope === registration.scope) return registration;
    if (this.#others() !== undefined) return this.#others().register(script.href, options);
    const text = `Failed to register ${script} for ${scope}: the gateway in front of this site runs ${ours} for ${registration.scope}, and no other`;
    complain(`${text}; data-others="browser" on the tag of client.js leaves others to the browser`);
    throw new TypeError(text);
  }

  // Asks for `update` or `unregister`; resolves with the answer.
  ask(what) {
    const id = ++this.#lastAsked;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { what, resolve, reject });
      this.#link.connected().catch((error) => this.#failed(id, new TypeError(`${what} failed: ${error.message}`)));
      if (!this.#link.send(JSON.stringify({ frame: "request", id, ask: what }), { id })) {
        this.#failed(id, new TypeError(`${what} failed: the gateway cannot be reached`));
      }
    });
  }

  // Starts a job whose frames go to `job.progress`, `job.end` and `job.failed`; returns what sends `abort`.
  start(plan, job) {
    const id = ++this.#lastAsked;
    const done = (then) => (given) => {
      this.#jobs.delete(id);
      then(given);
    };
    this.#jobs.set(id, { progress: job.progress, end: done(job.end), failed: done(job.failed) });
    const fail = (why) => this.#jobs.get(id).failed(new TypeError(why));
    const tooLong = () => fail(`the plan has more than the ${this.#link.limits.messageBytes} bytes that this gateway takes: split it`);
    if (!this.#link.send(JSON.stringify({ frame: "prefetch", id, plan }), { id, tooLong })) fail("the gateway cannot be reached");
    return () => this.#link.send(JSON.stringify({ frame: "abort", id }));
  }

  // The browser's own, where the page wants it for scripts that are not the gateway's.
  #others() {
    return this.#options.others === "browser" ? this.#options.native : undefined;
  }

  #registered() {
    const failed = this.#link.connected().then(
      () => new Promise((_, reject) => setTimeout(reject, ANSWERED_MS, new TypeError("Failed to register: the gateway runs no worker at the moment"))),
      (error) => Promise.reject(new TypeError(`Failed to register: ${error.message}`)),
    );
    const there = this.#mirror.when(({ installing, waiting, active }) => (installing ?? waiting ?? active) !== null);
    return Promise.race([there, failed]);
  }

  #welcome(anew, lost) {
    if (!anew) return;
    this.#post.closeAll();
    if (lost > 0) complain(`the gateway was started anew, and ${lost} messages may not have reached it`);
    const error = new TypeError("the gateway was started anew before it answered");
    const sent = (map) => [...map.keys()].filter((id) => !this.#link.isWaiting(id));
    for (const id of sent(this.#asked)) this.#failed(id, error);
    for (const id of sent(this.#jobs)) this.#jobs.get(id).failed(error);
    this.#options.onanew();
  }

  // There will be no gateway any more: who waits is told.
  #over({ message }) {
    for (const [id, { what }] of [...this.#asked]) this.#failed(id, new TypeError(`${what} failed: ${message}`));
    for (const job of [...this.#jobs.values()]) job.failed(new TypeError(message));
  }

  #registration({ n, registration }) {
    this.#mirror.show(registration);
    // The first of a connection says who controls the page; later ones are followed by `controller`, unless that is lost.
    if (n === 1 || this.#skipped) this.#mirror.control(registration?.controller ?? null, n === 1 && this.#container.controller === null);
    this.#skipped = false;
  }

  #lost({ messages, steps }) {
    if (messages > 0) complain(`${messages} messages for this page did not fit, and are lost`);
    this.#skipped ||= steps > 0;
  }

  #message({ from, data, ports }) {
    const source = this.#mirror.worker(from);
    let event;
    try {
      const received = this.#post.receive(data, ports);
      event = new MessageEvent("message", { data: received.value, ports: received.ports, origin: location.origin });
    } catch (error) {
      complain(`a message of the worker cannot be read: ${error.message}`);
      event = new MessageEvent("messageerror", { origin: location.origin });
    }
    // The constructor takes only the browser's own objects for it.
    Object.defineProperty(event, "source", { value: source, configurable: true });
    THE_CONTAINER.deliver(this.#container, event);
  }

  #answer({ id, value, error, echo }) {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (echo === true) complain(`${asked?.what} changed nothing: the gateway's \`messages\` does not let pages ask for it`);
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(errorNamed(error));
  }

  #failed(id, error) {
    this.#asked.get(id)?.reject(error);
    this.#asked.delete(id);
  }

  #refused({ of, what, reason, id }) {
    this.#post.refused(of);
    const error = new DOMException(`the gateway refused it: ${reason}`, "NotAllowedError");
    if (what === "prefetch") this.#jobs.get(id)?.failed(error);
    else if (what === "request") this.#failed(id, error);
    else complain(`the gateway refused a ${what}: ${reason}`);
  }
}

function checkScript(script, { scope = "./" }) {
  const target = new URL(scope, script);
  for (const url of [script, target]) {
    if (!/^https?:$/.test(url.protocol)) throw new TypeError(`Failed to register: ${url} is not an http(s) URL`);
    if (/%2f|%5c/i.test(url.pathname)) throw new TypeError(`Failed to register: ${url} has an escaped slash`);
  }
  if (script.origin !== location.origin) {
    throw new DOMException(`Failed to register: ${script} is at another origin than ${location.origin}`, "SecurityError");
  }
}

function withoutHash(url) {
  return url.href.slice(0, url.href.length - url.hash.length);
}

function errorNamed({ name, message }) {
  const Kind = ERRORS.find((Kind) => Kind.name === name);
  return Kind === undefined ? new DOMException(message, name) : new Kind(message);
}
