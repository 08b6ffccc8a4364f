/** What the main process and the two processes with the channels tell each other. */

import type { LatencyTable } from "../gateway/latencies.js";
import type { Place } from "./operations.js";

export interface ChannelJob {
  place: Place;
  /** The session of each channel of this process. */
  keys: string[];
}

export type ToChannels =
  | { type: "start"; job: ChannelJob }
  /** Deliver what is on its way, then report. */
  | { type: "stop" };

export type ToMain =
  /** Every channel has delivered once, so the load is there. */
  { type: "delivering" } | { type: "result"; result: ChannelResult } | { type: "failed"; message: string };

export interface ChannelResult {
  latencies: LatencyTable;
  /** Session -> messages that were acknowledged. */
  acknowledged: Map<string, number>;
  /** Session -> messages of which nobody can say whether they were stored, because an error came instead. */
  uncertain: Map<string, number>;
}
