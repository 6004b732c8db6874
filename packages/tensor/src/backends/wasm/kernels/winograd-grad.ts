/**
 * The gradient by the weights of a 3 x 3 convolution with stride 1, by the transpose of Winograd's F(4x4, 3x3): for
 * each of the 36 planes, the products of the transformed input tiles with the transformed tiles of the gradient are
 * summed over all tiles, and the 6 x 6 sums of a pair of channels become a 3 x 3 gradient.
 *
 * Where the transforms of all tiles have room, threads share the planes. Otherwise, as in `weight-grad.ts`, the tiles are cut
 * into chunks that depend on the shape alone, with sums of their own.
 */
import type { ConvSpec } from '../../backend.ts'
import { type FunctionBuilder, i32, ints, type Local, type Value, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { grainWork } from './gemm.ts'
import { emitStrip, planStrips, stripArgs, type Windows } from './strip.ts'
import { eachUnit, roundUp, Tile } from './tile.ts'
import { tileFor } from './tile-choice.ts'
import { addChunks, chunkStart } from './weight-grad.ts'
import { blockCapacity, emitInputTransform, tileWindows, transformedBytes, transformTiles } from './winograd-tiles.ts'
import { betweenBytes, emitLine, emitLines, largeTiles, planeBytes, pointers } from './winograd-transforms.ts'

/** Bytes of the planes of a block, of both operands. */
const blockBytes = 393216
const stripBytes = 32768
/** Bytes that the sums of all chunks may take, if there is more than one. */
const sumBytes = 6e6

export function winogradWeightGradient(engine: Engine, x: number, g: number, out: number, spec: ConvSpec): void {
  const { fma } = engine
  const { inChannels, outChannels } = spec
  const shape = tileFor(engine, inChannels, outChannels)
  const { rows, columns } = shape
  // Rows of the sums are output channels, so that vectors lie along the input channels, as in the weights.
  const paddedIn = roundUp(inChannels, columns)
  const paddedOut = roundUp(outChannels, rows)
  const plane = planeBytes(paddedOut, paddedIn)
  const windows = tileWindows(spec, 4)
  const across = windows.outWidth
  // The tiles of the gradient: 4 x 4 windows next to each other.
  const gWindows: Windows = {
    ...windows,
    inHeight: spec.outHeight,
    inWidth: spec.outWidth,
    inChannels: outChannels,
    kernelHeight: 4,
    kernelWidth: 4,
    padTop: 0,
    padLeft: 0,
  }
  // A block must be large enough to be worth the way of all sums through the cache.
  const perBlock = Math.max(
    Math.floor(blockBytes / (144 * (inChannels + outChannels))),
    Math.ceil((inChannels * outChannels) / (inChannels + outChannels)),
  )
  const tiles = spec.batch * windows.outHeight * across
  const work = tiles * 9 * plane
  if (144 * tiles * (inChannels + outChannels) <= transformedBytes) {
    const capacity = blockCapacity(tiles)
    const inputs = transformTiles(engine, x, windows, paddedIn, capacity)
    const grads = transformTiles(engine, g, gWindows, outChannels, capacity, (b, ...places) =>
      emitGradTransform(b, fma, outChannels, b.let(i32.const(outChannels)), ...places),
    )
    const sums = engine.workspace(36 * plane)
    const key = `winogradGrad planes ${rows} ${columns} ${inChannels} ${outChannels}`
    const kernel = engine.kernel(key, (module) => {
      module.func('run', ints(9), (b, inputs, grads, sums, inPlane, outPlane, tiles, perBlock, from, to) => {
        const sizes = { paddedIn, blockOut: outChannels }
        const outs = b.let(i32.const(outChannels))
        const tile = new Tile(b, fma, shape)
        // A unit is a plane.
        eachUnit(b, from, to, (unit) => {
          const right = b.let(i32.add(inputs, i32.mul(unit, inPlane)))
          const left = b.let(i32.add(grads, i32.mul(unit, outPlane)))
          const target = b.let(i32.add(sums, i32.mul(unit, plane)))
          const block = b.let(i32.const(0))
          b.for(block, tiles, perBlock, () => {
            const count = b.let(i32.sub(tiles, block))
            b.if(i32.gtU(count, perBlock), () => b.set(count, perBlock))
            emitSums(b, tile, sizes, outs, count, right, left, target, b.let(i32.eq(block, 0)))
            b.add(right, i32.mul(perBlock, paddedIn * 4))
            b.add(left, i32.mul(perBlock, outChannels * 4))
          })
        })
      })
    })
    const [inPlane, outPlane] = [planeBytes(capacity, paddedIn), planeBytes(capacity, outChannels)]
    const args = [inputs, grads, sums, inPlane, outPlane, tiles, perBlock]
    engine.parallel(kernel, args, 36, Math.ceil((grainWork * 36) / work))
    finish(engine, sums, out, inChannels, outChannels, paddedIn, plane)
    return
  }
  const plan = planStrips(windows, stripBytes, perBlock / across)
  const gPlan = planStrips(gWindows, Number.POSITIVE_INFINITY, plan.bandRows)
  const bandTiles = plan.bandRows * across
  const bands = spec.batch * plan.bands
  // As many chunks as have room, each of equally many bands.
  const most = Math.min(16, Math.max(1, Math.floor(sumBytes / (144 * inChannels * outChannels))))
  const chunks = Math.ceil(bands / Math.ceil(bands / most))
  // Where there are few chunks, the output channels are split too: in whole rows of sums, and whole vectors.
  const step = rows % 4 === 0 ? rows : 2 * rows
  const blockOut = Math.min(outChannels, roundUp(Math.ceil(outChannels / Math.ceil(8 / chunks)), step))
  const splits = Math.ceil(outChannels / blockOut)
  const blockBands = Math.min(Math.ceil(bands / chunks), Math.max(1, Math.floor(perBlock / bandTiles)))
  const capacity = blockCapacity(blockBands * bandTiles)
  const inPlane = planeBytes(capacity, paddedIn)
  const outPlane = planeBytes(capacity, blockOut)
  const key = `winogradGrad ${rows} ${columns} ${inChannels} ${outChannels} ${splits} ${capacity} ${plan.copied} ${gPlan.copied} ${engine.turbo}`
  const kernel = engine.kernel(key, (module) => {
    module.func('run', ints(32), (b, x, g, sums, bands, chunks, blockBands, across, scratch, perThread, ...rest) => {
      const args = rest.slice(0, stripArgs)
      const gArgs = rest.slice(stripArgs, 2 * stripArgs)
      const [from, to, thread] = rest.slice(2 * stripArgs) as Three<Local<'i32'>>
      const own = b.let(i32.add(scratch, i32.mul(thread, perThread)))
      const inPlanes = b.let(i32.add(own, betweenBytes))
      const outPlanes = b.let(i32.add(inPlanes, 36 * inPlane))
      const strip = i32.add(outPlanes, 36 * outPlane + 256)
      const tile = new Tile(b, fma, shape)
      const local = () => b.local('i32')
      const [count, at, planes] = [local(), local(), local()]
      const tiles = (rows: Local<'i32'>, start: Local<'i32'>, pitch: Local<'i32'>, body: () => void, step: number) => {
        const left = b.let(rows)
        const rowAt = b.let(start)
        b.repeat(left, () => {
          b.set(at, rowAt)
          const more = b.let(across)
          b.repeat(more, () => {
            body()
            b.add(at, step)
          })
          b.add(rowAt, i32.shl(pitch, 2))
        })
      }
      eachUnit(b, from, to, (unit) => {
        const chunk = b.let(i32.divU(unit, splits))
        const firstOut = b.let(i32.mul(i32.remU(unit, splits), blockOut))
        const outs = b.let(i32.sub(outChannels, firstOut))
        b.if(i32.gtU(outs, blockOut), () => b.set(outs, blockOut))
        const first = b.let(chunkStart(chunk, bands, chunks))
        const end = b.let(chunkStart(i32.add(chunk, 1), bands, chunks))
        const target = b.let(i32.add(sums, i32.add(i32.mul(chunk, 36 * plane), i32.mul(firstOut, paddedIn * 4))))
        const block = b.let(first)
        b.for(block, end, blockBands, () => {
          const last = b.let(i32.add(block, blockBands))
          b.if(i32.gtU(last, end), () => b.set(last, end))
          b.set(count, 0)
          b.set(planes, inPlanes)
          b.for(b.let(block), last, 1, (number) => {
            const band = emitStrip(b, plan.copied, windows, args, number, x, strip)
            tiles(
              band.rows,
              band.start,
              band.pitch,
              () => {
                emitInputTransform(b, engine, 4, inChannels, at, band.pitch, own, planes, inPlane)
                b.add(planes, paddedIn * 4)
                b.add(count, 1)
              },
              16 * inChannels,
            )
          })
          b.set(planes, outPlanes)
          b.for(b.let(block), last, 1, (number) => {
            const band = emitStrip(b, gPlan.copied, gWindows, gArgs, number, g, strip)
            tiles(
              band.rows,
              b.let(i32.add(band.start, i32.shl(firstOut, 2))),
              band.pitch,
              () => {
                emitGradTransform(b, fma, outChannels, outs, at, band.pitch, own, planes, outPlane)
                b.add(planes, blockOut * 4)
              },
              16 * outChannels,
            )
          })
          const isFirst = b.let(i32.eq(block, first))
          const number = b.let(i32.const(0))
          b.for(number, 36, 1, () => {
            const left = b.let(i32.add(outPlanes, i32.mul(number, outPlane)))
            const right = b.let(i32.add(inPlanes, i32.mul(number, inPlane)))
            const sum = b.let(i32.add(target, i32.mul(number, plane)))
            emitSums(b, tile, { paddedIn, blockOut }, outs, count, right, left, sum, isFirst)
          })
        })
      })
    })
  })
  const perThread = betweenBytes + 36 * (inPlane + outPlane) + 256 + roundUp(Math.max(plan.bytes, gPlan.bytes), 64)
  const sums = engine.workspace(chunks * 36 * plane)
  const scratch = engine.workspace(perThread * engine.pool.threads)
  engine.parallel(
    kernel,
    [x, g, sums, bands, chunks, blockBands, across, scratch, perThread, ...plan.args, ...gPlan.args],
    chunks * splits,
    Math.ceil((grainWork * chunks * splits) / work),
  )
  addChunks(engine, sums, 9 * plane, chunks)
  finish(engine, sums, out, inChannels, outChannels, paddedIn, plane)
}

/** The transform of `channels` channels of a 4 x 4 tile of the gradient into the planes; pixels have `pixel` channels. */
function emitGradTransform(
  b: FunctionBuilder,
  fma: boolean,
  pixel: number,
  channels: Local<'i32'>,
  tile: Local<'i32'>,
  pitch: Local<'i32'>,
  scratch: Value<'i32'>,
  planes: Local<'i32'>,
  plane: number,
): void {
  const { outputGrad } = largeTiles(fma)
  const [channel, at, to] = [b.local('i32'), b.local('i32'), b.local('i32')]
  b.set(channel, 0)
  b.for(channel, i32.shl(channels, 2), 16, () => {
    const rows = pointers(b, i32.add(tile, channel), pitch, 4)
    b.set(at, scratch)
    emitLines(b, 4, () => {
      emitLine(
        b,
        outputGrad,
        4,
        (i) => [rows[i]!, 0],
        (i, value) => b.emit(v128.store(at, value, i * 64)),
      )
      for (const row of rows) b.add(row, pixel * 4)
      b.add(at, 16)
    })
    b.set(at, scratch)
    b.set(to, i32.add(planes, channel))
    emitLines(b, 6, () => {
      emitLine(
        b,
        outputGrad,
        4,
        (i) => [at, i * 16],
        (i, value) => b.emit(v128.store(to, value, i * plane)),
      )
      b.add(at, 64)
      b.add(to, 6 * plane)
    })
  })
}

interface Sums {
  readonly paddedIn: number
  readonly blockOut: number
}

/** For a plane: sums (out, in) += transposed gradients (count, out) times inputs (count, in). */
function emitSums(
  b: FunctionBuilder,
  tile: Tile,
  { paddedIn, blockOut }: Sums,
  outs: Local<'i32'>,
  count: Local<'i32'>,
  inputs: Local<'i32'>,
  grads: Local<'i32'>,
  sums: Local<'i32'>,
  isFirst: Local<'i32'>,
): void {
  const { rows, columns } = tile
  const local = () => b.local('i32')
  const [row, column, a, p, c] = [local(), local(), local(), local(), local()]
  b.set(column, 0)
  b.for(column, paddedIn * 4, columns * 4, () => {
    b.set(row, 0)
    b.for(row, outs, rows, () => {
      b.set(a, i32.add(grads, i32.shl(row, 2)))
      b.set(p, i32.add(inputs, column))
      b.set(c, i32.add(i32.add(sums, column), i32.mul(row, paddedIn * 4)))
      const place = (i: number) => [c, i * paddedIn * 4] as const
      b.if(
        isFirst,
        () => tile.clear(),
        () => tile.load(place),
      )
      tile.multiply([a], p, count, blockOut * 4, paddedIn * 4)
      tile.store(place)
    })
  })
}

/** The gradient from the sums of all tiles. */
function finish(
  engine: Engine,
  sums: number,
  out: number,
  inChannels: number,
  outChannels: number,
  paddedIn: number,
  plane: number,
): void {
  const kernel = engine.kernel(`winogradGradEnd ${inChannels} ${paddedIn} ${plane}`, (module) => {
    module.func('run', ints(6), (b, sums, out, scratches, from, to, thread) => {
      const { weightGrad } = largeTiles(engine.fma)
      const local = () => b.local('i32')
      const [channel, source, target, at] = [local(), local(), local(), local()]
      const scratch = b.let(i32.add(scratches, i32.shl(thread, 9)))
      // A unit is one output channel.
      eachUnit(b, from, to, (unit) => {
        b.set(channel, 0)
        b.for(channel, inChannels * 4, 16, () => {
          b.set(source, i32.add(sums, i32.add(i32.mul(unit, paddedIn * 4), channel)))
          b.set(at, scratch)
          emitLines(b, 6, () => {
            emitLine(
              b,
              weightGrad,
              6,
              (i) => [source, i * 6 * plane],
              (i, value) => b.emit(v128.store(at, value, i * 96)),
            )
            b.add(source, plane)
            b.add(at, 16)
          })
          b.set(at, scratch)
          b.set(target, i32.add(out, i32.add(i32.mul(unit, 9 * inChannels * 4), channel)))
          emitLines(b, 3, () => {
            emitLine(
              b,
              weightGrad,
              6,
              (i) => [at, i * 16],
              (i, value) => b.emit(v128.store(target, value, i * inChannels * 4)),
            )
            b.add(at, 96)
            b.add(target, 3 * inChannels * 4)
          })
        })
      })
    })
  })
  const scratch = engine.workspace(512 * engine.pool.threads)
  engine.parallel(kernel, [sums, out, scratch], outChannels, Math.ceil(grainWork / (400 * inChannels)))
}

type Three<T> = [T, T, T]
