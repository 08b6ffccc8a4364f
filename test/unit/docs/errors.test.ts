/** docs/errors.md and the closed list of codes are the same list, and every section answers the same four questions. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { errorCodes } from "../../../src/errors.js";

/** The tests run from the build directory, one level below the project. */
const page = path.resolve(import.meta.dirname, "..", "..", "..", "..", "docs", "errors.md");
const text = fs.readFileSync(page, "utf8");
const sections = text
  .split(/^## /m)
  .slice(1)
  .map((section) => ({ heading: section.slice(0, section.indexOf("\n")).trim(), body: section }));

test("docs/errors.md has one section per error code, in the order of the list, and none for a code that does not exist", () => {
  assert.deepEqual(
    sections.map(({ heading }) => heading),
    errorCodes.map((code) => `\`${code}\``),
  );
});

test("each section says when it happens, what is on disk, what to do and whether to retry", () => {
  for (const { heading, body } of sections) {
    const questions = [...body.matchAll(/^- \*\*([^*]+):\*\*/gm)].map((match) => match[1]);
    assert.deepEqual(questions, ["When", "On disk", "Do", "Retry"], heading);
  }
});

test("every code that the page names in its table of retries exists", () => {
  const table = text.slice(text.indexOf("| worth retrying"), text.indexOf("\n## "));
  const named = [...table.matchAll(/`([a-z_]+)`/g)].map((match) => match[1] as string);
  assert.ok(named.length > 5);
  for (const code of named) assert.ok((errorCodes as readonly string[]).includes(code), code);
});
