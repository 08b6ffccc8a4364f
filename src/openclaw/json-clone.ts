/** A private copy of a JSON value, faster than `structuredClone`, which must be ready for anything. Pure. */

import { setOwnValue } from "./prototype-keys.js";

export function cloneJson<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(cloneJson) as Value;
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(value)) setOwnValue(copy, name, cloneJson((value as Record<string, unknown>)[name]));
  return copy as Value;
}
