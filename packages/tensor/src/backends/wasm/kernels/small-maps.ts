/**
 * Convolutions of many images with few pixels each, as at the end of a network: the rows of a tile are images, all at the
 * same pixel of the output. So all rows meet the same cells of the kernel, those that lie inside: on a map of 2 x 2 that is
 * 4 of 9, and nothing is multiplied with padding. A panel of weights is read once for all images, and not once for each.
 */
import type { ConvSpec } from '../../backend.ts'
import { type FunctionBuilder, i32, ints, type Local } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { emitRange } from './depthwise.ts'
import type { DirectSpec } from './direct.ts'
import { grainWork } from './gemm.ts'
import { type PackSource, pack, packedBytes } from './pack.ts'
import { placementArgs, placementCount, placementLocals } from './placement.ts'
import { eachUnit, endingKey, roundUp, rowPointers, Tile, type TileShape } from './tile.ts'
import { tileShape } from './tile-choice.ts'

/** Pixels of an output that is small: on larger ones padding is a small part, and rows of pixels fill tiles. */
const fewPixels = 16
/** Images that fill some tiles. */
const enoughImages = 8
/** Channels that fill some tiles. */
const enoughChannels = 16

/** Whether `pixelwise` serves a convolution. */
export function suitsPixelwise(engine: Engine, s: DirectSpec): boolean {
  return (
    // In strict precision `direct` sums in short parts.
    engine.precision === 'fast' &&
    s.groups === 1 &&
    s.batch >= enoughImages &&
    s.outHeight * s.outWidth <= fewPixels &&
    Math.min(s.inChannels, s.groupOut) >= enoughChannels
  )
}

/** As `direct`: y = x * packed weights + bias, for one group. */
export function pixelwise(
  engine: Engine,
  x: number,
  packed: number,
  bias: number,
  y: number,
  spec: DirectSpec,
  shape: TileShape,
): void {
  const { kernelHeight, kernelWidth, strideHeight, strideWidth, dilationHeight, dilationWidth, inChannels } = spec
  const { groupOut, ending = {} } = spec
  const { rows, columns } = shape
  const column = inChannels * 4
  const depth = kernelHeight * kernelWidth * inChannels
  const panels = Math.ceil(groupOut / columns)
  const tail = groupOut % columns
  const oneRun = dilationWidth === 1 || kernelWidth === 1
  const key = `pixelwise ${rows} ${columns} ${inChannels} ${groupOut} ${kernelHeight} ${kernelWidth} ${strideHeight} ${strideWidth} ${dilationHeight} ${dilationWidth} ${bias !== 0} ${endingKey(ending)}`
  const kernel = engine.kernel(key, (module) => {
    module.func('run', ints(17), (b, x, packed, bias_, y, batch, ...rest) => {
      const { height, width, outHeight, outWidth, padTop, padLeft, outImage, outRow, outColumn, residual } =
        placementLocals(rest)
      const [from, to] = rest.slice(placementCount) as [Local<'i32'>, Local<'i32'>]
      const tile = new Tile(b, engine.fma, shape)
      const rowsA = Array.from({ length: rows }, () => b.local('i32'))
      const rowsC = Array.from({ length: rows }, () => b.local('i32'))
      const [panelAt, left, more, ox, image] = Array.from({ length: 5 }, () => b.local('i32')) as Five<Local<'i32'>>
      const inRow = i32.mul(width, column)
      const inImage = i32.mul(height, inRow)
      eachUnit(b, from, to, (unit) => {
        const panel = b.let(i32.divU(unit, outHeight))
        const oy = b.let(i32.remU(unit, outHeight))
        const iy = b.let(i32.sub(i32.mul(oy, strideHeight), padTop))
        const vertical = emitRange(b, iy, height, dilationHeight, kernelHeight)
        const kernelRows = b.let(i32.sub(vertical.high, vertical.low))
        const top = b.let(i32.add(iy, i32.mul(vertical.low, dilationHeight)))
        const biasAt = i32.add(bias_, i32.mul(panel, columns * 4))
        const sweep = (valid: number) => {
          b.set(ox, 0)
          b.for(ox, outWidth, 1, () => {
            const ix = b.let(i32.sub(i32.mul(ox, strideWidth), padLeft))
            const { low, high } = emitRange(b, ix, width, dilationWidth, kernelWidth)
            const cells = b.let(i32.sub(high, low))
            const any = b.let(i32.mul(cells, kernelRows))
            const run = b.let(i32.mul(cells, inChannels))
            const leftmost = i32.add(ix, i32.mul(low, dilationWidth))
            const start = b.let(i32.add(x, i32.mul(i32.add(i32.mul(top, width), leftmost), column)))
            const cell = i32.add(i32.mul(vertical.low, kernelWidth), low)
            const weights = b.let(
              i32.add(packed, i32.add(i32.mul(panel, depth * columns * 4), i32.mul(cell, inChannels * columns * 4))),
            )
            // From the last cell of a row that lies inside to the first of the next row.
            const nextRow = b.let(
              i32.sub(i32.mul(inRow, dilationHeight), i32.mul(cells, (oneRun ? 1 : dilationWidth) * column)),
            )
            const nextWeights = b.let(i32.mul(i32.sub(kernelWidth, cells), inChannels * columns * 4))
            const output = b.let(
              i32.add(i32.add(y, i32.mul(panel, columns * 4)), i32.add(i32.mul(oy, outRow), i32.mul(ox, outColumn))),
            )
            b.set(image, 0)
            b.for(image, batch, rows, () => {
              rowPointers(b, rowsA, i32.add(start, i32.mul(image, inImage)), inImage, image, batch)
              rowPointers(b, rowsC, i32.add(output, i32.mul(image, outImage)), outImage, image, batch)
              if (bias) tile.broadcast(b.let(biasAt), valid)
              else tile.clear()
              b.if(any, () => {
                b.set(panelAt, weights)
                b.set(left, kernelRows)
                b.repeat(left, () => {
                  if (oneRun) tile.multiply(rowsA, panelAt, run)
                  else {
                    b.set(more, cells)
                    b.repeat(more, () => {
                      tile.multiply(rowsA, panelAt, inChannels)
                      for (const pointer of rowsA) b.add(pointer, dilationWidth * column - inChannels * 4)
                    })
                  }
                  for (const pointer of rowsA) b.add(pointer, nextRow)
                  b.add(panelAt, nextWeights)
                })
              })
              const out = (i: number) => [rowsC[i]!, 0] as const
              tile.end(ending, residual, out, valid)
              tile.store(out, valid)
            })
          })
        }
        tailOrWhole(b, tail, i32.eq(i32.add(panel, 1), panels), columns, sweep)
      })
    })
  })
  const { batch, outHeight, outWidth } = spec
  engine.parallel(
    kernel,
    [x, packed, bias, y, batch, ...placementArgs(spec)],
    panels * outHeight,
    Math.ceil(grainWork / (batch * outWidth * depth * columns)),
  )
}

/** `body` for whole panels and, if the last one is narrow, once more for that. */
function tailOrWhole(
  b: FunctionBuilder,
  tail: number,
  isLast: ReturnType<typeof i32.eq>,
  columns: number,
  body: (valid: number) => void,
): void {
  if (tail === 0) body(columns)
  else
    b.if(
      isLast,
      () => body(tail),
      () => body(columns),
    )
}

/** Output channels of a panel of the gradient: a multiple of the rows of all tiles. */
const panelOut = 12
/** Bytes of a panel of the input, which all tiles with it read over and over. */
const panelBytes = 65536

/** Pixels of the output that are so few that storing and loading sums costs more than they do. */
const shortSum = 200

/** Whether `pixelwiseWeightGradient` serves a convolution. */
export function suitsPixelwiseWeightGradient(s: ConvSpec): boolean {
  return (
    s.groups === 1 &&
    (s.batch >= enoughImages || s.batch * s.outHeight * s.outWidth <= shortSum) &&
    s.batch * s.inHeight * s.inWidth * 64 <= panelBytes &&
    s.outChannels % 4 === 0 &&
    Math.min(s.inChannels, s.outChannels) >= enoughChannels
  )
}

/**
 * The gradient by the weights: for every cell of the kernel the product of the output's gradient, transposed, with the
 * input, over those pixels where the cell lies inside. Both are packed with the images of a pixel one after another, so a
 * row of pixels is one long sum, and the result is written once, where it belongs.
 */
export function pixelwiseWeightGradient(engine: Engine, x: number, g: number, out: number, spec: ConvSpec): void {
  const { batch, inChannels, outChannels, kernelHeight, kernelWidth, strideWidth, strideHeight } = spec
  const { dilationHeight, dilationWidth } = spec
  const chosen = tileShape(engine)
  const shape = outChannels % chosen.rows === 0 ? chosen : { rows: 4, columns: chosen.columns }
  const { rows, columns } = shape
  const tail = inChannels % columns
  const source = (n: number, pixels: number): PackSource => ({
    n,
    columnStride: 1,
    depths: [1, pixels, batch],
    strides: [0, n, pixels * n],
  })
  const inPixels = spec.inHeight * spec.inWidth
  const outPixels = spec.outHeight * spec.outWidth
  const fromX = source(inChannels, inPixels)
  const fromG = source(outChannels, outPixels)
  const packedX = engine.workspace(packedBytes(fromX, columns))
  const packedG = engine.workspace(packedBytes(fromG, panelOut))
  pack(engine, x, packedX, fromX, columns)
  pack(engine, g, packedG, fromG, panelOut)
  const panels = Math.ceil(inChannels / columns)
  const splits = Math.min(Math.ceil(outChannels / panelOut), Math.ceil(8 / panels))
  const blockOut = roundUp(Math.ceil(outChannels / splits), panelOut)
  const key = `pixelwiseGrad ${rows} ${columns} ${inChannels} ${outChannels} ${kernelHeight} ${kernelWidth} ${strideHeight} ${strideWidth} ${dilationHeight} ${dilationWidth}`
  const taps = kernelHeight * kernelWidth
  const kernel = engine.kernel(key, (module) => {
    module.func(
      'run',
      ints(14),
      (
        b,
        packedX,
        packedG,
        out,
        batch,
        height,
        width,
        outHeight,
        outWidth,
        padTop,
        padLeft,
        splits,
        blockOut,
        from,
        to,
      ) => {
        const tile = new Tile(b, engine.fma, shape)
        const [ky, kx, oc, oy, a, p, left] = Array.from({ length: 7 }, () => b.local('i32')) as Seven<Local<'i32'>>
        const pixelX = b.let(i32.mul(batch, columns * 4))
        const pixelG = b.let(i32.mul(batch, panelOut * 4))
        eachUnit(b, from, to, (unit) => {
          const panel = b.let(i32.divU(unit, splits))
          const firstOut = b.let(i32.mul(i32.remU(unit, splits), blockOut))
          const endOut = b.let(i32.add(firstOut, blockOut))
          b.if(i32.gtU(endOut, outChannels), () => b.set(endOut, outChannels))
          const source = b.let(i32.add(packedX, i32.mul(panel, i32.mul(i32.mul(height, width), pixelX))))
          const sweep = (valid: number) => {
            b.set(ky, 0)
            b.for(ky, kernelHeight, 1, () => {
              const y = b.let(i32.sub(i32.mul(ky, dilationHeight), padTop))
              const vertical = emitRange(b, y, height, strideHeight, outHeight)
              b.set(kx, 0)
              b.for(kx, kernelWidth, 1, () => {
                const x = b.let(i32.sub(i32.mul(kx, dilationWidth), padLeft))
                const { low, high } = emitRange(b, x, width, strideWidth, outWidth)
                const count = b.let(i32.sub(high, low))
                const steps = b.let(i32.mul(count, batch))
                const first = b.let(i32.add(x, i32.mul(low, strideWidth)))
                b.set(oc, firstOut)
                b.for(oc, endOut, rows, () => {
                  tile.clear()
                  const inPanel = i32.add(
                    i32.mul(i32.divU(oc, panelOut), i32.mul(i32.mul(outHeight, outWidth), pixelG)),
                    i32.shl(i32.remU(oc, panelOut), 2),
                  )
                  const panelG = b.let(i32.add(packedG, inPanel))
                  b.if(count, () => {
                    b.set(oy, vertical.low)
                    b.for(oy, vertical.high, 1, () => {
                      const iy = i32.add(y, i32.mul(oy, strideHeight))
                      b.set(a, i32.add(panelG, i32.mul(i32.add(i32.mul(oy, outWidth), low), pixelG)))
                      b.set(p, i32.add(source, i32.mul(i32.add(i32.mul(iy, width), first), pixelX)))
                      const along = (pixels: number) => tile.multiply([a], p, steps, panelOut * 4, pixels * columns * 4)
                      if (strideWidth === 1) along(1)
                      else {
                        b.if(
                          i32.eq(batch, 1),
                          () => along(strideWidth),
                          () => {
                            b.set(left, count)
                            b.repeat(left, () => {
                              tile.multiply([a], p, batch, panelOut * 4, columns * 4)
                              b.add(p, i32.mul(pixelX, strideWidth - 1))
                            })
                          },
                        )
                      }
                    })
                  })
                  const cell = i32.add(i32.mul(oc, taps), i32.add(i32.mul(ky, kernelWidth), kx))
                  const at = i32.add(i32.mul(cell, inChannels), i32.mul(panel, columns))
                  const target = b.let(i32.add(out, i32.shl(at, 2)))
                  tile.store((i) => [target, i * taps * inChannels * 4], valid)
                })
              })
            })
          }
          tailOrWhole(b, tail, i32.eq(i32.add(panel, 1), panels), columns, sweep)
        })
      },
    )
  })
  const { inHeight, inWidth, outHeight, outWidth, padTop, padLeft } = spec
  const units = panels * splits
  engine.parallel(
    kernel,
    [packedX, packedG, out, batch, inHeight, inWidth, outHeight, outWidth, padTop, padLeft, splits, blockOut],
    units,
    Math.ceil((grainWork * units) / (batch * outPixels * taps * inChannels * outChannels)),
  )
}

type Five<T> = [T, T, T, T, T]
type Seven<T> = [T, T, T, T, T, T, T]
