/**
 * Sample sessions with the shapes and sizes that are found in the field: a few hundred bytes that change all the time,
 * and a skills snapshot of 41 KB that nearly every entry drags along and no list ever shows.
 */

import { randomUUID } from "node:crypto";
import type { SessionEntry } from "sessiondir";

export const agents = ["main", "support", "research"] as const;

/** The session whose agent started the sub-agents. */
export const parentKey = "agent:main:main";

const channels = ["telegram", "discord", "slack", "whatsapp"];
const models = ["claude-sonnet-4-5", "gpt-5.2", "gemini-3-pro"];
const skillsSnapshotBytes = 41 * 1024;

/** `count` entries for an agent, as they stand in a legacy sessions.json. */
export function sampleSessions(agent: string, count: number): Map<string, SessionEntry> {
  const sessions = new Map<string, SessionEntry>();
  for (let index = 0; index < count; index++) {
    const rest = sampleKey(index);
    sessions.set(`agent:${agent}:${rest}`, sampleEntry(rest, index));
  }
  return sessions;
}

/** What follows `agent:<id>:` in the key: mostly direct chats and groups, and one of everything else. */
function sampleKey(index: number): string {
  const channel = channels[index % channels.length]!;
  const peer = String(100_000 + index * 37);
  if (index === 0) return "main";
  switch (index % 8) {
    case 1:
      return `${channel}:group:-100${peer}`;
    case 2:
      return `discord:channel:${peer}`;
    case 3:
      return `slack:channel:c${peer}:thread:17${peer}.0001`;
    case 4:
      return `cron:report-${index}`;
    case 5:
      return `subagent:${randomUUID()}`;
    case 6:
      return `telegram:group:-100${peer}:topic:${index}`;
    default:
      return `${channel}:direct:${peer}`;
  }
}

function sampleEntry(rest: string, index: number): SessionEntry {
  const hourMs = 3_600_000;
  const channel = channels.find((name) => rest.startsWith(name));
  const entry: SessionEntry = {
    sessionId: randomUUID(),
    updatedAt: Date.now() - Math.floor((index + Math.random()) * hourMs),
    systemSent: true,
    modelProvider: "sample",
    model: models[index % models.length]!,
    contextTokens: 200_000,
    inputTokens: 1_000 * index,
    outputTokens: 150 * index,
    totalTokens: 1_150 * index,
    totalTokensFresh: true,
    compactionCount: index % 3,
  };
  if (rest.includes(":direct:")) entry.chatType = "direct";
  if (rest.includes(":group:")) entry.chatType = "group";
  if (rest.includes(":channel:")) entry.chatType = "channel";
  if (channel !== undefined) {
    const to = `${channel}:${rest.split(":")[2]}`;
    Object.assign(entry, { channel, lastChannel: channel, lastTo: to, deliveryContext: { channel, to } });
  }
  if (rest.startsWith("subagent:")) Object.assign(entry, { spawnedBy: parentKey, spawnDepth: 1, status: "done" });
  // Cron runs and sub-agents start lean; all others carry the snapshot.
  if (!/^(cron|subagent):/.test(rest)) entry.skillsSnapshot = sampleSkills();
  if (index % 5 === 0) entry.systemPromptReport = samplePromptReport();
  return entry;
}

function sampleSkills(): NonNullable<SessionEntry["skillsSnapshot"]> {
  const skills = Array.from({ length: 60 }, (_, index) => ({ name: `skill-${index}` }));
  const sentence = "Use this skill when the user asks for it; read its instructions before the first call. ";
  return { prompt: sentence.repeat(Math.ceil(skillsSnapshotBytes / sentence.length)), skills, version: 3 };
}

function samplePromptReport(): Record<string, unknown> {
  const entries = Array.from({ length: 80 }, (_, index) => ({
    name: `tool-${index}`,
    summaryChars: 120,
    schemaChars: 900,
  }));
  return { source: "run", systemPrompt: { chars: 48_000 }, tools: { listChars: 9_600, schemaChars: 72_000, entries } };
}
