/**
 * All trials: what runs in a process of its own (`roles`), and which trial runs with which peers and sizes (`trials`).
 * A size of `undefined` for a mode leaves it out there.
 */

import * as manyProcesses from "./many-processes.mjs";
import * as oneProcess from "./one-process.mjs";

export const roles = { ...oneProcess, ...manyProcesses };

const ours = ["sessiondir interval"];
const crashPeers = [
  "sessiondir interval",
  "better-sqlite3 OFF",
  "better-sqlite3 NORMAL",
  "node:sqlite NORMAL",
  "lmdb noSync",
  "classic-level",
];
const powerPeers = ["sessiondir commit", "better-sqlite3 FULL", "node:sqlite FULL", "lmdb sync", "classic-level sync"];
const wholePeers = ["legacy whole file", "json backend", "file per session"];
const kilobyte = { bytes: 1_024 };

/** name, title, the role, its figure, which way is better, and the cases: peers and sizes. */
export const trials = [
  {
    name: "update-serial",
    title: "Updates of one session at a time, per second",
    role: "updateSerial",
    figure: "perSecond",
    cases: [
      {
        label: "10,000 sessions of 1 KB",
        sessions: 10_000,
        ...kilobyte,
        peers: [...crashPeers, ...powerPeers, ...wholePeers],
      },
    ],
  },
  {
    name: "floor",
    title: "The floor: one stringify and one append, per second",
    role: "floor",
    figure: "perSecond",
    cases: [{ label: "1 KB", sessions: 10_000, ...kilobyte, peers: ours }],
  },
  {
    name: "update-in-flight",
    title: "Updates with 64 in flight, per second",
    role: "updateInFlight",
    figure: "perSecond",
    cases: [{ label: "10,000 sessions of 1 KB", sessions: 10_000, ...kilobyte, peers: [...powerPeers, ...ours] }],
  },
  {
    name: "patch-field",
    title: "One field of one session patched, microseconds",
    role: "patchField",
    figure: "meanUs",
    lowerIsBetter: true,
    cases: [1, 40, 230].map((kilobytes) => ({
      label: `${kilobytes} KB`,
      notQuick: kilobytes === 40,
      sessions: 100,
      bytes: kilobytes * 1_024,
      peers: ["sessiondir interval", "better-sqlite3 NORMAL", "lmdb noSync"],
    })),
  },
  {
    name: "get-warm",
    title: "Reads of sessions that were read before, per second",
    role: "getWarm",
    figure: "perSecond",
    cases: [{ label: "10,000 sessions of 1 KB", sessions: 10_000, ...kilobyte, peers: [...crashPeers, ...wholePeers] }],
  },
  {
    name: "bytes-written",
    title: "Bytes given to write calls, per update, checkpoints included",
    role: "bytesWritten",
    quickRepetitions: 1,
    figure: "bytesPerUpdate",
    lowerIsBetter: true,
    repetitions: 3,
    cases: [
      {
        label: "2,000 updates of 10,000 sessions of 1 KB",
        sessions: 10_000,
        updates: 2_000,
        ...kilobyte,
        peers: [
          "sessiondir interval",
          "better-sqlite3 NORMAL",
          "lmdb noSync",
          "classic-level",
          "sessiondir commit",
          "better-sqlite3 FULL",
          "lmdb sync",
          "classic-level sync",
          "file per session",
        ],
      },
    ],
  },
  {
    name: "open",
    title: "A fresh process opens the store, milliseconds (without the start of Node and the load of the package)",
    role: "coldOpen",
    figure: "ms",
    lowerIsBetter: true,
    repetitions: 7,
    cases: [10_000, 100_000].map((sessions) => ({
      label: `${sessions.toLocaleString("en")} sessions`,
      sessions,
      notQuick: sessions === 10_000,
      ...kilobyte,
      peers: ["sessiondir interval", "better-sqlite3 NORMAL", "lmdb noSync", "classic-level"],
    })),
  },
  {
    name: "get-cold",
    title:
      "A fresh process opens the store and reads one session, milliseconds (without the start of Node and the load of the package)",
    role: "coldGet",
    figure: "ms",
    lowerIsBetter: true,
    repetitions: 7,
    cases: [1_000, 100_000, 1_000_000].map((sessions) => ({
      label: `${sessions.toLocaleString("en")} sessions`,
      sessions,
      ...kilobyte,
      onlyFull: sessions > 100_000,
      peers: ["sessiondir interval", "better-sqlite3 NORMAL", "lmdb noSync"],
    })),
  },
  {
    name: "list-warm",
    title: "Lists of the newest 50, per second",
    role: "listWarm",
    figure: "perSecond",
    cases: [10_000, 100_000].map((sessions) => ({
      label: `${sessions.toLocaleString("en")} sessions`,
      sessions,
      ...kilobyte,
      peers: [
        "sessiondir interval",
        "better-sqlite3 NORMAL",
        ...(sessions === 10_000 ? ["node:sqlite NORMAL", "lmdb noSync"] : []),
      ],
    })),
  },
  {
    name: "list-cold",
    title:
      "A fresh process opens the store and lists the newest 50, milliseconds (all of the process, from its start to its end)",
    role: "coldList",
    figure: "processMs",
    lowerIsBetter: true,
    repetitions: 7,
    cases: [10_000, 100_000, 1_000_000].map((sessions) => ({
      label: `${sessions.toLocaleString("en")} sessions`,
      sessions,
      ...kilobyte,
      notQuick: sessions === 10_000,
      onlyFull: sessions > 100_000,
      // The first list of a store that was seeded behind its back builds what later ones use. The page of sqlite too is
      // in the cache of the system then.
      warmUpRuns: 1,
      peers: ["sessiondir interval", "better-sqlite3 NORMAL"],
    })),
  },
  {
    name: "scan",
    title: "Every session of the store read, milliseconds",
    role: "scanAll",
    quickRepetitions: 2,
    figure: "ms",
    lowerIsBetter: true,
    cases: [
      { label: "10,000 sessions of 1 KB", sessions: 10_000, ...kilobyte, peers: [...crashPeers, "legacy whole file"] },
    ],
  },
  {
    name: "processes-different",
    title: "Processes that update different sessions, updates per second in all",
    role: "writersOfDifferentSessions",
    quickRepetitions: 2,
    figure: "perSecond",
    cases: [1, 2, 4].map((processes) => ({
      label: `${processes} processes`,
      processes,
      notQuick: processes === 2,
      sessions: 10_000,
      ...kilobyte,
      peers: ["sessiondir interval", "better-sqlite3 NORMAL", "lmdb noSync"],
    })),
  },
  {
    name: "processes-same",
    title: "Processes that update one session, updates per second in all",
    role: "writersOfOneSession",
    quickRepetitions: 2,
    figure: "perSecond",
    cases: [1, 2, 4].map((processes) => ({
      label: `${processes} processes`,
      processes,
      notQuick: processes === 2,
      sessions: 10_000,
      ...kilobyte,
      peers: ["sessiondir interval", "better-sqlite3 NORMAL", "lmdb noSync"],
    })),
  },
  {
    name: "watch",
    title: "A change until the watcher of another process has it, microseconds",
    role: "changeSeenElsewhere",
    figure: "p50Us",
    lowerIsBetter: true,
    cases: [{ label: "1,000 sessions", sessions: 1_000, ...kilobyte, peers: ours }],
  },
  {
    name: "postgres-update",
    title: "PostgreSQL: updates of different sessions in flight, per second",
    role: "updateInFlight",
    quickRepetitions: 1,
    figure: "perSecond",
    cases: [1, 16, 64].map((writers) => ({
      label: `${writers} in flight`,
      writers,
      sessions: 5_000,
      ...kilobyte,
      peers: ["sessiondir postgres", "bare UPDATE", "SELECT, bare UPDATE"],
    })),
  },
  {
    name: "postgres-feed",
    title: "PostgreSQL: a change until the watcher of another process has it, with its commit, microseconds",
    role: "changeSeenOnServer",
    quickRepetitions: 1,
    figure: "p50Us",
    lowerIsBetter: true,
    cases: [{ label: "1,000 sessions", sessions: 1_000, ...kilobyte, peers: ["sessiondir postgres"] }],
  },
  {
    name: "migrate",
    title: "A legacy file taken over, milliseconds",
    role: "migrate",
    figure: "ms",
    lowerIsBetter: true,
    repetitions: 1,
    cases: [
      { label: "10,000 sessions of 1 KB", sessions: 10_000, ...kilobyte, peers: ours, fromLegacy: true },
      { label: "240 sessions, 56 MB", sessions: 240, bytes: 230 * 1_024, peers: ours, fromLegacy: true },
      {
        label: "100,000 sessions of 1 KB",
        sessions: 100_000,
        ...kilobyte,
        peers: ours,
        fromLegacy: true,
        onlyFull: true,
      },
    ],
  },
  {
    name: "memory",
    title: "Resident memory after updating 100,000 sessions and reading all others, beyond an idle Node, MB",
    role: "memoryAfterTouching",
    figure: "beyondIdleMb",
    lowerIsBetter: true,
    repetitions: 1,
    nodeOptions: ["--expose-gc"],
    cases: [100_000, 1_000_000].map((sessions) => ({
      label: `${sessions.toLocaleString("en")} sessions`,
      sessions,
      touched: sessions,
      updated: 100_000,
      ...kilobyte,
      onlyFull: sessions > 100_000,
      peers: sessions > 100_000 ? ours : ["sessiondir interval", "better-sqlite3 NORMAL", "lmdb noSync"],
    })),
  },
  {
    name: "event-loop",
    title: "Delay of the event loop that checkpoints add, p99 in milliseconds",
    role: "eventLoopDelay",
    figure: "addedP99Ms",
    lowerIsBetter: true,
    cases: [{ label: "10,000 sessions of 1 KB", sessions: 10_000, ...kilobyte, peers: ours }],
  },
  {
    name: "reader-latency",
    title: "A read that is due, until it is served, while something else goes on in the process, p99 in microseconds",
    role: "readerLatency",
    figure: "p99Us",
    lowerIsBetter: true,
    cases: [
      ["nothing", "nothing"],
      ["checkpoints", "checkpoints"],
      ["verify", "verify"],
      ["migration", "the migration of another store"],
      ["callback", "a callback of 30 s for the same session"],
    ].map(([during, label]) => ({
      during,
      label,
      sessions: 10_000,
      ...kilobyte,
      needsLegacy: during === "migration",
      peers: ours,
    })),
  },
];
