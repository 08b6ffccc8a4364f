/**
 * The conformance suite: every promise of a session store, tested through the public methods and, where these cannot
 * reach, through the contract. A backend adopts all of it:
 *
 *     conformanceSuite("memory", makeMemoryHarness);
 *
 * What a backend cannot do, it declares as a capability; the tests that need it are then listed as skipped with the
 * reason in their name. Nothing else may be left out.
 */

import { describe, test } from "node:test";
import type { Capabilities } from "../../src/contract.js";
import type { Handle, Harness, HarnessOptions, MakeHarness } from "./harness.js";
import { changePromises } from "./promises-changes.js";
import { conflictPromises } from "./promises-conflicts.js";
import { generationPromises } from "./promises-generations.js";
import { handlePromises } from "./promises-handles.js";
import { keyPromises } from "./promises-keys.js";
import { limitPromises } from "./promises-limits.js";
import { listPromises } from "./promises-list.js";
import { modelPromises } from "./promises-model.js";
import { scanPromises } from "./promises-scan.js";
import { sessionPromises } from "./promises-sessions.js";
import { statePromises } from "./promises-states.js";
import { transactionPromises } from "./promises-transactions.js";
import { trashPromises } from "./promises-trash.js";
import { valuePromises } from "./promises-values.js";

export interface SuiteOptions {
  /** Random histories that are compared with the model. */
  modelRuns?: number;
}

/** Registers one test; every test has a store of its own. */
export interface Suite {
  readonly harness: Harness;
  readonly options: Required<SuiteOptions>;
  /** On a store that was just created. */
  promise(name: string, body: (handle: Handle, harness: Harness) => Promise<void>, options?: HarnessOptions): void;
  /** The test opens the store itself. */
  promiseUnopened(name: string, body: (harness: Harness) => Promise<void>): void;
  /** Only where stores outlive their handles. */
  promiseAcrossReopen(
    name: string,
    body: (harness: Required<Harness>) => Promise<void>,
    alsoNeeds?: keyof Capabilities,
  ): void;
  /** Only where several handles can be open at once. */
  promiseAcrossHandles(name: string, body: (harness: Required<Harness>) => Promise<void>): void;
}

export function conformanceSuite(name: string, makeHarness: MakeHarness, options: SuiteOptions = {}): void {
  describe(`conformance of ${name}`, () => {
    const suite = makeSuite(makeHarness, { modelRuns: 50, ...options });
    for (const promises of [
      sessionPromises,
      conflictPromises,
      transactionPromises,
      scanPromises,
      changePromises,
      listPromises,
      keyPromises,
      valuePromises,
      limitPromises,
      statePromises,
      handlePromises,
      trashPromises,
      generationPromises,
      modelPromises,
    ]) {
      promises(suite);
    }
  });
}

function makeSuite(makeHarness: MakeHarness, options: Required<SuiteOptions>): Suite {
  const harness = makeHarness();
  const { capabilities } = harness;
  const run = (name: string, body: (harness: Harness) => Promise<void>) =>
    test(name, async () => {
      const own = makeHarness();
      try {
        await body(own);
      } finally {
        await own.destroy();
      }
    });
  const runIf = (capability: "persistent" | "crossProcess", method: "reopen" | "openSecond") =>
    function registerIf(
      name: string,
      body: (harness: Required<Harness>) => Promise<void>,
      alsoNeeds: keyof Capabilities = capability,
    ): void {
      const lacking = [capability, alsoNeeds].find((needed) => !capabilities[needed]);
      if (lacking !== undefined) {
        test(`${name} (skipped: the backend declares ${lacking}: false)`, { skip: true }, () => {});
        return;
      }
      // A declared capability without the means to test it is a failure, not a skipped test.
      run(name, async (own) => {
        if (own[method] === undefined) throw new Error(`the harness of a ${capability} backend needs ${method}()`);
        await body(own as Required<Harness>);
      });
    };
  return {
    harness,
    options,
    promise: (name, body, openOptions) => {
      run(name, async (own) => body(await own.open(openOptions), own));
    },
    promiseUnopened: (name, body) => {
      run(name, body);
    },
    promiseAcrossReopen: runIf("persistent", "reopen"),
    promiseAcrossHandles: runIf("crossProcess", "openSecond"),
  };
}
