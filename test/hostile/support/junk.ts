/** Directories full of files that belong to nobody. */

import fs from "node:fs";
import path from "node:path";

/** Where junk may lie: in the parts of a store, and beside it. */
export const junkDirectories: readonly string[] = ["", "entries", "journal", "trash", "summary-index", ".."];

/** Makes so many empty files; returns their names. Some are nearly names of ours. */
export function fillWithJunk(directory: string, count: number): string[] {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const names: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const name = n % 3 === 0 ? `session-${n}` : n % 3 === 1 ? `${n}.jsonl` : `junk-${n}`;
    fs.closeSync(fs.openSync(path.join(directory, name), "wx", 0o600));
    names.push(name);
  }
  return names;
}
