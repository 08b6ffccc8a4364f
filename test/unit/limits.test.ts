/** Limits may be set up to their caps, and never above. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fixedLimits, type Limits, limitCaps } from "../../src/limits.js";
import { checkOpenOptions } from "../../src/open-options.js";

const names = Object.keys(limitCaps) as (keyof Limits)[];

test("every limit may be set to its cap, and to nothing above it, below zero or that is no number", () => {
  for (const name of names) {
    assert.equal(checkOpenOptions({ limits: { [name]: limitCaps[name] } }).limits[name], limitCaps[name]);
    for (const given of [limitCaps[name] + 1, Number.POSITIVE_INFINITY, -1, Number.NaN, "1"]) {
      assert.throws(
        () => checkOpenOptions({ limits: { [name]: given as number } }),
        { code: "invalid_option", message: new RegExp(`limits\\.${name}`) },
        `${name}: ${given}`,
      );
    }
  }
});

test("a wait for a lock has a cap as well", () => {
  assert.equal(checkOpenOptions({ lockWaitMs: fixedLimits.lockWaitMsMax }).lockWaitMs, fixedLimits.lockWaitMsMax);
  assert.throws(() => checkOpenOptions({ lockWaitMs: fixedLimits.lockWaitMsMax + 1 }), { code: "invalid_option" });
});
