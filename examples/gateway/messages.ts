/** What the main process and its workers tell each other. */

import type { LatencyTable } from "./latencies.js";
import type { AgentStore } from "./state-directory.js";

export type Role = "inbound" | "parent" | "reader";

/** The job of a worker, the first message it gets. */
export interface Job {
  role: Role;
  name: string;
  stores: AgentStore[];
  /** The session that holds an update open while its sub-agents announce to it. */
  parent: { agent: string; key: string };
  /** Sub-agents that this worker starts while the parent holds its update open. */
  subagentCount: number;
  /** The parent holds its update open for at least so long. */
  holdMs: number;
}

export type ToWorker =
  | { type: "start"; job: Job }
  /** The parent's update callback runs now: start the sub-agents. */
  | { type: "parentHolds" }
  /** All sub-agents have announced: the parent may let its callback return. */
  | { type: "allAnnounced" }
  /** Finish what is in flight, close the stores and report. */
  | { type: "stop" };

export type ToMain =
  | { type: "ready" }
  | { type: "progress"; operations: number; announced: number }
  | { type: "parentHolds" }
  | { type: "parentDone" }
  | { type: "result"; result: WorkerResult }
  | { type: "failed"; message: string };

export interface WorkerResult {
  latencies: LatencyTable;
  /** Per session, how many increments of its message counter were acknowledged to this worker. */
  acknowledged: Map<string, number>;
  /** Sub-agent sessions whose creation was acknowledged to this worker. */
  subagents: string[];
  notes: string[];
  /** What this worker saw that must not happen. */
  problems: string[];
}
