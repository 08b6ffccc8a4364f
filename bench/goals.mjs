/** The goals, each a ratio or a figure of one run, and whether it was met. */

const interval = "sessiondir interval";
const commit = "sessiondir commit";
const sqlite = "better-sqlite3 NORMAL";

/** Each: what, the bound, and how the figure follows from the results; `undefined` means "not measured". */
export const goals = [
  faster("update one session vs better-sqlite3 NORMAL", 2.5, "update-serial", interval, sqlite),
  faster("update one session vs lmdb noSync", 1.3, "update-serial", interval, "lmdb noSync"),
  faster(
    "64 in flight, power-loss durability, vs better-sqlite3 FULL",
    5,
    "update-in-flight",
    commit,
    "better-sqlite3 FULL",
  ),
  faster("64 in flight, power-loss durability, vs lmdb sync", 2, "update-in-flight", commit, "lmdb sync"),
  faster("update one session vs legacy whole file", 5_000, "update-serial", interval, "legacy whole file"),
  faster("update one session vs file per session", 10, "update-serial", interval, "file per session"),
  faster("get warm vs better-sqlite3", 3, "get-warm", interval, sqlite),
  faster("get warm vs lmdb", 1.5, "get-warm", interval, "lmdb noSync"),
  faster("list newest 50 warm vs better-sqlite3, 10,000", 1, "list-warm", interval, sqlite, "10,000 sessions"),
  faster("list newest 50 warm vs better-sqlite3, 100,000", 1, "list-warm", interval, sqlite, "100,000 sessions"),
  {
    what: "cold process: open + list newest 50 at 100,000, time vs better-sqlite3",
    most: 1.5,
    figure: (results) =>
      ratio(results, { trial: "list-cold", label: "100,000 sessions", peer: interval }, { peer: sqlite }),
  },
  {
    what: "open + get one, time at 1,000,000 vs 1,000 sessions",
    most: 1.3,
    figure: (results) => sizes(results, "get-cold", "1,000,000 sessions", "1,000 sessions"),
  },
  faster(
    "4 processes, different sessions, vs better-sqlite3 NORMAL",
    3,
    "processes-different",
    interval,
    sqlite,
    "4 processes",
  ),
  {
    what: "4 processes, different sessions: p99 vs better-sqlite3 NORMAL",
    most: 1,
    figure: (results) =>
      ratio(
        results,
        { trial: "processes-different", label: "4 processes", peer: interval, figure: "p99Us" },
        { peer: sqlite },
      ),
  },
  {
    what: "patch of one field, time at 230 KB vs 1 KB",
    most: 2,
    figure: (results) => sizes(results, "patch-field", "230 KB", "1 KB"),
  },
  {
    what: "patch of one field at 230 KB, bytes written",
    most: 1_024,
    figure: (results) =>
      figureOf(results, { trial: "patch-field", label: "230 KB", peer: interval, figure: "bytesPerUpdate" }),
  },
  {
    what: "an update over the floor (stringify + one append)",
    most: 3,
    figure: (results) => {
      const floor = figureOf(results, { trial: "floor", peer: interval, figure: "meanUs" });
      const update = figureOf(results, { trial: "update-serial", peer: interval, figure: "meanUs" });
      return floor && update && update / floor;
    },
  },
  {
    what: "resident memory after touching 100,000 sessions, MB beyond an idle Node",
    most: 80,
    figure: (results) => figureOf(results, { trial: "memory", label: "100,000 sessions", peer: interval }),
  },
  {
    what: "the same at 1,000,000, vs 100,000",
    most: 1.3,
    figure: (results) => sizes(results, "memory", "1,000,000 sessions", "100,000 sessions"),
  },
  {
    what: "memory of a process that lists the newest 50 among 1,000,000, MB",
    most: 150,
    figure: (results) =>
      figureOf(results, { trial: "list-cold", label: "1,000,000 sessions", peer: interval, figure: "residentMb" }),
  },
  ...[1, 16, 64].map((writers) =>
    faster(
      `PostgreSQL: updates with ${writers} in flight vs a bare UPDATE`,
      0.6,
      "postgres-update",
      "sessiondir postgres",
      "bare UPDATE",
      `${writers} in flight`,
    ),
  ),
  {
    what: "PostgreSQL: a change until another process has it, with its commit, p50 in ms",
    most: 10,
    figure: (results) => {
      const us = figureOf(results, { trial: "postgres-feed", peer: "sessiondir postgres" });
      return us && us / 1_000;
    },
  },
  {
    what: "event-loop delay p99 that background work adds, ms",
    most: 5,
    figure: (results) => figureOf(results, { trial: "event-loop", peer: interval }),
  },
];

function faster(what, least, trial, ours, theirs, label) {
  return { what, least, figure: (results) => ratio(results, { trial, label, peer: ours }, { peer: theirs }) };
}

function figureOf(results, { trial, label, peer, figure }) {
  const found = results.trials.find(
    (candidate) => candidate.trial === trial && (label ?? candidate.label) === candidate.label,
  );
  return found?.peers[peer]?.figures[figure ?? found.figure]?.median;
}

function ratio(results, ours, theirs) {
  const mine = figureOf(results, ours);
  const other = figureOf(results, { ...ours, ...theirs });
  return mine && other && mine / other;
}

function sizes(results, trial, large, small) {
  const [top, bottom] = [large, small].map((label) => figureOf(results, { trial, label, peer: interval }));
  return top && bottom && top / bottom;
}

export function checkGoals(results) {
  return goals.map(({ what, least, most, figure }) => {
    const value = figure(results);
    const bound = least === undefined ? `<= ${most.toLocaleString("en")}` : `>= ${least.toLocaleString("en")}`;
    if (value === undefined) return { what, bound, verdict: "not measured" };
    const isMet = least === undefined ? value <= most : value >= least;
    return { what, bound, value, verdict: isMet ? "met" : "not met" };
  });
}

export function formatFigure(value) {
  if (value === undefined) return "-";
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(2);
}

export function printGoals(checked) {
  const width = Math.max(...checked.map(({ what }) => what.length));
  console.log("\nGoals");
  for (const { what, bound, value, verdict } of checked) {
    console.log(`  ${what.padEnd(width)}  ${bound.padStart(8)}  ${formatFigure(value).padStart(10)}  ${verdict}`);
  }
  const count = (verdict) => checked.filter((goal) => goal.verdict === verdict).length;
  console.log(`${count("met")} met, ${count("not met")} not met, ${count("not measured")} not measured`);
}
