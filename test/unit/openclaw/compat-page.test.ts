/** docs/compat.md says of every name whether it is provided; the code must say the same. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import * as openclaw from "../../../src/openclaw/index.js";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "..");
const provided = ["same", "better", "ours"];
const notProvided = ["not provided"];

interface Row {
  names: string[];
  verdict: string;
  /** What follows the verdict in its cell, after ": ". */
  reason: string;
}

function readRows(): Row[] {
  const page = readFileSync(path.join(root, "docs", "compat.md"), "utf8");
  const [, ...lines] = page.slice(page.indexOf("## Every name")).split("\n");
  const rows: Row[] = [];
  for (const line of lines.filter((text) => text.startsWith("| `"))) {
    const [, names = "", verdictCell = ""] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    const [verdict = "", ...reason] = verdictCell.split(": ");
    rows.push({
      names: [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name!),
      verdict,
      reason: reason.join(": "),
    });
  }
  return rows;
}

/** The types that src/openclaw/index.ts exports, by its text: at run time they are not there. */
function readTypes(): Set<string> {
  const index = readFileSync(path.join(root, "src", "openclaw", "index.ts"), "utf8");
  const types = new Set<string>();
  for (const [, names] of index.matchAll(/export (?:type )?\{([^}]*)\}/g)) {
    for (const name of names!.split(",").map((part) => part.trim())) {
      const type = /^type (?:\w+ as )?(\w+)$/.exec(name)?.[1];
      if (type !== undefined) types.add(type);
    }
  }
  for (const [, names] of index.matchAll(/export type \{([^}]*)\}/g)) {
    for (const name of names!.split(",")) if (name.trim() !== "") types.add(name.trim().split(/\s+/).at(-1)!);
  }
  for (const [, module] of index.matchAll(/export \* from "\.\/([\w-]+)\.js"/g)) {
    const text = readFileSync(path.join(root, "src", "openclaw", `${module}.ts`), "utf8");
    for (const [, name] of text.matchAll(/^export (?:interface|type) (\w+)/gm)) types.add(name!);
    for (const [, names] of text.matchAll(/^export type \{([^}]*)\} from/gm)) {
      for (const part of names!.split(",")) if (part.trim() !== "") types.add(part.trim());
    }
  }
  return types;
}

const rows = readRows();
const values = new Set(Object.keys(openclaw));
const types = readTypes();
const isExported = (name: string) => values.has(name) || types.has(name);

test("every verdict is one of the list, no name is in two rows, and what is not provided says why", () => {
  assert.ok(rows.length > 50, `${rows.length} rows`);
  const seen = new Set<string>();
  for (const { names, verdict, reason } of rows) {
    assert.ok([...provided, ...notProvided].includes(verdict), `${names}: ${verdict}`);
    if (verdict === "better" || verdict === "not provided") assert.ok(reason.length > 10, `${names} says no more`);
    for (const name of names) {
      assert.ok(!seen.has(name), `${name} is there twice`);
      seen.add(name);
    }
  }
});

test("what the page calls provided is exported", () => {
  const missing = rows.filter(({ verdict }) => provided.includes(verdict)).flatMap(({ names }) => names);
  assert.deepEqual(
    missing.filter((name) => !isExported(name)),
    [],
  );
});

test("what the page calls not provided is not exported; once it is, its row says how it is", () => {
  const absent = rows.filter(({ verdict }) => notProvided.includes(verdict)).flatMap(({ names }) => names);
  assert.deepEqual(absent.filter(isExported), []);
});

test("every function and constant that is exported is on the page", () => {
  const listed = new Set(rows.flatMap(({ names }) => names));
  assert.deepEqual(
    [...values].filter((name) => !listed.has(name)),
    [],
  );
});
