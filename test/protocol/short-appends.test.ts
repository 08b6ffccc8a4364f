import assert from "node:assert/strict";
import { test } from "node:test";
import { lockNames } from "../../src/backends/directory/layout.js";
import { FailingPort } from "../sim/failing-port.js";
import { makeMachine, openStore, put, readStore, request } from "./simulated-store.js";

/** Cuts one append short, and then refuses to cut the file back. */
class DoubleFault extends FailingPort {
  armed = false;
  private cannotCut = false;

  protected override intercept<Result>(
    call: Parameters<FailingPort["intercept"]>[0],
    proceed: (sizeBytes?: number) => Result,
  ): Result {
    if (this.armed && call.method === "append") {
      this.armed = false;
      this.cannotCut = true;
      return proceed((call.sizeBytes as number) >> 1);
    }
    if (this.cannotCut && call.method === "truncate") {
      this.cannotCut = false;
      throw Object.assign(new Error("EIO: simulated"), { code: "EIO" });
    }
    return super.intercept(call, proceed);
  }
}

// Fails when `appendFailed` is not set in journal-writer.ts: the next commit of the same hold lies behind the torn bytes.
test("P3: after an append that was cut short and could not be cut back, the next commit settles the end first", async () => {
  const machine = await makeMachine();
  const port = new DoubleFault(machine.process("writer"));
  const backend = await machine.settle(openStore(port));
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), lockNames("sessions.d").commit, "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  // All three wait for the lock, so that they share one hold of it.
  const outcomes = ["a", "b", "c"].map((key) =>
    backend.commit(request([put(key, { value: key })])).then(
      ({ status }) => status,
      (error) => error.code,
    ),
  );
  port.armed = true;
  holder.unlock(lock);
  assert.deepEqual(await machine.settle(Promise.all(outcomes)), ["disk_full", "committed", "committed"]);
  assert.deepEqual(await readStore(machine.fork()), { b: { value: "b" }, c: { value: "c" } });
});
