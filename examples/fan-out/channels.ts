/**
 * A process of its own: half of the channels. Each delivers one inbound message after the other, with a breath between
 * them, and counts what was acknowledged.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { Latencies } from "../gateway/latencies.js";
import type { ChannelJob, ChannelResult, ToChannels, ToMain } from "./messages.js";
import { type Operations, openOperations } from "./operations.js";

const breathMs = 60;
const stop = new AbortController();

process.on("message", (message: ToChannels) => {
  if (message.type === "start") void work(message.job);
  else stop.abort();
});
process.on("disconnect", () => stop.abort());

async function work({ place, keys }: ChannelJob): Promise<void> {
  const latencies = new Latencies();
  const result: ChannelResult = { latencies: latencies.table, acknowledged: new Map(), uncertain: new Map() };
  try {
    const operations = await openOperations(place);
    let silent = keys.length;
    const spoke = () => {
      silent -= 1;
      if (silent === 0) send({ type: "delivering" });
    };
    await Promise.all(keys.map((key) => deliverAll(operations, key, latencies, result, spoke)));
    await operations.close();
    send({ type: "result", result });
  } catch (error) {
    send({ type: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
  process.disconnect?.();
}

async function deliverAll(
  operations: Operations,
  key: string,
  latencies: Latencies,
  result: ChannelResult,
  spoke: () => void,
): Promise<void> {
  const channel = key.split(":")[2]!;
  let count = 0;
  while (!stop.signal.aborted) {
    try {
      await latencies.measure("inbound message", () => operations.deliver(key, channel));
      result.acknowledged.set(key, (result.acknowledged.get(key) ?? 0) + 1);
    } catch {
      // A lock that was not free in time, for example: a gateway would try again, as the next message does here.
      result.uncertain.set(key, (result.uncertain.get(key) ?? 0) + 1);
    }
    count += 1;
    if (count === 1) spoke();
    await sleep(Math.random() * breathMs);
  }
  if (count === 0) spoke();
}

function send(message: ToMain): void {
  process.send?.(message);
}
