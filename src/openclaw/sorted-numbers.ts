/**
 * Numbers in order, with repetition: add, remove, and count those above or below, each in some hundred steps for a
 * million numbers. Blocks of a bounded length, so that no change moves more than one block.
 */

const blockMax = 512;

export class SortedNumbers {
  /** None is empty, unless there is nothing at all. */
  #blocks: number[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** `undefined` when there is none. */
  get least(): number | undefined {
    return this.#blocks[0]?.[0];
  }

  add(value: number): void {
    this.#size += 1;
    if (this.#blocks.length === 0) {
      this.#blocks.push([value]);
      return;
    }
    const at = Math.min(this.#blockOf(value), this.#blocks.length - 1);
    const block = this.#blocks[at]!;
    block.splice(countBelow(block, value), 0, value);
    if (block.length > blockMax) this.#blocks.splice(at + 1, 0, block.splice(blockMax >> 1));
  }

  /** Takes one of them out; false when there is none. */
  remove(value: number): boolean {
    const at = this.#blockOf(value);
    const block = this.#blocks[at];
    const index = block ? countBelow(block, value) : -1;
    if (!block || block[index] !== value) return false;
    block.splice(index, 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
    this.#size -= 1;
    return true;
  }

  countBelow(value: number): number {
    const at = this.#blockOf(value);
    let count = 0;
    for (let block = 0; block < at; block += 1) count += this.#blocks[block]!.length;
    return at < this.#blocks.length ? count + countBelow(this.#blocks[at]!, value) : count;
  }

  countAbove(value: number): number {
    let above = 0;
    for (let at = this.#blocks.length - 1; at >= 0; at -= 1) {
      const block = this.#blocks[at]!;
      if (block[0]! > value) {
        above += block.length;
        continue;
      }
      let index = block.length;
      while (index > 0 && block[index - 1]! > value) index -= 1;
      return above + block.length - index;
    }
    return above;
  }

  clear(): void {
    this.#blocks = [];
    this.#size = 0;
  }

  /** The first block whose last number is not below the value; one past the end when there is none. */
  #blockOf(value: number): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#blocks[middle]!.at(-1)! < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function countBelow(block: readonly number[], value: number): number {
  let low = 0;
  let high = block.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (block[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
