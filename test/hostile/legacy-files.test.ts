/**
 * Legacy files that are not what they should be. Each has its outcome, within bounded time. What is refused is refused
 * with an error that says what is wrong and where, and every name and byte in the directory is as it was: not even a
 * lock file appears. What is tolerated is taken over with a warning, and the file is kept byte by byte.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import { nodePort } from "../../src/fs/node-port.js";
import { openSessionStore } from "../../src/index.js";
import { defaultLimits } from "../../src/limits.js";
import { migrateStore } from "../../src/migrate/migrate.js";
import { rollbackStore } from "../../src/migrate/rollback.js";
import { createOrTakeOver } from "../../src/migrate/take-over.js";
import { SimulatedMachine } from "../sim/machine.js";
import {
  inTemporaryDirectory,
  locationOf,
  openAndReadAll,
  rejectsWith,
  snapshotTree,
  takeOverOptions,
} from "../unit/migrate/support.js";

const content: Record<string, [content: string | Uint8Array, message: RegExp]> = {
  "of 0 bytes": ["", /is empty \(0 bytes\), which is what an interrupted write leaves behind/],
  "of blanks": [" \n\t", /white space/],
  "of zeros, as a power loss leaves": [new Uint8Array(512), /neither strict JSON nor JSON5/],
  "cut off in the middle": ['{"main":{"sessionId":"a","upda', /neither strict JSON nor JSON5/],
  "holding an array": ['[{"sessionId":"a"}]', /an array/],
  "holding null": ["null", /holds null/],
  "that is not UTF-8": [Buffer.from('{"m\xe4in":{}}', "latin1"), /not valid UTF-8/],
  "with nothing but an array in place of an entry": [
    '{"k":[]}',
    /1 entry, of which none .* "k" \(the entry is an array/,
  ],
  "with a blank key alone": ['{"  ":{}}', /the session key is blank/],
  "with a key that is too long": [`{"${"k".repeat(513)}":{}}`, /513 bytes/],
  "with an entry that is too deep": [`{"k":${'{"a":'.repeat(64)}{}${"}".repeat(65)}`, /nested too deep/],
  "with a hundred thousand levels": [`${'{"a":'.repeat(100_000)}{}${"}".repeat(100_000)}`, /nested too deep/],
  "with a number out of range": ['{"k":{"n":1e400}}', /number out of range/],
  "that is the manifest of a store": [
    '{"kind":"sessiondir-store","features":{"required":[]}}',
    /a store .* is made of/,
  ],
  "that is the manifest of a backup": ['{"kind":"sessiondir-backup","files":{}}', /a backup is made of/],
  "that is the marker of a rollback": ['{"kind":"sessiondir-rollback","details":{}}', /is made of/],
  "that is the index of a store": ['{"kind":"sessiondir-summary-index","head":{}}', /is made of/],
  "that is the state of a directory in OpenClaw's layout": [
    '{"kind":"openclaw-session-store-directory","entries":{}}',
    /is made of/,
  ],
  "that is the file of one session": ['{"sessionKey":"a","entry":{"sessionId":"a"}}', /the file of one session/],
  "that is a bundle": ['{"format":"sessiondir-bundle"}\n{"end":true}\n', /is a bundle.*sessiondir import/],
};

for (const [what, [bytes, message]] of Object.entries(content)) {
  test(`a legacy file ${what} is refused, and nothing is touched`, async () => {
    await inTemporaryDirectory(async (directory) => {
      fs.writeFileSync(path.join(directory, "sessions.json"), bytes);
      await checkRefused(directory, message);
    });
  });
}

const tolerated: Record<string, [content: string, sessions: object, warning: RegExp | undefined]> = {
  "with comments and trailing commas": ["{\n  // JSON5\n  main: {},\n}", { main: {} }, /it has JSON5 syntax/],
  "with a byte order mark": ['\ufeff{"main":{}}', { main: {} }, /it has a byte order mark/],
  "with NaN in one entry": ["{a: {n: NaN}, main: {}}", { main: {} }, /"a" \(entry\.n is NaN/],
  "with an entry that is null": ['{"main":{},"k":null}', { main: {} }, /1 entry of 2 .* "k" \(the entry is null/],
  "with a blank key": ['{"main":{},"  ":{}}', { main: {} }, /" {2}" \(the session key is blank\)/],
  "with a key of 513 bytes": [`{"main":{},"${"k".repeat(513)}":{}}`, { main: {} }, /513 bytes/],
  "with an entry of 65 levels": [
    `{"main":{},"k":${'{"a":'.repeat(64)}{}${"}".repeat(65)}`,
    { main: {} },
    /"k" \(the value is nested too deep/,
  ],
  "with an entry of 64 levels": [
    `{"k":${'{"a":'.repeat(63)}{}${"}".repeat(64)}`,
    { k: JSON.parse(`${'{"a":'.repeat(63)}{}${"}".repeat(63)}`) },
    undefined,
  ],
  "with twins that differ by case": [
    '{"Main":{"updatedAt":2},"main":{"updatedAt":1}}',
    { main: { updatedAt: 2 } },
    /spelling/,
  ],
  "with a key called __proto__": ['{"__proto__":{"n":1}}', JSON.parse('{"__proto__":{"n":1}}'), undefined],
};

for (const [what, [text, sessions, warning]] of Object.entries(tolerated)) {
  test(`a legacy file ${what} is taken over, and the file is kept`, async () => {
    await inTemporaryDirectory(async (directory) => {
      const legacyPath = path.join(directory, "sessions.json");
      fs.writeFileSync(legacyPath, text);
      const result = await migrateStore(legacyPath);
      assert.equal(result.outcome, "migrated");
      if (warning === undefined) assert.deepEqual(result.warnings, []);
      else assert.match(result.warnings.join("\n"), warning);
      assert.equal(fs.readFileSync(result.backupPath as string, "utf8"), text);
      const found = await openAndReadAll(nodePort(), locationOf(legacyPath));
      assert.deepEqual([...found], Object.entries(sessions));
    });
  });
}

test("a legacy file that stands for sessions and holds none is left alone, also by an opening", async () => {
  await inTemporaryDirectory(async (directory) => {
    const legacyPath = path.join(directory, "sessions.json");
    fs.writeFileSync(legacyPath, '{"k":null}');
    const before = snapshotTree(directory);
    assert.equal((await migrateStore(legacyPath)).outcome, "skipped_empty");
    assert.deepEqual(snapshotTree(directory), before);
    const error = await rejectsWith("invalid_legacy", openAndReadAll(nodePort(), locationOf(legacyPath)));
    assert.match(error.message, /holds 1 entry and no session: "k" \(the entry is null/);
    assert.equal(fs.readFileSync(legacyPath, "utf8"), '{"k":null}');
    assert.ok(!fs.existsSync(path.join(directory, "sessions.d")));
  });
});

const makers: Record<string, [make: (legacyPath: string) => void, message: RegExp]> = {
  "that is a symlink": [
    (legacyPath) => {
      fs.writeFileSync(`${legacyPath}.target`, '{"main":{}}');
      fs.symlinkSync(`${legacyPath}.target`, legacyPath);
    },
    /is a symlink, not an ordinary file/,
  ],
  "that is a dangling symlink": [(legacyPath) => fs.symlinkSync("nowhere", legacyPath), /is a symlink/],
  "that is a symlink to itself": [(legacyPath) => fs.symlinkSync("sessions.json", legacyPath), /is a symlink/],
  "that has a hard link elsewhere": [
    (legacyPath) => {
      fs.writeFileSync(legacyPath, '{"main":{}}');
      fs.linkSync(legacyPath, `${legacyPath}.other`);
    },
    /has a hard link elsewhere/,
  ],
  "that is a directory": [(legacyPath) => fs.mkdirSync(legacyPath), /is a directory, not an ordinary file/],
};

for (const [what, [make, message]] of Object.entries(makers)) {
  test(`a legacy file ${what} is refused, and nothing is touched`, async () => {
    await inTemporaryDirectory(async (directory) => {
      make(path.join(directory, "sessions.json"));
      await checkRefused(directory, message);
    });
  });
}

const onWindows = process.platform === "win32" && "skipped: needs posix FIFOs and sockets";

test("a legacy file that is a FIFO is refused without waiting for a writer", { skip: onWindows }, async () => {
  await inTemporaryDirectory(async (directory) => {
    execFileSync("mkfifo", [path.join(directory, "sessions.json")]);
    await checkRefused(directory, /is a FIFO, socket or device/);
  });
});

test("a legacy file that is a socket is refused", { skip: onWindows }, async () => {
  await inTemporaryDirectory(async (directory) => {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(path.join(directory, "sessions.json"), resolve));
    try {
      await checkRefused(directory, /is a FIFO, socket or device/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

test("a legacy file of another user is refused", async () => {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/home/agent");
  machine.writeFile("/home/agent/sessions.json", '{"main":{}}', { ownerUid: 4711, mode: 0o644 });
  const before = machine.dump();
  const outcome = await machine.process().run((port) => {
    return rejectsWith(
      "invalid_legacy",
      createOrTakeOver(port, locationOf("/home/agent/sessions.json"), takeOverOptions),
    );
  });
  assert.ok(outcome.status === "returned", JSON.stringify(outcome));
  assert.match(outcome.value.message, /belongs to user 4711, not to 1000/);
  assert.deepEqual(machine.dump(), before);
});

test("a legacy file above the limit is refused before it is read", async () => {
  await inTemporaryDirectory(async (directory) => {
    const legacyPath = path.join(directory, "sessions.json");
    fs.writeFileSync(legacyPath, "");
    fs.truncateSync(legacyPath, defaultLimits.legacyFileBytes + 1);
    const error = await rejectsWith(
      "invalid_legacy",
      createOrTakeOver(nodePort(), locationOf(legacyPath), takeOverOptions),
    );
    assert.match(error.message, /has 268435457 bytes, the limit \(legacyFileBytes\) is 268435456/);
    assert.deepEqual(fs.readdirSync(directory), ["sessions.json"]);
  });
});

test("a store directory that is a symlink is not followed by a migration", async () => {
  await inTemporaryDirectory(async (directory) => {
    fs.mkdirSync(path.join(directory, "elsewhere"));
    fs.symlinkSync("elsewhere", path.join(directory, "sessions.d"));
    fs.writeFileSync(path.join(directory, "sessions.json"), '{"main":{}}');
    const before = snapshotTree(directory);
    const result = await migrateStore(path.join(directory, "sessions.json"));
    assert.deepEqual([result.outcome, result.error?.code], ["failed", "unsafe_path"]);
    assert.deepEqual(snapshotTree(directory), before);
  });
});

for (const [name, text] of [
  ["openclaw.json", '{"agents":{"list":[]},"session":{"maintenance":{}},"gateway":{"port":1}}'],
  ["package.json", '{"version":"1","agents":{"list":[]},"session":{"maintenance":{}},"gateway":{"port":1}}'],
] as const) {
  test(`${name}, in which no entry is a session, is refused, and nothing is touched`, async () => {
    await inTemporaryDirectory(async (directory) => {
      const place = path.join(directory, name);
      fs.writeFileSync(place, text);
      const before = snapshotTree(directory);
      for (const dryRun of [true, false]) {
        const result = await migrateStore(place, { dryRun });
        assert.deepEqual([result.outcome, result.error?.code], ["skipped_invalid", "invalid_legacy"]);
        assert.match(result.error?.message ?? "", /none of which is a session.*a file of another program/);
      }
      await rejectsWith("invalid_legacy", openAndReadAll(nodePort(), locationOf(place)));
      assert.deepEqual(snapshotTree(directory), before);
    });
  });
}

test("entries without the fields of a session are taken over from sessions.json, from a file of nothing else, and from one of which one has them", async () => {
  for (const [name, text] of [
    ["sessions.json", '{"a":{"n":1}}'],
    ["sessions-work.json", '{"a":{"n":1}}'],
    ["chats.json", '{"a":{"n":1}}'],
    ["chats.json", '{"a":{"n":1},"b":{"sessionId":"b"},"c":1}'],
    ["chats.json", '{"a":{"n":1},"b":{"updatedAt":1},"c":1}'],
  ] as const) {
    await inTemporaryDirectory(async (directory) => {
      fs.writeFileSync(path.join(directory, name), text);
      assert.equal((await migrateStore(path.join(directory, name))).outcome, "migrated", name);
    });
  }
});

test("a file that a rollback made is taken over again, whatever its entries hold", async () => {
  await inTemporaryDirectory(async (directory) => {
    const place = path.join(directory, "chats.json");
    fs.writeFileSync(place, '{"a":{"n":1},"b":{"sessionId":"b"}}');
    await migrateStore(place);
    const store = await openSessionStore(place);
    await store.remove("b");
    await store.close();
    assert.equal((await rollbackStore(place)).outcome, "restored");
    assert.equal((await migrateStore(place, { force: true })).outcome, "migrated");
  });
});

const foreign: Record<string, (directory: string) => void> = {
  "is empty": () => {},
  "holds somebody's notes": (directory) => fs.writeFileSync(path.join(directory, "notes.txt"), "mine"),
  "has another layout": (directory) => {
    fs.mkdirSync(path.join(directory, "agent--main--main"));
    fs.writeFileSync(path.join(directory, "agent--main--main", "meta.json"), "{}");
  },
  "is of another program": (directory) =>
    fs.writeFileSync(path.join(directory, "state.json"), '{"kind":"some-other-store"}'),
  "is an import that never came to its end": (directory) => {
    fs.mkdirSync(path.join(directory, "entries"));
    fs.writeFileSync(path.join(directory, "state.json"), '{"kind":"openclaw-session-store-directory"}');
  },
};

for (const [what, fill] of Object.entries(foreign)) {
  for (const way of ["a migration", "an opening"]) {
    test(`a directory at the store's place that ${what} makes way for ${way}, and is kept`, async () => {
      await inTemporaryDirectory(async (directory) => {
        const legacyPath = path.join(directory, "sessions.json");
        const place = path.join(directory, "sessions.d");
        fs.mkdirSync(place, { mode: 0o700 });
        fill(place);
        const before = snapshotTree(place);
        fs.writeFileSync(legacyPath, '{"main":{}}');
        if (way === "a migration") {
          const result = await migrateStore(legacyPath);
          assert.equal(result.outcome, "migrated");
          assert.match(result.warnings.join(), /renamed aside, untouched, to sessions\.d\.orphan\./);
        }
        const sessions = await openAndReadAll(nodePort(), locationOf(legacyPath));
        assert.deepEqual([...sessions], [["main", {}]]);
        const orphans = fs.readdirSync(directory).filter((name) => /^sessions\.d\.orphan\.\d+$/.test(name));
        assert.equal(orphans.length, 1);
        assert.deepEqual(snapshotTree(path.join(directory, orphans[0] as string)), before);
      });
    });
  }
}

for (const [what, fill] of Object.entries(foreign).filter(([what]) => what !== "is empty")) {
  for (const name of ["conf.d", "conf.json"]) {
    test(`a directory that ${what} is left alone when ${name} is opened and no legacy file needs its place`, async () => {
      await inTemporaryDirectory(async (directory) => {
        fs.mkdirSync(path.join(directory, "conf.d"), { mode: 0o700 });
        fill(path.join(directory, "conf.d"));
        const before = snapshotTree(directory);
        const location = locationOf(path.join(directory, name));
        const code = fs.existsSync(path.join(directory, "conf.d", "state.json"))
          ? "unsupported_layout"
          : "store_missing";
        await rejectsWith(code, openAndReadAll(nodePort(), location));
        assert.deepEqual(snapshotTree(directory), before);
      });
    });
  }
}

test("a damaged store of ours is never moved out of the way", async () => {
  for (const part of ["state.json", "journal"]) {
    await inTemporaryDirectory(async (directory) => {
      const legacyPath = path.join(directory, "sessions.json");
      fs.writeFileSync(legacyPath, '{"main":{}}');
      await migrateStore(legacyPath);
      fs.rmSync(path.join(directory, "sessions.d", part), { recursive: true });
      fs.writeFileSync(legacyPath, '{"other":{}}');
      const before = snapshotTree(directory);
      const result = await migrateStore(legacyPath);
      assert.deepEqual([result.outcome, result.error?.code], ["failed", "store_damaged"], part);
      await rejectsWith("store_damaged", openAndReadAll(nodePort(), locationOf(legacyPath)));
      assert.deepEqual(snapshotTree(directory), before, part);
    });
  }
});

test("entry files alone, without manifest and journal, are a damaged store and no orphan", async () => {
  await inTemporaryDirectory(async (directory) => {
    const legacyPath = path.join(directory, "sessions.json");
    fs.writeFileSync(legacyPath, '{"main":{}}');
    await migrateStore(legacyPath);
    for (const part of ["state.json", "journal"]) {
      fs.rmSync(path.join(directory, "sessions.d", part), { recursive: true });
    }
    await rejectsWith("store_damaged", openAndReadAll(nodePort(), locationOf(legacyPath)));
    assert.ok(!fs.readdirSync(directory).some((name) => name.includes("orphan")));
  });
});

test("a store directory that is a symlink is not followed by an opening", async () => {
  await inTemporaryDirectory(async (directory) => {
    fs.mkdirSync(path.join(directory, "elsewhere"));
    fs.symlinkSync("elsewhere", path.join(directory, "sessions.d"));
    const before = snapshotTree(directory);
    const location = locationOf(path.join(directory, "sessions.json"));
    await rejectsWith("unsafe_path", openAndReadAll(nodePort(), location));
    assert.deepEqual(snapshotTree(directory), before);
  });
});

test("a staging name that somebody made a symlink is not followed when leftovers are removed", async () => {
  await inTemporaryDirectory(async (directory) => {
    fs.mkdirSync(path.join(directory, "precious"));
    fs.writeFileSync(path.join(directory, "precious", "file"), "mine");
    fs.symlinkSync("precious", path.join(directory, "sessions.d.staging-0123456789abcdef"));
    fs.writeFileSync(path.join(directory, "sessions.json"), '{"main":{}}');
    const result = await migrateStore(path.join(directory, "sessions.json"));
    assert.equal(result.outcome, "migrated");
    assert.equal(fs.readFileSync(path.join(directory, "precious", "file"), "utf8"), "mine");
  });
});

/** Opening, migrating and a dry run all refuse the file, say the same, and change nothing. */
async function checkRefused(directory: string, message: RegExp): Promise<void> {
  const legacyPath = path.join(directory, "sessions.json");
  const before = snapshotTree(directory);
  const error = await rejectsWith(
    "invalid_legacy",
    createOrTakeOver(nodePort(), locationOf(legacyPath), takeOverOptions),
  );
  assert.match(error.message, message);
  assert.equal(error.path, legacyPath);
  assert.match(String(error.onDisk), /Nothing was changed/);
  assert.ok(error.nextStep);
  assert.ok(error.message.length < 1_500, "a message stays readable");
  for (const dryRun of [true, false]) {
    const result = await migrateStore(legacyPath, { dryRun });
    assert.equal(result.outcome, "skipped_invalid");
    assert.deepEqual(result.error, { code: "invalid_legacy", message: error.message });
    assert.deepEqual(result.warnings, [error.message]);
  }
  assert.deepEqual(snapshotTree(directory), before);
}
