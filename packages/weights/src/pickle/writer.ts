/** Pickles of protocol 2, as far as a state dict needs them. */

/** Appends instructions; nothing is remembered, so equal values are spelled out again, which is shorter than it seems. */
export class PickleWriter {
  #bytes: Uint8Array = new Uint8Array(2 ** 12)
  #length = 0

  constructor() {
    this.#put(0x80, 2)
  }

  #put(...bytes: readonly number[]): void {
    this.#append(Uint8Array.from(bytes))
  }

  #append(bytes: Uint8Array): void {
    const need = this.#length + bytes.length
    if (need > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(need, 2 * this.#bytes.length))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes.set(bytes, this.#length)
    this.#length = need
  }

  text(value: string): void {
    const bytes = new TextEncoder().encode(value)
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, bytes.length, true)
    this.#put(0x58)
    this.#append(length)
    this.#append(bytes)
  }

  /** A non-negative integer: of one, two, four or up to eight bytes. */
  integer(value: number): void {
    if (value < 2 ** 8) this.#put(0x4b, value)
    else if (value < 2 ** 16) this.#put(0x4d, value & 255, value >>> 8)
    else {
      const bytes = new Uint8Array(8)
      new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true)
      if (value < 2 ** 31) {
        this.#put(0x4a)
        this.#append(bytes.subarray(0, 4))
      } else {
        this.#put(0x8a, 8)
        this.#append(bytes)
      }
    }
  }

  boolean(value: boolean): void {
    this.#put(value ? 0x88 : 0x89)
  }

  /** A class or function. */
  global(module: string, name: string): void {
    this.#put(0x63)
    this.#append(new TextEncoder().encode(`${module}\n${name}\n`))
  }

  /** What `items` appends, as a tuple. */
  tuple(items: () => void): void {
    this.#put(0x28)
    items()
    this.#put(0x74)
  }

  /** A tuple of non-negative integers. */
  integers(values: readonly number[]): void {
    this.tuple(() => {
      for (const value of values) this.integer(value)
    })
  }

  /** An empty OrderedDict. */
  orderedDict(): void {
    this.global('collections', 'OrderedDict')
    this.#put(0x29, 0x52)
  }

  /** Calls the global below with the tuple on top. */
  reduce(): void {
    this.#put(0x52)
  }

  /** The object of an id, which is the tuple on top. */
  persistent(): void {
    this.#put(0x51)
  }

  /** Puts what `items` appends (keys and values) into the dict below. */
  setItems(items: () => void): void {
    this.#put(0x28)
    items()
    this.#put(0x75)
  }

  finish(): Uint8Array {
    this.#put(0x2e)
    return this.#bytes.slice(0, this.#length)
  }
}
