/**
 * Convolution with 3 x 3 kernels and stride 1 by Winograd's F(4x4, 3x3): tiles of the input are transformed into 36
 * planes, each plane is multiplied by the weights' plane as a small matrix product, and the products are transformed
 * into tiles of the output. Tiles are taken in blocks whose planes stay in the cache. On small maps F(2x2, 3x3) does the
 * same with 16 planes.
 *
 * The result differs from the direct sum by a few 1e-6 of its largest value; `precision: 'strict'` avoids it.
 */
import type { ConvSpec } from '../../backend.ts'
import { type FunctionBuilder, f32x4, i32, ints, type Local, type Operand, type Value, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { formulaOf } from '../formula-value.ts'
import { grainWork } from './gemm.ts'
import { type Band, emitBand, emitStrip, planStrips, stripArgs, type Windows } from './strip.ts'
import { type Ending, eachUnit, endingKey, roundUp, Tile } from './tile.ts'
import { planeTile } from './tile-choice.ts'
import {
  blockCapacity,
  emitInputTransform,
  evenly,
  stripBytes,
  tileWindows,
  transformedBytes,
  transformTiles,
} from './winograd-tiles.ts'
import {
  betweenBytes,
  emitLine,
  emitLines,
  planeBytes,
  planesOf,
  type TileSide,
  transforms,
  vectorsAtOnce,
} from './winograd-transforms.ts'
import { weightPlane } from './winograd-weights.ts'

/** Bytes of the planes of a block: half of a small second-level cache. */
const blockBytes = 393216
/** Tiles of a block at least and, where weights are large, those that are enough to read them for. */
const [leastTiles, manyTiles] = [16, 64] as const
/** Blocks for the threads, if there are tiles for them; with fewer, output channels are shared too, in about so many units. */
const fewBlocks = 16
const sharedUnits = 16

/**
 * y = x * weights + bias; `transformed` is what `transformWeights` gave for tiles of `side`. All are byte offsets.
 */
export function winograd(
  engine: Engine,
  x: number,
  transformed: number,
  bias: number,
  y: number,
  spec: Windows & Pick<ConvSpec, 'outChannels'>,
  side: TileSide,
  ending: Ending = {},
): void {
  const { inChannels, outChannels } = spec
  const planeCount = planesOf(side)
  const shape = planeTile(engine, outChannels)
  const { rows, columns } = shape
  const windows = tileWindows(spec, side)
  const tilesAcross = windows.outWidth
  const panels = Math.ceil(outChannels / columns)
  const paddedOut = panels * columns
  const weightBytes = weightPlane(inChannels, outChannels, columns)
  const tiles = windows.batch * windows.outHeight * tilesAcross
  const work = tiles * planeCount * inChannels * outChannels
  const sides = inChannels + paddedOut
  const wanted = Math.max(
    leastTiles,
    Math.floor(blockBytes / (4 * planeCount * sides)),
    Math.min(manyTiles, Math.ceil((inChannels * paddedOut) / (2 * sides))),
  )
  // Threads would not come out even in few blocks: there they transform the tiles first and then share the channels too. Sums
  // are the same either way.
  const shared =
    engine.pool.threads > 1 &&
    panels > 1 &&
    tiles < fewBlocks * wanted &&
    4 * planeCount * tiles * inChannels <= transformedBytes &&
    work >= 2 * grainWork
  const alone = shared || engine.pool.threads === 1
  const perBlock = Math.min(wanted, alone ? tiles : Math.max(leastTiles, Math.ceil(tiles / fewBlocks)))
  const plan = planStrips(windows, stripBytes, shared ? 1 : perBlock / tilesAcross)
  const bandTiles = plan.bandRows * tilesAcross
  const bands = windows.batch * plan.bands
  const blockBands = evenly(bands, Math.max(1, Math.floor(perBlock / bandTiles)))
  const blocks = Math.ceil(bands / blockBands)
  // Where one row of tiles is more than a block, it is taken in parts.
  const acrossBlock = shared ? tilesAcross : Math.ceil(tilesAcross / Math.max(1, Math.round(bandTiles / perBlock)))
  const wide = acrossBlock < tilesAcross
  const panelBlock = shared ? evenly(panels, Math.ceil((panels * blocks) / sharedUnits)) : panels
  const blockTiles = roundUp(blockCapacity(wide ? acrossBlock : blockBands * bandTiles), rows)
  // A block that begins anywhere may read rows that do not count behind the last tile.
  const capacity = shared ? blockCapacity(tiles + rows) : blockTiles
  const inPlane = planeBytes(capacity, inChannels)
  const outPlane = planeBytes(blockTiles, panelBlock * columns)
  const key = `winograd ${side} ${rows} ${columns} ${inChannels} ${outChannels} ${blockTiles} ${shared && capacity} ${panelBlock} ${bias !== 0} ${plan.copied} ${wide} ${engine.turbo} ${endingKey({ act: ending.act })}`
  const kernel = engine.kernel(key, (module) => {
    const multiplyPlane = module.func('product', ints(5), (b, ...places) =>
      emitProduct(b, new Tile(b, engine.fma, shape), { inChannels, panelBlock, panels }, ...places),
    )
    const transformInRow = module.func('in', ints(5), (b, at, pitch, own, planes, tiles) => {
      b.repeat(tiles, () => {
        emitInputTransform(b, engine, side, inChannels, at, pitch, own, planes, inPlane)
        b.add(planes, inChannels * 4)
        b.add(at, 4 * side * inChannels)
      })
    })
    const transformOutRow = module.func(
      'out',
      ints(10),
      (b, planes, own, biasAt, at, rowsLeft, columnsLeft, width, channels, residual, tiles) => {
        const outputs = { side, channels, outChannels, outPlane, width, ending, residual }
        b.repeat(tiles, () => {
          emitOutputTransform(b, engine, outputs, planes, own, bias ? biasAt : null, at, rowsLeft, columnsLeft)
          b.add(planes, panelBlock * columns * 4)
          b.add(at, 4 * side * outChannels)
          b.add(columnsLeft, -side)
        })
      },
    )
    module.func(
      'run',
      ints(27),
      (
        b,
        x,
        weights,
        bias_,
        y,
        height,
        width,
        bands,
        blockBands,
        across,
        acrossBlock,
        residual,
        inputs,
        scratch,
        perThread,
        ...rest
      ) => {
        const args = rest.slice(0, stripArgs)
        const [from, to, thread] = rest.slice(stripArgs) as Three<Local<'i32'>>
        const own = b.let(i32.add(scratch, i32.mul(thread, perThread)))
        const ownPlanes = b.let(i32.add(own, betweenBytes))
        const outPlanes = b.let(i32.add(ownPlanes, shared ? 0 : planeCount * inPlane))
        const strip = i32.add(outPlanes, planeCount * outPlane)
        const blocks = b.let(i32.divU(i32.add(bands, i32.sub(blockBands, 1)), blockBands))
        const local = () => b.local('i32')
        const [count, tileRow, at, planes] = [local(), local(), local(), local()]
        eachUnit(b, from, to, (unit) => {
          // Units that follow each other have the same weights.
          const firstPanel = b.let(i32.mul(i32.divU(unit, blocks), panelBlock))
          const first = b.let(i32.mul(i32.remU(unit, blocks), blockBands))
          const last = b.let(i32.add(first, blockBands))
          b.if(i32.gtU(last, bands), () => b.set(last, bands))
          const inPlanes = shared ? b.let(i32.add(inputs, i32.mul(first, i32.mul(across, inChannels * 4)))) : ownPlanes

          const firstChannel = b.let(i32.mul(firstPanel, columns))
          const channels = b.let(i32.sub(outChannels, firstChannel))
          b.if(i32.gtU(channels, panelBlock * columns), () => b.set(channels, panelBlock * columns))

          const transformIn = (band: Band, from: Operand<'i32'>, to: Local<'i32'>) => {
            b.set(tileRow, 0)
            b.for(tileRow, band.rows, 1, () => {
              const skipped = i32.mul(from, 4 * side * inChannels)
              b.set(at, i32.add(i32.add(band.start, skipped), i32.mul(tileRow, i32.mul(band.pitch, side))))
              const tiles = b.let(i32.sub(to, from))
              b.emit(transformInRow(at, band.pitch, own, planes, tiles))
              b.add(planes, i32.mul(tiles, inChannels * 4))
              b.add(count, tiles)
            })
          }
          // One call each, so that hosts soon run the better code that they prepare meanwhile.
          const multiply = () => {
            const [source, target, plane] = [b.let(inPlanes), b.let(outPlanes), b.let(weights)]
            b.repeat(b.let(i32.const(planeCount)), () => {
              b.emit(multiplyPlane(count, firstPanel, source, plane, target))
              b.add(source, inPlane)
              b.add(target, outPlane)
              b.add(plane, weightBytes)
            })
          }
          const transformOut = (band: Pick<Band, 'image' | 'top' | 'rows'>, from: Operand<'i32'>, to: Local<'i32'>) => {
            b.set(tileRow, 0)
            b.for(tileRow, band.rows, 1, () => {
              const top = b.let(i32.mul(i32.add(band.top, tileRow), side))
              const left = b.let(i32.mul(from, side))
              const pixel = i32.add(i32.mul(i32.add(i32.mul(band.image, height), top), width), left)
              b.set(at, i32.add(y, i32.mul(i32.add(i32.mul(pixel, outChannels), firstChannel), 4)))
              const rowsLeft = b.let(i32.sub(height, top))
              b.if(i32.gtU(rowsLeft, side), () => b.set(rowsLeft, side))
              const tiles = b.let(i32.sub(to, from))
              const biasAt = i32.add(bias_, i32.shl(firstChannel, 2))
              b.emit(
                transformOutRow(
                  planes,
                  own,
                  biasAt,
                  at,
                  rowsLeft,
                  i32.sub(width, left),
                  width,
                  channels,
                  residual,
                  tiles,
                ),
              )
              b.add(planes, i32.mul(tiles, panelBlock * columns * 4))
            })
          }
          const start = () => {
            b.set(count, 0)
            b.set(planes, inPlanes)
          }
          if (wide) {
            const band = emitStrip(b, plan.copied, windows, args, first, x, strip)
            const from = b.let(i32.const(0))
            b.for(from, across, acrossBlock, () => {
              const to = b.let(i32.add(from, acrossBlock))
              b.if(i32.gtU(to, across), () => b.set(to, across))
              start()
              transformIn(band, from, to)
              multiply()
              b.set(planes, outPlanes)
              transformOut(band, from, to)
            })
            return
          }
          if (shared) b.set(count, i32.mul(i32.sub(last, first), across))
          else {
            start()
            b.for(b.let(first), last, 1, (number) => {
              transformIn(emitStrip(b, plan.copied, windows, args, number, x, strip), 0, across)
            })
          }
          multiply()
          b.set(planes, outPlanes)
          b.for(b.let(first), last, 1, (number) => transformOut(emitBand(b, args, number), 0, across))
        })
      },
    )
  })
  const inputs = shared ? transformTiles(engine, x, windows, inChannels, capacity) : 0
  const perThread = betweenBytes + planeCount * ((shared ? 0 : inPlane) + outPlane) + roundUp(plan.bytes, 64)
  const scratch = engine.workspace(perThread * engine.pool.threads)
  const units = blocks * Math.ceil(panels / panelBlock)
  engine.parallel(
    kernel,
    [
      x,
      transformed,
      bias,
      y,
      spec.outHeight,
      spec.outWidth,
      bands,
      blockBands,
      tilesAcross,
      acrossBlock,
      ending.residual ?? 0,
      inputs,
      scratch,
      perThread,
      ...plan.args,
    ],
    units,
    Math.ceil((grainWork * units) / work),
  )
}

interface Product {
  readonly inChannels: number
  readonly panelBlock: number
  readonly panels: number
}

/** For one plane: out (count, columns) = in (count, inChannels) times the plane's weights. */
function emitProduct(
  b: FunctionBuilder,
  tile: Tile,
  { inChannels, panelBlock, panels }: Product,
  count: Local<'i32'>,
  firstPanel: Local<'i32'>,
  source: Local<'i32'>,
  weights: Local<'i32'>,
  target: Local<'i32'>,
): void {
  const { rows, columns } = tile
  const panelBytes = inChannels * columns * 4
  const [panel, row, a, p, c] = Array.from({ length: 5 }, () => b.local('i32')) as Five<Local<'i32'>>
  const end = b.let(i32.add(firstPanel, panelBlock))
  b.if(i32.gtU(end, panels), () => b.set(end, panels))
  b.add(weights, i32.mul(firstPanel, panelBytes))
  b.set(panel, firstPanel)
  b.for(panel, end, 1, () => {
    b.set(row, 0)
    b.for(row, count, rows, () => {
      b.set(a, i32.add(source, i32.mul(row, inChannels * 4)))
      b.set(c, i32.add(target, i32.mul(row, panelBlock * columns * 4)))
      b.set(p, weights)
      tile.clear()
      tile.multiply([a], p, inChannels, 4, columns * 4, inChannels * 4)
      tile.store((i) => [c, i * panelBlock * columns * 4])
    })
    b.add(weights, panelBytes)
    b.add(target, columns * 4)
  })
}

interface Outputs {
  readonly side: TileSide
  readonly channels: Local<'i32'>
  readonly outChannels: number
  readonly outPlane: number
  readonly width: Local<'i32'>
  readonly ending: Ending
  readonly residual: Local<'i32'>
}

/** The outputs of a tile, as far as they lie inside, from its products. */
function emitOutputTransform(
  b: FunctionBuilder,
  { fma, turbo }: Engine,
  { side, channels, outChannels, outPlane, width, ending, residual }: Outputs,
  planes: Local<'i32'>,
  scratch: Local<'i32'>,
  bias: Local<'i32'> | null,
  to: Local<'i32'>,
  rows: Local<'i32'>,
  columns: Local<'i32'>,
): void {
  const { output } = transforms(side, fma)
  const sideIn = side + 2
  const vectors = vectorsAtOnce(turbo, outChannels)
  const [channel, from, at, out, left] = Array.from({ length: 5 }, () => b.local('i32')) as Five<Local<'i32'>>
  b.set(channel, 0)
  b.for(channel, i32.shl(channels, 2), 16 * vectors, () => {
    b.set(from, i32.add(planes, channel))
    b.set(at, scratch)
    emitLines(b, sideIn, () => {
      emitLine(
        b,
        output,
        sideIn,
        (i) => [from, i * sideIn * outPlane],
        (i, value, shift) => b.emit(v128.store(at, value, i * 16 * sideIn * vectors + shift)),
        vectors,
      )
      b.add(from, outPlane)
      b.add(at, 16 * vectors)
    })
    b.set(at, scratch)
    b.set(out, i32.add(to, channel))
    b.set(left, rows)
    const biasAt = bias && b.let(i32.add(bias, channel))
    const plus = biasAt && Array.from({ length: vectors }, (_, v) => b.let(v128.load(biasAt, v * 16)))
    const finish = (summed: boolean) =>
      b.repeat(left, () => {
        const pixel: (() => Value<'void'>)[] = []
        emitLine(
          b,
          output,
          sideIn,
          (i) => [at, i * 16 * vectors],
          (i, value, shift) => {
            pixel.push(() => {
              const offset = i * outChannels * 4 + shift
              let result = plus ? f32x4.add(value, plus[shift / 16]!) : value
              if (summed) result = f32x4.add(result, v128.load(i32.add(out, residual), offset))
              return v128.store(out, b.let(ending.act ? formulaOf(b, ending.act, result) : result), offset)
            })
            if (pixel.length < vectors) return
            const whole = pixel.splice(0)
            const store = () => b.emit(...whole.map((part) => part()))
            if (i === 0) store()
            else b.if(i32.gtU(columns, i), store)
          },
          vectors,
        )
        b.add(at, 16 * sideIn * vectors)
        b.add(out, i32.mul(width, outChannels * 4))
      })
    // Both ways in one kernel: to compile another one takes longer than most passes.
    b.if(
      residual,
      () => finish(true),
      () => finish(false),
    )
  })
}

type Three<T> = [T, T, T]
type Five<T> = [T, T, T, T, T]
