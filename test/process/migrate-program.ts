/** Waits for a line on its standard input, migrates the store given as its argument, and prints the result. */

import { createInterface } from "node:readline";
import { nodePort } from "../../src/fs/node-port.js";
import { createOrTakeOver } from "../../src/migrate/take-over.js";
import { locationOf, openAndReadAll, takeOverOptions } from "../unit/migrate/support.js";

const location = locationOf(process.argv[2] as string);
process.stdout.write("ready\n");
for await (const _ of createInterface({ input: process.stdin })) break;
const { outcome } = await createOrTakeOver(nodePort(), location, takeOverOptions);
const sessions = await openAndReadAll(nodePort(), location);
process.stdout.write(`${JSON.stringify({ outcome, sessions: sessions.size })}\n`);
process.exit(0);
