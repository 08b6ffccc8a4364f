/** The examples in the documents: which are checked, which run, and which marks are refused. */

import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { projectRoot } from "./command-line.js";

interface Block {
  line: number;
  language: string;
  text: string;
  run: boolean;
  skip?: boolean;
  problem?: string;
}

const modulePath = pathToFileURL(path.join(projectRoot, "scripts", "lib", "doc-blocks.mjs")).href;
const { findBlocks } = (await import(modulePath)) as { findBlocks(document: string, text: string): Block[] };

function blockOf(info: string): Block {
  const blocks = findBlocks("x.md", `text\n\`\`\`${info}\nbody\n\`\`\`\n`);
  assert.equal(blocks.length, 1);
  return blocks[0]!;
}

test("a ts block is checked, with run it is executed", () => {
  assert.deepEqual([blockOf("ts").run, blockOf("ts").problem], [false, undefined]);
  assert.deepEqual([blockOf("ts run").run, blockOf("ts run").problem], [true, undefined]);
  assert.equal(blockOf("ts run").line, 2);
});

test("a sh block must run or say why not", () => {
  assert.match(blockOf("sh").problem ?? "", /sh run/);
  assert.equal(blockOf("sh run").problem, undefined);
  assert.match(blockOf("sh no-check").problem ?? "", /needs a reason/);
  assert.deepEqual(
    [blockOf("sh no-check: needs a server").problem, blockOf("sh no-check: needs a server").skip],
    [undefined, true],
  );
});

test("a misspelt mark is a problem, not a block that is silently not run", () => {
  assert.match(blockOf("ts rum").problem ?? "", /unknown words/);
});

test("continue puts the blocks before it in front", () => {
  const blocks = findBlocks(
    "x.md",
    "```ts\na\n```\n```sh run\ns\n```\n```ts continue\nb\n```\n```ts continue run\nc\n```\n",
  );
  assert.equal(blocks.at(-1)?.text, "a\nb\nc\n");
  assert.equal(blocks.at(-1)?.run, true);
  assert.match(findBlocks("x.md", "```ts continue\nb\n```")[0]?.problem ?? "", /no block before it/);
});

test("other languages and blocks within longer fences are left alone", () => {
  assert.equal(findBlocks("x.md", "````md\n```ts\nx\n```\n````\n```json\n{}\n```\n").length, 0);
});
