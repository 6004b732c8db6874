/**
 * Depthwise convolution: every channel by itself, four to a vector. There is little to compute per number read, so the
 * input is not copied into strips: rows of the kernel outside the input are left out, and pixels whose windows stick
 * out at the sides go one by one.
 */
import type { ConvSpec } from '../../backend.ts'
import { type FunctionBuilder, f32x4, i32, ints, type Local, memory, type Operand, type Value, v128 } from '../asm.ts'

import { moveElements } from '../copy.ts'
import type { Engine } from '../engine.ts'
import { formulaOf } from '../formula-value.ts'
import { multiplyAdd } from '../math.ts'
import type { DirectSpec } from './direct.ts'
import { grainWork } from './gemm.ts'
import { placementArgs, placementCount, placementLocals } from './placement.ts'
import { eachUnit, endingKey, loadFloats, storeFloats } from './tile.ts'
import { addChunks, chunkStart } from './weight-grad.ts'

/** Vector registers that a loop body may use; without fused instructions products need some too. */
const registers = (fma: boolean) => (fma ? 15 : 12)

/** The kernel cells [low, high) that meet cells 0 to size - 1, for a window that starts at the signed `start`. */
export function emitRange(
  b: FunctionBuilder,
  start: Local<'i32'>,
  size: Local<'i32'>,
  dilation: number,
  cells: Operand<'i32'>,
): { low: Local<'i32'>; high: Local<'i32'> } {
  const low = b.let(i32.div(i32.sub(dilation - 1, start), dilation))
  b.if(i32.lt(low, 0), () => b.set(low, 0))
  const high = b.let(i32.div(i32.sub(i32.add(size, dilation - 1), start), dilation))
  b.if(i32.gt(high, cells), () => b.set(high, cells))
  b.if(i32.lt(high, low), () => b.set(high, low))
  return { low, high }
}

/** Vectors of `channels` channels: `body(offset, valid)`, offsets in bytes; the last vector may be narrow. */
function eachVector(
  b: FunctionBuilder,
  channels: number,
  vectors: number,
  body: (offset: Local<'i32'>, vectors: number, valid: number) => void,
): void {
  const offset = b.local('i32')
  b.set(offset, 0)
  const group = vectors * 4
  const groups = Math.floor(channels / group) * group
  const whole = channels - (channels % 4)
  b.for(offset, groups * 4, group * 4, () => body(offset, vectors, group))
  if (vectors > 1) b.for(offset, whole * 4, 16, () => body(offset, 1, 4))
  if (channels > whole) body(offset, 1, channels - whole)
}

/** y = x * weights + bias, per channel; weights are packed as [channels / 4][kernelHeight][kernelWidth][4]. */
export function depthwise(engine: Engine, x: number, packed: number, bias: number, y: number, spec: DirectSpec): void {
  const { kernelHeight, kernelWidth, strideHeight, strideWidth, dilationHeight, dilationWidth, inChannels } = spec
  const { fma } = engine
  const { ending = {} } = spec
  const column = inChannels * 4
  const taps = kernelHeight * kernelWidth
  // Neighbouring pixels share loads; as many as registers allow.
  const loads = (pixels: number) => new Set(reach(pixels)).size
  const reach = (pixels: number) =>
    Array.from({ length: pixels * kernelWidth }, (_, i) => pixelTap(Math.floor(i / kernelWidth), i % kernelWidth))
  const pixelTap = (pixel: number, kx: number) => pixel * strideWidth + kx * dilationWidth
  let pixels = 4
  while (pixels > 1 && pixels + loads(pixels) + kernelWidth > registers(fma)) pixels--
  const key = `depthwise ${inChannels} ${kernelHeight} ${kernelWidth} ${strideHeight} ${strideWidth} ${dilationHeight} ${dilationWidth} ${bias !== 0} ${endingKey(ending)}`
  const kernel = engine.kernel(key, (module) => {
    module.func('run', ints(16), (b, x, weights, bias_, y, ...rest) => {
      const { height, width, outHeight, outWidth, padTop, padLeft, outImage, outRow, outColumn, residual } =
        placementLocals(rest)
      const [from, to] = rest.slice(placementCount) as [Local<'i32'>, Local<'i32'>]
      const local = () => b.local('i32')
      const [ox, ix, outAt, left, pixel, weight] = [local(), local(), local(), local(), local(), local()]
      const accs = Array.from({ length: pixels }, () => b.local('v128'))
      const start = (acc: Local<'v128'>, offset: Local<'i32'>) =>
        b.set(acc, bias ? v128.load(i32.add(bias_, offset)) : f32x4.const(0))
      /** Adds what is to be added, as far as it lies inside; nothing is read behind it. */
      const finish = (acc: Local<'v128'>, at: Local<'i32'>, valid: number) => {
        if (ending.residual) b.set(acc, f32x4.add(acc, loadFloats(i32.add(at, residual), 0, valid)))
        if (ending.act) b.set(acc, formulaOf(b, ending.act, acc))
      }
      eachUnit(b, from, to, (unit) => {
        const image = b.let(i32.divU(unit, outHeight))
        const oy = b.let(i32.remU(unit, outHeight))
        const iy = b.let(i32.sub(i32.mul(oy, strideHeight), padTop))
        const vertical = emitRange(b, iy, height, dilationHeight, kernelHeight)
        const kernelRows = b.let(i32.sub(vertical.high, vertical.low))
        const inRow = b.let(i32.add(i32.mul(image, height), i32.add(iy, i32.mul(vertical.low, dilationHeight))))
        const inStart = b.let(i32.add(x, i32.mul(i32.mul(inRow, width), column)))
        const firstWeight = b.let(i32.mul(vertical.low, kernelWidth * 16))
        const rowStep = b.let(i32.mul(width, dilationHeight * column))
        b.set(outAt, i32.add(y, i32.add(i32.mul(image, outImage), i32.mul(oy, outRow))))
        /** The kernel rows that lie inside, for one vector of channels: `pixel` and `weight` point to their start. */
        const rows = (at: Value<'i32'>, offset: Local<'i32'>, body: () => void) => {
          b.set(pixel, i32.add(at, offset))
          b.set(weight, i32.add(i32.add(weights, firstWeight), i32.mul(offset, taps)))
          b.set(left, kernelRows)
          b.if(left, () =>
            b.repeat(left, () => {
              body()
              b.add(pixel, rowStep)
              b.add(weight, kernelWidth * 16)
            }),
          )
        }
        b.set(ox, 0)
        b.block((done) =>
          b.loop((again) => {
            done(i32.geU(ox, outWidth))
            b.set(ix, i32.sub(i32.mul(ox, strideWidth), padLeft))
            const inside = i32.and(
              i32.and(i32.ge(ix, 0), i32.lt(i32.add(ix, pixelTap(pixels - 1, kernelWidth - 1)), width)),
              i32.leU(i32.add(ox, pixels), outWidth),
            )
            b.if(
              inside,
              () => {
                const at = i32.add(inStart, i32.mul(ix, column))
                eachVector(b, inChannels, 1, (offset, _, valid) => {
                  for (const acc of accs) start(acc, offset)
                  rows(at, offset, () => {
                    const inputs = new Map(
                      [...new Set(reach(pixels))].map((tap) => [tap, b.let(v128.load(pixel, tap * column))]),
                    )
                    for (let kx = 0; kx < kernelWidth; kx++) {
                      const w = b.let(v128.load(weight, kx * 16))
                      accs.forEach((acc, i) => {
                        b.set(acc, multiplyAdd(fma, inputs.get(pixelTap(i, kx))!, w, acc))
                      })
                    }
                  })
                  const out = b.let(i32.add(outAt, offset))
                  for (const acc of accs) {
                    finish(acc, out, valid)
                    storeFloats(b, out, acc, 0, valid)
                    b.add(out, outColumn)
                  }
                })
                b.add(ox, pixels)
                b.add(outAt, i32.mul(outColumn, pixels))
              },
              () => {
                const { low, high } = emitRange(b, ix, width, dilationWidth, kernelWidth)
                const acc = accs[0]!
                const [kx, at] = [local(), local()]
                eachVector(b, inChannels, 1, (offset, _, valid) => {
                  start(acc, offset)
                  rows(i32.add(inStart, i32.mul(ix, column)), offset, () => {
                    b.set(kx, low)
                    b.set(at, i32.add(pixel, i32.mul(low, dilationWidth * column)))
                    b.for(kx, high, 1, () => {
                      const w = v128.load(i32.add(weight, i32.shl(kx, 4)))
                      b.set(acc, multiplyAdd(fma, v128.load(at), w, acc))
                      b.add(at, dilationWidth * column)
                    })
                  })
                  const out = b.let(i32.add(outAt, offset))
                  finish(acc, out, valid)
                  storeFloats(b, out, acc, 0, valid)
                })
                b.add(ox, 1)
                b.add(outAt, outColumn)
              },
            )
            again()
          }),
        )
      })
    })
  })
  const { batch, outHeight, outWidth } = spec
  engine.parallel(
    kernel,
    [x, packed, bias, y, ...placementArgs(spec)],
    batch * outHeight,
    Math.ceil(grainWork / (4 * outWidth * inChannels * taps)),
  )
}

/** The gradient by the weights (channels, kernelHeight, kernelWidth), in chunks as in `weight-grad.ts`. */
export function depthwiseWeightGradient(engine: Engine, x: number, g: number, out: number, spec: ConvSpec): void {
  const { kernelHeight, kernelWidth, strideHeight, strideWidth, dilationHeight, dilationWidth, inChannels } = spec
  const { fma } = engine
  const column = inChannels * 4
  const taps = kernelHeight * kernelWidth
  const panels = Math.ceil(inChannels / 4)
  const bytes = panels * taps * 16
  // Vectors of channels at a time: each kernel cell of a row has a sum and a load, each vector a gradient.
  const vectors = Math.max(1, Math.min(4, Math.floor(registers(fma) / (2 * kernelWidth + 1))))
  const key = `depthwiseGrad ${inChannels} ${kernelHeight} ${kernelWidth} ${strideHeight} ${strideWidth} ${dilationHeight} ${dilationWidth}`
  const kernel = engine.kernel(key, (module) => {
    module.func(
      'run',
      ints(15),
      (
        b,
        x,
        g,
        sums,
        height,
        width,
        outHeight,
        outWidth,
        insideFrom,
        insideTo,
        padTop,
        padLeft,
        imageRows,
        chunks,
        from,
        to,
      ) => {
        const local = () => b.local('i32')
        const [ky, ox, ix, pixel, gAt] = [local(), local(), local(), local(), local()]
        const accs = Array.from({ length: vectors * kernelWidth }, () => b.local('v128'))
        eachUnit(b, from, to, (chunk) => {
          const target = b.let(i32.add(sums, i32.mul(chunk, bytes)))
          b.emit(memory.fill(target, 0, bytes))
          const end = b.let(chunkStart(i32.add(chunk, 1), imageRows, chunks))
          b.for(b.let(chunkStart(chunk, imageRows, chunks)), end, 1, (row) => {
            const image = b.let(i32.divU(row, outHeight))
            const iy = b.let(i32.sub(i32.mul(i32.remU(row, outHeight), strideHeight), padTop))
            const { low, high } = emitRange(b, iy, height, dilationHeight, kernelHeight)
            const gRow = b.let(i32.add(g, i32.mul(i32.mul(row, outWidth), column)))
            eachVector(b, inChannels, vectors, (offset, vectors) => {
              const used = accs.slice(0, vectors * kernelWidth)
              b.set(ky, low)
              b.for(ky, high, 1, () => {
                // Sums lie as [channels / 4][kernelHeight][kernelWidth][4].
                const at = b.let(i32.add(target, i32.add(i32.mul(offset, taps), i32.mul(ky, kernelWidth * 16))))
                const place = (i: number) => Math.floor(i / kernelWidth) * taps * 16 + (i % kernelWidth) * 16
                used.forEach((acc, i) => {
                  b.set(acc, v128.load(at, place(i)))
                })
                const inRow = i32.add(i32.mul(image, height), i32.add(iy, i32.mul(ky, dilationHeight)))
                b.set(ix, i32.sub(0, padLeft))
                b.set(pixel, i32.add(i32.add(x, offset), i32.mul(i32.add(i32.mul(inRow, width), ix), column)))
                b.set(gAt, i32.add(gRow, offset))
                b.set(ox, 0)
                /** Pixels up to `end`: those whose windows lie inside have no kernel columns to leave out. */
                const pixels = (end: Local<'i32'>, inside: boolean) =>
                  b.for(ox, end, 1, () => {
                    const gs = Array.from({ length: vectors }, (_, v) => b.let(v128.load(gAt, v * 16)))
                    for (let kx = 0; kx < kernelWidth; kx++) {
                      const products = (from: Local<'i32'>, offset: number) =>
                        gs.forEach((g, v) => {
                          const acc = used[v * kernelWidth + kx]!
                          b.set(acc, multiplyAdd(fma, v128.load(from, offset + v * 16), g, acc))
                        })
                      const step = kx * dilationWidth
                      if (inside) products(pixel, step * column)
                      else
                        b.if(i32.ltU(i32.add(ix, step), width), () => {
                          // `pixel` may lie before the start of memory: the sum must wrap around.
                          products(b.let(i32.add(pixel, step * column)), 0)
                        })
                    }
                    b.add(ix, strideWidth)
                    b.add(pixel, strideWidth * column)
                    b.add(gAt, column)
                  })
                pixels(insideFrom, false)
                pixels(insideTo, true)
                pixels(outWidth, false)
                used.forEach((acc, i) => {
                  b.emit(v128.store(at, acc, place(i)))
                })
              })
            })
          })
        })
      },
    )
  })
  const { batch, inHeight, inWidth, outHeight, outWidth, padTop, padLeft } = spec
  const rows = batch * outHeight
  // Output columns whose windows do not stick out.
  const insideFrom = Math.min(outWidth, Math.max(0, Math.ceil(padLeft / strideWidth)))
  const lastInside = Math.floor((inWidth - 1 - (kernelWidth - 1) * dilationWidth + padLeft) / strideWidth)
  const insideTo = Math.max(insideFrom, Math.min(outWidth, lastInside + 1))
  const chunks = Math.min(rows, 16)
  const sums = engine.workspace(chunks * bytes)
  engine.parallel(
    kernel,
    [x, g, sums, inHeight, inWidth, outHeight, outWidth, insideFrom, insideTo, padTop, padLeft, rows, chunks],
    chunks,
    Math.ceil((grainWork * chunks) / (4 * rows * outWidth * inChannels * taps)),
  )
  addChunks(engine, sums, bytes / 4, chunks)
  // [channels / 4][taps][4] -> [channels][taps].
  const [whole, rest] = [inChannels >> 2, inChannels & 3]
  moveElements(engine, sums, out, [whole, taps, 4], [4 * taps, 4, 1], [4 * taps, 1, taps])
  moveElements(engine, sums + whole * taps * 16, out + whole * taps * 16, [taps, rest], [4, 1], [1, taps])
}
