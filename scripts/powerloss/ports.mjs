/**
 * Ports with one guarantee taken out. A run on such a store must lose something: that is how the rig proves that it
 * would notice.
 */

const doNothing = () => Promise.resolve();

export const brokenPorts = {
  "no-sync": (port) => ({ ...port, syncFile: doNothing }),
  "no-journal-sync": (port) => ({
    ...port,
    syncFile: (file) => (file.displayPath.endsWith(".jsonl") ? doNothing() : port.syncFile(file)),
  }),
  "no-directory-sync": (port) => ({ ...port, syncDirectory: doNothing }),
};

/** `openSessionStore` of the compiled package, on the real port or on a broken one. */
export async function storeOpener(packageUrl, broken) {
  const load = (file) => import(new URL(file, packageUrl).href);
  if (broken === undefined) return (await load("index.js")).openSessionStore;
  const { nodePort } = await load("fs/node-port.js");
  const { openBackend } = await load("open-backend.js");
  const { checkOpenOptions } = await load("open-options.js");
  const { createSessionStore } = await load("store.js");
  const port = brokenPorts[broken](nodePort());
  return async (location, options) => {
    const checked = checkOpenOptions(options);
    const backend = await openBackend(port, location, checked);
    return createSessionStore(backend, { clock: port, conflictWaitMs: checked.conflictWaitMs });
  };
}

/** `(location) => Promise` that rolls the closed store back to its legacy file, on the real port or on a broken one. */
export async function rollbackRunner(packageUrl, broken) {
  const load = (file) => import(new URL(file, packageUrl).href);
  const { rollbackStore } = await load("migrate/rollback.js");
  const { nodePort } = await load("fs/node-port.js");
  const port = broken === undefined ? nodePort() : brokenPorts[broken](nodePort());
  return async (location) => {
    const { outcome, reason } = await rollbackStore(location, { port });
    if (outcome !== "restored") throw new Error(`${location} was not rolled back: ${reason}`);
  };
}
