import { gzipSync } from 'node:zlib'
import { ConvnetsError, Generator } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { loadIdx, readCifar10, readCifar100, readIdx } from '../src/index.ts'
import { readTar } from '../src/tar.ts'
import { failureOf, idxFile } from './corrupt.ts'
import { tarFile } from './tar.ts'

/** Mutated inputs per parser; `CONVNETS_FUZZ` asks for more. */
const inputs = Number(process.env.CONVNETS_FUZZ ?? 200_000)

const idx = [
  idxFile(8, [2, 3], [1, 2, 3, 4, 5, 6]),
  idxFile(9, [5], [1, 2, 3, 4, 5]),
  idxFile(0x0b, [1, 1, 1, 2], [0, 1, 255, 255]),
  idxFile(0x0c, [1], [0, 0, 1, 0]),
  idxFile(0x0d, [2], [63, 128, 0, 0, 127, 192, 0, 0]),
  idxFile(0x0e, [1], [63, 240, 0, 0, 0, 0, 0, 0]),
]
const record = (labels: readonly number[]): Uint8Array => Uint8Array.from([...labels, ...new Uint8Array(3072)])
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

interface Parser {
  readonly corpus: readonly Uint8Array[]
  read(bytes: Uint8Array): unknown
}
const parsers: Readonly<Record<string, Parser>> = {
  idx: { corpus: idx, read: (bytes) => readIdx(bytes) },
  'gzip and idx': { corpus: idx.map((bytes) => new Uint8Array(gzipSync(bytes))), read: (bytes) => loadIdx(bytes) },
  'CIFAR-10': { corpus: [record([3])], read: (bytes) => readCifar10(bytes) },
  'CIFAR-100': { corpus: [record([3, 42])], read: (bytes) => readCifar100(bytes) },
  tar: {
    corpus: [
      tarFile([
        ['a', text('hello')],
        ['b/', text(''), '5'],
        ['c', text('x'.repeat(513))],
      ]),
    ],
    read: (bytes) => readTar(bytes),
  },
}

const edges = [0, 1, 2, 8, 0x0e, 0x1f, 0x20, 0x30, 0x37, 0x7f, 0x80, 0x8b, 0xff]

/** One to six changes: bits, bytes, cuts, copies, bytes put in or taken out. */
function mutate(file: Uint8Array, dice: Generator): Uint8Array {
  let bytes: Uint8Array = file.slice()
  const splice = (at: number, removed: number, added: Uint8Array): void => {
    const rest = bytes.subarray(Math.min(bytes.length, at + removed))
    const result = new Uint8Array(at + added.length + rest.length)
    result.set(bytes.subarray(0, at))
    result.set(added, at)
    result.set(rest, at + added.length)
    bytes = result
  }
  for (let left = 1 + dice.integer(6); left > 0; left--) {
    // Beginnings are where formats say what they are.
    const at = dice.integer(dice.integer(2) === 0 ? Math.min(16, bytes.length + 1) : bytes.length + 1)
    const kind = dice.integer(6)
    if (kind === 0 && at < bytes.length) bytes[at]! ^= 1 << dice.integer(8)
    else if (kind === 1 && at < bytes.length) bytes[at] = dice.integer(256)
    else if (kind === 2 && at < bytes.length) bytes[at] = edges[dice.integer(edges.length)]!
    else if (kind === 3) splice(at, 0, bytes.slice(at, at + 1 + dice.integer(8)))
    else if (kind === 4) splice(at, 1 + dice.integer(8), new Uint8Array(0))
    else if (kind === 5 && dice.integer(4) === 0) bytes = bytes.slice(0, at)
  }
  return bytes
}

/** One of our errors, which says something and not too much. */
const isSentence = (error: unknown): boolean =>
  error instanceof ConvnetsError && error.message.length < 2000 && !/\bundefined\b|\bNaN\b/.test(error.message)

describe('mutations', () => {
  test.each(Object.entries(parsers))(
    'of %s give data or one of our errors, quickly and in little memory',
    { timeout: 0 },
    async (name, { corpus, read }) => {
      const dice = new Generator(20_250_101)
      const inUse = (): number => {
        const { heapUsed, arrayBuffers } = process.memoryUsage()
        return heapUsed + arrayBuffers
      }
      const before = inUse()
      let [accepted, slowest, most] = [0, 0, 0]
      for (let i = 0; i < inputs; i++) {
        const bytes = mutate(corpus[dice.integer(corpus.length)]!, dice)
        const started = performance.now()
        const error = await failureOf(() => read(bytes))
        let taken = performance.now() - started
        if (error === undefined) accepted++
        else if (!isSentence(error)) {
          throw new Error(`${name}, input ${i}: ${String(error)}; base64 ${Buffer.from(bytes).toString('base64')}`)
        }
        // What took longer than any before may have met a pause of the machine: what it computes of itself counts.
        for (let tries = 0; tries < 5 && taken > slowest; tries++) {
          const before = process.cpuUsage()
          await failureOf(() => read(bytes))
          const { user, system } = process.cpuUsage(before)
          taken = Math.min(taken, (user + system) / 1000)
        }
        slowest = Math.max(slowest, taken)
        if (i % 4096 === 0) most = Math.max(most, inUse() - before)
      }
      expect(accepted).toBeGreaterThan(0)
      expect(accepted).toBeLessThan(inputs)
      expect(slowest).toBeLessThan(1000)
      expect(most).toBeLessThan(2 ** 29)
    },
  )
})
