/** Programs that interleaved.test.ts runs as simulated processes. */

import type { Directory, Port } from "../../../src/fs/port.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";
import type { ProgramContext } from "../../sim/worker-main.js";
import { locationOf, openOrTakeOver } from "./support.js";

export const legacyPath = "/home/agent/sessions.json";

/** Opens the store, commits a session of its own, and records that it was acknowledged. */
export async function opener(port: Port, _: unknown, context: ProgramContext): Promise<string[]> {
  const backend = await openOrTakeOver(port, locationOf(legacyPath));
  const entry = freezeParsedJson({ by: context.name });
  await backend.commit({ operations: [{ type: "put", key: context.name, entry }], expected: new Map() });
  context.record(context.name);
  const keys: string[] = [];
  for await (const { key } of await backend.scan()) keys.push(key);
  await backend.close();
  return keys.sort();
}

/** A gateway that knows nothing of us: it replaces the whole file atomically, whatever happened to it. */
export async function oldGateway(port: Port, { writes }: { writes: number }, context: ProgramContext): Promise<void> {
  const root = port.openRoot("/home/agent");
  for (let write = 1; write <= writes; write += 1) {
    const text = legacyText(write);
    replace(port, root, text);
    context.record(text);
    await port.sleep(port.random() * 2);
  }
  port.closeDirectory(root);
}

export function legacyText(write: number): string {
  return JSON.stringify({ main: { write }, other: { write } });
}

function replace(port: Port, root: Directory, text: string): void {
  const file = port.open(root, "sessions.json.tmp", "create");
  port.append(file, new TextEncoder().encode(text));
  port.close(file);
  port.rename(root, "sessions.json.tmp", root, "sessions.json");
}
