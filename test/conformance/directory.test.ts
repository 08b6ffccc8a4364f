import { makeDirectoryHarness } from "../support/directory-harness.js";
import { conformanceSuite } from "./suite.js";

conformanceSuite("directory", makeDirectoryHarness, { modelRuns: 30 });
