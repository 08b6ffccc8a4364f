/**
 * The runs of one head, open, and lists over all of them: a merge of their blocks that passes over what
 * a newer run replaces. Whether it does is looked up only when a session's turn has come: the sessions that were active
 * since an old run was written stand at its top, and a page is full of their newer rows before anybody asks.
 *
 * Immutable, so what was decoded and looked up is kept: 128 blocks. Pinned while a list is made from it.
 */

import type { SessionOrder, SessionSummary } from "../../../contract.js";
import type { StoreOwner } from "../../../fs/checked-file.js";
import type { Directory, Port } from "../../../fs/port.js";
import { compareByActivity, compareByKey } from "../../../sessions/query.js";
import { type IndexHead, readHead } from "./head.js";
import { DamagedIndexError, hashKey } from "./row.js";
import { Run } from "./run.js";

const keptBlocksMax = 128;

export type Comparison = (left: SessionSummary, right: SessionSummary) => number;
export const comparisons: Readonly<Record<SessionOrder, Comparison>> = {
  updatedAt: compareByActivity,
  key: compareByKey,
};

interface Block {
  readonly rows: SessionSummary[];
  /** Per row: 0 nobody asked yet, 1 current, 2 replaced by a newer run. */
  readonly states: Uint8Array;
}

export class RunSet {
  readonly head: IndexHead;
  readonly runs: readonly Run[];
  private readonly blocks = new Map<string, Block>();
  private pins = 0;
  private retired = false;

  constructor(head: IndexHead, runs: readonly Run[]) {
    this.head = head;
    this.runs = runs;
  }

  /** Opens every run of a head. ENOENT passes through: the head has been replaced, or the index is incomplete. */
  static open(port: Port, directory: Directory, owner: StoreOwner, head = readHead(port, directory, owner)): RunSet {
    const runs: Run[] = [];
    try {
      for (const info of head.runs) runs.push(Run.open(port, directory, info, owner));
      return new RunSet(head, runs);
    } catch (error) {
      for (const run of runs) run.close();
      throw error;
    }
  }

  pin(): void {
    this.pins += 1;
  }

  unpin(): void {
    this.pins -= 1;
    this.closeIfUnused();
  }

  /** Closes the files as soon as no list is made from them. */
  retire(): void {
    this.retired = true;
    this.closeIfUnused();
  }

  private closeIfUnused(): void {
    if (!this.retired || this.pins > 0) return;
    this.blocks.clear();
    for (const run of this.runs) run.close();
  }

  /** Whether the index lists the session. */
  has(key: string): boolean {
    const keyHash = hashKey(key);
    for (let index = this.runs.length - 1; index >= 0; index -= 1) {
      const found = (this.runs[index] as Run).find(keyHash);
      if (found) return found === "live";
    }
    return false;
  }

  /**
   * The sessions behind a position, in the order of the list, together with `others` (in the same order), whose keys
   * `isReplaced` names. `undefined` for each one that is passed over, so that whoever reads on can let others run.
   */
  *list(
    order: SessionOrder,
    after: SessionSummary | undefined,
    others: readonly SessionSummary[],
    isReplaced: (key: string) => boolean,
  ): Generator<SessionSummary | undefined> {
    const compare = comparisons[order];
    const cursors = this.runs.map((_, index) => new RunCursor(this, order, index, after));
    let other = after === undefined ? 0 : firstBehind(others, after, compare);
    for (;;) {
      let best: SessionSummary | undefined = others[other];
      let from: RunCursor | undefined;
      for (const cursor of cursors) {
        const row = cursor.row;
        if (row === undefined || (best !== undefined && compare(row, best) >= 0)) continue;
        best = row;
        from = cursor;
      }
      if (best === undefined) return;
      if (from === undefined) {
        other += 1;
        yield best;
        continue;
      }
      const isCurrent = !isReplaced(best.key) && from.isCurrent();
      from.advance();
      yield isCurrent ? best : undefined;
    }
  }

  readBlock(order: SessionOrder, run: number, block: number): Block {
    const name = `${order}/${run}/${block}`;
    let found = this.blocks.get(name);
    if (found !== undefined) this.blocks.delete(name);
    else {
      const rows = (this.runs[run] as Run).readBlock(order, block);
      found = { rows, states: new Uint8Array(rows.length) };
      if (this.blocks.size >= keptBlocksMax) {
        for (const oldest of this.blocks.keys()) {
          this.blocks.delete(oldest);
          break;
        }
      }
    }
    this.blocks.set(name, found);
    return found;
  }

  /** Whether the row of one run is not replaced by a newer one. */
  isCurrent(run: number, block: Block, row: number): boolean {
    if (block.states[row] === 0) {
      const keyHash = hashKey((block.rows[row] as SessionSummary).key);
      let isReplaced = false;
      for (let newer = this.runs.length - 1; newer > run && !isReplaced; newer -= 1) {
        isReplaced = (this.runs[newer] as Run).find(keyHash) !== undefined;
      }
      block.states[row] = isReplaced ? 2 : 1;
    }
    return block.states[row] === 1;
  }
}

/** A position in one run; finds its start by halving, so that no table of all blocks is read. */
class RunCursor {
  row: SessionSummary | undefined;
  private readonly set: RunSet;
  private readonly order: SessionOrder;
  private readonly compare: Comparison;
  private readonly run: number;
  private readonly blockCount: number;
  private blockNumber = 0;
  private block: Block | undefined;
  private index = 0;

  constructor(set: RunSet, order: SessionOrder, run: number, after: SessionSummary | undefined) {
    this.set = set;
    this.order = order;
    this.compare = comparisons[order];
    this.run = run;
    this.blockCount = (set.runs[run] as Run).info.blocks[order].count;
    if (after !== undefined) this.blockNumber = this.findBlock(after);
    this.enterBlock();
    if (after !== undefined && this.block !== undefined) {
      this.index = firstBehind(this.block.rows, after, this.compare);
      this.row = this.block.rows[this.index];
      if (this.row === undefined) throw new DamagedIndexError("blocks are not in order");
    }
  }

  isCurrent(): boolean {
    return this.set.isCurrent(this.run, this.block as Block, this.index);
  }

  advance(): void {
    this.index += 1;
    this.row = this.block?.rows[this.index];
    if (this.row !== undefined) return;
    this.blockNumber += 1;
    this.enterBlock();
  }

  private enterBlock(): void {
    this.index = 0;
    this.block =
      this.blockNumber < this.blockCount ? this.set.readBlock(this.order, this.run, this.blockNumber) : undefined;
    this.row = this.block?.rows[0];
  }

  /** The first block with a row behind the position. */
  private findBlock(after: SessionSummary): number {
    let [low, high] = [0, this.blockCount];
    while (low < high) {
      const middle = (low + high) >> 1;
      const last = this.set.readBlock(this.order, this.run, middle).rows.at(-1) as SessionSummary;
      if (this.compare(last, after) > 0) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** The index of the first summary behind a position, in a list that is in order. */
export function firstBehind(
  summaries: readonly SessionSummary[],
  position: SessionSummary,
  compare: Comparison = compareByActivity,
): number {
  let [low, high] = [0, summaries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(summaries[middle] as SessionSummary, position) > 0) high = middle;
    else low = middle + 1;
  }
  return low;
}
