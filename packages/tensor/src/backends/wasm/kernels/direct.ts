/**
 * Direct convolution. For a fixed row of the kernel the loop over its columns and the input channels is one run of
 * floats in memory, so a convolution is a matrix product whose rows of A are found in place: no unfolded copy is made.
 */
import { type FunctionBuilder, i32, ints, type Local } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { grainWork } from './gemm.ts'
import { least } from './rows.ts'
import { emitStrip, planStrips, stripArgs, type Windows } from './strip.ts'
import { type Ending, eachUnit, endingKey, strictDepth, Tile, type TileShape } from './tile.ts'

/** A convolution with packed weights; all places are byte offsets. */
export interface DirectSpec extends Windows {
  readonly groups: number
  /** Output channels of a group. */
  readonly groupOut: number
  /** Bytes from one output image, row and pixel to the next. */
  readonly outImage: number
  readonly outRow: number
  readonly outColumn: number
  /** Under fast precision alone. */
  readonly ending?: Ending
}

/** Bytes of a strip: a share of a small second-level cache. */
const stripBytes = 131072
/** Bytes of packed weights that are too many to be read anew for every band: with more, strips may have as many. */
const heavyWeights = 1e6
/** Units that keep threads busy. */
const enoughUnits = 16

/**
 * y = x * packed weights + bias. Panels of group g and columns j follow each other, each as
 * [kernelHeight][kernelWidth][groupIn][columns of `shape`].
 */
export function direct(
  engine: Engine,
  x: number,
  packed: number,
  bias: number,
  y: number,
  spec: DirectSpec,
  shape: TileShape,
): void {
  const { groups, groupOut, kernelHeight, kernelWidth, strideHeight, strideWidth, dilationHeight, dilationWidth } = spec
  const column = spec.inChannels * 4
  const groupIn = spec.inChannels / groups
  const { ending = {} } = spec
  const { rows, columns } = shape
  const panels = Math.ceil(groupOut / columns)
  const tail = groupOut % columns
  const depth = kernelHeight * kernelWidth * groupIn
  // A row of the kernel is one run if nothing lies between its cells.
  const oneRun = (groups === 1 && dilationWidth === 1) || kernelWidth === 1
  const run = oneRun ? kernelWidth * groupIn : groupIn
  // Partial sums of a run; 0 for none.
  const sums = engine.precision === 'strict' && depth > strictDepth ? Math.ceil(run / strictDepth) : 0
  const perImage = spec.outHeight * spec.outWidth * groupOut * groups * depth
  // Heavy weights are split among the units, instead of the rows of the output.
  const heavy = groups === 1 && depth * groupOut * 4 > heavyWeights
  const plan = heavy
    ? planStrips(spec, heavyWeights)
    : planStrips(spec, stripBytes, (spec.outHeight * spec.batch) / enoughUnits)
  const wanted = heavy ? Math.ceil(enoughUnits / (spec.batch * plan.bands)) : 1
  const panelBlock = Math.ceil(panels / Math.min(panels, wanted))
  const parts = Math.ceil(panels / panelBlock)
  const key = `direct ${rows} ${columns} ${groups} ${groupIn} ${groupOut} ${kernelHeight} ${kernelWidth} ${strideHeight} ${strideWidth} ${dilationHeight} ${dilationWidth} ${bias !== 0} ${plan.copied} ${sums} ${parts} ${endingKey(ending)}`
  const kernel = engine.kernel(key, (module) => {
    module.func(
      'run',
      ints(24),
      (b, x, packed, bias_, y, outWidth, outImage, outRow, outColumn, residual, scratch, perThread, ...rest) => {
        const [from, to, thread] = rest.slice(stripArgs) as Three<Local<'i32'>>
        const tile = new Tile(b, engine.fma, shape)
        const rowsA = Array.from({ length: rows }, () => b.local('i32'))
        const rowsC = Array.from({ length: rows }, () => b.local('i32'))
        const [pixel, next, ox, inAt, inRow, outAt, outRowAt, panelAt] = Array.from({ length: 8 }, () =>
          b.local('i32'),
        ) as Local<'i32'>[] as Eight<Local<'i32'>>
        const own = i32.add(scratch, i32.mul(thread, perThread))
        eachUnit(b, from, to, (unit) => {
          const number = parts > 1 ? b.let(i32.divU(unit, parts)) : unit
          const band = emitStrip(b, plan.copied, spec, rest, number, x, own)
          const count = b.let(i32.mul(band.rows, outWidth))
          const inStep = b.let(i32.mul(band.pitch, strideHeight))
          // From the end of one kernel row to the start of the next.
          const nextRow = b.let(
            i32.sub(i32.mul(band.pitch, dilationHeight), oneRun ? run * 4 : kernelWidth * dilationWidth * column),
          )
          const output = b.let(i32.add(y, i32.add(i32.mul(band.image, outImage), i32.mul(band.top, outRow))))
          const sweep = (group: Local<'i32'>, panel: Local<'i32'>, valid: number) => {
            const panelStart = b.let(
              i32.add(packed, i32.mul(i32.add(i32.mul(group, panels), panel), depth * columns * 4)),
            )
            const channel = b.let(i32.add(i32.mul(group, groupOut * 4), i32.mul(panel, columns * 4)))
            b.set(inRow, i32.add(band.start, i32.mul(group, groupIn * 4)))
            b.set(inAt, inRow)
            b.set(outRowAt, i32.add(output, channel))
            b.set(outAt, outRowAt)
            b.set(ox, 0)
            b.set(pixel, 0)
            b.for(pixel, count, rows, () => {
              b.set(next, pixel)
              for (let i = 0; i < rows; i++) {
                b.set(rowsA[i]!, inAt)
                b.set(rowsC[i]!, outAt)
                b.add(next, 1)
                // At the end the last pixel stays and is computed again.
                b.if(i32.ltU(next, count), () => {
                  b.add(ox, 1)
                  b.if(
                    i32.eq(ox, outWidth),
                    () => {
                      b.set(ox, 0)
                      b.add(inRow, inStep)
                      b.set(inAt, inRow)
                      b.add(outRowAt, outRow)
                      b.set(outAt, outRowAt)
                    },
                    () => {
                      b.add(inAt, strideWidth * column)
                      b.add(outAt, outColumn)
                    },
                  )
                })
              }
              if (bias) tile.broadcast(b.let(i32.add(bias_, channel)), valid)
              else tile.clear()
              b.set(panelAt, panelStart)
              // Under strict precision short partial sums are added to what lies in the result, the bias first.
              const out = (i: number) => [rowsC[i]!, 0] as const
              if (sums > 0) tile.store(out, valid)
              const part = (steps: number) => {
                tile.clear()
                tile.multiply(rowsA, panelAt, steps)
                tile.addFrom(out, valid)
                tile.store(out, valid)
              }
              const multiply = () => {
                if (sums === 0) tile.multiply(rowsA, panelAt, run)
                else if (sums > 1) times(b, sums - 1, () => part(strictDepth))
                if (sums > 0) part(run - (sums - 1) * strictDepth)
              }
              times(b, kernelHeight, () => {
                if (oneRun) multiply()
                else
                  times(b, kernelWidth, () => {
                    multiply()
                    for (const pointer of rowsA) b.add(pointer, dilationWidth * column - groupIn * 4)
                  })
                if (kernelHeight > 1) for (const pointer of rowsA) b.add(pointer, nextRow)
              })
              tile.end(ending, residual, out, valid)
              if (sums === 0) tile.store(out, valid)
            })
          }
          const [group, panel] = [b.local('i32'), b.local('i32')]
          const first = b.let(parts > 1 ? i32.mul(i32.remU(unit, parts), panelBlock) : i32.const(0))
          const end = b.let(i32.add(first, panelBlock))
          const whole = tail ? panels - 1 : panels
          b.set(group, 0)
          b.for(group, groups, 1, () => {
            b.set(panel, first)
            b.for(panel, least(end, i32.const(whole)), 1, () => sweep(group, panel, columns))
            if (tail) b.if(i32.gtU(end, whole), () => sweep(group, panel, tail))
          })
        })
      },
    )
  })
  const units = spec.batch * plan.bands * parts
  const scratch = plan.copied ? engine.workspace(plan.bytes * engine.pool.threads) : 0
  engine.parallel(
    kernel,
    [
      x,
      packed,
      bias,
      y,
      spec.outWidth,
      spec.outImage,
      spec.outRow,
      spec.outColumn,
      ending.residual ?? 0,
      scratch,
      plan.bytes,
      ...plan.args,
    ],
    units,
    Math.ceil((grainWork * plan.bands * parts) / perImage),
  )
}

/** `body` emitted once, in a loop of `count` turns. */
function times(b: FunctionBuilder, count: number, body: () => void): void {
  const left = b.local('i32')
  b.set(left, count)
  if (count === 1) body()
  else b.repeat(left, body)
}

type Three<T> = [T, T, T]
type Eight<T> = [T, T, T, T, T, T, T, T]
