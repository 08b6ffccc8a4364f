import { makeJsonHarness } from "../support/json-harness.js";
import { conformanceSuite } from "./suite.js";

conformanceSuite("json", makeJsonHarness, { modelRuns: 20 });
