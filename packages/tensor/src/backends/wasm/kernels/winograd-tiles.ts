/**
 * Tiles of the input of a 3 x 3 convolution and their transforms into planes: for each of the products of a tile one matrix
 * (tiles, channels).
 */
import { type FunctionBuilder, i32, ints, type Local, type Value, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { grainWork } from './gemm.ts'
import { emitStrip, planStrips, stripArgs, type Windows } from './strip.ts'
import { eachUnit, roundUp } from './tile.ts'
import {
  betweenBytes,
  emitLine,
  emitLines,
  planeBytes,
  planesOf,
  pointers,
  type TileSide,
  transforms,
  vectorsAtOnce,
} from './winograd-transforms.ts'

/** The part of a strip that is worth copying at a time. */
export const stripBytes = 65536
/** Bytes that the transforms of all tiles may take: they stay in the last cache. */
export const transformedBytes = 8e6
/** Multiply-adds that take half as long as the transform to one plane: threads hand each other what it reads and writes. */
const transformWork = 4

/** The windows over the input, one per tile of outputs. */
export function tileWindows(w: Windows, side: TileSide): Windows {
  // Field by field: hosts need microseconds to spread an object of so many.
  return {
    batch: w.batch,
    inHeight: w.inHeight,
    inWidth: w.inWidth,
    inChannels: w.inChannels,
    outHeight: Math.ceil(w.outHeight / side),
    outWidth: Math.ceil(w.outWidth / side),
    kernelHeight: side + 2,
    kernelWidth: side + 2,
    strideHeight: side,
    strideWidth: side,
    padTop: w.padTop,
    padLeft: w.padLeft,
    dilationHeight: 1,
    dilationWidth: 1,
  }
}

/** Room for `tiles` tiles, in coarse steps, so that images of many sizes share a kernel. */
export function blockCapacity(tiles: number): number {
  const step = 2 ** Math.max(2, Math.floor(Math.log2(tiles)) - 2)
  return roundUp(tiles, step)
}

/** The size of parts of `all` that are as equal as can be and at most `most`. */
export function evenly(all: number, most: number): number {
  return Math.ceil(all / Math.ceil(all / most))
}

/** Emits the transform of the input tile at `tile` into the planes at `planes`, for all channels. */
export function emitInputTransform(
  b: FunctionBuilder,
  { fma, turbo }: Engine,
  side: TileSide,
  channels: number,
  tile: Local<'i32'>,
  pitch: Local<'i32'>,
  scratch: Value<'i32'>,
  planes: Local<'i32'>,
  plane: number,
): void {
  const { input } = transforms(side, fma)
  const sideIn = side + 2
  const vectors = vectorsAtOnce(turbo, channels)
  const [channel, at, to] = [b.local('i32'), b.local('i32'), b.local('i32')]
  b.set(channel, 0)
  b.for(channel, channels * 4, 16 * vectors, () => {
    const rows = pointers(b, i32.add(tile, channel), pitch, sideIn)
    b.set(at, scratch)
    emitLines(b, sideIn, () => {
      emitLine(
        b,
        input,
        sideIn,
        (i) => [rows[i]!, 0],
        (i, value, shift) => b.emit(v128.store(at, value, i * 16 * sideIn * vectors + shift)),
        vectors,
      )
      for (const row of rows) b.add(row, channels * 4)
      b.add(at, 16 * vectors)
    })
    b.set(at, scratch)
    b.set(to, i32.add(planes, channel))
    emitLines(b, sideIn, () => {
      emitLine(
        b,
        input,
        sideIn,
        (i) => [at, i * 16 * vectors],
        (i, value, shift) => b.emit(v128.store(to, value, i * plane + shift)),
        vectors,
      )
      b.add(at, 16 * sideIn * vectors)
      b.add(to, sideIn * plane)
    })
  })
}

/** Emits the transform of the tile at `tile` into the planes at `planes`. */
type EmitTransform = (
  b: FunctionBuilder,
  tile: Local<'i32'>,
  pitch: Local<'i32'>,
  scratch: Local<'i32'>,
  planes: Local<'i32'>,
  plane: number,
) => void

/** Floats that may be read behind the planes of `transformTiles`: rows and columns that do not count. */
const slack = 64

/**
 * Transforms the tiles of all images, which the windows tell, into planes in workspace for all who need them; gives where
 * they are. A plane has room for `capacity` tiles of `channels` floats that follow each other. Without `emit` it is the
 * transform of a convolution's input.
 */
export function transformTiles(
  engine: Engine,
  x: number,
  windows: Windows,
  channels: number,
  capacity: number,
  emit?: EmitTransform,
): number {
  const { inChannels, outWidth, strideWidth } = windows
  const side = strideWidth as TileSide
  const planeCount = planesOf(side)
  const plan = planStrips(windows, stripBytes, 1)
  const plane = planeBytes(capacity, channels)
  const key = `winograd tiles ${side} ${!emit} ${inChannels} ${channels} ${capacity} ${plan.copied} ${engine.turbo}`
  const kernel = engine.kernel(key, (module) => {
    module.func('run', ints(18), (b, x, planesAt, across, scratch, perThread, ...rest) => {
      const args = rest.slice(0, stripArgs)
      const [from, to, thread] = rest.slice(stripArgs) as [Local<'i32'>, Local<'i32'>, Local<'i32'>]
      const own = b.let(i32.add(scratch, i32.mul(thread, perThread)))
      // A unit is a row of tiles.
      eachUnit(b, from, to, (unit) => {
        const { start, pitch } = emitStrip(b, plan.copied, windows, args, unit, x, i32.add(own, betweenBytes))
        const at = b.let(start)
        const planes = b.let(i32.add(planesAt, i32.mul(unit, i32.mul(across, channels * 4))))
        const left = b.let(across)
        b.repeat(left, () => {
          if (emit) emit(b, at, pitch, own, planes, plane)
          else emitInputTransform(b, engine, side, inChannels, at, pitch, own, planes, plane)
          b.add(planes, channels * 4)
          b.add(at, 4 * side * inChannels)
        })
      })
    })
  })
  const perThread = betweenBytes + roundUp(plan.bytes, 64)
  const planes = engine.workspace(planeCount * plane + 4 * slack)
  const scratch = engine.workspace(perThread * engine.pool.threads)
  const rows = windows.batch * windows.outHeight
  const work = outWidth * planeCount * inChannels * transformWork
  engine.parallel(kernel, [x, planes, outWidth, scratch, perThread, ...plan.args], rows, Math.ceil(grainWork / work))
  return planes
}
