/**
 * Immutable byte strings that share their storage: appending costs what is appended, and every earlier value stays
 * valid. A simulated machine can therefore be copied, and a power loss tried, without copying file contents.
 *
 * Relies on one rule: the first `used` bytes of a storage never change. Only the value that ends exactly at `used` may
 * grow in place; every other one copies first.
 */

interface Storage {
  readonly bytes: Uint8Array;
  used: number;
}

export class Bytes {
  static readonly empty = new Bytes({ bytes: new Uint8Array(0), used: 0 }, 0);

  readonly sizeBytes: number;
  readonly #storage: Storage;

  private constructor(storage: Storage, sizeBytes: number) {
    this.#storage = storage;
    this.sizeBytes = sizeBytes;
  }

  static of(content: Uint8Array): Bytes {
    return Bytes.empty.append(content);
  }

  /** A view, not a copy: never write to it. */
  view(from = 0, to = this.sizeBytes): Uint8Array {
    return this.#storage.bytes.subarray(from, Math.min(to, this.sizeBytes));
  }

  text(): string {
    return new TextDecoder().decode(this.view());
  }

  append(content: Uint8Array): Bytes {
    const sizeBytes = this.sizeBytes + content.length;
    const storage = this.#storageFor(sizeBytes);
    storage.bytes.set(content, this.sizeBytes);
    storage.used = sizeBytes;
    return new Bytes(storage, sizeBytes);
  }

  /** Cuts, or extends by zeros. */
  resize(sizeBytes: number): Bytes {
    if (sizeBytes <= this.sizeBytes) return new Bytes(this.#storage, sizeBytes);
    return this.append(new Uint8Array(sizeBytes - this.sizeBytes));
  }

  /** Writes at an offset; a gap before it reads as zeros. */
  overwrite(offset: number, content: Uint8Array): Bytes {
    if (content.length === 0) return this;
    if (offset >= this.sizeBytes) return this.resize(offset).append(content);
    const copy = new Uint8Array(Math.max(this.sizeBytes, offset + content.length));
    copy.set(this.view());
    copy.set(content, offset);
    return new Bytes({ bytes: copy, used: copy.length }, copy.length);
  }

  #storageFor(sizeBytes: number): Storage {
    const storage = this.#storage;
    if (storage.used === this.sizeBytes && storage.bytes.length >= sizeBytes) return storage;
    const bytes = new Uint8Array(Math.max(64, sizeBytes + (sizeBytes >> 1)));
    bytes.set(this.view());
    return { bytes, used: this.sizeBytes };
  }
}
