/** The store that people complained of: 240 sessions that made a file of 56 MB. `npm run long-run` does larger ones. */

import { test } from "node:test";
import { goInAndOut } from "./in-and-out.js";
import { inTemporaryDirectory } from "./support.js";

test("240 sessions of 56 MB come in and go out by every way, and none is changed", async () => {
  await inTemporaryDirectory((directory) => goInAndOut(directory, { sessions: 240, entryBytes: 233_000 }));
});
