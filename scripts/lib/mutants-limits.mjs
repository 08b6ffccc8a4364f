/** Mutants of the limits that the public methods keep, and of what they refuse as a key or an entry. */

const keys = "test/unit/sessions/key-refusals.test.ts";
const values = "test/unit/sessions/entry-value.test.ts";
const memory = "test/conformance/memory.test.ts";
const options = "test/unit/limits.test.ts";
const memoryUnit = "test/unit/memory.test.ts";

export const limitMutants = [
  {
    name: "keys: keyBytes of plain keys",
    file: "src/sessions/keys.ts",
    find: "plainAscii.test(normalized) && normalized.length <= keyBytesMax",
    replace: "plainAscii.test(normalized)",
    suite: keys,
  },
  {
    name: "keys: keyBytes",
    file: "src/sessions/keys.ts",
    find: "if (bytes > keyBytesMax)",
    replace: "if (false)",
    suite: keys,
  },
  {
    name: "keys: NUL",
    file: "src/sessions/keys.ts",
    find: 'if (key.includes("\\0"))',
    replace: "if (false)",
    suite: keys,
  },
  {
    name: "keys: lone surrogates",
    file: "src/sessions/keys.ts",
    find: "if (loneSurrogate.test(key))",
    replace: "if (false)",
    suite: keys,
  },
  {
    name: "keys: blanks",
    file: "src/sessions/keys.ts",
    find: 'if (key.trim() === "")',
    replace: "if (false)",
    suite: keys,
  },
  {
    name: "entry-value: nestingLevels",
    file: "src/sessions/entry-value.ts",
    find: "if (level > this.#limits.nestingLevels)",
    replace: "if (false)",
    suite: memory,
  },
  {
    name: "entry-value: nestingLevels of what is shared",
    file: "src/sessions/entry-value.ts",
    find: "if (level + known.levels - 1 > this.#limits.nestingLevels)",
    replace: "if (false)",
    suite: [memory, values],
  },
  {
    name: "entry-value: nestingLevels of parsed JSON",
    file: "src/sessions/entry-value.ts",
    find: "if (level > levelsMax) {",
    replace: "if (false) {",
    suite: values,
  },
  {
    name: "store-entry-size: entryBytes",
    file: "src/store-entry-size.ts",
    find: "if (bytes > entryBytesMax) {",
    replace: "if (false) {",
    suite: memory,
  },
  {
    name: "store-entry-size: what is not measured is small",
    file: "src/store-entry-size.ts",
    find: "estimateJsonBytes(next) * bytesPerEstimatedByteMax <= entryBytesMax",
    replace: "estimateJsonBytes(next) <= entryBytesMax",
    suite: memory,
  },
  {
    name: "limits: every limit has a hard cap",
    file: "src/open-options.ts",
    find: "given >= 0 && given <= max",
    replace: "given >= 0",
    suite: options,
  },
  {
    name: "memory: sessions",
    file: "src/backends/memory/backend.ts",
    find: "if (created === 0 || this.#sessions.size + created <= this.limits.sessions) return;",
    replace: "return;",
    suite: memoryUnit,
  },
];
