/**
 * Turns the events of node:test into counts: tests that passed, failed and were skipped, and the time of each file.
 *
 * Suites are not counted, nor a test that only failed because a test inside it did. A test file that crashes, hangs or
 * holds no test at all counts as one failure: node reports such a file as a test with the name of the file.
 */

import { explainSkip } from "./skip-reasons.mjs";

export class TestResults {
  passed = 0;
  failures = [];
  skipped = [];
  /** File -> milliseconds and the tests that began. */
  files = new Map();

  begin(file) {
    if (!this.files.has(file)) this.files.set(file, { ms: 0, tests: 0, running: new Set() });
    return this.files.get(file);
  }

  add(event) {
    const { type, data } = event;
    if (type === "test:dequeue" && data.file && data.name !== data.file) this.begin(data.file).running.add(data.name);
    if (type !== "test:pass" && type !== "test:fail") return;
    const file = this.begin(data.file ?? data.name);
    if (data.name === data.file) return this.#addFile(event, file);
    file.running.delete(data.name);
    if (data.nesting === 0) file.ms += data.details.duration_ms;
    if (data.details.type === "suite") {
      // A suite fails by itself when a hook of it throws.
      if (type === "test:fail" && failureType(data) !== "subtestsFailed") this.#fail(data);
      return;
    }
    file.tests += 1;
    if (data.skip !== undefined) this.#skip(data);
    else if (data.todo !== undefined) this.#fail(data, "todo tests are not allowed: finish it or remove it");
    else if (type === "test:pass") this.passed += 1;
    else if (failureType(data) !== "subtestsFailed") this.#fail(data);
  }

  #addFile({ type, data }, file) {
    file.ms = Math.max(file.ms, data.details.duration_ms);
    if (type === "test:fail" && failureType(data) !== "subtestsFailed") {
      const running = [...file.running].slice(0, 5).map((name) => JSON.stringify(name));
      const during = running.length === 0 ? "" : `; not finished: ${running.join(", ")}`;
      // Node also reports the file when a test in it failed; that one is counted already.
      const known = this.failures.some((failure) => failure.file === data.file);
      if (!known || running.length > 0 || failureType(data) === "testTimeoutFailure") {
        this.#fail(data, `the test file ${howItEnded(data.details.error)}${during}`);
      }
    } else if (file.tests === 0) {
      this.#fail(data, "the test file holds no test");
    }
  }

  #skip(data) {
    const { reason, allowed } = explainSkip(data.name, data.skip);
    if (allowed) this.skipped.push({ name: data.name, file: data.file, reason });
    else this.#fail(data, `skipped for a reason that scripts/lib/skip-reasons.mjs does not list: ${reason ?? "none"}`);
  }

  #fail(data, explanation) {
    this.failures.push({ name: data.name, file: data.file ?? data.name, text: explanation ?? describe(data) });
  }
}

function failureType(data) {
  return data.details.error?.failureType;
}

function howItEnded(error) {
  if (error?.failureType === "testTimeoutFailure") return "did not end in time";
  if (error?.signal) return `was killed by ${error.signal}`;
  return `ended with exit code ${error?.exitCode}`;
}

function describe(data) {
  const error = data.details.error;
  const cause = error?.cause ?? error;
  return cause?.stack ?? cause?.message ?? String(cause);
}
