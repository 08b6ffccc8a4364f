/**
 * The disks that a power cut may leave. What the device got before its last flush is there; of what it got after it
 * nothing, all, a beginning or any part is there, and one write of it may be torn between two sectors.
 */

import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { copySparse } from "./recorded-disk.mjs";

const sectorBytes = 512;
const tearChance = 0.3;

/** `count` moments (numbers of log entries), in order: mostly where something may just have been promised. */
export function chooseMoments(entries, firstMoment, acknowledgedAt, count, random) {
  const flushes = entries.flatMap(({ isFlush }, index) => (isFlush && index >= firstMoment ? [index] : []));
  const moments = Array.from({ length: count }, () => {
    const choice = random.next();
    if (choice < 0.4 && acknowledgedAt.length > 0) return random.pick(acknowledgedAt) + random.below(4);
    // Just before a flush most is undecided.
    if (choice < 0.7 && flushes.length > 0) return random.pick(flushes);
    return firstMoment + random.below(entries.length - firstMoment + 1);
  });
  return moments.map((moment) => Math.min(moment, entries.length)).sort((left, right) => left - right);
}

/** Makes the images of one recording; the moments have to come in order. */
export class CrashImages {
  #workspace;
  #entries;
  #log;
  #durable;
  #durableCount = 0;
  #untearableOffsets;
  #count = 0;
  #decided = { kept: [], torn: undefined };

  constructor(workspace, base, logFile, entries, untearableOffsets = []) {
    this.#untearableOffsets = untearableOffsets;
    this.#workspace = workspace;
    this.#entries = entries;
    this.#durable = workspace.file("durable.raw");
    copySparse(base, this.#durable);
    this.#log = openSync(logFile, "r");
  }

  /** The path of a new image and what was decided about it. The image before is gone. */
  make(moment, random) {
    this.#advanceTo(lastFlushBefore(this.#entries, moment));
    const pending = this.#entries.slice(this.#durableCount, moment).filter(({ length }) => length > 0);
    const { mode, kept, torn } = choose(pending, this.#untearableOffsets, random);
    this.#decided = { kept, torn };
    return { image: this.remake(), mode, pending: pending.length, kept: kept.length, isTorn: torn !== undefined };
  }

  /** The last image once more, as it was before it was mounted. */
  remake() {
    const { kept, torn } = this.#decided;
    rmSync(this.#imagePath(), { force: true });
    // Never the same file again: a loop device may still hold it.
    this.#count += 1;
    const image = this.#imagePath();
    copySparse(this.#durable, image);
    withFile(image, (descriptor) => {
      for (const write of kept) {
        if (write === torn?.write) this.#apply(descriptor, write, torn.from, torn.to);
        else this.#apply(descriptor, write, 0, write.length);
      }
    });
    return image;
  }

  close() {
    closeSync(this.#log);
    rmSync(this.#imagePath(), { force: true });
  }

  #imagePath() {
    return this.#workspace.file(`crash-${this.#count}.raw`);
  }

  #advanceTo(count) {
    withFile(this.#durable, (descriptor) => {
      for (; this.#durableCount < count; this.#durableCount += 1) {
        const write = this.#entries[this.#durableCount];
        this.#apply(descriptor, write, 0, write.length);
      }
    });
  }

  #apply(descriptor, write, from, to) {
    const data = Buffer.alloc(to - from);
    readSync(this.#log, data, 0, data.length, write.at + from);
    writeSync(descriptor, data, 0, data.length, write.offset + from);
  }
}

/** The number of entries that the last flush before the moment made durable. */
function lastFlushBefore(entries, moment) {
  for (let index = moment - 1; index >= 0; index -= 1) if (entries[index].isFlush) return index + 1;
  return 0;
}

function choose(pending, untearableOffsets, random) {
  const mode = random.pick(["none", "all", "beginning", "part", "part"]);
  const share = 0.1 + 0.8 * random.next();
  const length = mode === "beginning" ? random.below(pending.length + 1) : pending.length;
  const kept = pending.slice(0, length).filter((write) => {
    const isThere = mode === "part" ? random.chance(share) : mode !== "none";
    return isThere || write.isThroughCache;
  });
  const tearable = kept.filter(
    ({ offset, length, isThroughCache }) =>
      length > sectorBytes && !isThroughCache && !untearableOffsets.includes(offset),
  );
  if (tearable.length === 0 || !random.chance(tearChance)) return { mode, kept };
  const write = random.pick(tearable);
  const at = sectorBytes * (1 + random.below(write.length / sectorBytes - 1));
  const torn = random.chance(0.7) ? { write, from: 0, to: at } : { write, from: at, to: write.length };
  return { mode, kept, torn };
}

function withFile(file, use) {
  const descriptor = openSync(file, "r+");
  try {
    use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
