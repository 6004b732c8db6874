/**
 * Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * The numbers are a pure function of a seed and a block counter, so that the same seed gives the same numbers on every
 * backend, for any number of threads, and from any point at which a run is taken up again.
 */

import { ArgumentError } from './errors.ts'
import { checkSynchronous } from './synchronous.ts'

/** 32 high bits of the product of two unsigned 32-bit integers. */
function mulHigh(a: number, b: number): number {
  const al = a & 0xffff
  const ah = a >>> 16
  const bl = b & 0xffff
  const bh = b >>> 16
  const low = al * bl
  const mid = ah * bl + (low >>> 16)
  const mid2 = al * bh + (mid & 0xffff)
  return (ah * bh + Math.floor(mid / 65536) + (mid2 >>> 16)) >>> 0
}

/** Writes the four 32-bit words of block `block` under `seed` to `out`. Both are non-negative safe integers. */
export function philox(seed: number, block: number, out: Uint32Array): void {
  let k0 = seed >>> 0
  let k1 = Math.floor(seed / 0x100000000) >>> 0
  let c0 = block >>> 0
  let c1 = Math.floor(block / 0x100000000) >>> 0
  let c2 = 0
  let c3 = 0
  for (let round = 0; round < 10; round++) {
    const h0 = mulHigh(0xd2511f53, c0)
    const l0 = Math.imul(0xd2511f53, c0) >>> 0
    const h1 = mulHigh(0xcd9e8d57, c2)
    const l1 = Math.imul(0xcd9e8d57, c2) >>> 0
    c0 = (h1 ^ c1 ^ k0) >>> 0
    c1 = l1
    c2 = (h0 ^ c3 ^ k1) >>> 0
    c3 = l0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/** Of the function that is recorded now. */
let tape: DrawTape | undefined

/** Where a generator stands; plain data, so that a checkpoint can hold it. */
export interface GeneratorState {
  readonly seed: number
  readonly offset: number
}

/**
 * Stream of random numbers given by a seed and a position. Tensors of random numbers take whole blocks of four words
 * (see `take`); scalar draws take one block each.
 */
export class Generator {
  #seed: number
  #offset: number
  readonly #words: Uint32Array = new Uint32Array(4)

  /** `seed`: a non-negative integer up to 2^53 - 1. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new ArgumentError(`Generator: seed expects a non-negative integer up to 2^53 - 1, got ${seed}`)
    }
    this.#seed = seed
    this.#offset = 0
    tape?.made(this)
  }

  get seed(): number {
    return this.#seed
  }

  /** Reserves the blocks for `count` numbers and gives the first block's number. */
  take(count: number): number {
    recorder?.note(this)
    tape?.taken(this)
    const offset = this.#offset
    this.#offset += Math.ceil(count / 4)
    return offset
  }

  /** An integer from 0 to 2^32 - 1. */
  uint32(): number {
    philox(this.#seed, this.take(1), this.#words)
    return this.#words[0] ?? 0
  }

  /** A number in [0, 1), a multiple of 2^-53. */
  uniform(): number {
    philox(this.#seed, this.take(1), this.#words)
    const [a = 0, b = 0] = this.#words
    return ((a >>> 5) * 0x4000000 + (b >>> 6)) / 0x20000000000000
  }

  /** A number from the standard normal distribution (Box-Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    return radius * Math.cos(2 * Math.PI * this.uniform())
  }

  /** An integer from 0 to n - 1, every one equally likely. */
  integer(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 0x100000000) {
      throw new ArgumentError(`Generator.integer: n expects an integer from 1 to 2^32, got ${n}`)
    }
    const limit = 0x100000000 - (0x100000000 % n)
    for (;;) {
      const value = this.uint32()
      if (value < limit) return value % n
    }
  }

  /** The integers 0 to n - 1 in random order (Fisher-Yates). */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i)
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1)
      const swap = order[i] ?? 0
      order[i] = order[j] ?? 0
      order[j] = swap
    }
    return order
  }

  /** An independent generator for a numbered purpose (an epoch, a sample, a layer); this one does not move. */
  fork(...streams: readonly number[]): Generator {
    tape?.taken(this)
    let seed = this.#seed
    for (const stream of streams) {
      philox(seed, stream, this.#words)
      const [a = 0, b = 0] = this.#words
      seed = (a >>> 11) * 0x100000000 + b
    }
    return new Generator(seed)
  }

  state(): GeneratorState {
    return { seed: this.#seed, offset: this.#offset }
  }

  /** Takes up a stream where `state()` left it. */
  restore(state: GeneratorState): void {
    if (
      !Number.isSafeInteger(state.seed) ||
      !Number.isSafeInteger(state.offset) ||
      state.seed < 0 ||
      state.offset < 0
    ) {
      throw new ArgumentError(
        `Generator.restore: expected { seed, offset } as given by state(), got ${JSON.stringify(state)}`,
      )
    }
    this.#seed = state.seed
    this.#offset = state.offset
  }
}

let current = new Generator(0)

/** The generator that layers and random tensors draw from when none is passed. Starts with seed 0. */
export function defaultGenerator(): Generator {
  return current
}

/** Restarts the default generator with `seed`. */
export function manualSeed(seed: number): void {
  current = new Generator(seed)
}

/**
 * Runs `fn` with a default generator of its own, and puts the former one back: everything random inside is a function
 * of the seed alone. Takes a seed, or a generator that moves on.
 *
 * @throws ArgumentError for a seed that is none, and for an async function, of which only the beginning would be inside.
 */
export function seeded<T>(seed: number | Generator, fn: () => T): T {
  checkSynchronous('seeded', fn)
  const former = current
  // Whatever is no generator goes to its constructor, which says what it expects.
  current = seed instanceof Generator ? seed : new Generator(seed)
  try {
    return fn()
  } finally {
    current = former
  }
}

let recorder: DrawRecorder | undefined

/** Remembers where each generator stood before a piece of code drew from it, so that the code can be run again alike. */
export class DrawRecorder {
  readonly #before: Map<Generator, GeneratorState> = new Map()
  #default = current

  note(generator: Generator): void {
    if (!this.#before.has(generator)) this.#before.set(generator, generator.state())
  }

  /** Runs `fn`, noting every generator that it draws from. */
  record<T>(fn: () => T): T {
    const former = recorder
    recorder = this
    this.#default = current
    try {
      return fn()
    } finally {
      recorder = former
      for (const [generator] of this.#before) former?.note(generator)
    }
  }

  /**
   * Runs `fn` with the noted generators set back to where they stood, and with the default one of then; afterwards puts them
   * where they are now.
   */
  replay<T>(fn: () => T): T {
    const now = [...this.#before.keys()].map((generator) => [generator, generator.state()] as const)
    for (const [generator, state] of this.#before) generator.restore(state)
    try {
      return seeded(this.#default, fn)
    } finally {
      for (const [generator, state] of now) generator.restore(state)
    }
  }
}

/** Takes `count` numbers for a tensor from a generator, by default the default one; in a recorded function, in each pass. */
export function takeFrom(generator: Generator | undefined, count: number): GeneratorState {
  const source = generator ?? current
  const { seed } = source
  const position = { seed, offset: source.take(count) }
  return tape?.add({ source, position, count, fixed: generator !== undefined }) ?? position
}

/** Numbers for a tensor. */
interface Draw {
  readonly source: Generator
  /** Whether it is this generator in each pass, and not the default one of the time. */
  readonly fixed: boolean
  readonly count: number
  readonly position: { seed: number; offset: number }
}

/** What a recorded function takes from generators for its tensors, to be taken anew for each pass. */
export class DrawTape {
  readonly #draws: Draw[] = []
  /** Generators that the function makes anew in each pass, so that they give the same numbers. */
  readonly #own: WeakSet<Generator> = new WeakSet()
  #repeating = false
  #strays = 0

  /** Whether it drew numbers that it sees itself, which would be the same in each pass. */
  get hasStrays(): boolean {
    return this.#strays > 0
  }

  /** A generator was made. */
  made(generator: Generator): void {
    this.#own.add(generator)
  }

  /** Numbers are taken from a generator; they are strays unless `add` follows. */
  taken(generator: Generator): void {
    if (!this.#own.has(generator)) this.#strays++
  }

  /** Numbers were taken for a tensor; gives the position to look at. */
  add(draw: Draw): GeneratorState {
    const { source, position, count } = draw
    if (this.#own.has(source)) return position
    if (this.#repeating) {
      const same = this.#draws.find(
        (one) =>
          one.source === source &&
          one.count === count &&
          one.position.seed === position.seed &&
          one.position.offset === position.offset,
      )
      if (same === undefined) return position
      this.#strays--
      return same.position
    }
    this.#strays--
    this.#draws.push(draw)
    return position
  }

  /** Runs `fn` and notes what it takes. With `repeating`, what it takes are numbers that were taken before (recomputation). */
  record<T>(fn: () => T, repeating = false): T {
    const former = tape
    tape = this
    this.#repeating = repeating
    try {
      return fn()
    } finally {
      tape = former
    }
  }

  /** Takes the numbers of the next pass. */
  renew(): void {
    for (const { source, fixed, count, position } of this.#draws) {
      const generator = fixed ? source : current
      position.seed = generator.seed
      position.offset = generator.take(count)
    }
  }
}
