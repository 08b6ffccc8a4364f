import { describe } from "node:test";
import {
  postgresHarness,
  quickOptions,
  quickServer,
  sharedPostgres,
  skipWithoutPostgres,
} from "../support/postgres-harness.js";
import { conformanceSuite } from "./suite.js";

const skip = skipWithoutPostgres();
describe("PostgreSQL", { skip }, () => {
  conformanceSuite("postgres", postgresHarness(sharedPostgres(quickServer), quickOptions), { modelRuns: 15 });
});
