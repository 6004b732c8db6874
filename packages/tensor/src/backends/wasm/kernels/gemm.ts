/**
 * The general matrix product: A as it lies, row by row, B in panels, both in blocks that fit the caches. B is packed beforehand
 * where that can be kept; otherwise every thread packs the panel that it needs next, which then is in its cache and nowhere else.
 */
import { i32, ints } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { groupPanels, type Lying, packPanels } from './pack.ts'
import { least } from './rows.ts'
import { type Ending, eachUnit, endingKey, roundUp, rowPointers, strictDepth, Tile, type TileShape } from './tile.ts'

/** Floats of A's block: half of a small second-level cache. */
const blockFloats = 32768
/** Largest depth of a block: a panel of B then fits in the first-level cache. */
const blockDepth = 512
/** Units that keep threads busy to the end of a product. */
const enoughUnits = 16
/** Multiply-adds that are worth a wake-up of another thread. */
export const grainWork = 500_000

/** With at most so many rows a product packs B as it goes, if there is nothing packed that is kept. */
export const packingRows = 512

export interface GemmOptions extends Ending {
  /** The product is added to what lies in C, and there must be no bias. */
  readonly more?: boolean
  /** B as it lies instead of packed. */
  readonly lying?: Lying | undefined
}

/** C (m, n) = A (m, k) B + bias, B packed in panels as wide as the tile unless it is said how it lies; all are byte offsets. */
export function gemm(
  engine: Engine,
  shape: TileShape,
  a: number,
  right: number,
  bias: number,
  c: number,
  m: number,
  n: number,
  k: number,
  { more = false, lying, ...ending }: GemmOptions = {},
): void {
  const { rows, columns } = shape
  const tail = n % columns
  const kernel = engine.kernel(
    `gemm ${rows} ${columns} ${tail} ${bias !== 0} ${more} ${lying} ${endingKey(ending)}`,
    (module) => {
      module.func(
        'run',
        ints(16),
        (
          b,
          a,
          right,
          bias_,
          c,
          m,
          n,
          k,
          rowBlock,
          panelBlock,
          depthBlock,
          residual,
          scratch,
          perThread,
          from,
          to,
          thread,
        ) => {
          const tile = new Tile(b, engine.fma, shape)
          const panels = b.let(i32.divU(i32.add(n, columns - 1), columns))
          const across = b.let(i32.divU(i32.add(panels, i32.sub(panelBlock, 1)), panelBlock))
          const rowsA = Array.from({ length: rows }, () => b.local('i32'))
          const rowsC = Array.from({ length: rows }, () => b.local('i32'))
          const [depth, steps, panelAt, start] = [b.local('i32'), b.local('i32'), b.local('i32'), b.local('i32')]
          const own = b.let(i32.add(scratch, i32.mul(thread, perThread)))
          eachUnit(b, from, to, (unit) => {
            const top = b.let(i32.mul(i32.divU(unit, across), rowBlock))
            const bottom = b.let(least(i32.add(top, rowBlock), m))
            const first = b.let(i32.mul(i32.remU(unit, across), panelBlock))
            const last = b.let(least(i32.add(first, panelBlock), panels))
            b.set(depth, 0)
            b.for(depth, k, depthBlock, () => {
              b.set(steps, least(depthBlock, i32.sub(k, depth)))
              const panel = b.let(first)
              b.for(panel, last, 1, () => {
                if (lying) {
                  const inGroup = b.let(i32.remU(i32.sub(panel, first), groupPanels))
                  const place = { right, own, panel, last, depth, steps, n, k }
                  b.if(i32.eq(inGroup, 0), () => packPanels[lying](b, place, columns))
                  b.set(start, i32.add(own, i32.mul(inGroup, i32.mul(steps, columns * 4))))
                } else b.set(start, i32.add(right, i32.mul(i32.add(i32.mul(panel, k), depth), columns * 4)))
                const biasAt = i32.add(bias_, i32.mul(panel, columns * 4))
                const sweep = (valid: number) => {
                  const row = b.let(top)
                  b.for(row, bottom, rows, () => {
                    rowPointers(
                      b,
                      rowsA,
                      i32.add(a, i32.mul(i32.add(i32.mul(row, k), depth), 4)),
                      i32.mul(k, 4),
                      row,
                      bottom,
                    )
                    const cAt = i32.mul(i32.add(i32.mul(row, n), i32.mul(panel, columns)), 4)
                    rowPointers(b, rowsC, i32.add(c, cAt), i32.mul(n, 4), row, bottom)
                    const out = (i: number) => [rowsC[i]!, 0] as const
                    b.if(
                      depth,
                      () => tile.clear(),
                      () => (bias ? tile.broadcast(b.let(biasAt), valid) : tile.clear()),
                    )
                    b.set(panelAt, start)
                    tile.multiply(rowsA, panelAt, steps)
                    if (more) tile.addFrom(out, valid)
                    else b.if(depth, () => tile.addFrom(out, valid))
                    if (ending.residual || ending.act) {
                      b.if(i32.geU(i32.add(depth, steps), k), () => tile.end(ending, residual, out, valid))
                    }
                    tile.store(out, valid)
                  })
                }
                if (tail)
                  b.if(
                    i32.eq(i32.add(panel, 1), panels),
                    () => sweep(tail),
                    () => sweep(columns),
                  )
                else sweep(columns)
              })
            })
          })
        },
      )
    },
  )
  const depthBlock = Math.min(k, engine.precision === 'strict' ? strictDepth : blockDepth)
  const panels = Math.ceil(n / columns)
  // Units enough, where the work is worth it, for threads to come out even.
  let rowBlock = Math.min(roundUp(m, rows), roundUp(Math.ceil(blockFloats / depthBlock), rows))
  let panelBlock = panels
  const wanted = Math.min(enoughUnits, Math.ceil((m * n * k) / grainWork))
  while (Math.ceil(m / rowBlock) * Math.ceil(panels / panelBlock) < wanted) {
    // Whoever has rows of his own packs panels that others pack as well.
    const byRows = rowBlock > rows && !lying && rowBlock * 2 > panelBlock * columns
    if (panelBlock > 1 && !byRows) panelBlock = Math.ceil(panelBlock / 2)
    else if (rowBlock > rows) rowBlock = roundUp(Math.ceil(rowBlock / 2), rows)
    else break
  }
  const units = Math.ceil(m / rowBlock) * Math.ceil(panels / panelBlock)
  const perThread = lying ? roundUp(groupPanels * columns * depthBlock * 4, 64) : 0
  const scratch = lying ? engine.workspace(perThread * engine.pool.threads) : 0
  const work = Math.max(1, rowBlock * panelBlock * columns * k)
  engine.parallel(
    kernel,
    [a, right, bias, c, m, n, k, rowBlock, panelBlock, depthBlock, ending.residual ?? 0, scratch, perThread],
    units,
    Math.ceil(grainWork / work),
  )
}
