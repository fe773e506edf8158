// client.js in a real page, with a gateway that says what the test wants: what comes seldom or never from a
// gateway that works. The other files here ask a real one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startBrowser, visitor } from "./harness/browser.mjs";
import { ORIGIN, Scripted, registration, version } from "./harness/scripted.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.close());

const ACTIVE = registration({ active: version(1, "activated") }, "v1");

/** A page that is connected, or about to be where `welcome` is false. */
async function opened(t, { welcome = true, ...options } = {}) {
  const context = await visitor(t, browser);
  const gateway = await Scripted.start(context, options);
  const page = await context.newPage();
  await page.goto(`${ORIGIN}/`);
  const hello = welcome ? await gateway.welcome() : undefined;
  return { context, gateway, page, hello };
}

test("the page says who it is: the id that its navigation brought, where it is, how it is looked at", async (t) => {
  const { hello } = await opened(t);
  assert.deepEqual(
    { ...hello, focused: undefined },
    { frame: "hello", version: 1, client: "reserved-id", received: 0, url: `${ORIGIN}/`, type: "window", frameType: "top-level", visible: true, focused: undefined },
  );
});

test("a page that the gateway answered has its controller in its first line", async (t) => {
  const body = `<script>window.first = navigator.serviceWorker.controller?.scriptURL; navigator.serviceWorker.controller.postMessage({ type: "EARLY" });</script>`;
  const { page, gateway } = await opened(t, { registration: ACTIVE, body });
  assert.equal(await page.evaluate("first"), `${ORIGIN}/sw.js`);
  const { n, version, data } = await gateway.next();
  assert.deepEqual({ n, version, data }, { n: 1, version: "v1", data: [{ is: "object", id: 0 }, [{ kind: "Object", entries: [["type", "EARLY"]] }]] });
});

test("the objects are what pages take them for", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  gateway.tell({ frame: "registration", registration: ACTIVE });
  const looks = await page.evaluate(async () => {
    const container = navigator.serviceWorker;
    const registration = await container.ready;
    const { active } = registration;
    const illegal = (Kind) => { try { new Kind(); return "made"; } catch (error) { return error.name; } };
    return {
      instances: [container instanceof ServiceWorkerContainer, registration instanceof ServiceWorkerRegistration, active instanceof ServiceWorker],
      not: [{} instanceof ServiceWorker, active instanceof ServiceWorkerRegistration, null instanceof ServiceWorker],
      targets: [container, registration, active].every((one) => one instanceof EventTarget),
      tags: [container, registration, active].map(String),
      illegal: [container, registration, active].map(({ constructor }) => illegal(constructor)),
      same: [container.controller === active, (await container.getRegistration()) === registration, (await container.getRegistrations())[0] === registration],
      absent: ["pushManager" in registration, "sync" in registration],
      handlers: [container.onmessage, container.oncontrollerchange, registration.onupdatefound, active.onstatechange],
    };
  });
  assert.deepEqual(looks, {
    instances: [true, true, true], not: [false, false, false], targets: true,
    tags: ["[object ServiceWorkerContainer]", "[object ServiceWorkerRegistration]", "[object ServiceWorker]"],
    illegal: ["TypeError", "TypeError", "TypeError"], same: [true, true, true], absent: [false, false], handlers: [null, null, null, null],
  });
});

test("the events of an update come in the order of a browser, each with its state", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  gateway.tell({ frame: "registration", registration: ACTIVE });
  await page.evaluate(async () => {
    window.seen = [];
    const registration = await navigator.serviceWorker.register("/sw.js");
    const slots = () => ["installing", "waiting", "active"].filter((slot) => registration[slot] !== null).join();
    const follow = (name, worker) => (worker.onstatechange = () => seen.push(`${name} ${worker.state} (${slots()})`));
    follow("old", registration.active);
    registration.onupdatefound = () => {
      seen.push(`updatefound (${slots()})`);
      follow("new", registration.installing);
    };
    navigator.serviceWorker.oncontrollerchange = () => {
      seen.push(`controllerchange ${navigator.serviceWorker.controller === registration.active}`);
    };
  });
  const states = [
    { installing: version(2, "installing"), active: version(1, "activated") },
    { waiting: version(2, "installed"), active: version(1, "activated") },
    { active: version(2, "activating") },
  ];
  for (const slots of states) gateway.tell({ frame: "registration", registration: registration(slots, "v1") });
  gateway.tell({ frame: "controller", version: "v2" });
  gateway.tell({ frame: "registration", registration: registration({ active: version(2, "activated") }, "v2") });
  await page.waitForFunction("seen.length === 7 || seen.at(-1)?.startsWith('new activated')");
  assert.deepEqual(await page.evaluate("seen"), [
    "updatefound (installing,active)",
    "new installed (waiting,active)",
    "old redundant (active)",
    "new activating (active)",
    "controllerchange true",
    "new activated (active)",
  ]);
});

test("messages wait until the page is ready for them, and name the worker that sent them", async (t) => {
  const body = `<script>
    navigator.serviceWorker.addEventListener("message", ({ data, source, origin }) => (window.got = { data, source: source === navigator.serviceWorker.controller, origin }));
  </script><script src="/slow.js"></script>`;
  const context = await visitor(t, browser);
  const gateway = await Scripted.start(context, { registration: ACTIVE, body });
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await context.route("**/slow.js", async (route) => (await held, route.fulfill({ contentType: "text/javascript", body: "window.early = window.got" })));
  const page = await context.newPage();
  const loaded = page.goto(`${ORIGIN}/`);
  await gateway.welcome();
  gateway.tell({ frame: "registration", registration: ACTIVE });
  gateway.tell({ frame: "message", from: version(1, "activated"), data: ["hello", []] });
  gateway.say({ frame: "ping" });
  assert.equal((await gateway.next()).frame, "pong");
  release();
  await loaded;
  await page.waitForFunction("window.got !== undefined");
  assert.deepEqual(await page.evaluate("({ early: window.early, got })"), { early: undefined, got: { data: "hello", source: true, origin: ORIGIN } });
});

/** What the page sends because of `script`: its frame's name, or `nothing`. */
async function saysAfter(page, gateway, script) {
  gateway.say({ frame: "ping" });
  assert.equal((await gateway.next()).frame, "pong");
  await page.evaluate(script);
  // Ports take a task or two; so does this, and it began later.
  await page.evaluate(() => new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => setTimeout(resolve);
    port2.postMessage(null);
  }));
  await page.evaluate("waystore.serviceWorker.controller.postMessage('nothing')");
  const { frame, data } = await gateway.next();
  return frame === "message" ? data[0] : frame;
}

test("a port that is sent along talks both ways, and is closed by either side", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate(() => {
    window.got = [];
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => {
      got.push(data);
      port1.postMessage({ echo: data });
    };
    window.port = port1;
    navigator.serviceWorker.controller.postMessage("with a port", [port2]);
  });
  const { ports, data } = await gateway.next();
  assert.deepEqual({ ports, data }, { ports: [1], data: ["with a port", []] });
  gateway.tell({ frame: "port", port: 1, data: [7, []] });
  const answer = await gateway.next();
  assert.deepEqual([answer.frame, answer.port, answer.data[1][0].entries], ["port", 1, [["echo", 7]]]);
  gateway.tell({ frame: "close-port", port: 1 });
  gateway.tell({ frame: "port", port: 1, data: ["too late", []] });
  assert.equal(await saysAfter(page, gateway, "port.postMessage('nobody is there')"), "nothing");
  assert.deepEqual(await page.evaluate("got"), [7]);

  await page.evaluate(() => {
    navigator.serviceWorker.onmessage = ({ ports: [port] }) => {
      port.postMessage("hi");
      port.close();
    };
  });
  gateway.tell({ frame: "message", from: version(1, "activated"), ports: [2], data: [{ is: "object", id: 0 }, [{ kind: "Port", index: 0 }]] });
  assert.deepEqual((await gateway.next()).data, ["hi", []]);
  const { frame, port } = await gateway.next();
  assert.deepEqual({ frame, port }, { frame: "close-port", port: 2 });
});

test("what comes through a port right behind the message that brought it is heard", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate(() => {
    window.got = [];
    navigator.serviceWorker.onmessage = ({ ports: [port] }) => (port.onmessage = ({ data }) => got.push(data));
  });
  // The page is busy while all of it comes.
  const busy = page.evaluate("{ const until = performance.now() + 300; while (performance.now() < until); }");
  gateway.tell({ frame: "message", from: version(1, "activated"), ports: [2], data: [{ is: "object", id: 0 }, [{ kind: "Port", index: 0 }]] });
  for (const text of ["one", "two"]) gateway.tell({ frame: "port", port: 2, data: [text, []] });
  gateway.tell({ frame: "close-port", port: 2 });
  await busy;
  await page.waitForFunction("got.length === 2");
  assert.deepEqual(await page.evaluate("got"), ["one", "two"]);
});

test("a page that closes a port that it had made says so", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate(() => {
    const { port1, port2 } = new MessageChannel();
    navigator.serviceWorker.controller.postMessage("with a port", [port2]);
    port1.close();
  });
  assert.deepEqual((await gateway.next()).ports, [1]);
  const { frame, port } = await gateway.next();
  assert.deepEqual({ frame, port }, { frame: "close-port", port: 1 });
});

test("a port that is closed behind a blob closes behind it", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate(() => {
    navigator.serviceWorker.onmessage = ({ ports: [port] }) => {
      port.postMessage(new Blob(["blob"]));
      port.close();
    };
  });
  gateway.tell({ frame: "message", from: version(1, "activated"), ports: [2], data: [{ is: "object", id: 0 }, [{ kind: "Port", index: 0 }]] });
  assert.deepEqual([(await gateway.next()).frame, (await gateway.next()).frame], ["port", "close-port"]);
});

test("where as many ports are open as may be, the one goes that was answered longest ago", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE, welcome: false });
  await gateway.welcome({ limits: { messageBytes: 1 << 20, ports: 2, unacknowledged: 256 } });
  const send = () => page.evaluate(() => {
    const { port1, port2 } = new MessageChannel();
    (window.kept ??= []).push(port1);
    navigator.serviceWorker.controller.postMessage("ask", [port2]);
  });
  for (const port of [1, 3]) {
    await send();
    assert.deepEqual((await gateway.next()).ports, [port]);
  }
  gateway.tell({ frame: "port", port: 3, data: ["answer", []] });
  gateway.say({ frame: "ping" });
  await gateway.next();
  await send();
  const { frame, port } = await gateway.next();
  assert.deepEqual({ frame, port }, { frame: "close-port", port: 3 });
  assert.deepEqual((await gateway.next()).ports, [5]);
});

test("after a reconnect what was not acknowledged is sent again, once, and nothing else", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate("for (const text of ['a', 'b', 'c']) navigator.serviceWorker.controller.postMessage(text)");
  for (const text of ["a", "b", "c"]) assert.equal((await gateway.next()).data[0], text);
  gateway.say({ frame: "ack", upto: 1 });
  gateway.socket.close({ code: 1001, reason: "the gateway stops" });
  const hello = await gateway.welcome({ resumed: true, received: 2 });
  assert.deepEqual([hello.client, hello.key, gateway.connections], ["c1", "k1", 2]);
  const again = await gateway.next();
  assert.deepEqual([again.n, again.data[0]], [3, "c"]);
  await page.evaluate("navigator.serviceWorker.controller.postMessage('d')");
  const { n, data } = await gateway.next();
  assert.deepEqual([n, data[0]], [4, "d"]);
});

test("what comes twice is taken once", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate("window.got = []; navigator.serviceWorker.onmessage = ({ data }) => got.push(data)");
  const message = (text, n) => gateway.say({ frame: "message", n, from: version(1, "activated"), data: [text, []] });
  message("one", 1);
  message("one", 1);
  message("two", 2);
  await page.waitForFunction("got.includes('two')");
  assert.deepEqual(await page.evaluate("got"), ["one", "two"]);
});

test("what is posted while there is no gateway reaches the next one, with its ports", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  gateway.socket.close({ code: 1001 });
  await page.evaluate(() => {
    const { port1, port2 } = new MessageChannel();
    port1.postMessage("early");
    navigator.serviceWorker.controller.postMessage("waits", [port2]);
  });
  await gateway.welcome({ client: "c2", key: "k2" });
  const { n, ports, data } = await gateway.next();
  assert.deepEqual({ n, ports, data: data[0] }, { n: 1, ports: [1], data: "waits" });
  const { port, data: early } = await gateway.next();
  assert.deepEqual({ port, early: early[0] }, { port: 1, early: "early" });
});

test("a gateway that was started anew is told what it does not know, and the page what was lost", async (t) => {
  const { context, page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate(() => {
    window.got = [];
    window.channel = new BroadcastChannel("news");
    const { port1, port2 } = new MessageChannel();
    window.port = port1;
    navigator.serviceWorker.controller.postMessage("not acknowledged", [port2]);
    navigator.serviceWorker.getRegistration().then((registration) => registration.update()).catch((error) => got.push(error.name));
  });
  assert.equal((await gateway.next()).name, "news");
  assert.equal((await gateway.next()).frame, "message");
  gateway.tell({ frame: "registration", registration: ACTIVE });
  assert.equal((await gateway.next()).ask, "update");
  gateway.socket.close({ code: 1001 });
  await gateway.welcome({ client: "c2", key: "k2" });
  const { frame, name, n } = await gateway.next();
  assert.deepEqual({ frame, name, n }, { frame: "join", name: "news", n: 1 });
  await page.waitForFunction("got.length === 1");
  assert.deepEqual(await page.evaluate("got"), ["TypeError"]);
  assert.equal(await saysAfter(page, gateway, "port.postMessage('nobody is there')"), "nothing");
  assert.ok(context.lines.some((line) => /3 messages may not have reached it/.test(line)), context.lines.join("\n"));
});

test("who was replaced by a newer connection does not come back, and who waits for an answer is told", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  gateway.tell({ frame: "registration", registration: ACTIVE });
  await page.evaluate(() => {
    window.failed = {};
    window.ask = (what, asked) => asked.catch(({ name, message }) => (failed[what] = `${name}: ${message}`));
    ask("update", navigator.serviceWorker.ready.then((registration) => registration.update()));
    ask("prefetch", waystore.prefetch({ urls: ["/a"] }));
  });
  for (const _ of ["update", "prefetch"]) await gateway.next();
  gateway.say({ frame: "close", code: 4409, reason: "the client has a newer connection" });
  await page.waitForFunction("failed.update && failed.prefetch");
  await page.evaluate("void ask('later', waystore.prefetch({ urls: ['/a'] }))");
  assert.deepEqual(await page.evaluate("failed"), {
    update: "TypeError: update failed: the client has a newer connection",
    prefetch: "TypeError: the client has a newer connection",
    later: "TypeError: the gateway cannot be reached",
  });
  assert.equal(gateway.connections, 1);
});

test("a page whose frames the gateway does not understand is a new client, and starts afresh", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate(() => {
    window.got = [];
    window.channel = new BroadcastChannel("news");
    const { port1, port2 } = new MessageChannel();
    window.port = port1;
    navigator.serviceWorker.controller.postMessage("with a port", [port2]);
    waystore.prefetch({ urls: ["/a"] }).catch(({ name }) => got.push(name));
  });
  for (const frame of ["join", "message", "prefetch"]) assert.equal((await gateway.next()).frame, frame);
  gateway.say({ frame: "close", code: 4400, reason: "the frame after number 3 is missing" });
  const hello = await gateway.welcome({ client: "c2", key: "k2" });
  assert.deepEqual([hello.client, hello.key], [undefined, undefined]);
  const { frame, name, n } = await gateway.next();
  assert.deepEqual({ frame, name, n }, { frame: "join", name: "news", n: 1 });
  await page.waitForFunction("got.length === 1");
  assert.deepEqual(await page.evaluate("got"), ["TypeError"]);
  assert.equal(await saysAfter(page, gateway, "port.postMessage('nobody is there')"), "nothing");
});

test("a frame that the gateway never takes leaves its number to nothing, and the others come again", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate("for (const text of ['a', 'b'.repeat(1000), 'c']) navigator.serviceWorker.controller.postMessage(text)");
  for (const _ of "abc") await gateway.next();
  gateway.say({ frame: "close", code: 1009, reason: "a frame has at most 500 bytes" });
  await gateway.welcome({ resumed: true, received: 0 });
  const again = [await gateway.next(), await gateway.next(), await gateway.next()];
  assert.deepEqual(again.map(({ n, frame }) => [n, frame]), [[1, "message"], [2, "nothing"], [3, "message"]]);
});

test("a page does not come back before the gateway wants it, also when there is reason to hurry", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  gateway.say({ frame: "close", code: 4429, reason: "too many frames", retryMs: 3000 });
  const began = performance.now();
  await page.evaluate("dispatchEvent(new Event('online'))");
  await gateway.welcome({ client: "c2", key: "k2" });
  assert.ok(performance.now() - began >= 2500, `${performance.now() - began} ms`);
});

test("where steps were left out, the next one says who controls the page", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  gateway.tell({ frame: "registration", registration: ACTIVE });
  await page.evaluate("window.changes = []; navigator.serviceWorker.oncontrollerchange = () => changes.push(navigator.serviceWorker.controller === window.active)");
  gateway.tell({ frame: "lost", messages: 0, steps: 3 });
  await page.evaluate("navigator.serviceWorker.ready.then((registration) => { Object.defineProperty(window, 'active', { get: () => registration.active }) })");
  gateway.tell({ frame: "registration", registration: registration({ active: version(3, "activated") }, "v3") });
  await page.waitForFunction("changes.length === 1");
  assert.deepEqual(await page.evaluate("changes"), [true]);
});

test("what a step leaves out has its order all the same: a version is found before the one that waited goes", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  gateway.tell({ frame: "registration", registration: registration({ waiting: version(2, "installed"), active: version(1, "activated") }, "v1") });
  await page.waitForFunction("navigator.serviceWorker.getRegistration().then((registration) => registration.waiting !== null)");
  await page.evaluate(async () => {
    window.seen = [];
    const registration = await navigator.serviceWorker.getRegistration();
    registration.waiting.onstatechange = ({ target }) => seen.push(target.state);
    registration.onupdatefound = () => seen.push("updatefound");
  });
  gateway.tell({ frame: "registration", registration: registration({ installing: version(3, "installing"), active: version(1, "activated") }, "v1") });
  await page.waitForFunction("seen.length === 2");
  assert.deepEqual(await page.evaluate("seen"), ["updatefound", "redundant"]);
});

test("a channel whose name cannot be said stays the browser's", async (t) => {
  const { context, page, gateway } = await opened(t, { registration: ACTIVE });
  const script = "for (const name of ['x'.repeat(1025), '\\ud800']) { const channel = new BroadcastChannel(name); channel.postMessage(1); channel.close(); }";
  assert.equal(await saysAfter(page, gateway, script), "nothing");
  assert.ok(context.lines.some((line) => /is not the worker's/.test(line)), context.lines.join("\n"));
});

test("what the gateway refuses is in the console, once, with its reason, and the ports that came along are closed", async (t) => {
  const { context, page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate(() => {
    window.ports = ["a", "b"].map((text) => {
      const { port1, port2 } = new MessageChannel();
      navigator.serviceWorker.controller.postMessage(text, { transfer: [port2] });
      return port1;
    });
  });
  for (const of of [1, 2]) {
    await gateway.next();
    gateway.tell({ frame: "refused", of, what: "message", reason: "messages of the type X are not in `messages`" });
  }
  assert.equal(await saysAfter(page, gateway, "ports.forEach((port) => port.postMessage(0))"), "nothing");
  const lines = context.lines.filter((line) => line.includes("messages of the type X are not in"));
  assert.equal(lines.length, 1, context.lines.join("\n"));
});

test("a message that is too long is not sent, and the page is told", async (t) => {
  const { context, page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate("navigator.serviceWorker.controller.postMessage('x'.repeat(2 << 20)); navigator.serviceWorker.controller.postMessage('short')");
  assert.equal((await gateway.next()).data[0], "short");
  assert.ok(context.lines.some((line) => /more than the 1048576 bytes/.test(line)), context.lines.join("\n"));
});

test("what is too long for this gateway is not sent though it was posted before the gateway could say so", async (t) => {
  const { context, page, gateway } = await opened(t, { registration: ACTIVE, welcome: false });
  const plan = page.evaluate(() => {
    const { port1, port2 } = new MessageChannel();
    navigator.serviceWorker.controller.postMessage("ä".repeat(600), [port2]);
    navigator.serviceWorker.controller.postMessage("short");
    return waystore.prefetch({ urls: ["/".repeat(2000)] }).catch(({ name, message }) => [name, message]);
  });
  await gateway.welcome({ limits: { messageBytes: 1024, ports: 64, unacknowledged: 256 } });
  const { n, data, ports } = await gateway.next();
  assert.deepEqual({ n, data, ports }, { n: 1, data: ["short", []], ports: undefined });
  assert.deepEqual(await plan, ["TypeError", "the plan has more than the 1024 bytes that this gateway takes: split it"]);
  assert.ok(context.lines.some((line) => /more than the 1024 bytes/.test(line)), context.lines.join("\n"));
});

test("messages with blobs keep their place among the others", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  await page.evaluate(() => {
    const { controller } = navigator.serviceWorker;
    controller.postMessage(new Blob(["blob"], { type: "a/b" }));
    controller.postMessage("behind");
  });
  assert.deepEqual((await gateway.next()).data[1][0], { kind: "Blob", type: "a/b", bytes: "YmxvYg==" });
  assert.equal((await gateway.next()).data[0], "behind");
});

test("what cannot be cloned throws at the page that posts it", async (t) => {
  const { page } = await opened(t, { registration: ACTIVE });
  const name = (what) => page.evaluate(`try { navigator.serviceWorker.controller.postMessage(${what}) } catch (error) { error.name }`);
  assert.equal(await name("{ f() {} }"), "DataCloneError");
  assert.equal(await name("new ImageData(1, 1)"), "DataCloneError");
  assert.equal(await name(""), "TypeError");
});

test("register takes the gateway's script and scope, and says why it takes no other", async (t) => {
  const { page, context, gateway } = await opened(t, { registration: ACTIVE });
  gateway.tell({ frame: "registration", registration: ACTIVE });
  const outcome = (call) => page.evaluate(`navigator.serviceWorker.register(${call}).then(({ scope }) => scope, ({ name }) => name)`);
  assert.equal(await outcome("'/sw.js'"), `${ORIGIN}/`);
  assert.equal(await outcome("'sw.js#part', { scope: '/' }"), `${ORIGIN}/`);
  assert.equal(await outcome("'/other.js'"), "TypeError");
  assert.equal(await outcome("'/sw.js', { scope: '/deep/' }"), "TypeError");
  assert.equal(await outcome("'https://elsewhere.example/sw.js'"), "SecurityError");
  assert.equal(await outcome("'/a%2fsw.js'"), "TypeError");
  assert.equal(await outcome(""), "TypeError");
  assert.ok(context.lines.some((line) => /this site runs .*sw\.js/.test(line)));
});

test("with data-others=\"browser\" other scripts are the browser's, and with data-service-worker=\"aside\" the name is", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE, tag: 'data-others="browser"' });
  gateway.tell({ frame: "registration", registration: ACTIVE });
  // The page that is served there is no script, which the browser itself finds out.
  assert.equal(await page.evaluate("navigator.serviceWorker.register('/other.js').catch(({ name }) => name)"), "SecurityError");
  const aside = await opened(t, { registration: ACTIVE, tag: 'data-service-worker="aside"' });
  const both = "[navigator.serviceWorker.controller, waystore.serviceWorker.controller?.state]";
  assert.deepEqual(await aside.page.evaluate(both), [null, "activated"]);
});

test("update and unregister ask the gateway; an echo changes nothing and says so", async (t) => {
  const { context, page, gateway } = await opened(t, { registration: ACTIVE });
  gateway.tell({ frame: "registration", registration: ACTIVE });
  const updated = page.evaluate("navigator.serviceWorker.ready.then((r) => r.update()).then((r) => r.scope)");
  const update = await gateway.next();
  gateway.tell({ frame: "answer", id: update.id, value: null });
  assert.equal(await updated, `${ORIGIN}/`);
  const removed = page.evaluate("navigator.serviceWorker.ready.then((r) => r.unregister())");
  gateway.tell({ frame: "answer", id: (await gateway.next()).id, value: true, echo: true });
  assert.equal(await removed, true);
  assert.ok(context.lines.some((line) => /unregister changed nothing/.test(line)), context.lines.join("\n"));
  const failed = page.evaluate("navigator.serviceWorker.ready.then((r) => r.update()).catch((e) => [e.name, e.message])");
  gateway.tell({ frame: "answer", id: (await gateway.next()).id, error: { name: "TypeError", message: "the script has an error" } });
  assert.deepEqual(await failed, ["TypeError", "the script has an error"]);
});

test("broadcasts go to the worker and come from it, and nobody hears one twice", async (t) => {
  const { context, page, gateway } = await opened(t, { registration: ACTIVE });
  const listen = () => {
    window.heard = [];
    window.channel = new BroadcastChannel("news");
    channel.onmessage = ({ data }) => heard.push(data);
  };
  const other = await context.newPage();
  await page.evaluate(listen);
  assert.deepEqual((({ frame, name }) => ({ frame, name }))(await gateway.next()), { frame: "join", name: "news" });
  const first = gateway.socket;
  await other.goto(`${ORIGIN}/`);
  await gateway.welcome();
  await other.evaluate(listen);
  await gateway.next();

  await page.evaluate("channel.postMessage('from a page')");
  const { frame, name, data } = await gateway.next();
  assert.deepEqual({ frame, name, data }, { frame: "broadcast", name: "news", data: ["from a page", []] });
  await other.waitForFunction("heard.length > 0");
  first.send(JSON.stringify({ frame: "broadcast", n: 1, name: "news", data: ["from the worker", []] }));
  await page.waitForFunction("heard.length > 0");
  await page.evaluate("channel.close()");
  assert.equal((await gateway.next()).frame, "leave");
  assert.deepEqual([await page.evaluate("heard"), await other.evaluate("heard")], [["from the worker"], ["from a page"]]);
});

test("a page that goes says so", async (t) => {
  const { page, gateway } = await opened(t, { registration: ACTIVE });
  await page.close({ runBeforeUnload: true });
  assert.equal((await gateway.next()).frame, "bye");
});
