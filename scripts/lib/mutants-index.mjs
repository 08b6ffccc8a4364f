/** Mutants of the summary index: what tells a torn, stale or foreign index from one that may be believed. */

const index = "test/protocol/summary-index.test.ts";
const unit = "test/unit/directory/summary-index.test.ts";

const head = "src/backends/directory/summary-index/head.ts";
const run = "src/backends/directory/summary-index/run.ts";
const load = "src/backends/directory/summary-index/load.ts";
const upkeep = "src/backends/directory/summary-index/upkeep.ts";
const leftovers = "src/backends/directory/summary-index/leftovers.ts";
const summaries = "src/backends/directory/summaries.ts";

export const indexMutants = [
  // --- what is read ----------------------------------------------------------------------------------------------------
  {
    name: "index head: its checksum",
    file: head,
    find: '|| fields === null || !documentIsIntact(text)) { throw new DamagedIndexError("the head does not',
    replace: '|| fields === null) { throw new DamagedIndexError("the head does not',
    suite: index,
    test: "head",
  },
  {
    name: "index head: its format",
    file: head,
    find: "fields.kind !== indexKind || fields.formatVersion !== formatVersion",
    replace: "fields.kind !== indexKind",
    suite: index,
    test: "head",
  },
  {
    name: "index head: its size",
    file: head,
    find: "readWhole(port, file, fixedLimits.manifestBytesMax)",
    replace: "readWhole(port, file, Number.MAX_SAFE_INTEGER)",
    suite: index,
    test: "head",
  },
  {
    name: "index head: a run is named as runs are",
    file: head,
    find: 'typeof name === "string" && isSummaryRunName(name) &&',
    replace: 'typeof name === "string" &&',
    suite: index,
    test: "head",
  },
  {
    name: "index run: its size",
    file: run,
    find: 'if (port.stat(file).sizeBytes !== info.bytes) throw new DamagedIndexError("a run has another size");',
    replace: "",
    suite: index,
    test: "run",
  },
  {
    name: "index run: checksums of blocks",
    file: run,
    find: 'if (crc32(bytes) !== place.readUInt32LE(10)) throw new DamagedIndexError("a block does not match its checksum");',
    replace: "",
    suite: [index, unit],
  },
  {
    name: "index run: checksums of buckets",
    file: run,
    find: "if (crc32(keys) !== this.buckets.readUInt32LE(bucket * bucketEntryBytes + 4)) {",
    replace: "if (false) {",
    suite: unit,
    test: "one bucket at a time",
  },
  {
    name: "index run: checksums of tables",
    file: run,
    find: "if (checksumOf(bytes) !== checksum)",
    replace: "if (false)",
    suite: unit,
    test: "changed byte in the keys",
  },
  {
    name: "index run: keys of large runs are not kept in memory",
    file: run,
    find: "if (keysBytes <= keptKeysBytesMax) {",
    replace: "if (true) {",
    suite: unit,
    test: "one bucket at a time",
  },
  {
    name: "index run: no part is read from outside of it",
    file: run,
    find: 'if (position + length > this.info.bytes) throw new DamagedIndexError("a part lies outside of its run");',
    replace: "",
    argument:
      "what lies behind the end of the file cannot be read either, which is the same damage; the comparison spares the memory for it",
  },

  // --- what is believed ------------------------------------------------------------------------------------------------
  {
    name: "index load: its incarnation",
    file: load,
    find: "head.incarnation !== files.manifest.incarnation || upTo.version > view.last.version",
    replace: "upTo.version > view.last.version",
    suite: index,
    test: "incarnation",
  },
  {
    name: "index load: one behind the checkpoint",
    file: load,
    find: 'return isSameStamp(readHeadIfUsable(files)?.upTo ?? upTo, upTo) ? "never" : "later";',
    replace: 'return "fits";',
    suite: index,
    test: "incarnation",
  },
  {
    name: "index load: one ahead of the checkpoint is of this journal",
    file: load,
    find: 'return isInJournal(view, head) ? "fits" : "never";',
    replace: 'return "fits";',
    suite: index,
    test: "ahead",
  },
  {
    name: "index load: the record of the commit",
    file: upkeep,
    find: "left.version === right.version && left.record === right.record",
    replace: "left.version === right.version",
    suite: index,
    test: "ahead",
  },
  {
    name: "index load: what the journal holds is newer than the index",
    file: summaries,
    find: "for (const { overlay } of this.view.segments) for (const key of overlay.changes.keys()) this.stale.add(key);",
    replace: "",
    suite: [unit, index],
  },
  {
    name: "index upkeep: an index that is not at the last checkpoint is not carried on",
    file: upkeep,
    find: "if (head.incarnation !== this.files.manifest.incarnation || !isSameStamp(head.upTo, from)) return;",
    replace: "",
    suite: index,
    test: "incarnation",
  },
  {
    name: "index upkeep: a merge of what was replaced meanwhile",
    file: upkeep,
    find: "if (runs === undefined || this.port.statName(directory, merged.name) === undefined) return;",
    replace: "",
    suite: index,
    test: "merge",
  },
  {
    name: "index upkeep: a merge of what somebody else merged",
    file: upkeep,
    find: "if (at < 0 || !replaced.every(({ name }, index) => runs[at + index]?.name === name)) return undefined;",
    replace: "",
    suite: index,
    test: "merge",
  },
  {
    name: "index upkeep: the last step of a merge is under the checkpoint lock",
    file: upkeep,
    find: "const isDone = await underLock(async () => {",
    replace: "const isDone = await (async (work) => { await work(); return true; })(async () => {",
    suite: index,
    test: "merge",
  },
  {
    name: "index upkeep: a file that cannot be read just now does not vanish from lists",
    file: upkeep,
    find: "if (error instanceof SessionStoreError && mayBeIntact(error.cause)) throw error.cause;",
    replace: "",
    suite: index,
    test: "cannot be read while",
  },

  // --- what goes -------------------------------------------------------------------------------------------------------
  {
    name: "index leftovers: a dropped index does not come back",
    file: leftovers,
    find: "await files.port.syncDirectory(directory);",
    replace: "",
    suite: index,
    test: "repair",
  },
  {
    name: "index leftovers: a repair drops the index",
    file: leftovers,
    find: "files.port.unlink(directory, headName);",
    replace: "",
    suite: index,
    test: "repair",
  },
  {
    name: "index leftovers: what the head names is not swept",
    file: leftovers,
    find: 'if (kind !== "file" || named.has(name) ||',
    replace: 'if (kind !== "file" ||',
    suite: index,
  },
];
