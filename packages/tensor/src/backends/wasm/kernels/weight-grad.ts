/**
 * The gradient by the weights: for every kernel row, outer products of a run of the input with the output's gradient,
 * summed over all pixels. A tile holds rows (kernel column, input channel) by columns (output channel).
 *
 * The pixels are cut into a number of chunks that depends on the shape alone; each chunk has sums of its own, which are
 * added in order at the end. So the result is the same for any number of threads.
 */
import type { ConvSpec } from '../../backend.ts'
import { f32x4, i32, ints, type Local, type Value, v128 } from '../asm.ts'
import { moveElements } from '../copy.ts'
import type { Engine } from '../engine.ts'
import { grainWork } from './gemm.ts'
import { emitStrip, planStrips, stripArgs } from './strip.ts'
import { eachUnit, roundUp, Tile } from './tile.ts'
import { tileFor } from './tile-choice.ts'

/** Bytes of input of a band: with the gradient and the sums, about a first-level cache. */
const bandBytes = 16384
/** Bytes that the sums of all chunks may take. */
const sumBytes = 4e6

export function weightGradient(engine: Engine, x: number, g: number, out: number, whole: ConvSpec): void {
  const spec = flat(whole)
  const { groups, kernelHeight, kernelWidth, strideHeight, strideWidth, dilationHeight, dilationWidth } = spec
  const column = spec.inChannels * 4
  const groupIn = spec.inChannels / groups
  const groupOut = spec.outChannels / groups
  const oneRun = (groups === 1 && dilationWidth === 1) || kernelWidth === 1
  // Runs of input floats that meet one pixel of g: one per kernel row, or one per kernel cell.
  const run = oneRun ? kernelWidth * groupIn : groupIn
  const shape = tileFor(engine, groupOut, run)
  const { rows, columns } = shape
  const runsPerRow = oneRun ? 1 : kernelWidth
  const paddedRun = roundUp(run, rows)
  const paddedOut = roundUp(groupOut, columns)
  const runBytes = paddedRun * paddedOut * 4
  const bytes = groups * kernelHeight * runsPerRow * runBytes
  const plan = planStrips(spec, bandBytes)
  const bands = spec.batch * plan.bands
  // By the sums' size without what rounds them up to tiles, which are not the same on every machine.
  const sumFloats = spec.outChannels * groupIn * kernelHeight * kernelWidth
  const chunks = Math.min(bands, 16, Math.max(1, Math.floor(sumBytes / (4 * sumFloats))))
  const panels = paddedOut / columns
  const split = Math.min(panels, Math.ceil(8 / chunks))
  const panelBlock = Math.ceil(panels / split)
  const splits = Math.ceil(panels / panelBlock)
  const key = `weightGrad ${rows} ${columns} ${groups} ${groupIn} ${groupOut} ${kernelHeight} ${kernelWidth} ${strideHeight} ${strideWidth} ${dilationHeight} ${dilationWidth} ${plan.copied} ${splits}`
  const kernel = engine.kernel(key, (module) => {
    module.func('run', ints(22), (b, x, g, sums, outHeight, outWidth, bands, chunks, scratch, perThread, ...rest) => {
      const args = rest.slice(0, stripArgs)
      const [from, to, thread] = rest.slice(stripArgs) as Three<Local<'i32'>>
      const tile = new Tile(b, engine.fma, shape)
      const own = i32.add(scratch, i32.mul(thread, perThread))
      const locals = () => b.local('i32')
      const [group, kernelRow, kernelColumn, row, panel, left, inAt, gAt, at] = Array.from(
        { length: 9 },
        locals,
      ) as Nine<Local<'i32'>>
      eachUnit(b, from, to, (unit) => {
        const chunk = b.let(i32.divU(unit, splits))
        const firstPanel = b.let(i32.mul(i32.remU(unit, splits), panelBlock))
        const first = b.let(chunkStart(chunk, bands, chunks))
        const end = b.let(chunkStart(i32.add(chunk, 1), bands, chunks))
        const target = b.let(i32.add(sums, i32.mul(chunk, bytes)))
        b.for(b.let(first), end, 1, (number) => {
          const band = emitStrip(b, plan.copied, spec, args, number, x, own)
          const gStart = b.let(
            i32.add(
              g,
              i32.mul(i32.mul(i32.add(i32.mul(band.image, outHeight), band.top), outWidth), spec.outChannels * 4),
            ),
          )
          // From the end of an output row's input to the start of the next one's.
          const nextRow = b.let(i32.sub(i32.mul(band.pitch, strideHeight), i32.mul(outWidth, strideWidth * column)))
          b.set(group, 0)
          b.for(group, groups, 1, () => {
            b.set(kernelRow, 0)
            b.for(kernelRow, kernelHeight, 1, () => {
              b.set(kernelColumn, 0)
              b.for(kernelColumn, runsPerRow, 1, () => {
                const runStart = b.let(
                  i32.add(
                    i32.add(band.start, i32.mul(kernelRow, i32.mul(band.pitch, dilationHeight))),
                    i32.add(i32.mul(kernelColumn, dilationWidth * column), i32.mul(group, groupIn * 4)),
                  ),
                )
                const runNumber = i32.add(
                  i32.mul(i32.add(i32.mul(group, kernelHeight), kernelRow), runsPerRow),
                  kernelColumn,
                )
                const runSums = b.let(i32.add(target, i32.mul(runNumber, runBytes)))
                b.set(row, 0)
                b.for(row, run, rows, () => {
                  b.set(panel, firstPanel)
                  const lastPanel = b.let(i32.add(firstPanel, panelBlock))
                  b.if(i32.gtU(lastPanel, panels), () => b.set(lastPanel, panels))
                  b.for(panel, lastPanel, 1, () => {
                    b.set(inAt, i32.add(runStart, i32.shl(row, 2)))
                    b.set(gAt, i32.add(gStart, i32.add(i32.mul(group, groupOut * 4), i32.mul(panel, columns * 4))))
                    b.set(at, i32.add(runSums, i32.mul(i32.add(i32.mul(row, paddedOut), i32.mul(panel, columns)), 4)))
                    const place = (i: number) => [at, i * paddedOut * 4] as const
                    b.if(
                      i32.eq(number, first),
                      () => tile.clear(),
                      () => tile.load(place),
                    )
                    b.set(left, band.rows)
                    b.repeat(left, () => {
                      tile.multiply([inAt], gAt, outWidth, strideWidth * column, spec.outChannels * 4)
                      b.add(inAt, nextRow)
                    })
                    tile.store(place)
                  })
                })
              })
            })
          })
        })
      })
    })
  })
  const sums = engine.workspace(bytes * chunks)
  const scratch = plan.copied ? engine.workspace(plan.bytes * engine.pool.threads) : 0
  const work = (spec.batch * spec.outHeight * spec.outWidth * bytes) / 4
  const units = chunks * splits
  engine.parallel(
    kernel,
    [x, g, sums, spec.outHeight, spec.outWidth, bands, chunks, scratch, plan.bytes, ...plan.args],
    units,
    Math.ceil((grainWork * units) / work),
  )
  addChunks(engine, sums, bytes / 4, chunks)
  // [group][runs][run][out] -> [group][out][runs][run].
  const runs = kernelHeight * runsPerRow
  moveElements(
    engine,
    sums,
    out,
    [groups, runs, run, groupOut],
    [(runs * runBytes) / 4, runBytes / 4, paddedOut, 1],
    [groupOut * runs * run, run, 1, runs * run],
  )
}

/** A 1 x 1 kernel over whole images needs no rows: all pixels lie in one. Long rows are cut for the sake of chunks. */
function flat(spec: ConvSpec): ConvSpec {
  const { kernelHeight, kernelWidth, strideHeight, strideWidth, padTop, padLeft } = spec
  if (
    kernelHeight * kernelWidth * strideHeight * strideWidth !== 1 ||
    padTop !== 0 ||
    padLeft !== 0 ||
    spec.inHeight !== spec.outHeight ||
    spec.inWidth !== spec.outWidth
  )
    return spec
  const pixels = spec.batch * spec.outHeight * spec.outWidth
  // The longest row of at most 32 pixels that divides all: short, so that its channels stay in the cache.
  let row = Math.min(32, pixels)
  while (pixels % row !== 0) row--
  if (row < 8 && row < spec.outWidth) return spec
  return { ...spec, batch: pixels / row, inHeight: 1, outHeight: 1, inWidth: row, outWidth: row }
}

/** The band at which chunk number `chunk` begins. */
export function chunkStart(chunk: Value<'i32'>, bands: Value<'i32'>, chunks: Value<'i32'>): Value<'i32'> {
  return i32.divU(i32.mul(chunk, bands), chunks)
}

/** Adds the blocks of `length` floats that follow the first one to it, in order. */
export function addChunks(engine: Engine, at: number, length: number, chunks: number): void {
  if (chunks === 1) return
  const kernel = engine.kernel('addChunks', (module) => {
    module.func('run', ints(5), (b, at, bytes, chunks, from, to) => {
      eachUnit(b, from, to, (unit) => {
        const first = b.let(i32.add(at, i32.shl(unit, 4)))
        const next = b.let(first)
        const sum = b.let(v128.load(first))
        const left = b.let(i32.sub(chunks, 1))
        b.repeat(left, () => {
          b.add(next, bytes)
          b.set(sum, f32x4.add(sum, v128.load(next)))
        })
        b.emit(v128.store(first, sum))
      })
    })
  })
  engine.parallel(kernel, [at, length * 4, chunks], length / 4, Math.ceil(50000 / chunks))
}

type Three<T> = [T, T, T]
type Nine<T> = [T, T, T, T, T, T, T, T, T]
