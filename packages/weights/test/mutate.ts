/** Seeded mutations of files, and what they are fed to. Any error that is not one of ours is a finding. */
import { readFileSync } from 'node:fs'
import { ConvnetsError, type FormatError } from '@convnets/tensor'
import { itemSize } from '../src/dtypes.ts'
import type { WeightsFile } from '../src/entry.ts'
import { openWeights, parseSafetensors } from '../src/index.ts'
import type { Located } from '../src/locate.ts'
import { parseNpyHeader } from '../src/numpy/npy.ts'
import { defaultLimits } from '../src/pickle/limits.ts'
import { unpickle } from '../src/pickle/machine.ts'
import { TorchHost } from '../src/pytorch/globals.ts'
import { findState } from '../src/pytorch/state-dict.ts'
import { Storage } from '../src/pytorch/tensor-view.ts'
import { openSharded } from '../src/sharded.ts'
import { memorySource } from '../src/source.ts'
import { openTfjs } from '../src/tfjs/model-json.ts'
import { ownTime } from './patience.ts'

/** A generator of 32-bit numbers: mulberry32. */
class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }

  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit)
  }
}

/** Bytes at which parsers are wrong: limits of widths and signs, and what pickles and zips are made of. */
const edges = [0, 1, 2, 0x7f, 0x80, 0xff, 0x28, 0x2e, 0x52, 0x63, 0x71, 0x74, 0x7d, 0x85, 0x8a, 0x58, 0x51, 0x75]

/** One to eight changes of a file: bits, bytes, numbers, cuts, copies, pieces of another file. */
function mutate(file: Uint8Array, dice: Dice, other: Uint8Array): Uint8Array {
  let bytes: Uint8Array = file.slice()
  for (let left = 1 + dice.below(8); left > 0; left--) {
    const at = dice.below(bytes.length + 1)
    const count = 1 + dice.below(16)
    switch (dice.below(9)) {
      case 0:
        if (at < bytes.length) bytes[at]! ^= 1 << dice.below(8)
        break
      case 1:
        if (at < bytes.length) bytes[at] = dice.next() & 255
        break
      case 2:
        if (at < bytes.length) bytes[at] = edges[dice.below(edges.length)]!
        break
      case 3:
        bytes.fill(dice.below(2) * 255, at, at + (1 << dice.below(4)))
        break
      case 4:
        bytes = splice(
          bytes,
          at,
          0,
          Uint8Array.from({ length: count }, () => dice.next() & 255),
        )
        break
      case 5:
        bytes = splice(bytes, at, count, new Uint8Array(0))
        break
      case 6: {
        const from = dice.below(bytes.length + 1)
        bytes = splice(bytes, at, 0, bytes.slice(from, from + count))
        break
      }
      case 7: {
        const from = dice.below(other.length + 1)
        bytes = splice(bytes, at, count, other.slice(from, from + count))
        break
      }
      default:
        if (dice.below(4) === 0) bytes = bytes.slice(0, at)
    }
  }
  return bytes
}

function splice(bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array {
  const rest = bytes.subarray(Math.min(bytes.length, at + removed))
  const result = new Uint8Array(at + added.length + rest.length)
  result.set(bytes.subarray(0, at))
  result.set(added, at)
  result.set(rest, at + added.length)
  return result
}

/** Something that takes files apart. */
export type Parser = (bytes: Uint8Array) => void | Promise<void>

/** No file of the corpus is near these; a mutation that reaches them must be refused, not carried out. */
const limits = { ...defaultLimits, opcodes: 100_000, elements: 2 ** 24 }

async function readAll(bytes: Uint8Array): Promise<void> {
  const file = await openWeights(bytes, { limits })
  await file.verify()
  for (const entry of file.entries.values()) await entry.read()
  await file.close()
}

/** Length of the shards of TensorFlow.js models. */
const SHARD_BYTES = 64

const shard: Uint8Array = new Uint8Array(readFileSync(new URL('fixtures/reference.safetensors', import.meta.url)))

/** Files beside a list: a whole part under names that end so, and numbers under all others. */
const beside = (bytes: Uint8Array): Located => ({
  source: memorySource(bytes, 'index'),
  sibling: async (name) => ({
    source: memorySource(name.endsWith('.safetensors') ? shard : new Uint8Array(SHARD_BYTES), name),
  }),
})

/** Opens a list of files, if it is one, and reads what it lists. */
async function readLists(
  bytes: Uint8Array,
  open: (located: Located) => Promise<WeightsFile | undefined>,
): Promise<void> {
  const file = await open(beside(bytes))
  for (const entry of file?.entries.values() ?? []) await entry.read()
  await file?.close()
}

export type ParserName = 'pickle' | 'zip' | 'legacy' | 'npz' | 'npy' | 'safetensors' | 'tfjs' | 'index'

export const parsers: Readonly<Record<ParserName, Parser>> = {
  pickle(bytes) {
    const storages = {
      find: (key: string, dtype: Parameters<typeof itemSize>[0] | undefined, elements: number) =>
        new Storage(key, dtype, 0, Math.min(2 ** 20, elements) * (dtype ? itemSize(dtype) : 1)),
    }
    const host = new TorchHost({ storages, maxElements: limits.elements, maxCopies: bytes.length })
    findState(unpickle({ bytes, file: 'fuzz' }, host, limits).value, undefined, 'fuzz')
  },
  zip: readAll,
  legacy: readAll,
  npz: readAll,
  npy: (bytes) => void parseNpyHeader(bytes, bytes.length, 'fuzz'),
  safetensors: (bytes) => void parseSafetensors(bytes),
  tfjs: async (bytes) => readLists(bytes, openTfjs),
  index: async (bytes) => readLists(bytes, openSharded),
}

/** What became of a run. */
export interface FuzzResult {
  readonly inputs: number
  readonly accepted: number
  /** Milliseconds that the slowest input takes of itself, however often it is read. */
  readonly slowest: number
  /** Most bytes of the heap and of buffers that were in use at any look, above those at the beginning. */
  readonly memory: number
}

/** What a parser throws; undefined if it accepts the bytes. */
async function outcomeOf(parse: Parser, bytes: Uint8Array): Promise<unknown> {
  try {
    await parse(bytes)
    return undefined
  } catch (error) {
    return error
  }
}

/** Feeds mutations of a corpus to a parser. Throws for the first input that is answered with anything but our errors. */
export async function fuzz(
  name: ParserName,
  corpus: readonly Uint8Array[],
  inputs: number,
  seed: number,
  onProgress: (done: number) => void = () => {},
): Promise<FuzzResult> {
  const dice = new Dice(seed)
  const parse: Parser = parsers[name]
  const inUse = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const before = inUse()
  let [accepted, slowest, memory] = [0, 0, 0]
  for (let i = 0; i < inputs; i++) {
    const file = corpus[dice.below(corpus.length)]!
    const bytes = mutate(file, dice, corpus[dice.below(corpus.length)]!)
    const started = performance.now()
    const error = await outcomeOf(parse, bytes)
    const taken = performance.now() - started
    if (error === undefined) accepted++
    else if (!(error instanceof ConvnetsError) || !isSentence(error)) {
      const input = Buffer.from(bytes).toString('base64')
      throw new Error(`${name}, seed ${seed}, input ${i}: ${String(error)}; base64 ${input}`, { cause: error })
    }
    if (taken > slowest) {
      const own = await ownTime(taken, slowest, () => outcomeOf(parse, bytes))
      slowest = Math.max(slowest, own)
    }
    if (i % 4096 === 0) {
      memory = Math.max(memory, inUse() - before)
      onProgress(i)
    }
  }
  return { inputs, accepted, slowest, memory }
}

/** Our errors say something: no `undefined` or `NaN` where a value should stand, and no endless text. */
function isSentence(error: ConvnetsError | FormatError): boolean {
  // A file may hold the number NaN, and any text between quotes.
  const own = error.message.replaceAll(/"(?:[^"\\]|\\.)*"|the number NaN/g, '')
  return error.message.length < 2000 && !/\bundefined\b|\bNaN\b/.test(own)
}
