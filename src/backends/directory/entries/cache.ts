/** Recently used entries, up to a number of bytes. Kept right by the view, which tells it of every change. */

import type { Versioned } from "../../../contract.js";
import type { BaseState } from "../journal/overlay.js";

/** `entry` undefined means: known to be absent. */
export interface CachedEntry extends BaseState {
  /** What readers get; made once. */
  readonly versioned: Versioned | undefined;
  readonly bytes: number;
}

/** What a cached entry costs beside its JSON text: objects, the map's slot, the key. Measured, about. */
const overheadBytes = 300;

export class EntryCache {
  private readonly entries = new Map<string, CachedEntry>();
  private readonly bytesMax: number;
  private usedBytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get(key: string): CachedEntry | undefined {
    const found = this.entries.get(key);
    if (found !== undefined && this.usedBytes > this.bytesMax / 2) {
      // Order matters only when something may have to go soon; a warm read in a small store stays one look-up.
      this.entries.delete(key);
      this.entries.set(key, found);
    }
    return found;
  }

  /** What is held for a key, without counting as a use. */
  peek(key: string): CachedEntry | undefined {
    return this.entries.get(key);
  }

  /** The version held for a key, without counting as a use. */
  peekVersion(key: string): number | undefined {
    return this.entries.get(key)?.version;
  }

  set(key: string, entry: CachedEntry): void {
    const cost = entry.bytes + overheadBytes;
    const replaced = this.entries.get(key);
    // As in `get`: while there is room, what is replaced keeps its place, because a deletion leaves a hole in the map.
    if (replaced !== undefined && (cost > this.bytesMax || this.usedBytes > this.bytesMax / 2)) this.delete(key);
    else if (replaced !== undefined) this.usedBytes -= replaced.bytes + overheadBytes;
    if (cost > this.bytesMax) return;
    this.entries.set(key, entry);
    this.usedBytes += cost;
    if (this.usedBytes > this.bytesMax) this.makeRoom();
  }

  private makeRoom(): void {
    for (const oldest of this.entries.keys()) {
      if (this.usedBytes <= this.bytesMax) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const found = this.entries.get(key);
    if (found === undefined) return;
    this.entries.delete(key);
    this.usedBytes -= found.bytes + overheadBytes;
  }

  clear(): void {
    this.entries.clear();
    this.usedBytes = 0;
  }

  get stats(): { entries: number; bytes: number } {
    return { entries: this.entries.size, bytes: this.usedBytes };
  }
}
