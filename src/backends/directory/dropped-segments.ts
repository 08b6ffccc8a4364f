/**
 * Segments that a view dropped because they are checkpointed, until it is tidied up after them (P4): their sessions are
 * read from their files from then on, and the chains of patches in later segments end there.
 *
 * Nobody waits for it, so it lets others run in between. Until a segment is done, its changes can be asked for: the cache
 * may hold older states. Cut short, it leaves something to be looked up for longer, and nothing wrong.
 */

import { Pace } from "../../fs/pace.js";
import type { Port } from "../../fs/port.js";
import type { LiveSegment } from "./journal/live-segment.js";
import { cutChain, type KeyChange } from "./journal/overlay.js";

/** The view, as far as this is concerned. */
export interface TidiedView {
  readonly segments: readonly LiveSegment[];
  readonly checkpointVersion: number;
  latestChange(key: string): KeyChange | undefined;
  /** From now on this key is read from its file. */
  keepWarm(key: string, change: KeyChange): void;
}

/** Sessions that are tidied up after between two looks at the clock. */
const stepsAtOnce = 16;

export class DroppedSegments {
  private readonly view: TidiedView;
  private readonly port: Port;
  /** What they changed, the oldest segment first. */
  private waiting: ReadonlyMap<string, KeyChange>[] = [];
  private mustTidy = false;
  private isTidying = false;
  private steps = 0;
  private pace: Pace | undefined;

  constructor(view: TidiedView, port: Port) {
    this.view = view;
    this.port = port;
  }

  add(segment: LiveSegment): void {
    this.waiting.push(segment.overlay.changes);
  }

  /** The view begins anew. */
  clear(): void {
    this.waiting = [];
  }

  /** The last change of a key in a segment that waits. */
  changeOf(key: string): KeyChange | undefined {
    for (let index = this.waiting.length - 1; index >= 0; index -= 1) {
      const change = this.waiting[index]?.get(key);
      if (change) return change;
    }
    return undefined;
  }

  /** Begins at once, and goes on later when there is much. */
  tidy(): void {
    this.mustTidy = true;
    if (this.isTidying) return;
    this.isTidying = true;
    const done = () => {
      this.isTidying = false;
    };
    this.tidyInSlices(done).catch(done);
  }

  private async tidyInSlices(done: () => void): Promise<void> {
    const { view } = this;
    while (this.mustTidy) {
      this.mustTidy = false;
      for (let changes = this.waiting[0]; changes !== undefined; changes = this.waiting[0]) {
        for (const [key, change] of changes) {
          if (view.latestChange(key) === undefined && this.changeOf(key) === change) view.keepWarm(key, change);
          const turn = this.breathe();
          if (turn) await turn;
          if (this.waiting[0] !== changes) break; // All was dropped meanwhile.
        }
        if (this.waiting[0] === changes) this.waiting.shift();
      }
      for (const { overlay } of [...view.segments]) {
        for (const change of overlay.changes.values()) {
          cutChain(change, view.checkpointVersion);
          const turn = this.breathe();
          if (turn) await turn;
        }
      }
    }
    done();
  }

  /** A promise when it is time to let others run. Small stores are done before the clock is asked. */
  private breathe(): Promise<void> | undefined {
    this.steps += 1;
    if (this.steps % stepsAtOnce !== 0) return undefined;
    this.pace ??= new Pace(this.port);
    return this.pace.breathe();
  }
}
