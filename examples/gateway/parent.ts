/**
 * Role: a parent agent. It holds one update of its session open for seconds - it thinks - while its sub-agents announce
 * to the same session. With a lock around updates, all of them would wait for it. Here nobody does: the parent lets go
 * only after the last announcement was committed, so if anybody waited for it, nothing would ever end.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { aborted } from "./inbound.js";
import type { WorkerContext } from "./worker.js";

export async function holdUpdateOpen(context: WorkerContext): Promise<void> {
  const { agent, key } = context.job.parent;
  const store = context.stores.get(agent)!;
  let runs = 0;
  let announcedAtStart = 0;
  const startedAt = performance.now();
  const after = await store.update(
    key,
    async (current) => {
      runs += 1;
      if (current === undefined) throw new Error(`${key} is missing`);
      announcedAtStart = Number(current.demoAnnounced ?? 0);
      void context.send({ type: "parentHolds" });
      await Promise.race([Promise.all([sleep(context.job.holdMs), context.allAnnounced]), aborted(context.stopped)]);
      return { ...current, demoPlans: Number(current.demoPlans ?? 0) + 1 };
    },
    // The announcements changed other fields than the plan: keep both instead of thinking again.
    { onConflict: "merge", actor: "parent agent" },
  );
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  const announced = Number(after?.demoAnnounced ?? 0) - announcedAtStart;
  context.result.notes.push(
    `The parent held one update open for ${seconds} s. Meanwhile ${announced} commits to the same session went through; ` +
      `its own change was merged with theirs (its function ran ${runs === 1 ? "once" : `${runs} times`}).`,
  );
  void context.send({ type: "parentDone" });
  await aborted(context.stopped);
}
