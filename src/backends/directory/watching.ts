/**
 * One watcher: what was committed since its cursor, and then whatever comes. Commits of this process wake it at once;
 * those of others are found by looking at the end of the journal.
 */

import type { BackendChange, Cursor } from "../../contract.js";
import type { WaitingRoom } from "../../fs/waiting-room.js";
import { ChangeFollower } from "./changes.js";
import type { View } from "./view.js";

/** How long a commit of another process may stay unseen: short at first, longer when nothing happens. */
const pollMsMin = 2;
const pollMsMax = 20;

/** Until `ended` aborts. `refresh` brings the view up to date, or throws why that cannot be. */
export async function* watchChanges(
  view: View,
  room: WaitingRoom,
  refresh: () => void,
  since: Cursor | undefined,
  ended: AbortSignal,
): AsyncGenerator<BackendChange> {
  if (ended.aborted) return;
  const follower = new ChangeFollower(view);
  const waiter = room.enter(ended);
  try {
    refresh();
    const reset = follower.start(since);
    if (reset) yield reset;
    for (let pollMs = pollMsMin; !ended.aborted; ) {
      let delivered = false;
      for (const change of follower.poll()) {
        if (ended.aborted) return;
        if (change === undefined) {
          await waiter.next(pollMsMax);
          continue;
        }
        delivered = true;
        yield change;
      }
      pollMs = delivered ? pollMsMin : Math.min(pollMsMax, pollMs + 1);
      await waiter.next(pollMs);
    }
  } finally {
    follower.close();
  }
}
