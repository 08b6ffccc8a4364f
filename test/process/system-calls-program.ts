/** A process for system-calls.ts: does one operation on the store given to it, and says when it is acknowledged. */

import { runOperation } from "./system-call-operations.js";

const [name, location] = process.argv.slice(2) as [string, string];
await runOperation(name, location);
process.stdout.write("acknowledged\n");
