/**
 * A gateway of the hammer test: commits session after session to the store given as its argument until it is fenced,
 * then says which were acknowledged, tries on for a while, closes, and says how it ended.
 */

import type { SessionStoreError } from "../../src/errors.js";
import { openSessionStore } from "../../src/open.js";

const [location, name] = process.argv.slice(2) as [string, string];
const store = await openSessionStore<Record<string, unknown>>(location);
const acknowledged: string[] = [];
const errors = new Set<string>();
let message = "";
let begun = 0;
let said = false;

async function commitNext(): Promise<boolean> {
  const key = `agent:${name}:${begun++}`;
  try {
    await store.patch(key, { number: begun }, { createIfMissing: true });
    acknowledged.push(key);
    return true;
  } catch (error) {
    errors.add((error as SessionStoreError).code);
    message = (error as Error).message;
    return false;
  }
}

/** Some in flight at any time, as from many conversations at once. */
async function conversation(): Promise<void> {
  while (await commitNext()) {
    if (said || acknowledged.length < 50) continue;
    said = true;
    process.stdout.write("writing\n");
  }
}

await Promise.all(Array.from({ length: 4 }, conversation));
for (let late = 0; late < 20; late += 1) if (await commitNext()) errors.add("a late commit was acknowledged");
await store.get("agent:any").catch((error: SessionStoreError) => errors.add(`read: ${error.code}`));
await store.close();
process.stdout.write(`${JSON.stringify({ acknowledged, errors: [...errors].sort(), message })}\n`);
