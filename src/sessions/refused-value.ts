/** How an error speaks of a value that no entry may hold: where it is, and what. */

import { shortenKey } from "../errors.js";

/** `entry.a.b[3]["odd name"]` */
export function formatPath(path: readonly (string | number)[]): string {
  let text = "entry";
  // A cycle is found at the last level that is allowed: nobody wants to read all of them.
  const shown = path.length <= 12 ? path : [...path.slice(0, 10), "...", path.at(-1)!];
  for (const part of shown) {
    if (typeof part === "number") text += `[${part}]`;
    else if (part === "...") text += "...";
    else if (/^[A-Za-z_$][\w$]{0,79}$/.test(part)) text += `.${part}`;
    else text += `[${shortenKey(part)}]`;
  }
  return text;
}

export function describe(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "undefined";
  if (typeof value !== "object") return `a ${typeof value}`;
  const name: unknown = value.constructor?.name;
  return typeof name === "string" && name !== "" ? `an object of class ${name.slice(0, 40)}` : "an object";
}
