/**
 * Both passes for bytes of 1 to 4 channels in WebAssembly with 128-bit vectors: the same sums as the plain loops, to the
 * bit. A weight k of 22 fraction bits is split into k = h 2^15 + l with 0 <= l < 2^15, so that 16-bit products serve:
 * sum(p k) = 2^15 sum(p h) + sum(p l). Sums may wrap; the total is right modulo 2^32, and fits.
 */
import {
  type FunctionBuilder,
  i8x16,
  i16x8,
  i32,
  i32x4,
  ints,
  type Local,
  ModuleBuilder,
  type Value,
  v128,
} from '@convnets/tensor/asm'
import { fixedWeights, PRECISION_BITS, type Taps } from './taps.ts'

type I32 = Local<'i32'>
type V128 = Local<'v128'>

const HALF = 1 << (PRECISION_BITS - 1)
const LOW_BITS = 15
const LOW_MASK = (1 << LOW_BITS) - 1

/** Bytes of a target pixel's entry in the list of taps: address of its first source pixel, and groups of weights. */
const ENTRY = 8

/** The numbers of two neighbouring taps: h and h as 16 bits, l and l as 16 bits. */
const PAIR = 8

/** Sums of high and of low products. */
type Sums = readonly [high: V128, low: V128]

const newSums = (b: FunctionBuilder): Sums => [b.local('v128'), b.local('v128')]

function clear(b: FunctionBuilder, sums: readonly Sums[]): void {
  for (const [high, low] of sums) {
    b.set(high, i32x4.const(0))
    b.set(low, i32x4.const(HALF))
  }
}

function accumulate(b: FunctionBuilder, [high, low]: Sums, pixels: V128, [h, l]: Sums): void {
  b.set(high, i32x4.add(high, i32x4.dot(pixels, h)))
  b.set(low, i32x4.add(low, i32x4.dot(pixels, l)))
}

const total = ([high, low]: Sums): Value<'v128'> => i32x4.shr(i32x4.add(i32x4.shl(high, LOW_BITS), low), PRECISION_BITS)

/** h and l of the pair of taps at `weights` plus `offset`, in all lanes. */
const loadPair = (b: FunctionBuilder, weights: I32, offset: number): Sums => [
  b.let(v128.load32Splat(weights, offset)),
  b.let(v128.load32Splat(weights, offset + 4)),
]

/** Which bytes of four pixels are the channels of pixels `one` and `one + 1`, side by side as 16-bit integers. */
function neighbours(channels: number, one: number): Value<'v128'> {
  const lanes = Array.from({ length: 4 }, (_, c) => {
    if (c >= channels) return [255, 255, 255, 255]
    return [one * channels + c, 255, (one + 1) * channels + c, 255]
  })
  return v128.const(...lanes.flat())
}

/** Along rows, two rows at a time, four source pixels at a time. */
function emitRows(m: ModuleBuilder, channels: number): void {
  m.func(`rows${channels}`, ints(8), (b, to, toStride, from, fromStride, rows, entries, weights, size) => {
    const sums = [newSums(b), newSums(b)]
    const [row, column, target, entry, weight, groups, source] = Array.from({ length: 7 }, () => b.local('i32')) as [
      I32,
      I32,
      I32,
      I32,
      I32,
      I32,
      I32,
    ]
    b.set(row, 0)
    b.for(row, rows, 2, () => {
      b.set(column, 0)
      b.set(target, to)
      b.set(entry, entries)
      b.set(weight, weights)
      b.for(column, size, 1, () => {
        clear(b, sums)
        b.set(source, i32.add(from, i32.load(entry)))
        b.set(groups, i32.load(entry, 4))
        b.repeat(groups, () => {
          const pairs = [loadPair(b, weight, 0), loadPair(b, weight, PAIR)]
          const lines = [b.let(v128.load(source)), b.let(v128.load(i32.add(source, fromStride)))]
          for (const [i, line] of lines.entries()) {
            for (const [j, pair] of pairs.entries()) {
              accumulate(b, sums[i]!, b.let(v128.swizzle(line, neighbours(channels, 2 * j))), pair)
            }
          }
          b.add(source, 4 * channels)
          b.add(weight, 2 * PAIR)
        })
        const words = b.let(i16x8.narrow(total(sums[0]!), total(sums[1]!)))
        const bytes = b.let(i8x16.narrowU(words, words))
        b.emit(v128.store32Lane(target, bytes, 0), v128.store32Lane(i32.add(target, toStride), bytes, 1))
        b.add(target, channels)
        b.add(entry, ENTRY)
      })
      b.add(to, i32.shl(toStride, 1))
      b.add(from, i32.shl(fromStride, 1))
    })
  })
}

/** Along columns, sixteen values side by side, two source rows at a time. */
function emitColumns(m: ModuleBuilder): void {
  m.func('columns', ints(7), (b, to, from, fromStride, rowBytes, entries, weights, size) => {
    const sums = Array.from({ length: 4 }, () => newSums(b))
    const [row, x, weight, groups, source] = Array.from({ length: 5 }, () => b.local('i32')) as [
      I32,
      I32,
      I32,
      I32,
      I32,
    ]
    b.set(row, 0)
    b.for(row, size, 1, () => {
      b.set(x, 0)
      b.for(x, rowBytes, 16, () => {
        clear(b, sums)
        b.set(source, i32.add(i32.add(from, i32.load(entries)), x))
        b.set(groups, i32.load(entries, 4))
        b.set(weight, weights)
        b.repeat(groups, () => {
          const pair = loadPair(b, weight, 0)
          const [above, below] = [b.let(v128.load(source)), b.let(v128.load(i32.add(source, fromStride)))]
          for (const half of [0, 8]) {
            const order = Array.from({ length: 16 }, (_, i) => (i % 2) * 16 + half + (i >> 1))
            const mixed = b.let(v128.shuffle(above, below, order))
            accumulate(b, sums[half / 4]!, b.let(i16x8.fromU8Low(mixed)), pair)
            accumulate(b, sums[half / 4 + 1]!, b.let(i16x8.fromU8High(mixed)), pair)
          }
          b.add(source, i32.shl(fromStride, 1))
          b.add(weight, PAIR)
        })
        const [one, two, three, four] = sums.map(total) as [Value<'v128'>, Value<'v128'>, Value<'v128'>, Value<'v128'>]
        b.emit(v128.store(i32.add(to, x), i8x16.narrowU(i16x8.narrow(one, two), i16x8.narrow(three, four))))
      })
      b.add(to, rowBytes)
      b.add(weights, i32.mul(i32.load(entries, 4), PAIR))
      b.add(entries, ENTRY)
    })
  })
}

type Pass = (...args: number[]) => void

interface Kernel {
  readonly memory: WebAssembly.Memory
  readonly passes: Readonly<Record<string, Pass>>
}

const PAGE = 65536
const MOST_PAGES = 65536
/** Memory that is kept for the next picture: 64 MB. */
const KEPT_PAGES = 1024

let compiled: WebAssembly.Module | undefined
let kept: Kernel | undefined

function makeKernel(pages: number): Kernel {
  if (!compiled) {
    const m = new ModuleBuilder()
    for (const channels of [1, 2, 3, 4]) emitRows(m, channels)
    emitColumns(m)
    compiled = new WebAssembly.Module(m.encode({ initial: 1, maximum: MOST_PAGES }))
  }
  const memory = new WebAssembly.Memory({ initial: pages, maximum: MOST_PAGES })
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } })
  return { memory, passes: exports as unknown as Record<string, Pass> }
}

/** The kernel with at least `bytes` of memory; `undefined` where the host has none to give. */
function kernelWith(bytes: number): Kernel | undefined {
  const pages = Math.ceil(bytes / PAGE)
  if (pages > MOST_PAGES) return undefined
  try {
    const kernel = kept ?? makeKernel(pages)
    const missing = pages - kernel.memory.buffer.byteLength / PAGE
    if (missing > 0) kernel.memory.grow(missing)
    kept = pages > KEPT_PAGES ? undefined : kernel
    return kernel
  } catch {
    // No WebAssembly, no vectors, or no memory: the plain loops give the same.
    return undefined
  }
}

/** The list of an axis: entries, then weights; `group` taps at a time, `step` bytes from one source pixel to the next. */
function packTaps(taps: Taps, group: 2 | 4, step: number): { entries: Int32Array; weights: Int16Array } {
  const { size, stride, first, counts } = taps
  const fixed = fixedWeights(taps)
  const entries = new Int32Array(2 * size)
  const groups = Array.from(counts, (count) => Math.max(1, Math.ceil(count / group)))
  const weights = new Int16Array(2 * group * groups.reduce((sum, count) => sum + count, 0))
  let at = 0
  for (let i = 0; i < size; i++) {
    entries[2 * i] = first[i]! * step
    entries[2 * i + 1] = groups[i]!
    for (let k = 0; k < groups[i]! * group; k += 2) {
      const one = fixed[i * stride + k]!
      const two = fixed[i * stride + k + 1]!
      weights[at++] = one >> LOW_BITS
      weights[at++] = two >> LOW_BITS
      weights[at++] = one & LOW_MASK
      weights[at++] = two & LOW_MASK
    }
  }
  return { entries, weights }
}

const round16 = (bytes: number): number => (bytes + 15) & ~15

/** Rows that are brought in at a time: few enough to stay in the second cache. */
const BAND = 32

/** As `resamplePlain` for bytes of 1 to 4 channels; `undefined` where this host cannot. At least one axis has taps. */
export function resampleFast(
  data: Uint8Array,
  height: number,
  width: number,
  channels: number,
  rows: Taps | undefined,
  columns: Taps | undefined,
): Uint8Array<ArrayBuffer> | undefined {
  const across = columns?.size ?? width
  const down = rows?.size ?? height
  const rowBytes = width * channels
  const midBytes = across * channels
  // A pixel is written as four bytes, and read as sixteen, beyond the end of its row.
  const midStride = round16(midBytes + 16)
  const bandStride = round16(rowBytes)
  let end = 0
  const place = (bytes: number): number => {
    const at = end
    end = round16(end + bytes)
    return at
  }
  const x = columns && packTaps(columns, 4, channels)
  const y = rows && packTaps(rows, 2, midStride)
  const [xEntries, xWeights] = [place(x?.entries.byteLength ?? 0), place(x?.weights.byteLength ?? 0)]
  const [yEntries, yWeights] = [place(y?.entries.byteLength ?? 0), place(y?.weights.byteLength ?? 0)]
  const band = place(x ? BAND * bandStride + 32 : 0)
  // One row more for pairs, where the number of rows is odd.
  const middle = place((height + 2) * midStride)
  const target = place(y ? down * midBytes + 16 : 0)
  const kernel = kernelWith(end)
  if (!kernel) return undefined
  const { memory, passes } = kernel
  const bytes = new Uint8Array(memory.buffer)
  const put = (at: number, array: Int32Array | Int16Array): void =>
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at)
  if (x) {
    put(xEntries, x.entries)
    put(xWeights, x.weights)
    for (let row = 0; row < height; row += BAND) {
      const count = Math.min(BAND, height - row)
      if (bandStride === rowBytes) bytes.set(data.subarray(row * rowBytes, (row + count) * rowBytes), band)
      else {
        for (let i = 0; i < count; i++) {
          const from = (row + i) * rowBytes
          bytes.set(data.subarray(from, from + rowBytes), band + i * bandStride)
        }
      }
      const to = middle + row * midStride
      passes[`rows${channels}`]!(to, midStride, band, bandStride, count, xEntries, xWeights, across)
    }
  } else {
    for (let row = 0; row < height; row++) {
      bytes.set(data.subarray(row * rowBytes, (row + 1) * rowBytes), middle + row * midStride)
    }
  }
  if (y) {
    put(yEntries, y.entries)
    put(yWeights, y.weights)
    passes.columns!(target, middle, midStride, midBytes, yEntries, yWeights, down)
    return bytes.slice(target, target + down * midBytes)
  }
  const result = new Uint8Array(down * midBytes)
  for (let row = 0; row < down; row++) {
    const from = middle + row * midStride
    result.set(bytes.subarray(from, from + midBytes), row * midBytes)
  }
  return result
}
