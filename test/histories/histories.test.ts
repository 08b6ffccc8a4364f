/** Recorded histories of real processes on a directory store and on a legacy file, and of tasks on a memory store, are linearizable. */

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { Backend, CommitRequest, Operation } from "../../src/contract.js";
import { judgeHistory } from "./checker.js";
import type { RecordedHistory } from "./record.js";
import { runHistories } from "./run.js";
import { directoryTarget, type HistoryTarget, jsonTarget, memoryTarget } from "./targets.js";

// Two rounds of all numbers of processes and sessions on the disk, one in memory.
for (const [target, seed, count] of [
  [directoryTarget, 900, 18],
  [jsonTarget, 1_800, 9],
  [memoryTarget, 2_700, 12],
] as const) {
  test(`${target.name}: ${count} histories of 2 to 8 processes and 1 to 16 sessions are linearizable`, {
    timeout: 240_000,
  }, async () => {
    const report = await runHistories({ seed, count, target });
    assert.deepEqual(report.violations, []);
    assert.equal(report.histories, count);
    assert.equal(report.undecided, 0, "every search came to an end");
    assert.ok(report.wholeStore >= count / 3, "some were checked as a whole");
    if (target.capabilities.crossProcess) {
      assert.ok(report.kills > 0 && report.openEnds > 0, "processes were killed inside their operations");
    }
    console.log(JSON.stringify({ ...report, violations: report.violations.length }));
  });
}

/** A memory store with one method made wrong. */
function broken(name: string, breakIt: (backend: Backend) => Partial<Backend>): HistoryTarget {
  const makePlace = () => {
    const place = memoryTarget.makePlace();
    const open = async () => {
      const backend = await place.open({});
      const wrong = breakIt(backend);
      return new Proxy(backend, {
        get(target, property) {
          const value = Reflect.get(property in wrong ? wrong : target, property) as unknown;
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    };
    return { ...place, open };
  };
  return { ...memoryTarget, name, makePlace };
}

function asPut(operation: Operation): Operation {
  if (operation.type !== "patch") return operation;
  const { key, entry, generations } = operation;
  return { type: "put", key, entry, generations };
}

const mutants: HistoryTarget[] = [
  broken("a store that forgets what a commit relies on", (backend) => ({
    // Whole states: a patch upon another state than its own is refused by the memory backend itself.
    commit: (request: CommitRequest) =>
      backend.commit({ ...request, expected: new Map(), operations: request.operations.map(asPut) }),
  })),
  broken("a store that now and then reads what was there before", (backend) => {
    const old = new Map<string, Awaited<ReturnType<Backend["read"]>>>();
    let reads = 0;
    return {
      read: async (keys: readonly string[]) => {
        const now = await backend.read(keys);
        const before = old.get(keys.join());
        old.set(keys.join(), now);
        reads += 1;
        return reads % 5 === 0 && before !== undefined ? before : now;
      },
    };
  }),
  broken("a store that splits its transactions", (backend) => ({
    commit: async (request: CommitRequest) => {
      const [first, ...rest] = request.operations;
      if (first === undefined || rest.length === 0) return backend.commit(request);
      const result = await backend.commit({ ...request, operations: [first] });
      if (result.status === "conflict") return result;
      for (const operation of rest) {
        await backend.commit({ operations: [operation], expected: new Map() }).catch(() => {});
      }
      return result;
    },
  })),
];

for (const target of mutants) {
  test(`${target.name} is found out, and its history is kept in a file`, async () => {
    const failuresDirectory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-mutant-"));
    try {
      const { violations } = await runHistories({ seed: 30, count: 9, target, failuresDirectory, quiet: true });
      assert.ok(violations.length > 0);
      const [line] = violations[0]!.split("\n") as [string];
      assert.match(line, /^replay: runHistories\(\{ seed: \d+, count: 1 \}\) on .*; history: /);
      const file = line.slice(line.indexOf("history: ") + "history: ".length);
      const history = JSON.parse(fs.readFileSync(file, "utf8")) as RecordedHistory;
      assert.ok(judgeHistory(history).violations.length > 0, "the file alone shows it again");
    } finally {
      fs.rmSync(failuresDirectory, { recursive: true, force: true });
    }
  });
}
