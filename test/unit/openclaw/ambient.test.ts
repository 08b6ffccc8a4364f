import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { makeUuid, nowMs, setAmbientPort } from "../../../src/openclaw/ambient.js";
import { mergeSessionEntry } from "../../../src/openclaw/index.js";

afterEach(() => setAmbientPort(undefined));

test("a UUID is a random one of version 4, and no two are alike", () => {
  const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  assert.match(makeUuid(), pattern);
  assert.notEqual(makeUuid(), makeUuid());
  setAmbientPort({ nowMs: () => 0, randomBytes: (count) => new Uint8Array(count).fill(0xff) });
  assert.equal(makeUuid(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
});

test("all other bits of a UUID are the random bytes, in their order", () => {
  setAmbientPort({ nowMs: () => 0, randomBytes: (count) => Uint8Array.from({ length: count }, (_, i) => i * 17) });
  assert.equal(makeUuid(), "00112233-4455-4677-8899-aabbccddeeff");
});

test("the clock and the random numbers of a merge come from the port that was put in", () => {
  setAmbientPort({ nowMs: () => 77, randomBytes: (count) => new Uint8Array(count) });
  assert.equal(nowMs(), 77);
  assert.deepEqual(mergeSessionEntry(undefined, {}), {
    sessionId: "00000000-0000-4000-8000-000000000000",
    updatedAt: 77,
  });
});

test("a port that hands out its own buffer keeps it unchanged", () => {
  const buffer = new Uint8Array(16);
  setAmbientPort({ nowMs: () => 0, randomBytes: () => buffer });
  makeUuid();
  assert.deepEqual(buffer, new Uint8Array(16));
});
