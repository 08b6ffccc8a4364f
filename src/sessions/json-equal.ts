/**
 * Equality of JSON values: the order of fields does not matter, `0` equals `-0`. Values are JSON already (checked by
 * `entry-value.ts`), so there are no cycles, no undefined fields and a bounded depth.
 */
export function jsonEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (Array.isArray(left)) return Array.isArray(right) && arraysEqual(left, right);
  return !Array.isArray(right) && objectsEqual(left as JsonObject, right as JsonObject);
}

type JsonObject = Readonly<Record<string, unknown>>;

function arraysEqual(left: readonly unknown[], right: readonly unknown[]): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) {
    if (!jsonEqual(left[index], right[index])) return false;
  }
  return true;
}

function objectsEqual(left: JsonObject, right: JsonObject): boolean {
  const names = Object.keys(left);
  if (names.length !== Object.keys(right).length) return false;
  for (const name of names) {
    if (!Object.hasOwn(right, name) || !jsonEqual(left[name], right[name])) return false;
  }
  return true;
}
