/** What `npm test` counts, proved on test files that crash, hang, hold nothing or skip without a listed reason. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { projectRoot } from "./command-line.js";

interface Counts {
  passed: number;
  failures: string[];
  skipped: string[];
}

test("suites are not counted, and a failing inner test is one failure", (context) => {
  const counts = countTests(
    context,
    `describe("suite", () => { test("one", () => {}); test("two", () => {}); });
     test("outer", async (t) => { await t.test("inner", () => { throw new Error("no"); }); });`,
  );
  assert.equal(counts.passed, 2);
  assert.equal(counts.failures.length, 1);
  assert.match(counts.failures[0]!, /^inner: Error: no/);
});

test("a test file that is killed counts as a failure", (context) => {
  const counts = countTests(
    context,
    `test("one", () => {}); test("two", () => { process.kill(process.pid, "SIGKILL"); });`,
  );
  assert.match(counts.failures.join(), /was killed by SIGKILL/);
});

test("a test file that hangs counts as a failure and names the test", (context) => {
  const counts = countTests(context, `test("stuck", () => new Promise(() => setInterval(() => {}, 1000)));`);
  assert.match(counts.failures.join(), /did not end in time; not finished: "stuck"/);
});

test("a test file without a test counts as a failure", (context) => {
  assert.match(countTests(context, "").failures.join(), /holds no test/);
});

test("a skip with a listed reason is counted as skipped", (context) => {
  const counts = countTests(
    context,
    `test("one (skipped: the backend declares crossProcess: false)", { skip: true }, () => {});`,
  );
  assert.deepEqual(counts, { passed: 0, failures: [], skipped: ["the backend declares crossProcess: false"] });
});

test("a skip without a listed reason is a failure, and so is a todo", (context) => {
  const counts = countTests(
    context,
    `test("a", { skip: true }, () => {}); test("b", { skip: "skipped: flaky" }, () => {}); test("c", { todo: true }, () => {});`,
  );
  assert.equal(counts.failures.length, 3);
  assert.equal(counts.skipped.length, 0);
});

function countTests(context: test.TestContext, text: string): Counts {
  const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-results-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, "subject.test.mjs");
  writeFileSync(file, `import test, { describe } from "node:test";\nvoid describe;\nvoid test;\n${text}`);
  const module = pathToFileURL(path.join(projectRoot, "scripts", "lib", "test-results.mjs"));
  const program = `
    import { run } from "node:test";
    const { TestResults } = await import(${JSON.stringify(module.href)});
    const results = new TestResults();
    for await (const event of run({ files: [${JSON.stringify(file)}], timeout: 5000 })) results.add(event);
    console.log(JSON.stringify({
      passed: results.passed,
      failures: results.failures.map(({ name, text }) => name + ": " + text),
      skipped: results.skipped.map(({ reason }) => reason),
    }));`;
  // Within a test, node refuses to run tests; the child must not know that it is in one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const driver = path.join(directory, "driver.mjs");
  writeFileSync(driver, program);
  const { stdout, stderr } = spawnSync(process.execPath, [driver], { encoding: "utf8", env });
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout) as Counts;
}
