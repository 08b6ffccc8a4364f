/** docs/migration.md says what each message means: every text in the code is there, and no line is about a text of old. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "..");
const sources = [
  ...readdirSync(path.join(root, "src", "migrate")).map((name) => `src/migrate/${name}`),
  "src/sessions/legacy-text.ts",
  "src/discovery/agent-folders.ts",
  "src/discovery/stores.ts",
];
/** Their reasons are on the page, and much in them is no message. */
const moreSources = ["src/cli/commands/rollback.ts", "src/open-backend.ts"];

interface Message {
  readonly source: string;
  /** The text between the values that are put in. */
  readonly parts: readonly string[];
}

/** The words alone: how a page quotes, wraps and ends a text is not what it says. */
function plain(text: string): string {
  return text.replace(/[`*.,;:()"\s]+/g, " ").trim();
}

/** Few words are a name, a unit or a piece of grammar. */
function isTelling(part: string): boolean {
  return (
    plain(part)
      .split(" ")
      .filter((word) => /[a-zA-Z]{2}/.test(word)).length >= 3
  );
}

/** Every string and template of a file, without comments, imports and regular expressions. */
function findTexts(source: string, code: string): Message[] {
  const found: Message[] = [];
  const pattern =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|(?<=[(,=]\s*)\/(?:\\.|[^/\\\n])+\/[a-z]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`/g;
  for (let match = pattern.exec(code); match !== null; match = pattern.exec(code)) {
    const [text] = match;
    if (text === "`") {
      const { parts, end } = readTemplate(code, pattern.lastIndex);
      found.push({ source, parts: parts.map(unescapeText) });
      pattern.lastIndex = end;
    } else if (/^["']/.test(text)) {
      found.push({ source, parts: [unescapeText(text.slice(1, -1))] });
    }
  }
  return found;
}

/** Texts within `${...}` are found by the caller only if they are templates themselves; none of ours hides a message. */
function readTemplate(code: string, start: number): { parts: string[]; end: number } {
  const parts: string[] = [];
  let text = "";
  for (let index = start; index < code.length; index += 1) {
    if (code[index] === "`") return { parts: [...parts, text], end: index + 1 };
    if (code.startsWith("${", index)) {
      let depth = 1;
      for (index += 2; depth > 0; index += 1) {
        if (code[index] === "{") depth += 1;
        if (code[index] === "}") depth -= 1;
      }
      index -= 1;
      parts.push(text);
      text = "";
      continue;
    }
    if (code[index] === "\\") index += 1;
    text += code[index];
  }
  throw new Error("a template has no end");
}

function unescapeText(text: string): string {
  return text.replace(/\\(["'`$\\])/g, "$1");
}

const textsOf = (source: string) => findTexts(source, readFileSync(path.join(root, source), "utf8"));
const messages = sources.flatMap(textsOf);
const telling = messages.filter(({ parts }) => parts.some(isTelling));
const page = readFileSync(path.join(root, "docs", "migration.md"), "utf8");
const [, explained = ""] = page.split("\n## What each message means\n");

test("every message of migration, merge, rollback and discovery is explained", () => {
  // If these are few, the reading of the sources is broken and not the page right.
  assert.ok(telling.length > 100, `${telling.length} texts were found`);
  const text = plain(page);
  const missing = telling
    .filter(({ parts }) => !parts.filter(isTelling).every((part) => text.includes(plain(part))))
    .map(({ source, parts }) => `${source}: ${parts.join("…")}`);
  assert.deepEqual(missing, []);
});

test("every line of the page is about a message that the code still has", () => {
  const texts = [...messages, ...moreSources.flatMap(textsOf)];
  const code = plain(texts.flatMap(({ parts }) => parts).join(" "));
  const stale = explained
    .split("\n### Outcomes\n")[1]!
    .split("\n### ")
    .slice(1)
    .flatMap((section) => {
      const rows = section
        .split("\n")
        .filter((line) => line.startsWith("| "))
        .map((line) => line.split("|").map((cell) => cell.trim()));
      const column = rows[0]!.indexOf("message");
      assert.notEqual(column, -1, `a table without messages: ${rows[0]}`);
      return rows.slice(2).map((row) => row[column] ?? "");
    })
    .flatMap((cell) => cell.split(/…|;| \/ |: (?=it )/))
    .filter(isTelling)
    .filter((phrase) => !code.includes(plain(phrase)));
  assert.deepEqual(stale, []);
});

test("every outcome and status is explained", () => {
  const types = ["src/migrate/result.ts", "src/migrate/detect.ts", "src/migrate/rollback-result.ts"]
    .map((source) => readFileSync(path.join(root, source), "utf8"))
    .flatMap((code) => [...code.matchAll(/export type \w+(?:Outcome|Status) =([\s\S]*?);\n/g)])
    .flatMap(([, union]) => [...union!.replace(/\/\*[\s\S]*?\*\//g, "").matchAll(/"(\w+)"/g)].map(([, name]) => name!));
  assert.ok(types.length >= 14, `${types.length} were found`);
  for (const name of types) assert.ok(explained.includes(`\`${name}\``), `${name} is not explained`);
});
