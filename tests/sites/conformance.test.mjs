// The harness of the Web Platform Tests, from npm: in a shell with tests of ours, and in a service worker with the standards' definitions.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { HARNESS, interfaces } from "./builds/interfaces.mjs";
import { Gateway, run } from "../harness/gateway.mjs";
import { Origin } from "./harness/origin.mjs";
import { emptySite, writeFiles } from "./harness/site.mjs";

const suite = (name) => fileURLToPath(new URL(`suites/${name}`, import.meta.url));
const TESTHARNESS = path.join(HARNESS, "testharness.js");

test("testharness.js runs tests in a shell, and tells what passes from what fails", async (t) => {
  const folder = await emptySite(t);
  await writeFiles(folder, { "done.js": "done();" });
  const scripts = [TESTHARNESS, suite("report.js"), suite("shell.js"), path.join(folder, "done.js")];
  const { code, lines } = await run("--url", "https://a.test/page", ...scripts);
  const told = lines.map((line) => JSON.parse(line));
  const harness = told.pop();
  assert.deepEqual({ code, harness: harness.harness, message: harness.message }, { code: 0, harness: 0, message: null });
  const failed = told.filter(({ status }) => status !== 0);
  assert.deepEqual(failed.map(({ name, message }) => ({ name, message: message.split(" expected")[0] })), [
    { name: "a test that fails is told from those that pass", message: "assert_true: as meant" },
  ]);
  assert.equal(told.length, 9);
});

test("what no test catches ends the run", async (t) => {
  const folder = await emptySite(t);
  const source = 'promise_test(() => new Promise(() => {}), "waits"); setTimeout(() => { throw new Error("stray") }); done();';
  await writeFiles(folder, { "stray.js": source });
  const { code, complaint } = await run("--url", "https://a.test/page", TESTHARNESS, suite("report.js"), path.join(folder, "stray.js"));
  assert.equal(code, 1);
  assert.match(complaint, /error: Error: stray\n.*stray\.js:1/);
});

test("a service worker's interfaces are those that the standards define", async (t) => {
  const site = await emptySite(t);
  const worker = await interfaces(site);
  const origin = await Origin.start(t, site);
  // It reads thousands of lines of definitions in one go.
  const patience = ["start-timeout", "response-timeout", "cpu-slice", "worker-patience"].flatMap((key) => [`--${key}`, "120s"]);
  const gateway = await Gateway.start(t, origin, { worker, flags: [...patience, "--worker-memory", "512"] });
  const { status, message, passed, failed } = JSON.parse((await gateway.get("/results")).text);
  assert.equal(status, 0, message);
  const expected = (await readFile(suite("interfaces-expected.txt"), "utf8")).split("\n").filter((line) => /^[^#]/.test(line));
  const names = expected.map((line) => line.split(" | ")[0]);
  const unexpected = failed.filter(({ name }) => !names.some((start) => name.startsWith(start)));
  assert.deepEqual(unexpected, []);
  assert.deepEqual(names.filter((start) => !failed.some(({ name }) => name.startsWith(start))), [], "these hold");
  assert.ok(passed > 1000, `${passed} passed`);
});
