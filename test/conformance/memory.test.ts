import { makeMemoryHarness } from "../support/memory-harness.js";
import { conformanceSuite } from "./suite.js";

conformanceSuite("memory", makeMemoryHarness, { modelRuns: 100 });
