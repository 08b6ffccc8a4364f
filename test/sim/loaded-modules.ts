/**
 * Modules that the library loads when they are first needed. A simulated machine has its own clock and does not wait for
 * the real disk, so they are loaded before anything runs on one.
 */

import "../../src/backends/directory/check.js";
import "../../src/backends/json/backend.js";
import "../../src/backends/memory/backend.js";
import "../../src/migrate/merge.js";
import "../../src/migrate/place.js";
import "../../src/migrate/rollback-recovery.js";
import "../../src/migrate/take-over.js";
