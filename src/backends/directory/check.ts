import type { Finding } from "../../contract.js";
import type { Limits } from "../../limits.js";
import type { StoreFiles } from "./store-files.js";
export async function* checkStore(
  _files: StoreFiles,
  _options: { limits: Readonly<Limits>; onProgress: ((done: number, total: number) => void) | undefined },
): AsyncGenerator<Finding> {}
