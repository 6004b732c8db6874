/**
 * Strips: the input rows that a band of output rows looks at, with the padding around them written out as zeros, in
 * scratch memory that stays in the cache. Behind them no kernel needs to know of padding. A convolution whose windows
 * all lie inside the input reads it in place.
 */
import type { ConvSpec } from '../../backend.ts'
import { type FunctionBuilder, f32x4, i32, type Local, memory, type Value, v128 } from '../asm.ts'

/** The part of a convolution that says where windows lie. */
export type Windows = Omit<ConvSpec, 'outChannels' | 'groups'>

/** How rows come into strips; a plan is made on the host and its `args` are given to the kernel, in order. */
export interface StripPlan {
  /** Whether rows are copied at all. */
  readonly copied: boolean
  /** Output rows of a band. */
  readonly bandRows: number
  /** Bands per image. */
  readonly bands: number
  /** Scratch bytes per thread. */
  readonly bytes: number
  /** [inHeight, outHeight, padTop, row bytes, left, skip, middle, right, bandRows, bands], all sizes in bytes. */
  readonly args: readonly number[]
}

type Ten<T> = readonly [T, T, T, T, T, T, T, T, T, T]

/** Number of `StripPlan.args`. */
export const stripArgs = 10

/** Kernels may read this many bytes beyond a strip: part of a vector, rows of a tile that do not count. */
const slack = 256

/** Rows in bands of at most `maxRows` rows whose strips have about `target` bytes. */
export function planStrips(w: Windows, target: number, maxRows: number = w.outHeight): StripPlan {
  const column = w.inChannels * 4
  const reachRows = (w.kernelHeight - 1) * w.dilationHeight + 1
  const reachColumns = (w.outWidth - 1) * w.strideWidth + (w.kernelWidth - 1) * w.dilationWidth + 1
  const lastRow = (w.outHeight - 1) * w.strideHeight - w.padTop + reachRows
  const lastColumn = reachColumns - w.padLeft
  const copied = w.padTop > 0 || w.padLeft > 0 || lastRow > w.inHeight || lastColumn > w.inWidth
  // Columns of the strip: zeros, then input columns from `skip` on, then zeros.
  const skip = Math.min(w.inWidth, Math.max(0, -w.padLeft))
  const left = Math.min(reachColumns, Math.max(0, w.padLeft))
  const middle = Math.max(0, Math.min(w.inWidth - skip, reachColumns - left))
  const right = reachColumns - left - middle
  const pitch = reachColumns * column
  const fitting = Math.floor((target / pitch - reachRows) / w.strideHeight) + 1
  const bandRows = Math.max(1, Math.min(w.outHeight, fitting, Math.ceil(maxRows)))
  // Bands of equal height.
  const bands = Math.ceil(w.outHeight / bandRows)
  const even = Math.ceil(w.outHeight / bands)
  const rows = (even - 1) * w.strideHeight + reachRows
  return {
    copied,
    bandRows: even,
    bands: Math.ceil(w.outHeight / even),
    bytes: copied ? rows * pitch + slack : 0,
    args: [
      w.inHeight,
      w.outHeight,
      w.padTop,
      w.inWidth * column,
      left * column,
      skip * column,
      middle * column,
      right * column,
      even,
      Math.ceil(w.outHeight / even),
    ],
  }
}

/** A band as the kernel sees it. */
export interface Band {
  readonly image: Local<'i32'>
  /** First output row and the number of output rows. */
  readonly top: Local<'i32'>
  readonly rows: Local<'i32'>
  /** Input of the first output row's first window. */
  readonly start: Local<'i32'>
  /** Bytes from one input row to the next. */
  readonly pitch: Local<'i32'>
}

/** Emits where band number `band` (counted over all images) lies in the output. */
export function emitBand(
  b: FunctionBuilder,
  args: readonly Local<'i32'>[],
  band: Local<'i32'>,
): Pick<Band, 'image' | 'top' | 'rows'> {
  const [, outHeight, , , , , , , bandRows, bands] = args as Ten<Local<'i32'>>
  const image = b.let(i32.divU(band, bands))
  const top = b.let(i32.mul(i32.remU(band, bands), bandRows))
  const rows = b.let(i32.sub(outHeight, top))
  b.if(i32.gtU(rows, bandRows), () => b.set(rows, bandRows))
  return { image, top, rows }
}

/** Emits what makes band number `band` (counted over all images) ready. */
export function emitStrip(
  b: FunctionBuilder,
  copied: boolean,
  { strideHeight, kernelHeight, dilationHeight, inChannels }: Windows,
  args: readonly Local<'i32'>[],
  band: Local<'i32'>,
  x: Local<'i32'>,
  scratch: Value<'i32'>,
): Band {
  const [inHeight, , padTop, rowBytes, left, skip, middle, right] = args as Ten<Local<'i32'>>
  const { image, top, rows } = emitBand(b, args, band)
  // Signed: rows above the input are negative.
  const first = b.let(i32.sub(i32.mul(top, strideHeight), padTop))
  const source = b.let(i32.add(i32.add(x, skip), i32.mul(i32.add(i32.mul(image, inHeight), first), rowBytes)))
  const [start, pitch] = [b.local('i32'), b.local('i32')]
  if (!copied) {
    b.set(start, source)
    b.set(pitch, rowBytes)
    return { image, top, rows, start, pitch }
  }
  b.set(start, scratch)
  b.set(pitch, i32.add(i32.add(left, middle), right))
  const border = b.let(i32.add(left, right))
  const to = b.let(start)
  const count = b.let(i32.add(i32.mul(i32.sub(rows, 1), strideHeight), (kernelHeight - 1) * dilationHeight + 1))
  const row = b.let(first)
  zero(b, to, left, inChannels)
  b.repeat(count, () => {
    b.add(to, left)
    b.if(
      i32.ltU(row, inHeight),
      () => b.emit(memory.copy(to, source, middle)),
      () => b.emit(memory.fill(to, 0, middle)),
    )
    b.add(to, middle)
    b.if(
      i32.gtU(count, 1),
      // The right border of this row and the left one of the next lie together.
      () => zero(b, to, border, inChannels),
      () => zero(b, to, right, inChannels),
    )
    b.add(to, right)
    b.add(source, rowBytes)
    b.add(row, 1)
  })
  return { image, top, rows, start, pitch }
}

function zero(b: FunctionBuilder, at: Local<'i32'>, bytes: Local<'i32'>, channels: number): void {
  if (channels % 4 !== 0) {
    b.emit(memory.fill(at, 0, bytes))
    return
  }
  const end = i32.add(at, bytes)
  b.for(b.let(at), b.let(end), 16, (p) => b.emit(v128.store(p, f32x4.const(0))))
}
