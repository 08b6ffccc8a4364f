/** Checks the options of the store's methods. A bad one is `invalid_option` before anything else happens. */

import { SessionStoreError } from "./errors.js";
import { checkOptions, describeType, invalidOption } from "./options.js";

type Kind =
  | "signal"
  | "string"
  | "boolean"
  | "function"
  | "version"
  | "conflict policy"
  | "cursor"
  | "time"
  | "strings";

const write = { ifVersion: "version", signal: "signal", actor: "string", reason: "string" } as const;

/** Each method's options and what they must be. */
const optionKinds = {
  update: { ...write, onConflict: "conflict policy" },
  patch: { ...write, createIfMissing: "boolean" },
  remove: { ...write, purge: "boolean" },
  transaction: { signal: "signal", actor: "string", reason: "string" },
  reopenGeneration: write,
  restore: { signal: "signal", actor: "string", reason: "string", replace: "boolean" },
  emptyTrash: { ids: "strings", removedBeforeMs: "time" },
  "transaction.patch": { createIfMissing: "boolean" },
  "transaction.remove": { purge: "boolean" },
  entries: { onDamaged: "function", signal: "signal" },
  watch: { since: "cursor", signal: "signal" },
  verify: { onProgress: "function" },
} as const satisfies Record<string, Record<string, Kind>>;

const optionNames = new Map(Object.entries(optionKinds).map(([method, kinds]) => [method, Object.keys(kinds)]));

/** Throws `invalid_option` for unknown names and for values of the wrong kind. */
export function checkMethodOptions(method: keyof typeof optionKinds, options: object | undefined): void {
  if (options === undefined) return;
  checkOptions(options, optionNames.get(method)!, method);
  const kinds: Record<string, Kind> = optionKinds[method];
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const rule = broken(kinds[name]!, value);
    if (rule !== undefined) throw invalidOption(method, `the option ${name} ${rule}, not ${describeType(value)}`);
  }
}

/** What the value should have been, or `undefined` when it is all right. */
function broken(kind: Kind, value: unknown): string | undefined {
  switch (kind) {
    case "version":
      return value === null || typeof value === "string" ? undefined : "is a version token or null";
    case "conflict policy":
      return value === "rerun" || value === "merge" ? undefined : 'is "rerun" or "merge"';
    case "signal":
      return isAbortSignal(value) ? undefined : "is an AbortSignal";
    case "cursor":
      return typeof value === "string" && value !== "" ? undefined : "is a cursor of this store, a string";
    case "time":
      return typeof value === "number" && !Number.isNaN(value) ? undefined : "is a time in milliseconds since 1970";
    case "strings":
      return Array.isArray(value) && value.every((one) => typeof one === "string")
        ? undefined
        : "is an array of strings";
    default:
      return typeof value === kind ? undefined : `is a ${kind}`;
  }
}

/** By shape and not by class: polyfills and other realms bring their own. */
function isAbortSignal(value: unknown): value is AbortSignal {
  if (typeof value !== "object" || value === null) return false;
  const signal = value as Partial<AbortSignal>;
  return (
    typeof signal.aborted === "boolean" &&
    typeof signal.addEventListener === "function" &&
    typeof signal.removeEventListener === "function"
  );
}

export function requireFunction(value: unknown, method: string): void {
  if (typeof value === "function") return;
  throw new SessionStoreError("invalid_option", `needs a function, not ${describeType(value)}`, { operation: method });
}
