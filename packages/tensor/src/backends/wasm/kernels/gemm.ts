/** The general matrix product: A as it lies, row by row, B packed in panels, both in blocks that fit the caches. */
import { type FunctionBuilder, i32, ints, type Local, select, type Value } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { least } from './rows.ts'
import { type Ending, eachUnit, endingKey, roundUp, strictDepth, Tile, type TileShape } from './tile.ts'

/** Floats of A's block: half of a small second-level cache. */
const blockFloats = 32768
/** Largest depth of a block: a panel of B then fits in the first-level cache. */
const blockDepth = 512
/** Units that keep threads busy to the end of a product. */
const enoughUnits = 16
/** Multiply-adds that are worth a wake-up of another thread. */
export const grainWork = 500_000

/**
 * C (m, n) = A (m, k) B + bias, B packed in panels as wide as the tile; all pointers are byte offsets. With `more`, the product is
 * added to what lies in C, and there must be no bias.
 */
export function gemm(
  engine: Engine,
  shape: TileShape,
  a: number,
  packed: number,
  bias: number,
  c: number,
  m: number,
  n: number,
  k: number,
  { more = false, ...ending }: Ending & { readonly more?: boolean } = {},
): void {
  const { rows, columns } = shape
  const tail = n % columns
  const kernel = engine.kernel(
    `gemm ${rows} ${columns} ${tail} ${bias !== 0} ${more} ${endingKey(ending)}`,
    (module) => {
      module.func(
        'run',
        ints(13),
        (b, a, packed, bias_, c, m, n, k, rowBlock, panelBlock, depthBlock, residual, from, to) => {
          const tile = new Tile(b, engine.fma, shape)
          const panels = b.let(i32.divU(i32.add(n, columns - 1), columns))
          const across = b.let(i32.divU(i32.add(panels, i32.sub(panelBlock, 1)), panelBlock))
          const rowsA = Array.from({ length: rows }, () => b.local('i32'))
          const rowsC = Array.from({ length: rows }, () => b.local('i32'))
          const [depth, steps, panelAt] = [b.local('i32'), b.local('i32'), b.local('i32')]
          eachUnit(b, from, to, (unit) => {
            const top = b.let(i32.mul(i32.divU(unit, across), rowBlock))
            const bottom = b.let(least(i32.add(top, rowBlock), m))
            const left = b.let(i32.mul(i32.remU(unit, across), panelBlock))
            const right = b.let(least(i32.add(left, panelBlock), panels))
            b.set(depth, 0)
            b.for(depth, k, depthBlock, () => {
              b.set(steps, least(depthBlock, i32.sub(k, depth)))
              const panel = b.let(left)
              b.for(panel, right, 1, () => {
                const start = b.let(i32.add(packed, i32.mul(i32.add(i32.mul(panel, k), depth), columns * 4)))
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
    if (rowBlock * 2 > panelBlock * columns && rowBlock > rows) rowBlock = roundUp(Math.ceil(rowBlock / 2), rows)
    else if (panelBlock > 1) panelBlock = Math.ceil(panelBlock / 2)
    else if (rowBlock > rows) rowBlock = roundUp(Math.ceil(rowBlock / 2), rows)
    else break
  }
  const units = Math.ceil(m / rowBlock) * Math.ceil(panels / panelBlock)
  const work = Math.max(1, rowBlock * panelBlock * columns * k)
  engine.parallel(
    kernel,
    [a, packed, bias, c, m, n, k, rowBlock, panelBlock, depthBlock, ending.residual ?? 0],
    units,
    Math.ceil(grainWork / work),
  )
}

/** Pointers of the rows `row`, `row + 1`, ...; rows at `end` and behind repeat the last one, which is then computed twice. */
export function rowPointers(
  b: FunctionBuilder,
  pointers: readonly Local<'i32'>[],
  first: Value<'i32'>,
  stride: Value<'i32'>,
  row: Local<'i32'>,
  end: Local<'i32'>,
): void {
  const step = b.let(stride)
  pointers.forEach((pointer, i) => {
    if (i === 0) b.set(pointer, first)
    else b.set(pointer, i32.add(pointers[i - 1]!, select(i32.ltU(i32.add(row, i), end), step, i32.const(0))))
  })
}
