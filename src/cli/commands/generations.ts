/** `sessiondir generations KEY`: the transcripts that a session had before, and making one of them current again. */

import type { Command } from "commander";
import type { Generation } from "../../contract.js";
import { nodePort } from "../../fs/node-port.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { formatAge } from "../format.js";
import { type CommandStore, withReadOnlyStore, withWritableStore } from "../store-access.js";
import { color, printJson, printLine, printNote, printTable, safeText } from "../terminal.js";
import { sessionNotFound } from "./get.js";

interface GenerationsOptions extends CommonOptions {
  reopen?: string;
  reason?: string;
}

export function defineGenerations(program: Command): void {
  const examples = [
    "generations agent:main:main",
    'generations agent:main:main --reopen 1f0c2f6e-5d7b-4b62-9a07-6a3a5a1f7c55 --reason "reset by mistake"',
  ];
  const description = "list the transcripts a session had before its resets, or make one current again";
  defineCommand(program, "generations <key>", description, examples, generations)
    .option("--reopen <session-id>", "make this one current again; the present one takes its place on the list")
    .option("--reason <text>", "why; kept in the journal and on the list");
}

async function generations(options: GenerationsOptions, [key]: string[]): Promise<number> {
  const { reopen, reason } = options;
  if (reopen === undefined) return withReadOnlyStore(options, (store) => showGenerations(store, key!, options.json));
  return withWritableStore(options, async (store) => {
    await store.reopenGeneration(key!, reopen, { actor: "cli", ...(reason === undefined ? {} : { reason }) });
    if (!options.json) printNote(`${color.green("reopened")} ${safeText(reopen)}`);
    return showGenerations(store, key!, options.json);
  });
}

export async function showGenerations(store: CommandStore, key: string, json: boolean | undefined): Promise<number> {
  const entry = await store.get(key);
  if (entry === undefined) throw sessionNotFound("generations", key, store.location);
  const list = await store.generations(key);
  const { sessionId } = entry;
  if (json) {
    printJson({ key, ...(typeof sessionId === "string" ? { sessionId } : {}), generations: list });
    return 0;
  }
  printLine(`${color.bold("current")}  ${typeof sessionId === "string" ? safeText(sessionId) : "-"}`);
  if (list.length === 0) printNote("No earlier generation.");
  else printTable(["SESSION ID", "ENDED", "BY", "REASON", "FILE"], [...list].reverse().map(toRow), [1]);
  return 0;
}

function toRow({ sessionId, sessionFile, endedMs, actor, reason }: Generation): string[] {
  const text = (value: string | undefined) => safeText(value ?? "-");
  return [safeText(sessionId), formatAge(nodePort().nowMs() - endedMs), text(actor), text(reason), text(sessionFile)];
}
