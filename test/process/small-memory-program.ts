/** A process for small-memory.ts, started with little memory: opens the store, reads all of it, commits once, and says what it saw. */

import { openSessionStore } from "../../src/index.js";

const [location] = process.argv.slice(2) as [string];
const store = await openSessionStore<Record<string, unknown>>(location);
let sessions = 0;
for await (const _ of store.entries()) sessions += 1;
await store.update("agent:main:small", () => ({ sessions }));
process.stdout.write(`${JSON.stringify({ sessions })}\n`);
await store.close();
