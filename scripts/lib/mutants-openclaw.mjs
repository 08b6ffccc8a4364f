/** Mutants of the compatible functions: what they sync, and how much they read of a file that anybody may have written. */

const rotates = "test/unit/openclaw/rotate.test.ts";
const cache = "test/unit/openclaw/session-cache.test.ts";
const migrations = "test/unit/openclaw/state-migrations.test.ts";
const paths = "test/unit/openclaw/store-paths.test.ts";

const jsonFiles = "src/openclaw/json-files.ts";
const rotate = "src/openclaw/rotate.ts";
const stateMigrations = "src/openclaw/state-migrations.ts";
const unreadableFile = "src/openclaw/unreadable-file.ts";

export const openclawMutants = [
  {
    name: "openclaw json-files: the text is synced before it gets its name",
    file: jsonFiles,
    find: "await port.syncFile(file);",
    replace: "",
    suite: cache,
    test: "power cut",
  },
  {
    name: "openclaw json-files: the name is synced",
    file: jsonFiles,
    find: "await port.syncDirectory(folder);",
    replace: "",
    suite: cache,
    test: "power cut",
  },
  {
    name: "openclaw rotate: the copy is synced before it gets its name",
    file: rotate,
    find: "await port.syncFile(target);",
    replace: "",
    suite: rotates,
  },
  {
    name: "openclaw rotate: the copy's name is synced",
    file: rotate,
    find: "await port.syncDirectory(folder);",
    replace: "",
    suite: rotates,
  },
  {
    name: "openclaw state-migrations: the new names of transcripts are synced",
    file: stateMigrations,
    find: "await port.syncDirectory(target);",
    replace: "",
    suite: migrations,
    test: "transcript that is moved",
  },
  {
    name: "openclaw state-migrations: the old names of transcripts are gone for good",
    file: stateMigrations,
    find: "await port.syncDirectory(folder);",
    replace: "",
    suite: migrations,
    test: "transcript that is moved",
  },
  {
    name: "openclaw state-migrations: new names are synced before the old ones are gone",
    file: stateMigrations,
    find: "await port.syncDirectory(target); await port.syncDirectory(folder);",
    replace: "await port.syncDirectory(folder); await port.syncDirectory(target);",
    suite: migrations,
    test: "transcript that is moved",
  },
  {
    name: "openclaw unreadable-file: legacyFileBytes",
    file: unreadableFile,
    find: "readStableFile(port, folder, legacyName, gatewayLimits.legacyFileBytes)",
    replace: "readStableFile(port, folder, legacyName, Number.MAX_SAFE_INTEGER)",
    suite: paths,
    test: "larger than any",
  },
  {
    name: "openclaw unreadable-file: its new name is synced",
    file: unreadableFile,
    find: "await port.syncDirectory(folder);",
    replace: "",
    suite: paths,
    test: "power cut",
  },
];
