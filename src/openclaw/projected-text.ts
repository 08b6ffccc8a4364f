/**
 * How many bytes a store takes as `sessions.json` - two spaces of indentation, no line end -, and how many fewer once a
 * session is gone, without writing it out again for each.
 */

import { ownValue } from "./prototype-keys.js";
import type { SessionEntry } from "./types.js";

export class ProjectedText {
  readonly #store: Readonly<Record<string, SessionEntry>>;
  #properties = 0;
  /** Of the properties without what stands between them. */
  #propertyBytes = 0;

  constructor(store: Readonly<Record<string, SessionEntry>>) {
    this.#store = store;
    for (const key of Object.keys(store)) {
      const bytes = this.#bytesOf(key);
      if (bytes === 0) continue;
      this.#properties += 1;
      this.#propertyBytes += bytes;
    }
  }

  get totalBytes(): number {
    // Braces; before each property a line end and two spaces, a comma between two, a line end after the last.
    if (this.#properties === 0) return 2;
    return 2 + this.#propertyBytes + this.#properties * 3 + (this.#properties - 1) + 1;
  }

  /** What the text loses without this session. Call it before the session is taken out of the store. */
  remove(key: string): number {
    const before = this.totalBytes;
    const bytes = this.#bytesOf(key);
    if (bytes === 0) return 0;
    this.#properties -= 1;
    this.#propertyBytes -= bytes;
    return before - this.totalBytes;
  }

  /** `"key": value`, the lines of the value indented by two more. */
  #bytesOf(key: string): number {
    const text = JSON.stringify(ownValue(this.#store, key), null, 2) as string | undefined;
    if (text === undefined) return 0;
    let lineEnds = 0;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lineEnds += 1;
    return Buffer.byteLength(JSON.stringify(key)) + 2 + Buffer.byteLength(text) + 2 * lineEnds;
  }
}
