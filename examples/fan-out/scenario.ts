/**
 * The scenario: a parent session spawns sub-agents and holds its own update open - it yields to them - while they announce
 * that they are done, to that same session, and while the channels of two more processes keep delivering messages.
 *
 * What it proves is an order, not a time: the parent lets go of its update only after the last announcement was
 * acknowledged. If one announcement waited for the parent, neither would ever end; the watchdog turns that into a failure.
 */

import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Latencies, type LatencyTable, mergeLatencies } from "../gateway/latencies.js";
import { parentKey, sampleSessions } from "../gateway/sample-sessions.js";
import { ChannelProcess } from "./channel-process.js";
import { createGate } from "./gate.js";
import type { ChannelResult } from "./messages.js";
import { type Operations, openOperations, type Place } from "./operations.js";

export interface Settings {
  place: Place;
  /** Sessions that were in the store before, with the sizes that are found in the field. */
  sessions: number;
  subagents: number;
  channels: number;
  /** The parent holds its update open at least so long; it always holds it until all have announced. */
  holdMs: number;
  /** Fails the run when the announcements are not through by then. */
  watchdogMs: number;
  onProgress?: (text: string) => void;
}

export interface Outcome {
  /** Announcements that were acknowledged before the parent let go of its update: all, or somebody waited. */
  announcedBeforeRelease: number;
  /** How often the parent's function ran: once, unless its update had to begin anew. */
  parentRuns: number;
  /** Attempts to announce that failed and were made again. */
  retries: number;
  messages: number;
  /** What was acknowledged and is not there, in words. */
  lost: string[];
  latencies: LatencyTable;
}

/** Makes the store, runs the scenario and reads everything back. */
export async function runScenario(settings: Settings): Promise<Outcome> {
  const { place, onProgress = () => {} } = settings;
  createLegacyFile(place, settings.sessions);
  const channelKeys = Array.from({ length: settings.channels }, (_, index) => channelKey(index));
  const operations = await openOperations(place);
  const halves = [0, 1].map((half) => channelKeys.filter((_, index) => index % 2 === half));
  const processes = halves.map((keys) => new ChannelProcess({ place, keys }));
  try {
    await Promise.all(processes.map((channels) => channels.delivering));
    onProgress(`${settings.channels} channels deliver from two processes`);
    const run = await fanOut(operations, settings);
    const results = await Promise.all(processes.map((channels) => channels.stop()));
    const all = await operations.readAll();
    return {
      ...run.counts,
      messages: results.reduce((sum, { acknowledged }) => sum + total(acknowledged), 0),
      lost: [...missingAnnouncements(all, run.children), ...missingMessages(all, results)],
      latencies: mergeLatencies([run.latencies, ...results.map((result) => result.latencies)]),
    };
  } finally {
    for (const channels of processes) channels.kill();
    await operations.close();
  }
}

function createLegacyFile({ location }: Place, sessions: number): void {
  mkdirSync(path.dirname(location), { recursive: true, mode: 0o700 });
  const text = JSON.stringify(Object.fromEntries(sampleSessions("main", Math.max(1, sessions))), undefined, 2);
  writeFileSync(location, text, { mode: 0o600, flag: "wx" });
}

const channelNames = ["telegram", "discord", "slack", "whatsapp"];

function channelKey(index: number): string {
  return `agent:main:${channelNames[index % channelNames.length]}:group:fan-out-${index}`;
}

interface FanOut {
  counts: Pick<Outcome, "announcedBeforeRelease" | "parentRuns" | "retries">;
  children: string[];
  latencies: LatencyTable;
}

async function fanOut(operations: Operations, settings: Settings): Promise<FanOut> {
  const { subagents, holdMs, onProgress = () => {} } = settings;
  const latencies = new Latencies();
  const children = Array.from({ length: subagents }, () => `agent:main:subagent:${randomUUID()}`);
  await Promise.all(
    children.map((key) => latencies.measure("sub-agent spawned", () => operations.spawn(parentKey, key))),
  );
  onProgress(`${subagents} sub-agents are at work; the parent opens its update and yields`);
  const holds = createGate<void>();
  const allAnnounced = createGate<void>();
  let acknowledged = 0;
  let announcedBeforeRelease = 0;
  let retries = 0;
  const parent = latencies.measure("update that the parent held open", () =>
    operations.holdOpen(parentKey, async () => {
      holds.open();
      await Promise.all([sleep(holdMs), allAnnounced.opened]);
      announcedBeforeRelease = acknowledged;
    }),
  );
  const announceAll = async () => {
    await holds.opened;
    await Promise.all(
      children.map(async (key) => {
        // They end at different times, all of them well within the hold.
        await sleep(Math.random() * holdMs * 0.8);
        while (true) {
          try {
            await latencies.measure("announcement to the parent", () => operations.announce(parentKey, key));
            break;
          } catch (error) {
            // The store was busy for too long, or had to give up after many conflicts. Nothing was changed.
            if (!["lock_timeout", "conflict"].includes((error as { code?: string }).code ?? "")) throw error;
            retries += 1;
          }
        }
        acknowledged += 1;
        if (acknowledged % 50 === 0)
          onProgress(`${acknowledged} of ${subagents} have announced, the parent still holds`);
      }),
    );
    allAnnounced.open();
  };
  const watchdog = new AbortController();
  const tooLate = sleep(settings.watchdogMs, undefined, { signal: watchdog.signal }).then(
    () => {
      const text = `${acknowledged} of ${subagents} announcements got through while the parent held its update`;
      const error = new Error(`${text}; the others wait`);
      allAnnounced.reject(error);
      throw error;
    },
    () => {},
  );
  try {
    const work = Promise.all([parent, announceAll()]);
    await Promise.race([work, tooLate.then(() => work)]);
  } finally {
    watchdog.abort();
  }
  return {
    counts: { announcedBeforeRelease, parentRuns: await parent, retries },
    children,
    latencies: latencies.table,
  };
}

type AllSessions = Awaited<ReturnType<Operations["readAll"]>>;

/** Each exactly once, the sub-agent's own session done, and the parent's plan there too. */
function missingAnnouncements(all: AllSessions, children: readonly string[]): string[] {
  const lost: string[] = [];
  const parent = all.get(parentKey);
  const announced = (parent?.demoAnnounced ?? []) as string[];
  for (const key of children) {
    const times = announced.filter((candidate) => candidate === key).length;
    if (times !== 1) lost.push(`${key} announced once; the parent has it ${times} times`);
    if (all.get(key)?.status !== "done") lost.push(`${key} is not done`);
  }
  if (parent?.demoPlans !== 1) lost.push(`the parent made one plan; its session has ${parent?.demoPlans}`);
  return lost;
}

/** Not fewer than were acknowledged, and not more than were sent. */
function missingMessages(all: AllSessions, results: readonly ChannelResult[]): string[] {
  const lost: string[] = [];
  for (const { acknowledged, uncertain } of results) {
    for (const [key, count] of acknowledged) {
      const found = Number(all.get(key)?.demoMessages ?? 0);
      const most = count + (uncertain.get(key) ?? 0);
      if (found < count || found > most)
        lost.push(`${key}: ${count} messages were acknowledged, the store has ${found}`);
    }
  }
  return lost;
}

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}
