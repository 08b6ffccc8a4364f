import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Bytes } from "./bytes.js";

const change = fc.oneof(
  fc.record({ type: fc.constant("append" as const), content: fc.uint8Array({ maxLength: 80 }) }),
  fc.record({ type: fc.constant("resize" as const), size: fc.nat(200) }),
  fc.record({ type: fc.constant("overwrite" as const), at: fc.nat(200), content: fc.uint8Array({ maxLength: 20 }) }),
);

test("every value of a byte string stays what it was, whatever is made from it or its ancestors", () => {
  const steps = fc.array(fc.record({ from: fc.nat(), change }), { maxLength: 40 });
  fc.assert(
    fc.property(steps, (list) => {
      const values: { bytes: Bytes; expected: number[] }[] = [{ bytes: Bytes.empty, expected: [] }];
      for (const step of list) {
        const { bytes, expected } = values[step.from % values.length]!;
        values.push(apply(bytes, expected, step.change));
      }
      for (const { bytes, expected } of values) assert.deepEqual([...bytes.view()], expected);
    }),
  );
});

function apply(bytes: Bytes, expected: number[], made: typeof change extends fc.Arbitrary<infer T> ? T : never) {
  if (made.type === "append") {
    return { bytes: bytes.append(made.content), expected: [...expected, ...made.content] };
  }
  if (made.type === "resize") {
    const resized = Array.from({ length: made.size }, (_, index) => expected[index] ?? 0);
    return { bytes: bytes.resize(made.size), expected: resized };
  }
  if (made.content.length === 0) return { bytes: bytes.overwrite(made.at, made.content), expected };
  const size = Math.max(expected.length, made.at + made.content.length);
  const written = Array.from({ length: size }, (_, index) => made.content[index - made.at] ?? expected[index] ?? 0);
  return { bytes: bytes.overwrite(made.at, made.content), expected: written };
}
