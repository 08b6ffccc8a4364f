/**
 * Linearizability after Wing and Gong, with Lowe's memory of what was tried: is there an order of the steps that respects
 * real time - a step that returned before another was called comes first - and that a sequential model allows?
 *
 * A step without a return may come anywhere after its call, or never. Time and memory are bounded by `attemptsMax`:
 * whoever has many steps without a return, and a history that is wrong, may be told "undecided".
 */

export interface Step<State> {
  readonly call: number;
  /** Infinity: never returned. */
  readonly return: number;
  /** The next state, or `undefined` when the model does not allow the step here. */
  apply(state: State): State | undefined;
}

export type Verdict =
  | { readonly verdict: "linearizable"; readonly attempts: number }
  | {
      readonly verdict: "not linearizable" | "undecided";
      readonly attempts: number;
      /** As many steps as could be put in order, and the states in which the next one was impossible. */
      readonly longestOrder: readonly number[];
      readonly blocked: readonly number[];
    };

/** One decision: which of the candidates was taken, and what it was before. */
interface Frame<State> {
  readonly state: State;
  readonly low: number;
  readonly candidates: readonly number[];
  next: number;
}

export function linearize<State>(
  unsorted: readonly Step<State>[],
  initial: State,
  nameState: (state: State) => string,
  attemptsMax = 2_000_000,
): Verdict {
  const sorted = unsorted.map((_, index) => index).sort((x, y) => unsorted[x]!.call - unsorted[y]!.call);
  const required = sorted.filter((index) => unsorted[index]!.return !== Number.POSITIVE_INFINITY);
  const optional = sorted.filter((index) => unsorted[index]!.return === Number.POSITIVE_INFINITY);
  const taken = new Set<number>();
  const tried = new Set<string>();
  const order: number[] = [];
  let longestOrder: number[] = [];
  let blocked: readonly number[] = [];
  let attempts = 0;

  /** The steps that may come next: called before every return that is still ahead. */
  const findCandidates = (low: number): number[] => {
    let firstReturn = Number.POSITIVE_INFINITY;
    const window: number[] = [];
    for (let at = low; at < required.length; at += 1) {
      const index = required[at]!;
      const step = unsorted[index]!;
      if (step.call > firstReturn) break;
      if (taken.has(index)) continue;
      window.push(index);
      firstReturn = Math.min(firstReturn, step.return);
    }
    const possible = window.filter((index) => unsorted[index]!.call <= firstReturn);
    // Whoever returned first is the likeliest to have been first; the killed are the least likely to have done anything.
    possible.sort((x, y) => unsorted[x]!.return - unsorted[y]!.return);
    for (const index of optional) {
      if (unsorted[index]!.call > firstReturn) break;
      if (!taken.has(index)) possible.push(index);
    }
    return possible;
  };

  /** Everything that decides what can follow: what was taken, and the state. */
  const nameSituation = (low: number, state: State): string => {
    const ahead: number[] = [];
    let firstReturn = Number.POSITIVE_INFINITY;
    for (let at = low; at < required.length; at += 1) {
      const step = unsorted[required[at]!]!;
      if (step.call > firstReturn) break;
      if (taken.has(required[at]!)) ahead.push(at);
      else firstReturn = Math.min(firstReturn, step.return);
    }
    return `${low};${ahead.join()};${optional.filter((index) => taken.has(index)).join()};${nameState(state)}`;
  };

  const frames: Frame<State>[] = [{ state: initial, low: 0, candidates: findCandidates(0), next: 0 }];
  if (required.length === 0) return { verdict: "linearizable", attempts };
  for (;;) {
    const frame = frames.at(-1);
    if (frame === undefined) return { verdict: "not linearizable", attempts, longestOrder, blocked };
    const index = frame.candidates[frame.next++];
    if (index === undefined) {
      if (order.length > longestOrder.length || blocked.length === 0) {
        longestOrder = [...order];
        blocked = frame.candidates;
      }
      frames.pop();
      const last = order.pop();
      if (last !== undefined) taken.delete(last);
      continue;
    }
    attempts += 1;
    if (attempts > attemptsMax) return { verdict: "undecided", attempts, longestOrder, blocked };
    const state = unsorted[index]!.apply(frame.state);
    if (state === undefined) continue;
    taken.add(index);
    let low = frame.low;
    while (low < required.length && taken.has(required[low]!)) low += 1;
    if (low === required.length) return { verdict: "linearizable", attempts };
    const situation = nameSituation(low, state);
    if (tried.has(situation)) {
      taken.delete(index);
      continue;
    }
    tried.add(situation);
    order.push(index);
    frames.push({ state, low, candidates: findCandidates(low), next: 0 });
  }
}
