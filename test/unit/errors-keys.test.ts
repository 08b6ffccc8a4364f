/**
 * Keys, names of fields and of agents come from strangers; error messages, reports and warnings are read on terminals
 * and in logs. Each of them shows at most 80 characters of one, and none that a terminal obeys.
 */

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { repairStore } from "../../src/backends/directory/repair.js";
import type { FrozenEntry } from "../../src/contract.js";
import { SessionStoreError } from "../../src/errors.js";
import type { Port } from "../../src/fs/port.js";
import { openSessionStore } from "../../src/index.js";
import { verifyExport, writeExport } from "../../src/migrate/rollback-export.js";
import { freezeParsedJson } from "../../src/sessions/entry-value.js";
import { exportSessions } from "../../src/transfer/export.js";
import { importSessions } from "../../src/transfer/import.js";
import { runCommand, temporaryDirectory } from "../cli/command-line.js";
import { openStore } from "../protocol/operations.js";
import { SimulatedMachine } from "../sim/machine.js";

/** A control sequence, a change of direction, a deletion; then more than anybody would read. */
const evil = `a\u009b31m\u202egnp\u007f${"x".repeat(150)}`;
const source = "/home/source/sessions.d";
const target = "/home/target/sessions.d";
const bundle = "/home/bundle.jsonl";

async function onMachine<Result>(work: (port: Port, machine: SimulatedMachine) => Promise<Result>): Promise<Result> {
  const machine = new SimulatedMachine();
  for (const folder of ["/home/source", "/home/target"]) machine.makeDirectory(folder);
  const outcome = await machine.process().run(async (port) => {
    for (const location of [source, target]) {
      const store = await openStore(port, location);
      await store.update(evil, () => ({ from: location }));
      await store.close();
    }
    return work(port, machine);
  });
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

async function messageOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof SessionStoreError, String(error));
    return error.message;
  }
  assert.fail("it did not fail");
}

function assertTamed(text: string): void {
  assert.doesNotMatch(text, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u, JSON.stringify(text));
  assert.doesNotMatch(text, /x{90}/, "it was shortened");
  assert.match(text, /\\u009b31m\\u202egnp\\u007f/, `it is shown: ${text}`);
}

const messages: Record<string, () => Promise<string>> = {
  "export of a session that is not there": () =>
    onMachine((port) => messageOf(() => exportSessions(source, bundle, { port, keys: [`${evil}2`] }))),
  "export of an agent that has no session": () =>
    onMachine((port) => messageOf(() => exportSessions(source, bundle, { port, agent: evil }))),
  "import with conflicts": () =>
    onMachine(async (port) => {
      await exportSessions(source, bundle, { port });
      return messageOf(() => importSessions(bundle, target, { port }));
    }),
  "a bundle with a session twice": () =>
    onMachine(async (port, machine) => {
      await exportSessions(source, bundle, { port });
      const [header, session, ...rest] = machine.readText(bundle).split("\n");
      machine.writeFile(bundle, [header, session, session, ...rest].join("\n"));
      return messageOf(() => importSessions(bundle, target, { port }));
    }),
  "a bundle with a field of its own": () =>
    onMachine(async (port, machine) => {
      await exportSessions(source, bundle, { port });
      const [header, session, ...rest] = machine.readText(bundle).split("\n");
      const changed = JSON.stringify({ ...JSON.parse(session as string), [evil]: 1 });
      machine.writeFile(bundle, [header, changed, ...rest].join("\n"));
      return messageOf(() => importSessions(bundle, target, { port }));
    }),
  "a field that holds what no entry may hold": () =>
    onMachine(async (port) => {
      const store = await openStore(port, source);
      const message = await messageOf(() => store.update("k", () => ({ [evil]: Number.NaN })));
      await store.close();
      return message;
    }),
  "a field of a file with a number out of range": () =>
    messageOf(() => freezeParsedJson({ [evil]: Number.POSITIVE_INFINITY }, 64)),
  "a generation that is not there": () =>
    onMachine(async (port) => {
      const store = await openStore(port, source);
      const message = await messageOf(() => store.reopenGeneration(evil, evil));
      await store.close();
      return message;
    }),
  "a session that vanishes from a rollback": () =>
    onMachine(async (port) => {
      const home = port.openRoot("/home");
      try {
        const gone = { keys: [evil], read: () => undefined };
        return await messageOf(() => writeExport(port, home, "export.tmp", gone, () => {}));
      } finally {
        port.closeDirectory(home);
      }
    }),
  "a rollback that reads something else back": () =>
    onMachine(async (port) => {
      const home = port.openRoot("/home");
      try {
        const entry = (n: number) => freezeParsedJson({ n }) as FrozenEntry;
        const keys = [evil];
        const written = await writeExport(port, home, "export.tmp", { keys, read: () => entry(1) }, () => {});
        const other = { ...written, keys, read: () => entry(2) };
        return await messageOf(() => verifyExport(port, home, "export.tmp", other, () => {}));
      } finally {
        port.closeDirectory(home);
      }
    }),
};

for (const [what, make] of Object.entries(messages)) {
  test(`${what}: the message shows no character that a terminal obeys, and not all of a long one`, async () => {
    assertTamed(await make());
  });
}

test("a repair names the command for a session that was edited by hand, but not with a key that a terminal obeys", async () => {
  await onMachine(async (port, machine) => {
    const edit = (from: string, to: string) => {
      for (const path of Object.keys(machine.dump())) {
        if (!/\/source\/sessions\.d\/entries\/session-/.test(path)) continue;
        machine.writeFile(path, machine.readText(path).replace(from, to));
      }
    };
    const store = await openStore(port, source);
    await store.update("plain key", () => ({ from: "plain" }));
    await store.checkpoint();
    await store.close();
    edit('"plain"', '"edited"');
    edit(`"${source}"`, '"edited as well"');
    const { actions } = await repairStore(source, { port, dryRun: true });
    const texts = actions.filter(({ code }) => code === "entry_left").map(({ message }) => message);
    assert.equal(texts.length, 2);
    for (const text of texts) assert.doesNotMatch(text, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|x{90}/u, JSON.stringify(text));
    assert.ok(
      texts.some((text) => text.includes("--accept 'plain key'")),
      texts.join("\n"),
    );
    assert.ok(
      texts.some((text) => text.includes("--accept KEY")),
      texts.join("\n"),
    );
  });
});

test("the warnings of the command line show as much of a key as an error does", async (context) => {
  const folder = temporaryDirectory(context);
  for (const name of ["from", "to"]) {
    const store = await openSessionStore(path.join(folder, `${name}.json`), { keys: "exact" });
    await store.update(evil, () => ({ sessionId: name, updatedAt: 1 }));
    await store.close();
  }
  const { stderr } = runCommand(["copy", path.join(folder, "from.json"), path.join(folder, "to.json")]);
  const [warning] = stderr.split("\n").filter((line) => line.includes("differs in the target"));
  assertTamed(warning ?? stderr);
});
