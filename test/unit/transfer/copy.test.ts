import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { MemoryBackend } from "../../../src/backends/memory/backend.js";
import { nodePort } from "../../../src/fs/node-port.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";
import { canonicalJson, combineDigests, digestSession } from "../../../src/transfer/content-hash.js";
import { copyBackends, copyStore } from "../../../src/transfer/copy.js";
import { openForWriting } from "../../../src/transfer/store-place.js";
import { SeededRandom } from "../../sim/random.js";
import {
  inTemporaryDirectory,
  makeStore,
  open,
  put,
  readStore,
  readTexts,
  rejectsWith,
  snapshotTree,
} from "./support.js";

const port = nodePort();
const key = fc
  .oneof(
    fc.constantFrom("__proto__", "constructor", "agent:main:main", "a/../b", "🦞"),
    fc.string({ minLength: 1, maxLength: 30 }),
  )
  .map((text) => text.trim().toLowerCase())
  .filter(
    (text) =>
      text.trim() === text &&
      text !== "" &&
      !text.includes("\0") &&
      Buffer.from(text).toString() === text &&
      text.toLowerCase() === text,
  );
const entry = fc.dictionary(fc.string({ maxLength: 12 }), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 8 });

test("copies from directory to memory, json and back to a directory keep every entry, byte for byte as JSON", async () => {
  await inTemporaryDirectory(async (directory) => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.dictionary(key, entry, { minKeys: 1, maxKeys: 12 }), async (sessions) => {
        run += 1;
        const first = path.join(directory, `first-${run}.d`);
        const json = { location: path.join(directory, `json-${run}.json`), backend: "json" } as const;
        const last = path.join(directory, `last-${run}.d`);
        await makeStore(first, sessions as never);
        const source = await open(first, { readOnly: true });
        const memory = new MemoryBackend(port);
        const there = await copyBackends(port, source, {}, async () => memory);
        const legacy = await openForWriting(port, json, "openclaw", "test");
        const over = await copyBackends(port, memory, {}, async () => legacy);
        await legacy.close();
        const back = await copyStore(json, last);
        const target = await open(last, { readOnly: true });
        assert.deepEqual(await readTexts(target), await readTexts(source));
        assert.deepEqual([there.outcome, over.outcome, back.outcome], ["complete", "complete", "complete"]);
        for (const { verified } of [over, back]) assert.equal(verified?.contentSha256, there.contentSha256);
        assert.equal(back.verified?.sessions, Object.keys(sessions).length);
        await source.close();
        await target.close();
      }),
      { numRuns: 25, seed: 41 },
    );
  });
});

test("earlier generations travel where both sides keep them; a target that keeps none says so", async () => {
  await inTemporaryDirectory(async (directory) => {
    const generations = [{ sessionId: "older", endedMs: 4 }];
    const memory = new MemoryBackend(port);
    const entry = freezeParsedJson({ sessionId: "now" });
    await memory.commit({ operations: [{ type: "put", key: "a", entry, generations }], expected: new Map() });
    const target = await open(path.join(directory, "target.d"));
    const kept = await copyBackends(port, memory, {}, async () => target);
    assert.deepEqual((await target.read(["a"])).get("a")?.generations, generations);
    assert.deepEqual([kept.outcome, kept.warnings], ["complete", []]);
    // The same entry with other generations is another session.
    await memory.commit({ operations: [{ type: "put", key: "a", entry, generations: [] }], expected: new Map() });
    assert.deepEqual((await copyBackends(port, memory, {}, async () => target)).conflicts, ["a"]);
    await copyBackends(port, memory, { onConflict: "replace" }, async () => target);
    assert.deepEqual((await target.read(["a"])).get("a")?.generations ?? [], []);
    await memory.commit({ operations: [{ type: "put", key: "a", entry, generations }], expected: new Map() });
    const json = { location: path.join(directory, "old.json"), backend: "json" } as const;
    const legacy = await openForWriting(port, json, "openclaw", "test");
    const lost = await copyBackends(port, memory, {}, async () => legacy);
    assert.equal(lost.outcome, "complete");
    assert.match(lost.warnings[0] ?? "", /keeps no earlier generations: those of 1 session/);
    await legacy.close();
    await target.close();
  });
});

test("the content hash depends on keys, values and generations, not on the order of sessions or fields", () => {
  const hash = (...sessions: Parameters<typeof digestSession>[0][]) => combineDigests(sessions.map(digestSession));
  const a = { key: "a", entry: { x: 1, y: [1, { z: null }] } };
  const b = { key: "b", entry: { x: 1 } };
  assert.equal(hash(a, b), hash({ key: "b", entry: { x: 1 } }, { key: "a", entry: { y: [1, { z: null }], x: 1 } }));
  assert.notEqual(hash(a), hash({ ...a, key: "A" }));
  assert.notEqual(hash(a), hash({ key: "a", entry: { x: 1, y: [{ z: null }, 1] } }));
  assert.notEqual(hash(a), hash({ ...a, generations: [{ sessionId: "old", endedMs: 1 }] }));
  assert.equal(hash(a), hash({ ...a, generations: [] }));
  assert.notEqual(hash(a), hash(a, a));
  assert.equal(canonicalJson({ b: -0, a: "é\u2028", "10": 1, "9": 2 }), '{"10":1,"9":2,"a":"é\u2028","b":0}');
  // Step by step as documented, so that another implementation can be compared with it.
  const bytes = createHash("sha256").update('["b",{"x":1},[]]').digest();
  assert.equal(hash(b), createHash("sha256").update(bytes).digest("hex"));
});

test("a copy that was interrupted is finished by running it again, and repeating it changes nothing", async () => {
  await inTemporaryDirectory(async (directory) => {
    const source = path.join(directory, "source.d");
    const target = path.join(directory, "target.d");
    const sessions = Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`agent:main:${index}`, { index }]));
    await makeStore(source, sessions);
    const before = snapshotTree(source);
    const stop = new AbortController();
    const onProgress = (done: number) => {
      if (done === 400) stop.abort();
    };
    await rejectsWith("aborted", copyStore(source, target, { onProgress, signal: stop.signal }));
    const half = Object.keys(await readStore(target)).length;
    assert.ok(half > 0 && half < 600, `${half} sessions were there`);
    const second = await copyStore(source, target);
    assert.deepEqual([second.outcome, second.same, second.created], ["complete", half, 600 - half]);
    assert.deepEqual(await readStore(target), sessions);
    const third = await copyStore(source, target);
    assert.deepEqual([third.same, third.created, third.replaced], [600, 0, 0]);
    assert.deepEqual(snapshotTree(source), before);
  });
});

test("a session that differs in the target stays as it is, and is reported; the policies say what else may happen", async () => {
  await inTemporaryDirectory(async (directory) => {
    const source = path.join(directory, "source.d");
    await makeStore(source, { same: { v: 1 }, older: { updatedAt: 5 }, newer: { updatedAt: 9 }, fresh: { v: 1 } });
    const there = { same: { v: 1 }, older: { updatedAt: 7 }, newer: { updatedAt: 8 }, other: { v: 3 } };
    const run = async (name: string, onConflict?: "skip" | "newer" | "replace") => {
      const target = path.join(directory, `${name}.d`);
      await makeStore(target, there);
      const result = await copyStore(source, target, onConflict ? { onConflict } : {});
      return { result, now: await readStore(target) };
    };
    const failed = await run("fail");
    assert.equal(failed.result.outcome, "partial");
    assert.deepEqual([...failed.result.conflicts].sort(), ["newer", "older"]);
    assert.deepEqual(failed.now, { ...there, fresh: { v: 1 } });
    assert.notEqual(failed.result.verified?.contentSha256, failed.result.contentSha256);
    const skipped = await run("skip", "skip");
    assert.deepEqual([skipped.result.outcome, skipped.result.skipped], ["complete", 2]);
    assert.deepEqual(skipped.now, failed.now);
    const newer = await run("newer", "newer");
    assert.deepEqual([newer.result.outcome, newer.result.skipped, newer.result.replaced], ["complete", 1, 1]);
    assert.deepEqual(newer.now, { ...failed.now, newer: { updatedAt: 9 } });
    const replaced = await run("replace", "replace");
    assert.deepEqual([replaced.result.outcome, replaced.result.replaced], ["complete", 2]);
    assert.deepEqual(replaced.now, { ...failed.now, newer: { updatedAt: 9 }, older: { updatedAt: 5 } });
    assert.equal(replaced.result.verified?.contentSha256, replaced.result.contentSha256);
  });
});

test("a dry run says what the run then does, and makes nothing", async () => {
  await inTemporaryDirectory(async (directory) => {
    const source = path.join(directory, "source.d");
    const target = path.join(directory, "target.d");
    await makeStore(source, { a: { v: 1 }, b: { v: 2 } });
    const before = snapshotTree(directory);
    const dry = await copyStore(source, target, { dryRun: true });
    assert.deepEqual(snapshotTree(directory), before);
    const real = await copyStore(source, target);
    assert.deepEqual([dry.created, dry.same, dry.replaced], [real.created, real.same, real.replaced]);
    const again = snapshotTree(directory);
    assert.equal((await copyStore(source, target, { dryRun: true })).same, 2);
    assert.deepEqual(snapshotTree(directory), again);
  });
});

test("an empty source and a missing one are failures, and no target is made", async () => {
  await inTemporaryDirectory(async (directory) => {
    const source = path.join(directory, "source.d");
    const target = path.join(directory, "target.d");
    await makeStore(source, {});
    await rejectsWith("not_found", copyStore(source, target));
    await rejectsWith("store_missing", copyStore(path.join(directory, "none.d"), target));
    assert.equal(fs.existsSync(target), false);
    assert.equal((await copyStore(source, target, { allowEmpty: true })).outcome, "complete");
    await rejectsWith("invalid_option", copyStore(target, target, { allowEmpty: true }));
    await rejectsWith("invalid_option", copyStore(source, target, { dryrun: true } as never));
  });
});

test("a damaged session does not stop the others, and the outcome says that it is missing", async () => {
  await inTemporaryDirectory(async (directory) => {
    const source = path.join(directory, "source.d");
    await makeStore(source, { a: { v: 1 }, b: { v: 2 }, c: { v: 3 } });
    const name = `session-${Buffer.from("b").toString("base64url")}.json`;
    fs.writeFileSync(path.join(source, "entries", name), "{ half");
    const result = await copyStore(source, path.join(directory, "target.d"));
    assert.equal(result.outcome, "partial");
    assert.deepEqual(
      result.damaged.map((problem) => problem.key),
      ["b"],
    );
    assert.deepEqual(await readStore(path.join(directory, "target.d")), { a: { v: 1 }, c: { v: 3 } });
  });
});

test("keys that the target's rule would change are refused and listed, not changed", async () => {
  const source = new MemoryBackend(port, { keyRule: "exact" });
  const target = new MemoryBackend(port, { keyRule: "openclaw" });
  await put(source, { Main: { v: 1 }, main: { v: 2 } });
  const result = await copyBackends(port, source, {}, async () => target);
  assert.deepEqual([result.outcome, result.refused.map((problem) => problem.key)], ["partial", ["Main"]]);
  assert.deepEqual([...(await readTexts(target))], [["main", '{"v":2}']]);
});

test("sessions that others write to the target during the copy are compared again, and never written over", async () => {
  const source = new MemoryBackend(port);
  const target = new MemoryBackend(port);
  await put(source, Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`k${index}`, { from: "source" }])));
  const random = new SeededRandom(5);
  const commit = target.commit.bind(target);
  let overtaken = 0;
  target.commit = async (request) => {
    // Somebody else is faster with one of the sessions, three times.
    if (overtaken < 3) {
      overtaken += 1;
      const victim = request.operations[random.below(request.operations.length)]!.key;
      await commit({ operations: [{ type: "put", key: victim, entry: { from: "others" } }], expected: new Map() });
    }
    return commit(request);
  };
  const result = await copyBackends(port, source, {}, async () => target);
  const others = [...(await readTexts(target)).values()].filter((text) => text.includes("others")).length;
  assert.ok(others >= 1);
  assert.deepEqual([result.outcome, result.conflicts.length, result.created], ["partial", others, 20 - others]);
});
