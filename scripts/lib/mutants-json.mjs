/** Mutants of the json backend, beyond those of its saves and locks in mutants-rollback.mjs: limits, versions, copies. */

const hostile = "test/unit/json/hostile.test.ts";
const foreign = "test/unit/json/foreign-writes.test.ts";
const rotations = "test/unit/json/rotation.test.ts";
const locks = "test/unit/json/lock-protocol.test.ts";
const text = "test/unit/json/text.test.ts";

const batch = "src/backends/json/batch.ts";
const commit = "src/backends/json/commit.ts";
const liveFile = "src/backends/json/live-file.ts";
const lockProtocol = "src/backends/json/lock-protocol.ts";
const rotate = "src/backends/json/rotate.ts";
const save = "src/backends/json/save.ts";
const versionsFile = "src/backends/json/versions-file.ts";
const view = "src/backends/json/view.ts";
const watchedFile = "src/backends/json/watched-file.ts";

export const jsonMutants = [
  // --- limits ----------------------------------------------------------------------------------------------------------
  {
    name: "json batch: sessions",
    file: batch,
    find: "if (created === 0 || this.#sessions.size + created <= limits.sessions) return;",
    replace: "return;",
    suite: hostile,
    test: "limit",
  },
  {
    name: "json view: keyBytes",
    file: view,
    find: "normalizeKey(name, rules.keyRule, rules.limits.keyBytes)",
    replace: "normalizeKey(name, rules.keyRule, Infinity)",
    suite: hostile,
    test: "limit",
  },
  {
    name: "json view: nestingLevels",
    file: view,
    find: "takeEntry(document[name], rules.limits.nestingLevels)",
    replace: "takeEntry(document[name], Infinity)",
    suite: hostile,
    test: "limit",
  },
  {
    name: "json watched-file: legacyFileBytes",
    file: watchedFile,
    find: "readStableFile(this.#port, this.#parent, this.#name, this.#bytesMax)",
    replace: "readStableFile(this.#port, this.#parent, this.#name, Number.MAX_SAFE_INTEGER)",
    suite: hostile,
    test: "legacyFileBytes",
  },
  {
    name: "json live-file: a file that is too large is refused as such",
    file: liveFile,
    find: 'case "too_large":',
    replace: 'case "never":',
    suite: hostile,
    test: "legacyFileBytes",
  },
  {
    name: "json lock: how much of a lock file is read",
    file: lockProtocol,
    find: "bytes = readWhole(this.#port, file, lockBytesMax);",
    replace: "bytes = readWhole(this.#port, file, Number.MAX_SAFE_INTEGER);",
    suite: locks,
    test: "lock file that",
  },
  {
    name: "json save: legacyFileBytes of what is copied",
    file: save,
    find: "readStableFile(port, parent, location.legacyName, rules.limits.legacyFileBytes)",
    replace: "readStableFile(port, parent, location.legacyName, Number.MAX_SAFE_INTEGER)",
    argument:
      "the same file was read under the same limit to make the view, and one that grew since has another checksum, which the next line refuses",
  },
  {
    name: "json rotate: legacyFileBytes of backups that a message names",
    file: rotate,
    find: 'const found = readStableFile(port, parent, name, bytesMax); if (found.state !== "read") continue;',
    replace:
      'const found = readStableFile(port, parent, name, Number.MAX_SAFE_INTEGER); if (found.state !== "read") continue;',
    suite: "test/unit/json/rotation-crash.test.ts",
    test: "larger than the limit",
  },
  {
    name: "json rotate: legacyFileBytes of backups that are to be removed",
    file: rotate,
    find: 'const found = readStableFile(port, parent, name, bytesMax); if (found.state === "read" &&',
    replace: 'const found = readStableFile(port, parent, name, Number.MAX_SAFE_INTEGER); if (found.state === "read" &&',
    suite: rotations,
    test: "larger than the limit",
  },
  {
    name: "json versions-file: commits that a cursor can lie behind",
    file: versionsFile,
    find: "commits.length > commitNotesMax ? commits.slice(-commitNotesMax) : commits",
    replace: "commits",
    suite: foreign,
    test: "keeps notes",
  },
  {
    name: "json commit: a program that writes all the time",
    file: commit,
    find: "if (!(error instanceof ForeignWrite) || start >= startsMax) throw error;",
    replace: "if (!(error instanceof ForeignWrite)) throw error;",
    suite: foreign,
    test: "writes each time",
    hangs: true,
  },

  // --- what is compared ------------------------------------------------------------------------------------------------
  {
    name: "json save: the copy is of what is replaced",
    file: save,
    find: 'if (found.state !== "read" || checksumOf(found.bytes) !== live.checksum) throw new ForeignWrite();',
    replace: 'if (found.state !== "read") throw new ForeignWrite();',
    suite: rotations,
    test: "puts it back",
  },
  {
    name: "json save: a copy's name that somebody took meanwhile",
    file: save,
    find: "if (backup !== undefined && port.statName(parent, backup.record.name) !== undefined) throw new ForeignWrite();",
    replace: "",
    suite: rotations,
    test: "a name that somebody gives",
  },
  {
    name: "json save: the same text is not written again",
    file: save,
    find: "run(checksum === view.live.checksum ? undefined : text, checksum)",
    replace: "run(text, checksum)",
    suite: [text, foreign, rotations],
  },
  {
    name: "json view: what others wrote is a commit of its own",
    file: view,
    find: "const isForeign = known.checksum !== live.checksum;",
    replace: "const isForeign = false;",
    suite: foreign,
  },
  {
    name: "json view: a session has the version of its content",
    file: view,
    find: "if (before?.hash === hash) {",
    replace: "if (before !== undefined) {",
    suite: foreign,
  },
  {
    name: "json versions-file: the older state only for the content that it is of",
    file: versionsFile,
    find: "base.checksum === live.checksum && base.identity === live.identity",
    replace: "base.identity === live.identity",
    argument:
      "the very file with another content was rewritten in place within the grain of its time; what changed in it has versions made of its content on either state, which nobody ever had for something else",
  },
  {
    name: "json versions-file: the older state only for the very file that it is of",
    file: versionsFile,
    find: "base.checksum === live.checksum && base.identity === live.identity",
    replace: "base.checksum === live.checksum",
    suite: foreign,
  },
  {
    name: "json versions-file: the newer state when both fit",
    file: versionsFile,
    find: "isOldFile && next.checksum !== live.checksum ? base",
    replace: "isOldFile ? base",
    argument: "a save of the same text writes one state only (save.ts), so a newer state is never of the older content",
  },
  {
    name: "json watched-file: a file that was written just now is read again",
    file: watchedFile,
    find: "isSameFile(seen.stat, stat) && isSettled(seen.stat, seen.readAtMs)",
    replace: "isSameFile(seen.stat, stat)",
    suite: foreign,
  },
  {
    name: "json watched-file: the same content is no change",
    file: watchedFile,
    find: 'if (seen?.checksum === checksum) return { state: "same" };',
    replace: "",
    suite: [foreign, text],
  },
];
