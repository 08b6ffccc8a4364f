/** SECURITY.md names every limit with its default and its cap. */

import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";
import { defaultLimits, type Limits, limitCaps } from "../../../src/limits.js";

const units: Record<string, number> = {
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

test("SECURITY.md lists each limit as the code has it", () => {
  const text = fs.readFileSync(new URL("../../../../SECURITY.md", import.meta.url), "utf8");
  const listed = new Map(
    [...text.matchAll(/^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$/gm)].map(([, name, ...amounts]) => [
      name,
      amounts.map(parse),
    ]),
  );
  for (const name of Object.keys(defaultLimits) as (keyof Limits)[]) {
    assert.deepEqual(listed.get(name), [defaultLimits[name], limitCaps[name]], name);
  }
  assert.equal(listed.size, Object.keys(defaultLimits).length);
});

/** "512 MiB - 1" and the like. */
function parse(text: string): number {
  const match = /^([\d,]+)(?: (\w+))?( - 1)?$/.exec(text.trim());
  assert.ok(match, `not an amount: ${text}`);
  const [, digits = "", unit, less] = match;
  return Number(digits.replaceAll(",", "")) * (unit === undefined ? 1 : (units[unit] as number)) - (less ? 1 : 0);
}
