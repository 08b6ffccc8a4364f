/** The oldest server that is tested, without prepared statements and notifications: what poolers and other engines get. */

import { describe } from "node:test";
import { conformanceSuite } from "../conformance/suite.js";
import {
  postgresHarness,
  quickOptions,
  quickServer,
  sharedPostgres,
  skipWithoutPostgres,
} from "../support/postgres-harness.js";

describe("PostgreSQL 15, polling only", { skip: skipWithoutPostgres(15) }, () => {
  const harness = postgresHarness(sharedPostgres({ ...quickServer, version: 15 }), {
    ...quickOptions,
    prepare: false,
    notify: false,
    pollMs: 5,
  });
  conformanceSuite("postgres, polling", harness, { modelRuns: 3 });
});
