/**
 * Legacy files: what `sessions.json` may hold, what a take-over must make of any bytes - JSON.parse is the oracle, and
 * JSON5 where that refuses - and whether it does.
 */

import JSON5 from "json5";
import { SessionStoreError } from "../../src/errors.js";
import { defaultLimits } from "../../src/limits.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { SimulatedMachine } from "../sim/machine.js";
import type { SeededRandom } from "../sim/random.js";
import { canonical, isStorable } from "./pure-recovery.js";

const legacyPath = "/home/agent/sessions.json";

export function makeLegacyBytes(random: SeededRandom): Uint8Array {
  const sessions: Record<string, unknown> = {};
  const names = [
    "agent:main:main",
    "Agent:Main:Main",
    " agent:main:work ",
    "é",
    "global",
    "agent:main:discord:channel:1",
  ];
  for (let count = random.below(6); count > 0; count--) {
    const text = Array.from({ length: random.below(40) }, () => random.pick([...'ab "\\\n:é漢🎉'])).join("");
    sessions[random.pick(names)] = {
      sessionId: `id-${count}`,
      updatedAt: random.below(5),
      text,
      nested: { list: [null] },
    };
  }
  if (random.chance(0.2)) Object.defineProperty(sessions, "__proto__", { value: { own: true }, enumerable: true });
  return Buffer.from(JSON.stringify(sessions, null, random.pick([0, 2])), "utf8");
}

/** The sessions that these bytes hold, or undefined when an opening may not take them over. */
export function readLegacyPurely(bytes: Uint8Array): Map<string, string> | undefined {
  const value = parseTolerantly(bytes);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const newest = new Map<string, { updatedAt: number; text: string }>();
  for (const [name, entry] of Object.entries(value)) {
    const key = name.trim().toLowerCase();
    const keyBytes = Buffer.from(key, "utf8");
    // What cannot be taken keeps nothing else from being taken.
    if (key === "" || key.includes("\0") || keyBytes.toString("utf8") !== key || keyBytes.length > 512) continue;
    if (typeof entry !== "object" || entry === null || Array.isArray(entry)) continue;
    if (!isStorable(entry, defaultLimits.nestingLevels)) continue;
    const { updatedAt: time } = entry as { updatedAt?: unknown };
    const updatedAt = typeof time === "number" ? time : 0;
    const known = newest.get(key);
    if (known === undefined || updatedAt >= known.updatedAt) newest.set(key, { updatedAt, text: canonical(entry) });
  }
  // Nothing but what cannot be taken is no empty store.
  if (newest.size === 0 && Object.keys(value).length > 0) return undefined;
  return new Map([...newest].map(([key, { text }]) => [key, text]));
}

function parseTolerantly(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes).replace(/^\ufeff/, "");
  } catch {
    return undefined;
  }
  for (const parse of [JSON.parse, JSON5.parse] as ((text: string) => unknown)[]) {
    try {
      return parse(text);
    } catch {
      // The next one may read it.
    }
  }
  return undefined;
}

export interface TakenOver {
  readonly taken: boolean;
  readonly difference: string | undefined;
}

/** Opens the legacy file as a user would: all of it is taken over, or it is refused and nothing was touched. */
export async function compareTakeOver(bytes: Uint8Array): Promise<TakenOver> {
  const expected = readLegacyPurely(bytes);
  const machine = new SimulatedMachine();
  machine.makeDirectory("/home/agent");
  machine.writeFile(legacyPath, bytes);
  const process = machine.process("gateway");
  try {
    const found = await machine.settle(
      openBackend(process, legacyPath, checkOpenOptions({})).then(async (backend) => {
        const sessions = new Map<string, string>();
        for await (const { key, entry } of await backend.scan()) sessions.set(key, canonical(entry));
        return sessions;
      }),
    );
    return {
      taken: true,
      difference: expected ? firstDifference(expected, found) : "taken over, but holds no sessions",
    };
  } catch (error) {
    const isTyped = error instanceof SessionStoreError && error.code === "invalid_legacy";
    if (!isTyped) return { taken: false, difference: `an error that is not invalid_legacy: ${error}` };
    if (expected !== undefined) return { taken: false, difference: `refused, but is right: ${error.message}` };
    const left = Object.keys(machine.dump()).filter((path) => path.startsWith("/home/agent/sessions.d/"));
    const isUntouched = left.length === 0 && Buffer.compare(machine.readFile(legacyPath), bytes) === 0;
    return { taken: false, difference: isUntouched ? undefined : `refused, and something changed: ${left}` };
  } finally {
    process.kill();
  }
}

function firstDifference(
  expected: ReadonlyMap<string, string>,
  found: ReadonlyMap<string, string>,
): string | undefined {
  for (const key of new Set([...expected.keys(), ...found.keys()])) {
    if (expected.get(key) !== found.get(key))
      return `${JSON.stringify(key)}: ${found.get(key)}, not ${expected.get(key)}`;
  }
  return undefined;
}
