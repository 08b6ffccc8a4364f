/** Mutants of creation and migration: what is synced before the store appears, and what is compared before and after. */

const crash = "test/unit/migrate/crash.test.ts";
const take = "test/unit/migrate/take-over.test.ts";
const content = "test/unit/migrate/legacy-content.test.ts";
const hostile = "test/hostile/legacy-files.test.ts";
const creation = "test/protocol/creation.test.ts";
const p17 = "test/protocol/p10-damage.test.ts";
const migrate = "test/unit/migrate/migrate.test.ts";

const create = "src/backends/directory/create.ts";
const staging = "src/backends/directory/staging.ts";
const parentDirectory = "src/fs/parent-directory.ts";
const legacyFile = "src/migrate/legacy-file.ts";
const legacyText = "src/sessions/legacy-text.ts";
const stableFile = "src/fs/stable-file.ts";
const legacyContent = "src/migrate/legacy-content.ts";
const original = "src/migrate/original.ts";
const backupName = "src/fs/backup-name.ts";
const takeOver = "src/migrate/take-over.ts";

export const createMutants = [
  {
    name: "create: one at a time",
    rule: "P22",
    file: create,
    find: "return await underLock(port, parent, checkpoint, creationWait, async (lock) => { lock.selfTestHeld();",
    replace:
      "return await ((_port, _parent, _name, _wait, work) => work())(port, parent, checkpoint, creationWait, async () => {",
    suite: creation,
  },
  {
    name: "create: somebody may have been faster",
    rule: "P22",
    file: create,
    find: 'if (options.displaces?.(parent) === undefined) return "exists";',
    replace: "",
    suite: creation,
  },
  {
    name: "create: the directories are synced before the store appears",
    rule: "P22",
    file: create,
    find: "await port.syncDirectory(staging);",
    replace: "",
    suite: creation,
  },
  {
    name: "create: entries/ is synced before the store appears",
    rule: "P22",
    file: create,
    find: "await port.syncDirectory(root);",
    replace: "",
    suite: [crash, creation],
  },
  {
    name: "create: shards are synced before the store appears",
    rule: "P22",
    file: create,
    find: "if (naming.shardDigits > 0) for (const shard of directory.directories()) await port.syncDirectory(shard);",
    replace: "",
    suite: creation,
  },
  {
    name: "create: journal/ is synced before the store appears",
    rule: "P22",
    file: create,
    find: "await port.syncDirectory(journal);",
    replace: "",
    suite: creation,
  },
  {
    name: "create: the store's name is synced before the original is renamed",
    rule: "P22",
    file: create,
    find: "await port.syncDirectory(parent); for (const name of Object.values",
    replace: "for (const name of Object.values",
    suite: [crash, creation],
  },
  {
    name: "create: the names of directories that were made are synced",
    file: parentDirectory,
    find: "makeUnlessThere(port, directory, name); await port.syncDirectory(directory);",
    replace: "makeUnlessThere(port, directory, name);",
    suite: creation,
  },
  {
    name: "create: the name of the lowest directory there is is synced",
    file: parentDirectory,
    find: "await syncAbove(port, existing);",
    replace: "",
    suite: creation,
  },
  {
    name: "create: a source that changed meanwhile is taken over anew",
    rule: "P22",
    file: create,
    find: "if (options.isStillRight?.(parent) !== false) {",
    replace: "if (true) {",
    suite: take,
    test: "changes while",
  },
  {
    name: "create: every started file operation is awaited",
    file: create,
    find: "const results = await Promise.allSettled(promises);",
    replace: "await Promise.all(promises); const results = [];",
    suite: creation,
  },
  {
    name: "create: names that differ by case are two files",
    rule: "P17",
    file: create,
    find: "return found === undefined;",
    replace: "return true;",
    suite: p17,
    test: "P17",
  },
  {
    name: "create: a failed creation leaves nothing behind",
    file: create,
    find: "removeTreeBestEffort(port, parent, staging); throw error;",
    replace: "throw error;",
    suite: creation,
  },
  {
    name: "create: leftovers of dead creators are removed",
    file: create,
    find: "await removeLeftovers(port, parent, location); const published",
    replace: "const published",
    suite: creation,
  },
  {
    name: "create: leftovers are gone from the disk before a store appears",
    file: staging,
    find: "if (leftovers.length > 0) await port.syncDirectory(parent);",
    replace: "",
    suite: crash,
  },
  {
    name: "create: a leftover that is the store itself, under another name, is not removed",
    file: staging,
    find: "found.filter((name) => !isTheStore(port, parent, location, name))",
    replace: "found",
    suite: creation,
  },
  {
    name: "create: only directories are removed as leftovers",
    file: staging,
    find: 'if (kind === "directory" && isOurs && isLeftover(name))',
    replace: "if (isOurs && isLeftover(name))",
    suite: hostile,
    test: "symlink is not followed when leftovers",
  },
  {
    name: "create: leftovers are removed no deeper than they are made",
    file: staging,
    find: 'entry.kind === "directory" && levels > 0',
    replace: 'entry.kind === "directory"',
    suite: creation,
  },
  {
    name: "create: directories have mode 0700",
    file: create,
    find: "port.makeDirectory(parent, name, layout.directoryMode); return port.openDirectory(parent, name);",
    replace: "port.makeDirectory(parent, name, 0o755); return port.openDirectory(parent, name);",
    suite: creation,
  },

  // --- migration ---------------------------------------------------------------------------------------------------------
  {
    name: "legacy-file: legacyFileBytes",
    file: stableFile,
    find: "if (before.sizeBytes > bytesMax)",
    replace: "if (false)",
    suite: hostile,
    test: "above the limit",
  },
  {
    name: "legacy-file: an unsafe file is refused",
    file: stableFile,
    find: 'if (problem) return { state: "unsafe", problem };',
    replace: "",
    suite: hostile,
  },
  {
    name: "legacy-file: what is opened is what was looked at",
    file: stableFile,
    find: 'openChecked(port, parent, name, "read", owner)',
    replace: 'port.open(parent, name, "read")',
    suite: creation,
  },
  {
    name: "legacy-file: a file that changes while it is read is read again",
    file: stableFile,
    find: 'return unchanged ? { state: "read", bytes, stat: before } : undefined;',
    replace: 'return { state: "read", bytes, stat: before };',
    suite: creation,
  },
  {
    name: "legacy-file: a file that is replaced while it is read is read again",
    file: stableFile,
    find: "&& isSameFile(before, now);",
    replace: ";",
    suite: creation,
  },
  {
    name: "legacy-file: contents are compared by hash",
    file: legacyFile,
    find: 'return hashOf(content.bytes) === expected.sha256 ? "same" : "different";',
    replace: 'return "same";',
    suite: take,
  },
  {
    name: "legacy-content: fatal UTF-8",
    file: legacyText,
    find: '"utf-8", { fatal: true, ignoreBOM: true }',
    replace: '"utf-8", { fatal: false, ignoreBOM: true }',
    suite: content,
  },
  {
    name: "legacy-content: a file of which no entry can be taken is refused",
    file: legacyContent,
    find: "if (entries.size === 0 && this.holdsMoreThanNothing)",
    replace: "if (false)",
    suite: [hostile, content],
  },
  {
    name: "legacy-content: keyBytes",
    file: legacyContent,
    find: "normalizeKey(name, keyRule, limits.keyBytes)",
    replace: "normalizeKey(name, keyRule, 1e9)",
    suite: [hostile, content],
  },
  {
    name: "legacy-content: entryBytes",
    file: legacyContent,
    find: "checkEntryBytes(entry, limits.entryBytes, key);",
    replace: "",
    suite: [hostile, content],
  },
  {
    name: "legacy-content: nestingLevels",
    file: legacyContent,
    find: "freezeParsedJson(value, limits.nestingLevels)",
    replace: "freezeParsedJson(value, 1e9)",
    suite: [hostile, content],
  },
  {
    name: "legacy-content: sessions",
    file: legacyContent,
    find: "if (entries.size > this.rules.limits.sessions)",
    replace: "if (false)",
    suite: [content],
  },
  {
    name: "take-over: the free space",
    file: takeOver,
    find: "if (freeBytes >= neededBytes) return;",
    replace: "return;",
    suite: migrate,
    test: "too little space",
  },
  {
    name: "take-over: what was seen without the lock is compared under it",
    file: takeOver,
    find: 'if (compareLegacyFile(port, parent, location.legacyName, seen) === "same") return seen;',
    replace: "return seen;",
    suite: take,
    test: "changes while",
  },
  {
    name: "take-over: a gateway that writes all the time is made to wait",
    file: "src/migrate/busy-source.ts",
    find: "!this.isHeld && lastBuildMs <= lockedBuildMsMax",
    replace: "false",
    suite: take,
    test: "while the gateway waits",
  },
  {
    name: "take-over: the gateway's lock is given back",
    file: takeOver,
    find: "}).finally(() => busy.release());",
    replace: "});",
    suite: take,
  },
  {
    name: "take-over: a file that never stops changing is refused",
    file: takeOver,
    find: "if (starts > startsMax) throw",
    replace: "if (false) throw",
    suite: take,
    test: "never stops changing",
    hangs: true,
  },
  {
    name: "original: only what was taken over is renamed",
    file: original,
    find: 'if (found === "different") return { state: "different" };',
    replace: "",
    suite: take,
  },
  {
    name: "original: the name of the backup is synced",
    file: original,
    find: "await port.syncDirectory(parent);",
    replace: "",
    suite: creation,
  },
  {
    name: "backup-name: a backup is never overwritten",
    file: backupName,
    find: "if (port.statName(parent, free) === undefined) return free;",
    replace: "return free;",
    suite: take,
    test: "never overwritten",
  },
  {
    name: "original: a change at the last moment is reported",
    file: original,
    find: "const isTheSame = isSameFile(before, port.statName(parent, name));",
    replace: "const isTheSame = true;",
    suite: [creation],
  },
];
