/** One `sessions.json`, written in pieces: a million entries are no string. */

import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import { entryOf, keyOf } from "../sessions.mjs";

export function seedLegacyFile(directory, count, bytes) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = openSync(path.join(directory, "sessions.json"), "wx", 0o600);
  for (let index = 0; index < count; index += 1) {
    const entry = JSON.stringify(entryOf(index, bytes), null, 2).replaceAll("\n", "\n  ");
    writeSync(file, `${index === 0 ? "{" : ","}\n  ${JSON.stringify(keyOf(index))}: ${entry}`);
  }
  writeSync(file, "\n}");
  closeSync(file);
}
