/**
 * Checks the names of options. A misspelt option is an error that says which one was meant: silently ignoring it would
 * leave a store less durable, or a write less guarded, than its author believes.
 */

import { SessionStoreError } from "./errors.js";

/**
 * Throws `invalid_option` unless `given` is undefined or an object whose names are all known. `where` names the call
 * for the message, for example "openSessionStore".
 */
export function checkOptions(given: unknown, knownNames: readonly string[], where: string): void {
  if (given === undefined) return;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw invalidOption(where, `the options must be an object, not ${describeType(given)}`);
  }
  for (const name of Object.keys(given)) {
    if (!knownNames.includes(name)) throw unknownOption(name, knownNames, where);
  }
}

export function invalidOption(where: string, problem: string, nextStep?: string): SessionStoreError {
  return new SessionStoreError("invalid_option", problem, { operation: where, ...(nextStep ? { nextStep } : {}) });
}

/** What a value is, for messages: "null", "an array", "a string" ... */
export function describeType(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "undefined";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function unknownOption(name: string, knownNames: readonly string[], where: string): SessionStoreError {
  const shown = JSON.stringify(name.slice(0, 60));
  const meant = closestName(name, knownNames);
  const nextStep = meant
    ? `Did you mean ${JSON.stringify(meant)}?`
    : `Known options: ${knownNames.length === 0 ? "none" : knownNames.join(", ")}.`;
  return invalidOption(where, `there is no option ${shown}`, nextStep);
}

/** A location as a message may show it: quoted, not too long, and without what a URL says of user and password. */
export function shownLocation(location: string): string {
  const shown = location.replace(/^([a-z][a-z0-9+.-]+:\/*).*@/is, "$1***@").replace(/\b(\w*password=)[^&]*/gi, "$1***");
  return JSON.stringify(shown.slice(0, 200));
}

/** The known name that was probably meant; undefined when none is close. */
export function closestName(name: string, knownNames: readonly string[]): string | undefined {
  const lowered = name.slice(0, 60).toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(lowered.length / 3)) + 1;
  for (const known of knownNames) {
    const distance = editDistance(lowered, known.toLowerCase());
    if (distance < bestDistance) {
      best = known;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, with one row of memory. */
function editDistance(left: string, right: string): number {
  const row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    let diagonal = row[0]!;
    row[0] = i;
    for (let j = 1; j <= right.length; j++) {
      const above = row[j]!;
      const changed = diagonal + (left[i - 1] === right[j - 1] ? 0 : 1);
      row[j] = Math.min(changed, above + 1, row[j - 1]! + 1);
      diagonal = above;
    }
  }
  return row[right.length]!;
}
