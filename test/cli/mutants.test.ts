/**
 * `npm run mutants` runs apart from `npm test`; here: every mutant still fits the code that it is made in, its suites
 * are there, and the tool tells a mutant that was killed from one that lived, and from all that proves nothing.
 */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { projectRoot } from "./command-line.js";

interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly suite?: string | readonly string[];
  readonly test?: string;
  readonly hangs?: true;
  readonly argument?: string;
}

interface Exception {
  readonly file: string;
  readonly find: string;
  readonly reason: string;
}

interface Coverage {
  readonly findUncovered: (
    text: string,
    mutants: readonly { readonly find: string }[],
    exceptions: readonly Exception[],
  ) => readonly { readonly kind: string; readonly line: string }[];
}

interface Judgement {
  readonly outcome: "killed" | "equivalent" | "survived" | "broken";
  readonly killer?: string;
  readonly problem?: string;
}

interface Tools {
  readonly mutate: (text: string, mutant: Mutant) => string | undefined;
  readonly Workshop: new (
    benches: readonly string[],
    timeouts: { suiteMs: number; hangMs: number },
  ) => { judge(mutant: Mutant, bench: string): Promise<Judgement> };
}

const scripts = path.join(projectRoot, "scripts", "lib");
const { allMutants } = (await importScript("mutants.mjs")) as { allMutants: () => readonly Mutant[] };
const { findUncovered } = (await importScript("mutants-coverage.mjs")) as Coverage;
const { exceptions } = (await importScript("mutants-exceptions.mjs")) as { exceptions: readonly Exception[] };
const { mutate, Workshop } = (await importScript("mutants-workshop.mjs")) as Tools;
/** What this file was compiled with. */
const build = path.resolve(import.meta.dirname, "..", "..");

function importScript(name: string): Promise<unknown> {
  return import(pathToFileURL(path.join(scripts, name)).href);
}

test("the text of every mutant is in its file exactly once, its suites exist, and no two have one name", () => {
  const mutants = allMutants();
  const texts = new Map<string, string>();
  const problems: string[] = [];
  for (const mutant of mutants) {
    const compiled = path.join(build, mutant.file.replace(/\.ts$/, ".js"));
    if (!texts.has(compiled)) texts.set(compiled, existsSync(compiled) ? readFileSync(compiled, "utf8") : "");
    const text = texts.get(compiled) as string;
    const mutated = mutate(text, mutant);
    if (mutated === undefined) problems.push(`${mutant.name}: its text is not in ${mutant.file} exactly once`);
    else if (mutated === text) problems.push(`${mutant.name} changes nothing`);
    const suites = [mutant.suite ?? []].flat();
    if (suites.length === 0 && mutant.argument === undefined) problems.push(`${mutant.name} has no suite to kill it`);
    for (const suite of suites) {
      if (!existsSync(path.join(projectRoot, suite))) problems.push(`${mutant.name}: there is no ${suite}`);
    }
  }
  assert.deepEqual(problems, []);
  const names = mutants.map(({ name }) => name);
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  );
  assert.ok(mutants.length > 400, `${mutants.length} mutants`);
});

test("every sync, lock, comparison of checksums, limit and refusal of src lies under a mutant, or under an exception with a reason", () => {
  const mutants = allMutants();
  const problems: string[] = [];
  let places = 0;
  for (const name of readdirSync(path.join(build, "src"), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".js")) continue;
    const file = `src/${name.replaceAll(path.sep, "/").replace(/\.js$/, ".ts")}`;
    const text = readFileSync(path.join(build, "src", name), "utf8");
    const own = mutants.filter((mutant) => mutant.file === file);
    const excepted = exceptions.filter((exception) => exception.file === file);
    for (const { kind, line } of findUncovered(text, own, excepted))
      problems.push(`${file}: no mutant of this ${kind}: ${line}`);
    places += findUncovered(text, [], []).length;
    for (const [index, { find, reason }] of excepted.entries()) {
      if (reason.length < 15) problems.push(`${file}: an exception says no reason: ${find}`);
      if (
        findUncovered(text, own, excepted.toSpliced(index, 1)).length === 0 ||
        mutate(text, { find } as Mutant) === undefined
      )
        problems.push(`${file}: an exception covers nothing: ${find}`);
    }
  }
  for (const { file } of exceptions) {
    if (!existsSync(path.join(projectRoot, file))) problems.push(`an exception is in ${file}, which is not there`);
  }
  assert.deepEqual(problems, []);
  assert.ok(places > 180, `only ${places} places were found`);
});

const guarded = `
export async function save(port, directory, bytes, limits) {
    if (bytes.length > limits.entryBytes)
        throw tooLarge();
    if (checksumOf(bytes) !== bytes.sum || !documentIsIntact(bytes))
        return;
    while (!port.tryLock(directory, "exclusive"))
        await port.sleep(1);
    await port.syncDirectory(directory);
    // A comment about port.syncDirectory(directory) is none.
}
function tooLarge() {
    return new SessionStoreError("limit_exceeded", "too large");
}
`;

test("a place that no mutant overlaps is found, whatever kind it is, and a refusal by what leads to it", () => {
  const kindsWith = (...finds: string[]) =>
    findUncovered(
      guarded,
      finds.map((find) => ({ find })),
      [],
    ).map(({ kind }) => kind);
  assert.deepEqual(kindsWith(), ["sync", "lock", "checksum", "checksum", "limit", "refusal"]);
  assert.deepEqual(kindsWith("await port.syncDirectory(directory); //"), [
    "lock",
    "checksum",
    "checksum",
    "limit",
    "refusal",
  ]);
  assert.deepEqual(kindsWith("if (bytes.length > limits.entryBytes) throw tooLarge();"), [
    "sync",
    "lock",
    "checksum",
    "checksum",
  ]);
  assert.deepEqual(kindsWith("export async function", "a text that is not there"), kindsWith());
});

test("white space stands for any white space, and everything else for itself", () => {
  const mutant = { name: "", file: "", find: "if (a.b[0]) return $x;", replace: "$&" };
  assert.equal(mutate("{ if (a.b[0])\n    return $x; }", mutant), "{ $& }");
  assert.equal(mutate("if (aXb[0]) return $x;", mutant), undefined);
  assert.equal(mutate("if (a.b[0]) return $x; if (a.b[0]) return $x;", mutant), undefined);
});

const code = "export const limit = (n) => { if (n > 3) throw new Error(); while (n < 0); return n; };\n";
const suite = `
  import assert from "node:assert/strict";
  import test from "node:test";
  import { limit } from "../src/code.js";
  test("small is fine", () => assert.equal(limit(1), 1));
  test("large is refused", () => assert.throws(() => limit(4)));
`;
const mutants: Record<string, [Partial<Mutant>, Judgement]> = {
  "that a test notices is killed by that test": [
    { find: "if (n > 3) throw new Error();" },
    { outcome: "killed", killer: "test/suite.ts: large is refused" },
  ],
  "that no test notices survived": [
    { find: "while (n < 0);" },
    { outcome: "survived", problem: "test/suite.ts did not notice" },
  ],
  "is killed by the second suite when the first does not notice": [
    { find: "if (n > 3) throw new Error();", suite: ["test/other.ts", "test/suite.ts"] },
    { outcome: "killed", killer: "test/suite.ts: large is refused" },
  ],
  "that hangs, as it says, is killed": [
    { find: "while (n < 0);", replace: "while (n < 2);", hangs: true },
    { outcome: "killed", killer: "test/suite.ts: hangs, as declared" },
  ],
  "that hangs and does not say so is not judged": [
    { find: "while (n < 0);", replace: "while (n < 2);" },
    { outcome: "broken", problem: "test/suite.ts hangs, which is not declared" },
  ],
  "whose text is gone is out of date": [
    { find: "if (n > 4)" },
    { outcome: "broken", problem: "mutant out of date: its text is not there once" },
  ],
  "with an argument is equivalent, and not run": [
    { find: "while (n < 0);", argument: "n is never negative", suite: "test/missing.ts" },
    { outcome: "equivalent" },
  ],
  "of which the suite fails anyway is not judged": [
    { find: "while (n < 0);", suite: "test/failing.ts" },
    { outcome: "broken", problem: "test/failing.ts fails without a mutant too: never right" },
  ],
  "for which no test runs is not judged": [
    { find: "while (n < 0);", test: "no such test" },
    { outcome: "broken", problem: "test/suite.ts has no test no such test that runs here" },
  ],
};

for (const [what, [mutant, expected]] of Object.entries(mutants)) {
  test(`a mutant ${what}`, async (context) => {
    const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-mutants-"));
    context.after(() => rmSync(directory, { recursive: true, force: true }));
    for (const part of ["src", "test"]) mkdirSync(path.join(directory, part));
    const write = (name: string, text: string) => writeFileSync(path.join(directory, name), text);
    write("package.json", '{"type":"module"}');
    write("src/code.js", code);
    write("test/suite.js", suite);
    write("test/other.js", 'import test from "node:test"; test("something else", () => {});');
    write("test/failing.js", 'import test from "node:test"; test("never right", () => { throw new Error(); });');
    const bench = path.relative(projectRoot, directory);
    const workshop = new Workshop([bench], { suiteMs: 5_000, hangMs: 1_500 });
    const whole = { name: what, file: "src/code.ts", find: "", replace: "", suite: "test/suite.ts", ...mutant };
    const { outcome, killer, problem } = await workshop.judge(whole, bench);
    assert.deepEqual({ outcome, ...(killer && { killer }), ...(problem && { problem }) }, expected);
    assert.equal(readFileSync(path.join(directory, "src", "code.js"), "utf8"), code, "the code is put back");
  });
}
