/** 100,000 foreign files in each directory of a store, one directory after the other; see hostile/store-names. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { fillWithJunk, junkDirectories } from "../hostile/support/junk.js";
import { tryServices } from "../hostile/support/services.js";
import { withPlace } from "../process/support/temporary-store.js";

const files = 100_000;
/** A journal is listed whole whenever a store is opened; beyond 65,536 names that is refused. */
const refused = { "reader open": "limit_exceeded", "writer open": "limit_exceeded", repair: "limit_exceeded" };

export async function runJunkFiles(): Promise<void> {
  for (const directory of junkDirectories) {
    await withPlace(async (place) => {
      let names: string[] = [];
      const startMs = performance.now();
      let filledMs = 0;
      const { answers } = await tryServices(place, () => {
        names = fillWithJunk(path.join(place.directory, directory), files);
        filledMs = performance.now();
      });
      const tookS = ((performance.now() - filledMs) / 1000).toFixed(1);
      const filledS = ((filledMs - startMs) / 1000).toFixed(1);
      console.log(
        `junk-files: ${directory || "the store"}: made in ${filledS} s, used in ${tookS} s, ${JSON.stringify(answers)}`,
      );
      assert.deepEqual(answers, directory === "journal" ? refused : {});
      const left = new Set(fs.readdirSync(path.join(place.directory, directory)));
      assert.ok(names.every((name) => left.has(name)));
    });
  }
}
