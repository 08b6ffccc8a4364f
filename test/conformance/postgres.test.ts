import { describe } from "node:test";
import { postgresHarness, sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { conformanceSuite } from "./suite.js";

const skip = skipWithoutPostgres();
describe("PostgreSQL", { skip }, () => {
  conformanceSuite("postgres", postgresHarness(sharedPostgres()), { modelRuns: 15 });
});
