/** Mutants of the way back, of merges, and of the locks of the json backend: each sync, lock, check and limit. */

const crash = "test/unit/migrate/rollback-crash.test.ts";
const rollbackTests = "test/unit/migrate/rollback.test.ts";
const interleaved = "test/unit/migrate/rollback-interleaved.test.ts";
const defences = "test/unit/migrate/rollback-defences.test.ts";
const lockTests = "test/unit/migrate/legacy-lock.test.ts";
const fenced = "test/unit/migrate/fenced-store.test.ts";
const mergeTests = "test/unit/migrate/merge.test.ts";
const places = "test/unit/migrate/crash-places.test.ts";
const rotationCrash = "test/unit/json/rotation-crash.test.ts";
const rotationTests = "test/unit/json/rotation.test.ts";
const foreign = "test/unit/json/foreign-writes.test.ts";
const protocolTests = "test/unit/json/lock-protocol.test.ts";

const rollback = "src/migrate/rollback.ts";
const checks = "src/migrate/rollback-checks.ts";
const publish = "src/migrate/rollback-publish.ts";
const recovery = "src/migrate/rollback-recovery.ts";
const exporting = "src/migrate/rollback-export.ts";
const marker = "src/migrate/rollback-marker.ts";
const fence = "src/backends/directory/fence.ts";
const check = "src/backends/directory/check.ts";
const original = "src/migrate/original.ts";
const legacyLock = "src/migrate/legacy-lock.ts";
const merge = "src/migrate/merge.ts";
const save = "src/backends/json/save.ts";
const storeLock = "src/backends/json/store-lock.ts";
const lockProtocol = "src/backends/json/lock-protocol.ts";
const rotate = "src/backends/json/rotate.ts";
const liveFile = "src/backends/json/live-file.ts";

export const rollbackMutants = [
  // --- the order of a rollback
  {
    name: "rollback: writers are shut out before the export",
    rule: "P20",
    file: rollback,
    find: "await store.raise();",
    replace: "",
    suite: [defences, interleaved],
  },
  {
    name: "rollback: one at a time",
    rule: "P20",
    file: recovery,
    find: "return underLock(port, parent, checkpoint, wait, work);",
    replace: "return work();",
    suite: [defences, interleaved],
  },
  {
    name: "rollback: the file is in its place before the directory goes",
    file: publish,
    find: "port.rename(parent, details.exportFile, parent, location.legacyName);",
    replace:
      "port.rename(parent, location.directoryName, parent, details.backupDirectory); await port.syncDirectory(parent); port.rename(parent, details.exportFile, parent, location.legacyName); port.rename(parent, details.backupDirectory, parent, location.directoryName);",
    suite: crash,
    test: "a kill at any port call",
  },
  {
    name: "rollback: the marker is there before the file",
    file: publish,
    find: "await writeRollbackMarker(port, parent, location, details);",
    replace: "",
    suite: rollbackTests,
  },
  {
    name: "rollback: the export is read back",
    file: rollback,
    find: "await verifyExport(port, parent, name, { ...written, ...source }, onSession);",
    replace: "",
    suite: defences,
  },
  {
    name: "rollback: the export's name is on the disk before the marker names it",
    file: rollback,
    find: "await port.syncDirectory(parent); return { ...written, name, sessions,",
    replace: "return { ...written, name, sessions,",
    suite: defences,
    argument:
      "a file that was synced has its name on the disk on the file systems of the model; POSIX does not promise it",
  },
  {
    name: "rollback: a file that was in the way is on the disk under its new name",
    file: publish,
    find: "port.rename(parent, legacyName, parent, name); await port.syncDirectory(parent);",
    replace: "port.rename(parent, legacyName, parent, name);",
    suite: defences,
    argument:
      "two changes of one name come to the disk in their order on every file system we know; nothing promises it",
  },
  {
    name: "rollback: a file that appears at the last moment is not replaced",
    file: publish,
    find: "await refuseToReplace(port, parent, location, store, result);",
    replace: "",
    suite: defences,
  },
  {
    name: "rollback: what an older program wrote during the export is in it",
    file: publish,
    find: "if (beside.sha256 === undefined || beside.sha256 === exported.beside.sha256) return exported;",
    replace: "return exported;",
    suite: defences,
  },
  {
    name: "rollback: a directory that was moved is not rolled back",
    rule: "P20",
    file: publish,
    find: "if (store.files.isInPlace()) return;",
    replace: "return;",
    suite: defences,
  },
  {
    name: "rollback: an older marker is set aside",
    file: rollback,
    find: "const oldMarker = await setRollbackMarkerAside(port, parent, location);",
    replace: "const oldMarker = undefined;",
    suite: defences,
  },
  {
    name: "rollback: damaged sessions are refused",
    file: checks,
    find: "refuseDamaged(inventory, location);",
    replace: "",
    suite: rollbackTests,
  },
  {
    name: "rollback: the size of the file",
    file: exporting,
    find: "if (bytes <= limitCaps.legacyFileBytes) return;",
    replace: "return;",
    suite: defences,
  },
  {
    name: "rollback: the free space",
    file: checks,
    find: "if (freeBytes >= bytes) return;",
    replace: "return;",
    suite: defences,
  },
  {
    name: "rollback: the size is asked",
    file: checks,
    find: "requireReadable(inventory, location);",
    replace: "",
    suite: defences,
  },
  {
    name: "rollback: one that failed is undone at once",
    file: rollback,
    find: "await this.undo(parent, store, error);",
    replace: "",
    suite: [lockTests, rollbackTests],
  },
  {
    name: "rollback: the gateway's lock",
    file: legacyLock,
    find: 'if (attempt.status === "acquired") break;',
    replace: "break;",
    suite: lockTests,
  },
  {
    name: "rollback: the gateway's lock is given back",
    file: legacyLock,
    find: "lock.release(); } catch",
    replace: "} catch",
    suite: lockTests,
  },
  // --- the export
  {
    name: "rollback-export: it is synced",
    file: exporting,
    find: "await port.syncFile(file);",
    replace: "",
    suite: crash,
    test: "power loss at any port call",
  },
  {
    name: "rollback-export: mode 0600",
    file: exporting,
    find: "port.setMode(file, 0o600);",
    replace: "",
    suite: defences,
    argument: "files are created with this mode; it only undoes a umask that takes rights from their owner",
  },
  {
    name: "rollback-export: the count of an append",
    file: exporting,
    find: "if (written !== bytes.byteLength) throw shortWrite(written, bytes.byteLength);",
    replace: "",
    suite: defences,
  },
  {
    name: "rollback-export: the hash of what was read back",
    file: exporting,
    find: "if (sha256 !== expected.sha256)",
    replace: "if (false)",
    suite: defences,
  },
  {
    name: "rollback-export: the count of sessions that were read back",
    file: exporting,
    find: "if (found !== wanted)",
    replace: "if (false)",
    suite: defences,
    argument: "the hash says already that the bytes are those that were written; this is for a mistake in the writing",
  },
  {
    name: "rollback-export: each session that was read back",
    file: exporting,
    find: "if (!same)",
    replace: "if (false)",
    suite: defences,
    argument: "the hash says already that the bytes are those that were written; this is for a mistake in the writing",
  },
  // --- the marker
  {
    name: "rollback-marker: it is synced",
    file: marker,
    find: "await port.syncFile(file);",
    replace: "",
    suite: [crash, defences],
  },
  {
    name: "rollback-marker: its name is on the disk before the export gets its own",
    file: marker,
    find: "port.rename(parent, temporary, parent, rollbackMarkerName(location.directoryName)); await port.syncDirectory(parent);",
    replace: "port.rename(parent, temporary, parent, rollbackMarkerName(location.directoryName));",
    suite: [crash, defences],
  },
  {
    name: "rollback-marker: one that is set aside is so on the disk",
    file: marker,
    find: "port.rename(parent, name, parent, aside); await port.syncDirectory(parent);",
    replace: "port.rename(parent, name, parent, aside);",
    suite: defences,
  },
  // --- what an interrupted one becomes
  {
    name: "rollback-recovery: the marker is of this very fence",
    file: recovery,
    find: "marker.incarnation === store.files.manifest.incarnation && marker.lastVersion === store.lastVersion",
    replace: "true",
    suite: defences,
  },
  {
    name: "rollback-recovery: an export that waits was not published",
    file: recovery,
    find: "return isOfThisFence(marker, store) && port.statName(parent, marker.exportFile) === undefined;",
    replace: "return isOfThisFence(marker, store);",
    suite: [fenced, crash],
  },
  {
    name: "rollback-recovery: without the file nothing was published",
    file: recovery,
    find: "if (port.statName(parent, location.legacyName) === undefined) return false;",
    replace: "",
    suite: defences,
  },
  {
    name: "rollback-recovery: an unreadable marker beside an export is not believed",
    file: recovery,
    find: "return listRollbackLeftovers(port, parent, location).length === 0;",
    replace: "return true;",
    suite: defences,
  },
  {
    name: "rollback-recovery: the file's name is on the disk before the directory goes",
    file: recovery,
    find: "await port.syncDirectory(parent); const planned",
    replace: "const planned",
    suite: [crash, defences],
  },
  {
    name: "rollback-recovery: the directory's new name is on the disk",
    file: recovery,
    find: "port.rename(parent, location.directoryName, parent, name); await port.syncDirectory(parent);",
    replace: "port.rename(parent, location.directoryName, parent, name);",
    suite: defences,
  },
  {
    name: "rollback-recovery: a backup that is there is not replaced",
    file: recovery,
    find: "planned !== undefined && port.statName(parent, planned) === undefined",
    replace: "planned !== undefined",
    suite: defences,
  },
  {
    name: "rollback-recovery: a file that made way is put back",
    file: recovery,
    find: "await putLegacyFileBack(port, parent, location, store);",
    replace: "",
    suite: defences,
  },
  {
    name: "rollback-recovery: the marker is gone before the fence is lifted",
    file: recovery,
    find: "if (hasRollbackMarker(port, parent, location)) { port.unlink",
    replace: "await store.lift(); if (hasRollbackMarker(port, parent, location)) { port.unlink",
    suite: [defences, crash],
  },
  {
    name: "rollback-recovery: the marker is gone from the disk before the export is",
    file: recovery,
    find: "port.unlink(parent, rollbackMarkerName(location.directoryName)); await port.syncDirectory(parent);",
    replace: "port.unlink(parent, rollbackMarkerName(location.directoryName));",
    suite: defences,
  },
  {
    name: "rollback-recovery: the export is gone from the disk before the fence is lifted",
    file: recovery,
    find: "if (leftovers.length > 0) await port.syncDirectory(parent);",
    replace: "",
    suite: [defences, crash],
  },
  // --- the fence
  {
    name: "fence: under the commit lock",
    rule: "P20",
    file: fence,
    find: "if (!(await lock.acquire(() => deadlineMs)))",
    replace: "if (false)",
    suite: [defences, interleaved],
  },
  {
    name: "fence: the directory is the one that is open",
    rule: "P20",
    file: fence,
    find: "if (!this.files.isInPlace()) throw storeGone(this.files);",
    replace: "",
    suite: defences,
  },
  {
    name: "fence: the end of the journal is in order first",
    rule: "P10",
    file: fence,
    find: "settleJournalEnd(this.writer);",
    replace: "",
    suite: defences,
  },
  {
    name: "fence: it is synced, with everything before it",
    rule: "P20",
    file: fence,
    find: 'if (segment.seal !== "suspect") await this.port.syncFile(segment.file);',
    replace: "",
    suite: [defences, crash],
  },
  {
    name: "fence: the names of the journal are synced",
    rule: "P6",
    file: fence,
    find: "await this.port.syncDirectory(this.files.journal);",
    replace: "",
    suite: defences,
  },
  {
    name: "fence: its end is synced",
    file: fence,
    find: "await this.port.syncFile(segment.file); } close()",
    replace: "} close()",
    suite: defences,
  },
  {
    name: "fence: one whose sync failed is cut off",
    rule: "P11",
    file: fence,
    find: "await this.lift().catch(() => { });",
    replace: "",
    suite: defences,
  },
  {
    name: "fence: commits that are missing are not rolled back silently",
    rule: "P10",
    file: fence,
    find: "if (lost) throw lost;",
    replace: "",
    suite: defences,
  },
  {
    name: "check: a fence is no damage",
    file: check,
    find: 'if (view.current.seal === "fenced") yield fenced(files, view);',
    replace: "",
    suite: fenced,
  },
  // --- merges
  {
    name: "merge: the sessions are durable before the content is recorded",
    file: merge,
    find: "await backend.sync();",
    replace: "",
    suite: places,
    test: "whose commits are acknowledged before they are on the disk",
  },
  {
    name: "merge: what lost is kept",
    file: merge,
    find: "await keepInTrash(files, lost);",
    replace: "",
    suite: mergeTests,
  },
  {
    name: "merge: the content is recorded before the file is renamed",
    file: merge,
    find: 'if (found.state !== "known") await recordMerge(files, location, found, takenOf(outcome.counts));',
    replace: "",
    suite: mergeTests,
  },
  {
    name: "merge: a file that a rollback wrote is left alone",
    file: merge,
    find: "if (hasRollbackMarker(port, parent, location)) return undefined;",
    replace: "",
    suite: mergeTests,
  },
  {
    name: "merge: another writer that was faster is not overwritten",
    file: merge,
    find: "expected.set(key, store?.version ?? null);",
    replace: "",
    suite: mergeTests,
  },
  {
    name: "merge: what was written at the last moment is merged",
    file: merge,
    find: 'if (next.aside?.state === "replaced") {',
    replace: "if (false) {",
    suite: mergeTests,
  },
  {
    name: "merge: what was written at the last moment of a take-over is merged",
    file: merge,
    find: "if (options.lateBackup !== undefined) {",
    replace: "if (false) {",
    suite: lockTests,
  },
  {
    name: "original: what the json backend knew goes with it",
    file: original,
    find: "setVersionsAside(port, parent, legacyName); const name",
    replace: "const name",
    suite: lockTests,
  },
  // --- the json backend
  {
    name: "json save: what is written is synced before it gets its name",
    file: "src/backends/json/new-file.ts",
    find: "await port.syncFile(file);",
    replace: "",
    suite: rotationCrash,
  },
  {
    name: "json save: the name is synced before it is acknowledged",
    file: save,
    find: "await this.#syncNames();",
    replace: "",
    suite: rotationCrash,
  },
  {
    name: "json save: a foreign write is noticed",
    file: save,
    find: "if (this.#reader.current() !== this.#view) throw new ForeignWrite();",
    replace: "",
    suite: foreign,
  },
  {
    name: "json save: legacyFileBytes",
    file: save,
    find: "text.byteLength <= legacyFileBytes",
    replace: "true",
    suite: ["test/unit/json/text.test.ts", "test/unit/json/hostile.test.ts", foreign],
  },
  {
    name: "json save: rotateBytes",
    file: save,
    find: "const isLarge = live.sizeBytes > this.#options.rotateBytes;",
    replace: "const isLarge = false;",
    suite: rotationTests,
  },
  {
    name: "json save: the versions file comes before the file",
    file: save,
    find: "this.#rename(versionsFile.name, versionsName(legacyName));",
    replace: "",
    suite: [rotationCrash, rotationTests, "test/unit/json/opening.test.ts"],
  },
  {
    name: "json lock: the kernel lock",
    file: storeLock,
    find: 'if (this.#port.tryLock(file, "exclusive")) {',
    replace: "if (true) {",
    suite: protocolTests,
  },
  {
    name: "json lock: the lock file of the gateway",
    file: storeLock,
    find: 'if (attempt.status === "acquired") return;',
    replace: "return;",
    suite: protocolTests,
  },
  {
    name: "json lock: a lock file that was replaced excludes nobody",
    file: storeLock,
    find: "if (there?.inode === ours.inode && there.device === ours.device) {",
    replace: "if (true) {",
    suite: protocolTests,
  },
  {
    name: "json lock: a living holder keeps its lock",
    file: lockProtocol,
    find: "if (!found.isAbandoned)",
    replace: "if (false)",
    suite: protocolTests,
  },
  {
    name: "json lock: only the file that was looked at is removed",
    file: lockProtocol,
    find: "if (there === undefined || there.inode !== expected.inode || there.device !== expected.device) return;",
    replace: "",
    suite: protocolTests,
  },
  {
    name: "json rotate: only copies that a rotation made are removed",
    file: rotate,
    find: 'if (found.state === "read" && checksumOf(found.bytes) === checksum) port.unlink(parent, name);',
    replace: "port.unlink(parent, name);",
    suite: rotationTests,
  },
  {
    name: "json: a store that was taken over is not read",
    file: liveFile,
    find: "if (port.statName(parent, location.directoryName) !== undefined) throw takenOver(location);",
    replace: "",
    suite: ["test/unit/json/opening.test.ts", foreign],
  },
];
