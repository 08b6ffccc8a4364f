/** Mutants of places that belong to no other list: what mutants-coverage.mjs found to lie under none. */

const upkeep = "test/protocol/checkpoint-upkeep.test.ts";
const repairs = "test/protocol/repairs.test.ts";
const creation = "test/protocol/creation.test.ts";
const lockFileTests = "test/unit/directory/lock-file.test.ts";
const crash = "test/unit/migrate/crash.test.ts";
const takeOverTests = "test/unit/migrate/take-over.test.ts";
const restoreCrash = "test/unit/transfer/restore-crash.test.ts";

const checkpoint = "src/backends/directory/checkpoint.ts";
const create = "src/backends/directory/create.ts";
const repairEntries = "src/backends/directory/repair-entries.ts";
const repairManifest = "src/backends/directory/repair-manifest.ts";
const lockFile = "src/backends/directory/lock-file.ts";

export const placeMutants = [
  // --- syncs -----------------------------------------------------------------------------------------------------------
  {
    name: "checkpoint: the manifest's name is synced before what it made superfluous goes",
    file: checkpoint,
    find: "if (index === 0) await port.syncDirectory(this.files.store);",
    replace: "",
    suite: [upkeep, "test/protocol/journal-ends.test.ts"],
  },
  {
    name: "create: a staging directory that was given up does not come back",
    file: create,
    find: "removeTree(port, parent, staging); await port.syncDirectory(parent);",
    replace: "removeTree(port, parent, staging);",
    suite: creation,
    test: "given up",
  },
  {
    name: "create: the complete store has its waiting name before the directory makes way",
    file: create,
    find: "await port.syncDirectory(parent); port.rename(parent, directoryName, parent, aside);",
    replace: "port.rename(parent, directoryName, parent, aside);",
    suite: creation,
    test: "makes way",
  },
  {
    name: "create: the directory has made way before the store takes its place",
    file: create,
    find: "await port.syncDirectory(parent); port.rename(parent, ready, parent, directoryName); return",
    replace: "port.rename(parent, ready, parent, directoryName); return",
    argument:
      "both renames change the same name, the second onto what the first has left free, and neither reaches the disk without the other before it; the sync after both makes them durable",
  },
  {
    name: "repair-entries: the end of the journal is synced",
    file: repairEntries,
    find: "await context.port.syncFile(view.current.file);",
    replace: "",
    suite: repairs,
    test: "leaves to the journal",
  },
  {
    name: "repair-entries: the names of the journal are synced",
    file: repairEntries,
    find: "await context.port.syncDirectory(files.journal);",
    replace: "",
    argument:
      "what a repair of the journal moved is synced there, and a successor that was made for a sealed segment holds nothing: who comes after a power cut makes it again (P1)",
  },
  {
    name: "repair-entries: what went to quarantine/ does not come back",
    file: repairEntries,
    find: "await context.port.syncDirectory(damaged.directory);",
    replace: "",
    suite: repairs,
    test: "moved to quarantine",
  },
  {
    name: "repair-journal: segments that were set aside do not come back",
    file: "src/backends/directory/repair-journal.ts",
    find: "await context.port.syncDirectory(files.journal);",
    replace: "",
    argument:
      "the entries are repaired after the journal, and that ends with a sync of the same names before anything is reported",
  },
  {
    name: "repair-manifest: quarantine/ is synced",
    file: repairManifest,
    find: "await port.syncDirectory(quarantine);",
    replace: "",
    suite: repairs,
    test: "old manifest",
  },
  {
    name: "repair-manifest: a new journal is synced",
    file: repairManifest,
    find: "await port.syncDirectory(journal);",
    replace: "",
    suite: repairs,
    test: "segment that it begins with",
  },
  {
    name: "rollback-recovery: the legacy file that was put back has its name",
    file: "src/migrate/rollback-recovery.ts",
    find: "port.rename(parent, name, parent, legacyName); await port.syncDirectory(parent);",
    replace: "port.rename(parent, name, parent, legacyName);",
    suite: "test/unit/migrate/rollback-crash.test.ts",
    test: "older program",
  },
  {
    name: "restore-place: a store whose restore died has its name",
    file: "src/transfer/restore-place.ts",
    find: "await removeLeftovers(port, parent, location, (name) => name !== ready); port.rename(parent, ready, parent, location.directoryName); await port.syncDirectory(parent);",
    replace:
      "await removeLeftovers(port, parent, location, (name) => name !== ready); port.rename(parent, ready, parent, location.directoryName);",
    suite: [restoreCrash, "test/unit/transfer/second-crash.test.ts"],
    argument:
      "A power cut brings back the name under which the store waits, from which the next one puts it into place again; and whoever opens it for writing syncs the folder before anything is acknowledged.",
  },

  // --- locks -----------------------------------------------------------------------------------------------------------
  {
    name: "checkpoint: work beside checkpoints has their lock",
    file: checkpoint,
    find: "if (!this.lock.tryExclusiveChecked()) return false;",
    replace: "this.lock.tryExclusiveChecked();",
    suite: "test/protocol/summary-index.test.ts",
    test: "under the checkpoint lock",
  },
  {
    name: "checkpoint: the scan gate is the scan lock",
    rule: "P15",
    file: checkpoint,
    find: "!this.scanLock.tryExclusive();",
    replace: "this.scanLock.tryExclusive() && false;",
    suite: "test/protocol/p15-scans.test.ts",
  },
  {
    name: "commit-lock: it is taken",
    file: "src/backends/directory/commit-lock.ts",
    find: "return this.file.tryExclusive();",
    replace: "this.file.tryExclusive(); return true;",
    suite: lockFileTests,
  },
  {
    name: "lock-file: a checked lock is a lock",
    file: lockFile,
    find: "if (!this.tryExclusive()) return false;",
    replace: "this.tryExclusive();",
    suite: lockFileTests,
  },
  {
    name: "lock-file: the self-test asks a second time",
    file: lockFile,
    find: 'granted = this.port.tryLock(second, "exclusive");',
    replace: "granted = false;",
    suite: lockFileTests,
  },
  {
    name: "repair: the locks are taken",
    rule: "P21",
    file: "src/backends/directory/repair.ts",
    find: "while (!lock.tryExclusiveChecked()) {",
    replace: "while (false) {",
    suite: repairs,
    test: "P21",
  },
  {
    name: "under-lock: the lock is taken",
    rule: "P21",
    file: "src/backends/directory/under-lock.ts",
    find: "while (!lock.tryExclusiveChecked()) {",
    replace: "while (false) {",
    suite: creation,
  },
  {
    name: "writing: locks are tested before anything is written",
    file: "src/backends/directory/writing.ts",
    find: "if (!this.checkpointLockFile.tryExclusive()) return;",
    replace: "return;",
    suite: lockFileTests,
  },

  // --- checksums -------------------------------------------------------------------------------------------------------
  {
    name: "legacy-file: a content that was taken over is known",
    file: "src/migrate/legacy-file.ts",
    find: "if (known.some(({ sha256 }) => sha256 === fingerprint.sha256))",
    replace: "if (false)",
    suite: ["test/unit/migrate/merge.test.ts", takeOverTests, crash],
  },
  {
    name: "backup: the checksum of its file",
    file: "src/transfer/backup.ts",
    find: "&& bundle.fileSha256 === file.sha256",
    replace: "",
    argument:
      "the lines are read and compared by their own checksum (contentSha256), their count and the size of the file; what may differ then is how a line is written, and it restores the same sessions",
  },

  // --- limits ----------------------------------------------------------------------------------------------------------
  {
    name: "repair-entries: entryFileBytesMax",
    file: repairEntries,
    find: "readWhole(files.port, file, fixedLimits.entryFileBytesMax)",
    replace: "readWhole(files.port, file, Number.MAX_SAFE_INTEGER)",
    suite: repairs,
    test: "larger than any entry file",
  },
  {
    name: "check: stray files that are told one by one",
    file: "src/backends/directory/check.ts",
    find: "if (strays <= fixedLimits.strayFilesMax)",
    replace: "if (true)",
    suite: upkeep,
    test: "one by one",
  },
  {
    name: "writing: segmentAgeMs",
    file: "src/backends/directory/writing.ts",
    find: "ageMs >= this.options.limits.segmentAgeMs ||",
    replace: "",
    suite: upkeep,
  },
  {
    name: "legacy-file: legacyFileBytes is what it is read under",
    file: "src/migrate/legacy-file.ts",
    find: "readStableFile(port, parent, name, bytesMax)",
    replace: "readStableFile(port, parent, name, Number.MAX_SAFE_INTEGER)",
    suite: ["test/hostile/legacy-files.test.ts", "test/unit/migrate/detect.test.ts"],
  },
  {
    name: "entry-value: entryBytes of what is copied",
    file: "src/sessions/entry-value.ts",
    find: "if (this.#bytes > this.#limits.entryBytes * 2 + 1024) {",
    replace: "if (false) {",
    suite: "test/unit/sessions/entry-value.test.ts",
  },
  {
    name: "query: sessions of a page",
    file: "src/sessions/query.ts",
    find: "limit < 1 || limit > pageLimitMax",
    replace: "limit < 1",
    suite: ["test/conformance/memory.test.ts", "test/unit/store-options.test.ts"],
  },
  {
    name: "store-entry-size: what a change may make of an entry",
    file: "src/store-entry-size.ts",
    find: "if (bound <= entryBytesMax) {",
    replace: "if (true) {",
    suite: "test/conformance/memory.test.ts",
  },
  {
    name: "bundle-format: generations of a session",
    file: "src/transfer/bundle-format.ts",
    find: "value.length === 0 || value.length > generationsMax",
    replace: "value.length === 0",
    suite: "test/unit/transfer/bundle.test.ts",
    test: "generations",
  },
  {
    name: "openclaw rotate: the size from which on a file is rotated",
    file: "src/openclaw/rotate.ts",
    find: 'if (stat?.kind !== "file" || stat.sizeBytes <= bytesMax)',
    replace: 'if (stat?.kind !== "file")',
    suite: "test/unit/openclaw/rotate.test.ts",
  },
  {
    name: "discovery: manifestBytesMax",
    file: "src/discovery/store-forms.ts",
    find: 'if (stat?.kind !== "file" || stat.sizeBytes > fixedLimits.manifestBytesMax)',
    replace: 'if (stat?.kind !== "file")',
    argument: "the file is opened and read under the same limit, which is then said with the same answer",
  },
  {
    name: "discovery: manifestBytesMax of what is read",
    file: "src/discovery/store-forms.ts",
    find: "readWhole(port, file, fixedLimits.manifestBytesMax)",
    replace: "readWhole(port, file, Number.MAX_SAFE_INTEGER)",
    argument:
      "its size was looked at before it was opened; a file that grows in between is read up to the size it has then, of which nothing but a kind is taken",
  },
];
