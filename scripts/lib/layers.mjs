/**
 * The layers of src/, from top to bottom, and what each may import. Imports run downwards only and never sideways
 * between backends. Nothing outside fs/ touches files, worker threads, the clock, random numbers or timers: that is
 * what makes the simulated operating system of the tests possible.
 */

/** A file belongs to the first layer whose pattern fits. */
export const layers = [
  {
    name: "cli",
    pattern: /^cli\//,
    mayImport: [
      "index",
      "openclaw",
      "open",
      "transfer",
      "migrate",
      "discovery",
      "store",
      "backend",
      "api",
      "sessions",
      "base",
      "fs",
    ],
  },
  {
    name: "index",
    pattern: /^(index|on-demand)\.ts$/,
    mayImport: ["openclaw", "open", "transfer", "migrate", "store", "api", "sessions", "base"],
  },
  {
    name: "openclaw",
    pattern: /^openclaw\//,
    mayImport: ["open", "migrate", "discovery", "store", "api", "backend", "sessions", "base", "fs"],
  },
  {
    name: "transfer",
    pattern: /^transfer\//,
    mayImport: ["open", "store", "api", "backend", "sessions", "base", "fs"],
  },
  {
    name: "open",
    pattern: /^(open(-options|-backend)?|postgres)\.ts$/,
    mayImport: ["migrate", "store", "api", "backend", "sessions", "base", "fs"],
  },
  {
    name: "migrate",
    pattern: /^migrate\//,
    mayImport: ["discovery", "store", "api", "backend", "sessions", "base", "fs"],
  },
  { name: "discovery", pattern: /^discovery\//, mayImport: ["backend", "sessions", "base", "fs"] },
  { name: "store", pattern: /^(store(-[a-z-]+)?|options)\.ts$/, mayImport: ["api", "sessions", "base", "fs"] },
  { name: "backend", pattern: /^backends\/[^/]+\//, mayImport: ["sessions", "base", "fs"] },
  { name: "sessions", pattern: /^sessions\//, mayImport: ["base"] },
  { name: "api", pattern: /^api\.ts$/, mayImport: ["sessions", "base"] },
  { name: "fs", pattern: /^fs\//, mayImport: ["base"] },
  { name: "base", pattern: /^(contract|errors|limits|postgres-options|shell-word)\.ts$/, mayImport: [] },
];

/** Modules that only the port may use. */
export const portModules = [
  /^(node:)?(fs|fs\/promises|worker_threads|timers|timers\/promises|perf_hooks|child_process|os)$/,
  /^fs-native-extensions$/,
];

/** Packages and modules for the terminal: only the command line may use them. */
export const terminalModules = [
  /^(commander|cli-table3|cli-progress|picocolors)$/,
  /^(node:)?(readline|readline\/promises|tty|util)$/,
];

/** Network clients: each only in the backend that is made of it, so that nobody else loads it. */
export const networkModules = [{ pattern: /^pg$/, folder: "backends/postgres/" }];

/** Calls that only the port may make: they reach the clock, random numbers or timers. */
export const portCalls = [
  { pattern: /\bDate\s*\.\s*now\b/g, name: "Date.now" },
  { pattern: /\bnew\s+Date\s*(\(\s*\)|(?!\s*\())/g, name: "new Date() without a time" },
  { pattern: /(?<!\bnew\s+)(?<![\w.])Date\s*\(/g, name: "Date()" },
  { pattern: /\bperformance\s*\./g, name: "performance" },
  { pattern: /\bprocess\s*\.\s*(hrtime|uptime)\b/g, name: "process.hrtime" },
  { pattern: /\bMath\s*\.\s*random\b/g, name: "Math.random" },
  // A method of that name is fine: the port has one. What must not be is the import, or the call on the module.
  { pattern: /(?<=\bimport\s*\{[^}]*)\b(random\w+|getRandomValues|webcrypto)\b/g, name: "a random number" },
  { pattern: /\bcrypto\s*\.\s*(random\w+|getRandomValues|webcrypto)\b/gi, name: "a random number" },
  { pattern: /(?<![\w.])(setTimeout|setInterval|setImmediate)\b/g, name: "a timer" },
  { pattern: /\bglobalThis\s*\.\s*(setTimeout|setInterval|setImmediate)\b/g, name: "a timer" },
  { pattern: /\bAbortSignal\s*\.\s*timeout\b/g, name: "AbortSignal.timeout" },
  { pattern: /\bAtomics\s*\.\s*wait(Async)?\b/g, name: "Atomics.wait" },
];

/**
 * What a file may do in spite of the rules, each with its reason. `allows` holds module names and names of calls.
 */
export const exceptions = [];
