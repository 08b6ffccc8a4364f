/**
 * The mutants, by the part of the code that they are made in. Each is one sync, lock, check or limit taken out:
 *
 *     { name, file, find, replace, suite, test?, rule?, hangs?, argument? }
 *
 * `find` is text of the *compiled* file (so without types; white space stands for any white space) and must be there
 * exactly once. `suite` is the test file that must fail (or several, tried in order), `test` a pattern for the names of
 * the tests to run of it. `argument` marks a mutant that cannot change behaviour, and says why.
 */

import { checkpointMutants } from "./mutants-checkpoint.mjs";
import { commitMutants } from "./mutants-commit.mjs";
import { createMutants } from "./mutants-create.mjs";
import { fsMutants } from "./mutants-fs.mjs";
import { indexMutants } from "./mutants-index.mjs";
import { journalMutants } from "./mutants-journal.mjs";
import { jsonMutants } from "./mutants-json.mjs";
import { limitMutants } from "./mutants-limits.mjs";
import { openclawMutants } from "./mutants-openclaw.mjs";
import { placeMutants } from "./mutants-places.mjs";
import { postgresMutants } from "./mutants-postgres.mjs";
import { readMutants } from "./mutants-read.mjs";
import { repairMutants } from "./mutants-repair.mjs";
import { rollbackMutants } from "./mutants-rollback.mjs";
import { transferMutants } from "./mutants-transfer.mjs";
import { trashMutants } from "./mutants-trash.mjs";

export function allMutants() {
  return [
    ...fsMutants,
    ...journalMutants,
    ...commitMutants,
    ...checkpointMutants,
    ...readMutants,
    ...createMutants,
    ...repairMutants,
    ...rollbackMutants,
    ...limitMutants,
    ...trashMutants,
    ...transferMutants,
    ...indexMutants,
    ...jsonMutants,
    ...openclawMutants,
    ...placeMutants,
    ...postgresMutants,
  ];
}
