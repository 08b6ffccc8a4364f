/**
 * JSON whose text depends on the value alone: the fields of every object are sorted. For comparing and hashing, not for
 * reading back - what JSON has no word for is written as null, fields of an object included, so that a field that is
 * there as undefined is told from one that is not there.
 */

/** Throws a TypeError for a bigint and for an object that contains itself, as `JSON.stringify` does. */
export function stableStringify(value: unknown): string {
  return stringify(value, new Set());
}

function stringify(value: unknown, ancestors: Set<object>): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (ancestors.has(value)) throw new TypeError("stableStringify: an object contains itself");
  const { toJSON } = value as { toJSON?: unknown };
  ancestors.add(value);
  const text =
    typeof toJSON === "function" ? stringify(toJSON.call(value), ancestors) : stringifyParts(value, ancestors);
  ancestors.delete(value);
  return text;
}

function stringifyParts(value: object, ancestors: Set<object>): string {
  if (Array.isArray(value)) return `[${Array.from(value, (item) => stringify(item, ancestors)).join(",")}]`;
  const fields = Object.keys(value)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${stringify((value as Record<string, unknown>)[name], ancestors)}`);
  return `{${fields.join(",")}}`;
}
