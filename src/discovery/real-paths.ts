/**
 * Comparing paths by where they lead. Read-only, and for decisions of reading alone: what lies at a path may be swapped
 * between two looks, so whoever changes something opens the directory and looks at the name again.
 */

import path from "node:path";
import { hasCode, type Port } from "../fs/port.js";

/** What makes a path one to pass over and to report, not a reason to fail: it is not there for us, or no longer. */
export const unreachableCodes = ["EACCES", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "EPERM", "ESTALE"] as const;

export function isUnreachable(error: unknown): boolean {
  return hasCode(error, ...unreachableCodes);
}

/** The path without links, or `undefined` when it cannot be reached. Other errors pass through. */
export function realPathIfReachable(port: Pick<Port, "realPath">, somePath: string): string | undefined {
  try {
    return port.realPath(path.resolve(somePath));
  } catch (error) {
    if (isUnreachable(error)) return undefined;
    throw error;
  }
}

/**
 * The same for a path whose last parts may not exist: the deepest part that does is real, and the rest is put behind
 * it. A link that leads nowhere counts as missing, so its own name is kept.
 */
export function realPathOfDeepest(port: Pick<Port, "realPath">, somePath: string): string {
  const absolute = path.resolve(somePath);
  const rest: string[] = [];
  for (let existing = absolute; ; existing = path.dirname(existing)) {
    const real = realPathIfReachable(port, existing);
    if (real !== undefined) return path.join(real, ...rest);
    if (path.dirname(existing) === existing) return absolute;
    rest.unshift(path.basename(existing));
  }
}

/** Whether a path lies below a directory; the directory itself does not. Both absolute, nothing is looked up. */
export function isInside(directory: string, somePath: string): boolean {
  const relative = path.relative(directory, somePath);
  return relative !== "" && relative !== ".." && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}
