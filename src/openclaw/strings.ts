/**
 * How the gateway reads strings that come from outside: trimmed, and blank means absent. Everything that is not a
 * string is absent too, never an error, because the values come from configuration and from old files.
 */

/** Trimmed, or undefined when blank or not a string. */
export function normalizeOptionalString(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const trimmed = value.trim();
  return trimmed === "" ? undefined : trimmed;
}

/** Trimmed and lower case, or undefined. */
export function normalizeOptionalLowercaseString(value: unknown): string | undefined {
  return normalizeOptionalString(value)?.toLowerCase();
}

/** Trimmed and lower case, or `""`. */
export function normalizeLowercaseStringOrEmpty(value: unknown): string {
  return normalizeOptionalLowercaseString(value) ?? "";
}

/** As `normalizeOptionalString`, and a number, boolean or bigint is written out first. */
export function normalizeStringifiedOptionalString(value: unknown): string | undefined {
  const written =
    typeof value === "number" || typeof value === "boolean" || typeof value === "bigint" ? String(value) : value;
  return normalizeOptionalString(written);
}
