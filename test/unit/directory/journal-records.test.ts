/** What a journal line is taken for, what lies behind a bad one, and how states are put together from records. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { checksumOf } from "../../../src/backends/directory/checksum.js";
import {
  type BaseState,
  type KeyChange,
  materialise,
  SegmentOverlay,
} from "../../../src/backends/directory/journal/overlay.js";
import {
  type CarryRecord,
  type CommitRecord,
  decodeLine,
  encodeCommit,
  encodeSeal,
  type RecordOperation,
} from "../../../src/backends/directory/journal/record.js";
import { readSegment } from "../../../src/backends/directory/journal/sealed-segment.js";
import { inspectTail, readRange, readRecords } from "../../../src/backends/directory/journal/segment-file.js";
import { FailingPort } from "../../sim/failing-port.js";
import { SimulatedMachine } from "../../sim/machine.js";

function commitLine(version: number, fields: { durable?: number; operations?: RecordOperation[] } = {}): Buffer {
  return encodeCommit({
    version,
    timeMs: 1,
    writer: "test",
    durable: fields.durable ?? 0,
    operations: fields.operations ?? [{ type: "put", key: "a", entry: { value: version } }],
  }).bytes;
}

const sealLine = encodeSeal({ timeMs: 1, writer: "test", durable: 0, reason: "rotated", lastVersion: 1 }).bytes;

/** A line of our own making, with a right checksum. */
function sealedLine(body: string | Buffer): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([bytes, Buffer.from(`,"checksum":"${checksumOf(bytes)}"}`)]);
}

function withoutNewline(line: Buffer): Buffer {
  return line.subarray(0, line.length - 1);
}

/** A segment on a simulated disk. */
function segmentOf(...parts: (string | Uint8Array)[]) {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/home");
  const content = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  machine.writeFile("/home/segment", content);
  const port = machine.process();
  const file = port.open(port.openRoot("/home"), "segment", "read");
  return { machine, port, file, sizeBytes: content.length };
}

test("a line is a record only with the right checksum in the right place", () => {
  const line = withoutNewline(commitLine(1));
  assert.equal(decodeLine(line)?.type, "commit");
  for (let at = 0; at < line.length; at += 1) {
    const flipped = Buffer.from(line);
    flipped[at] = flipped[at]! ^ 1;
    assert.equal(decodeLine(flipped), undefined, `bit 0 of byte ${at}`);
  }
  for (let length = 0; length < line.length; length += 1) assert.equal(decodeLine(line.subarray(0, length)), undefined);
  // Its last eight digits alone are right; but what goes before them is no checksum field.
  const text = line.toString();
  const renamed = text.replace(',"checksum":"', ',"chequesum":').replace(/"\}$/, "9}");
  assert.equal(decodeLine(Buffer.from(renamed)), undefined);
});

test("a checksum field of another name or end is none, also when its digits are right", () => {
  const body = '{"seal":"rotated","lastVersion":1,"time":1,"writer":"test","durable":0';
  const sum = checksumOf(Buffer.from(body));
  assert.equal(decodeLine(Buffer.from(`${body},"checksum":"${sum}"}`))?.type, "seal");
  assert.equal(decodeLine(Buffer.from(`${body},"chexksum":"${sum}"}`)), undefined);
  assert.equal(decodeLine(Buffer.from(`${body},"checksum":"${sum}" `)), undefined);
});

test("a checksum alone is no record", () => {
  assert.equal(decodeLine(Buffer.from(`,"checksum":"${checksumOf("")}"}`)), undefined);
  assert.equal(decodeLine(Buffer.alloc(0)), undefined);
  assert.equal(decodeLine(Buffer.from("}")), undefined);
});

test("a line that is not UTF-8 is no record, whatever its checksum says", () => {
  const body = Buffer.from('{"version":1,"time":1,"writer":"t?st","durable":0,"operations":[]');
  assert.equal(decodeLine(sealedLine(body))?.type, "commit");
  body[body.indexOf("?")] = 0xff;
  assert.equal(decodeLine(sealedLine(body)), undefined);
});

const newerLines: Record<string, string> = {
  "of an unknown kind": '"hyperlink":1',
  "with an unknown seal": '"seal":"melted","lastVersion":1',
  "with a seal of no version": '"seal":"rotated","lastVersion":"1"',
  "with an unknown operation": '"version":1,"operations":[{"rename":"a","to":"b"}]',
  "with a patch of no base": '"version":1,"operations":[{"patch":"a","set":{}}]',
  "of version 0": '"version":0,"operations":[]',
  "of a version that is no whole number": '"version":1.5,"operations":[]',
  "of a version that is text": '"version":"1","operations":[]',
  "of a negative version": '"version":-1,"operations":[]',
};
for (const [what, fields] of Object.entries(newerLines)) {
  test(`an intact record ${what} is a newer format, never taken for what it is not`, () => {
    const line = sealedLine(`{${fields},"time":1,"writer":"test","durable":0`);
    assert.throws(() => decodeLine(line), { code: "unsupported_layout" });
  });
}

test("P10: reading ends at the first bad line, however good the next ones are", () => {
  const { port, file, sizeBytes } = segmentOf(commitLine(1), "bad\n", commitLine(2));
  const versions: unknown[] = [];
  readRecords(port, file, 0, sizeBytes, ({ record }) => {
    versions.push((record as CommitRecord).version);
    return undefined;
  });
  assert.deepEqual(versions, [1]);
});

test("P10: what a good record says of durability is heard also when a bad one has run into it", () => {
  const joined = Buffer.concat([Buffer.from("lost its newline"), commitLine(2, { durable: 1 })]);
  for (const tailBytes of [[joined], ["bad\n", commitLine(2, { durable: 1 })], [joined, commitLine(3)]]) {
    const { port, file, sizeBytes } = segmentOf(...tailBytes);
    const { laterRecords, beginsBadly } = inspectTail(port, file, 0, sizeBytes);
    assert.equal(laterRecords[0]?.durable, 1);
    assert.ok(beginsBadly);
  }
});

test("a whole record behind the last look is an append, not damage", () => {
  const { port, file, sizeBytes } = segmentOf(commitLine(1), "bad\n", commitLine(2));
  assert.equal(inspectTail(port, file, 0, sizeBytes).beginsBadly, false);
});

test("a line that is made of beginnings of records costs a bounded number of checksums", () => {
  // It ends like a record, so each beginning is worth a checksum over megabytes: all of them would take minutes.
  const hostile = `${'{"version":'.repeat(200_000)},"checksum":"00000000"}\n`;
  const { port, file, sizeBytes } = segmentOf(hostile, commitLine(2, { durable: 1 }));
  const { laterRecords } = inspectTail(port, file, 0, sizeBytes);
  assert.equal(laterRecords.length, 1);
});

test("short reads go on to the end, and a segment that was cut meanwhile ends where it ends now", () => {
  const { machine, port, file, sizeBytes } = segmentOf(commitLine(1));
  const short = new FailingPort(port, { failAt: 1, code: "short", lasts: "from then on" });
  assert.equal(readRange(short, file, 0, sizeBytes).length, sizeBytes);
  machine.writeFile("/home/segment", "cut");
  assert.equal(Buffer.from(readRange(port, file, 0, sizeBytes)).toString(), "cut");
});

test("a sealed segment with a version that is missing or doubled is damaged", () => {
  for (const versions of [
    [1, 3],
    [1, 1],
    [2, 3],
  ]) {
    const { port, file } = segmentOf(...versions.map((version) => commitLine(version)), sealLine);
    assert.throws(() => readSegment(port, file, 1), { code: "store_damaged" }, versions.join(" "));
  }
});

test("P1: nothing behind the seal belongs to the segment", () => {
  const { port, file } = segmentOf(commitLine(1), sealLine, commitLine(2));
  const content = readSegment(port, file, 1);
  assert.equal(content.last.version, 1);
  assert.deepEqual(
    content.records.map(({ type }) => type),
    ["commit", "seal"],
  );
});

// --- states -------------------------------------------------------------------------------------------------------------

function overlayOf(...commits: [version: number, operation: RecordOperation][]): SegmentOverlay {
  const overlay = new SegmentOverlay();
  for (const [version, operation] of commits) {
    const record = { version, record: `record-${version}`, operations: [operation] } as unknown as CommitRecord;
    overlay.addCommit(record, 100, (key) => overlay.changes.get(key));
  }
  return overlay;
}

function patch(base: number, set: Record<string, unknown>): RecordOperation {
  return { type: "patch", key: "a", base, set, unset: [] };
}

function baseAt(version: number, entry: Record<string, unknown> | undefined): BaseState {
  return { version, record: `record-${version}`, entry: entry as BaseState["entry"] };
}

const latest = (overlay: SegmentOverlay) => overlay.changes.get("a") as KeyChange;

test("P11: a carried state takes the place of an older one, and never of a newer one", () => {
  for (const [carriedVersion, expected] of [
    [1, "journaled"],
    [2, "carried"],
    [3, "carried"],
  ] as const) {
    const overlay = overlayOf([2, { type: "put", key: "a", entry: { from: "journaled" } }]);
    const carry = {
      states: [{ type: "put", key: "a", version: carriedVersion, record: "r", entry: { from: "carried" } }],
    } as unknown as CarryRecord;
    overlay.addCarry(carry, 100, (key) => overlay.changes.get(key));
    assert.deepEqual(latest(overlay).entry, { from: expected }, `carried version ${carriedVersion}`);
  }
});

test("P14: an entry file that is as new as the last patch, or newer, is taken as it is", () => {
  const overlay = overlayOf([2, patch(1, { two: true })], [3, patch(2, { three: true })]);
  const state = (base: BaseState) => materialise(latest(overlay), undefined, () => base);
  assert.deepEqual(state(baseAt(1, { one: true })).entry, { one: true, two: true, three: true });
  for (const version of [3, 4]) {
    assert.deepEqual(state(baseAt(version, { only: version })), baseAt(version, { only: version }));
  }
  assert.deepEqual(state(baseAt(5, undefined)), baseAt(5, undefined));
});

test("P14: of a chain of patches only those that the entry file lacks are applied", () => {
  const overlay = overlayOf([2, patch(1, { n: 2 })], [3, patch(2, { m: 3 })]);
  const state = materialise(latest(overlay), undefined, () => baseAt(2, { n: "checkpointed" }));
  assert.deepEqual(state.entry, { n: "checkpointed", m: 3 });
  assert.equal(state.version, 3);
});

test("P14: a patch on a version that is not there, or on nothing, is damage and no mixture", () => {
  const overlay = overlayOf([3, patch(2, { three: true })]);
  const state = (base: BaseState) => () => materialise(latest(overlay), undefined, () => base);
  assert.throws(state(baseAt(1, { one: true })), { name: "Error", message: /made on version 2.*has version 1/ });
  assert.throws(state(baseAt(0, undefined)), /made on version 2/);
  const onNothing = overlayOf([3, patch(0, { three: true })]);
  assert.throws(() => materialise(latest(onNothing), undefined, () => baseAt(0, undefined)), /a patch was made on/);
});
