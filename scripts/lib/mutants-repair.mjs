/** Mutants of repair: its locks, what it syncs, and what it takes for granted. */

const repairs = "test/protocol/repairs.test.ts";

const repair = "src/backends/directory/repair.ts";
const repairEntries = "src/backends/directory/repair-entries.ts";
const repairJournal = "src/backends/directory/repair-journal.ts";
const repairManifest = "src/backends/directory/repair-manifest.ts";

export const repairMutants = [
  {
    name: "repair: the checkpoint lock",
    rule: "P21",
    file: repair,
    find: "for (const name of [names.checkpoint, names.commit]) {",
    replace: "for (const name of [names.commit]) {",
    suite: repairs,
  },
  {
    name: "repair: the commit lock",
    rule: "P21",
    file: repair,
    find: "for (const name of [names.checkpoint, names.commit]) {",
    replace: "for (const name of [names.checkpoint]) {",
    suite: repairs,
  },
  {
    name: "repair: locks are taken in order",
    rule: "P21",
    file: repair,
    find: "for (const name of [names.checkpoint, names.commit]) {",
    replace: "for (const name of [names.commit, names.checkpoint]) {",
    suite: repairs,
  },
  {
    name: "repair-entries: the journal is synced before the entry file is written",
    rule: "P7",
    file: repairEntries,
    find: "await port.syncFile(view.current.file); await port.syncDirectory(files.journal); const place",
    replace: "const place",
    suite: repairs,
  },
  {
    name: "repair-entries: the entry file's name is synced",
    rule: "P8",
    file: repairEntries,
    find: "port.rename(place.directory, temporary, place.directory, place.name); await port.syncDirectory(place.directory);",
    replace: "port.rename(place.directory, temporary, place.directory, place.name);",
    suite: repairs,
  },
  {
    name: "repair-entries: a file that may be intact is left",
    file: repairEntries,
    find: "if (damaged.remedy !== undefined) {",
    replace: "if (false) {",
    suite: repairs,
  },
  {
    name: "store-files: quarantine/ is on the disk before anything moves into it",
    file: "src/backends/directory/store-files.ts",
    find: "this.port.closeDirectory(this.openOrMakePart(layout.quarantineName)); await this.port.syncDirectory(this.store);",
    replace: "this.port.closeDirectory(this.openOrMakePart(layout.quarantineName));",
    suite: "test/protocol/upkeep-crashes.test.ts",
    test: "a spoilt entry",
  },
  {
    name: "repair-manifest: quarantine/ is on the disk before the manifest moves into it",
    file: "src/backends/directory/repair-manifest.ts",
    find: "await port.syncDirectory(store); const unique =",
    replace: "const unique =",
    suite: "test/protocol/upkeep-crashes.test.ts",
    test: "a spoilt manifest",
  },
  {
    name: "repair-entries: the damaged original is kept",
    file: repairEntries,
    find: "if (!(await files.quarantineCopy(damaged.directory, damaged.name))) files.quarantineMove(damaged.directory, damaged.name);",
    replace: "",
    suite: "test/hostile/store-directory.test.ts",
    test: "hand edit",
  },
  {
    name: "repair-entries: an accepted file is of the session it is named for",
    file: repairEntries,
    find: "readable && files.entries.fileName(key) === damaged.name && readable.key === key && accept.has(key)",
    replace: "readable && accept.has(key)",
    suite: repairs,
  },
  {
    name: "repair-entries: hand edits are accepted only by name",
    file: repairEntries,
    find: "readable.key === key && accept.has(key)",
    replace: "readable.key === key",
    suite: "test/hostile/store-directory.test.ts",
    test: "hand edit",
  },
  {
    name: "repair-journal: the new segment's name is synced before the manifest points to it",
    file: repairJournal,
    find: "await port.syncDirectory(files.journal); await files.writeManifest",
    replace: "await files.writeManifest",
    argument:
      "until the old segments are moved, whose names are synced together with the new one, a store without it is refused and repaired again; and by then all states are in entry files",
  },
  {
    name: "repair-journal: a rewritten history has a new incarnation",
    rule: "P13",
    file: repairJournal,
    find: 'incarnation: Buffer.from(port.randomBytes(16)).toString("hex"),',
    replace: "",
    suite: repairs,
  },
  {
    name: "repair-journal: versions are not given out again",
    rule: "P13",
    file: repairJournal,
    find: "latest([highestEntryVersion(files), files.manifest.checkpoint, ...records.map(stampOf)])",
    replace: "latest(records.map(stampOf))",
    suite: repairs,
  },
  {
    name: "repair-manifest: the manifest's name is synced",
    file: repairManifest,
    find: "port.rename(store, temporary, store, layout.manifestName); await port.syncDirectory(store);",
    replace: "port.rename(store, temporary, store, layout.manifestName);",
    suite: repairs,
  },
  {
    name: "repair-manifest: the incarnation is kept",
    rule: "P13",
    file: repairManifest,
    find: "findIncarnation(context, journal, firsts) ?? randomHex(context)",
    replace: "randomHex(context)",
    suite: repairs,
  },
];
