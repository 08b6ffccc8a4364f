/**
 * A part of a store that is a mount: what lies below it is hidden, and what is written into it may be gone one day. The
 * real thing, where a mount is allowed, is in test/hostile/store-mounts.test.ts.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Finding } from "../../../src/contract.js";
import type { FileStat } from "../../../src/fs/port.js";
import { commitPut, makeMachine, openStore, put, request, start, storePath } from "../../protocol/simulated-store.js";
import { InterceptedPort, type PortCall } from "../../sim/intercepted-port.js";
import type { SimulatedMachine } from "../../sim/machine.js";

/** Something is mounted on a part of the store, from now on or never. */
class MountingPort extends InterceptedPort {
  mounted: string | undefined;

  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    const result = proceed();
    const isMount = this.mounted !== undefined && call.path === `${storePath}/${this.mounted}`;
    if (!isMount || !["statDirectory", "statName"].includes(call.method)) return result;
    // Whoever has it open sees what it opened.
    if (call.method === "statDirectory" && this.isOpenBefore) return result;
    return { ...(result as FileStat), device: 77, inode: 1 } as T;
  }

  isOpenBefore = false;
}

async function machineWithSessions(): Promise<SimulatedMachine> {
  const machine = await makeMachine();
  const store = await start(machine, "before");
  for (const key of ["a", "b"]) await commitPut(machine, store, key, key);
  const removal = request([{ type: "remove", key: "a", purge: false }]);
  await machine.settle(store.backend.commit(removal));
  await machine.settle(store.backend.close());
  return machine.fork();
}

// Fails without the comparison of devices in `openCheckedDirectory`: the store is then empty, and healthy.
for (const part of ["journal", "entries"]) {
  test(`${part}/ on another device is refused, for writers and readers`, async () => {
    for (const readOnly of [false, true]) {
      const machine = await machineWithSessions();
      const process = machine.process("opener");
      const port = new MountingPort(process);
      port.mounted = part;
      await assert.rejects(machine.settle(openStore(port, { readOnly })), {
        name: "SessionStoreError",
        code: "unsafe_path",
        path: `${storePath}/${part}`,
        message: /is a mount: it lies on another device/,
      });
      assert.deepEqual(process.openHandles(), []);
    }
  });
}

test("trash/ on another device: commits and reads go on, what needs the trash says why it cannot", async () => {
  const machine = await machineWithSessions();
  const port = new MountingPort(machine.process("opener"));
  port.mounted = "trash";
  const backend = await machine.settle(openStore(port));
  await machine.settle(backend.commit(request([put("c", { value: 3 })])));
  assert.deepEqual((await backend.read(["b"])).get("b")?.entry, { value: "b" });
  await assert.rejects(machine.settle(backend.emptyTrash(["1-1-000000000000"])), { code: "unsafe_path" });
  const found = await machine.settle(findingsOf(backend.check()));
  assert.deepEqual(
    found.map(({ code, path }) => [code, path]),
    [["unsafe_file", "trash"]],
  );
  await machine.settle(backend.close());
});

// Fails without the comparison of what is open with what lies at the name in check.ts.
test("verify notices what was mounted over a store that is open", async () => {
  for (const part of ["journal", "entries"]) {
    const machine = await machineWithSessions();
    const port = new MountingPort(machine.process("opener"));
    port.isOpenBefore = true;
    const backend = await machine.settle(openStore(port, { readOnly: true }));
    assert.deepEqual(await machine.settle(findingsOf(backend.check())), []);
    port.mounted = part;
    const [finding, ...others] = await machine.settle(findingsOf(backend.check()));
    assert.deepEqual(others, []);
    assert.equal(finding?.code, "unsafe_file");
    assert.equal(finding.severity, "error");
    assert.match(finding.message, new RegExp(`what is called ${part}/ now is not what this process has open`));
    await machine.settle(backend.close());
  }
});

async function findingsOf(findings: AsyncIterable<Finding>): Promise<Finding[]> {
  const found: Finding[] = [];
  for await (const finding of findings) found.push(finding);
  return found;
}
