/** What a torture run finds is kept: each input on which two recoveries disagree becomes a file that can be replayed for ever. */

import fs from "node:fs";
import path from "node:path";
import { type CorpusCase, saveCase } from "../bytes/corpus.js";

/** Writes each to a file; returns a line for each that says where it is, and how it becomes one of the corpus. */
export function keepFound(directory: string, name: string, found: readonly CorpusCase[]): string[] {
  return found.map((input, index) => {
    fs.mkdirSync(directory, { recursive: true });
    const file = path.join(directory, `${name}${index === 0 ? "" : `-${index}`}.json`);
    saveCase(file, input);
    return `kept: ${file}; for npm test to replay it for ever: mv ${file} test/corpus/what-was-wrong.json`;
  });
}
