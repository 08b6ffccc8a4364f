/** What a process knows of sessions without asking: never more than it may, and never for long. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Recall } from "../../../src/backends/postgres/recall.js";
import type { Versioned } from "../../../src/contract.js";

const session = (version: string): Versioned => ({ entry: { version }, version });

function setUp(sizeMax = 1_000_000) {
  const clock = { ms: 0 };
  return { clock, recall: new Recall(sizeMax, () => clock.ms) };
}

test("what was read or committed is known, and what was forgotten is not", () => {
  const { recall } = setUp();
  recall.read("a", recall.before("a"), session("1"), 10);
  assert.equal(recall.recall("a")?.version, "1");
  recall.committed("a", "1", session("2"), 10);
  assert.equal(recall.recall("a")?.version, "2");
  recall.forget("a");
  assert.equal(recall.recall("a"), undefined);
});

test("a read that was sent before a commit does not bring back what was there before", () => {
  const { recall } = setUp();
  recall.read("a", recall.before("a"), session("1"), 10);
  const before = recall.before("a");
  recall.committed("a", "1", session("2"), 10);
  recall.read("a", before, session("1"), 10);
  assert.equal(recall.recall("a")?.version, "2");
  recall.read("a", before, undefined, 0);
  assert.equal(recall.recall("a")?.version, "2");
});

test("a commit does not hide what was learned while it was under way", () => {
  const { recall } = setUp();
  recall.read("a", recall.before("a"), session("3"), 10);
  recall.committed("a", "1", session("2"), 10);
  assert.equal(recall.recall("a")?.version, "3");
});

test("a session that others change is asked for, until it is found as this process left it", () => {
  const { recall } = setUp();
  recall.read("a", recall.before("a"), session("1"), 10);
  recall.met("a", session("2"), 10);
  assert.equal(recall.recall("a"), undefined);
  recall.committed("a", "2", session("3"), 10);
  assert.equal(recall.recall("a"), undefined, "a commit does not tell that the others are gone");
  recall.read("a", recall.before("a"), session("4"), 10);
  assert.equal(recall.recall("a"), undefined, "they are not");
  recall.committed("a", "4", session("5"), 10);
  recall.read("a", recall.before("a"), session("5"), 10);
  assert.equal(recall.recall("a")?.version, "5");
});

test("nothing is known for long", () => {
  const { recall, clock } = setUp();
  recall.read("a", recall.before("a"), session("1"), 10);
  clock.ms = 30_000;
  assert.equal(recall.recall("a")?.version, "1");
  clock.ms = 30_001;
  assert.equal(recall.recall("a"), undefined);
});

test("a state is known at its very version", () => {
  const { recall } = setUp();
  const known = session("1");
  recall.met("a", known, 10);
  assert.equal(recall.at("a", "1"), known);
  assert.equal(recall.at("a", "2"), undefined);
  assert.equal(recall.at("b", "1"), undefined);
});

test("the memory is bounded: the oldest goes first, one that is too large is not kept, and 0 keeps nothing", () => {
  const { recall } = setUp(10_000);
  for (let n = 0; n < 100; n++) recall.read(`key${n}`, undefined, session("1"), 800);
  const known = Array.from({ length: 100 }, (_, n) => n).filter((n) => recall.recall(`key${n}`) !== undefined);
  assert.deepEqual(known, [90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
  recall.read("large", undefined, session("1"), 5_000);
  assert.equal(recall.recall("large"), undefined);
  recall.met("key99", session("2"), 5_000);
  assert.equal(recall.recall("key99"), undefined);
  const { recall: none } = setUp(0);
  none.read("a", undefined, session("1"), 1);
  assert.equal(none.recall("a"), undefined);
});
