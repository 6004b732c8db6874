/**
 * Packing: the right-hand matrix of a product is copied into panels [ceil(n / columns)][k][columns], so that the inner
 * loop reads it in one stream. The last panel is filled up with zeros. A product may also pack some panels at a time, by code that
 * is part of its own kernel.
 */
import { type FunctionBuilder, f32, i32, ints, type Local, type Operand, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { least } from './rows.ts'
import { eachUnit, rowPointers } from './tile.ts'

/**
 * A matrix of n columns whose k axis has up to three levels, as the weights of a convolution have: element
 * (t, u, c; j) is `t * strides[0] + u * strides[1] + c * strides[2] + j * columnStride` elements behind the start.
 */
export interface PackSource {
  readonly n: number
  readonly columnStride: number
  readonly depths: readonly [outer: number, middle: number, inner: number]
  readonly strides: readonly [outer: number, middle: number, inner: number]
}

/** Bytes of the packed matrix. */
export function packedBytes({ n, depths }: PackSource, columns: number): number {
  return Math.ceil(n / columns) * columns * depths[0] * depths[1] * depths[2] * 4
}

/** Packs the matrix at `from` into `to`. */
export function pack(engine: Engine, from: number, to: number, source: PackSource, columns: number): void {
  const { n, columnStride, depths, strides } = source
  // Where neighbours in memory are neighbours along j, vectors are copied; where they are along k, 4 x 4 transposed.
  const mode = columnStride === 1 ? 'copy' : strides[2] === 1 ? 'transpose' : 'plain'
  const kernel = engine.kernel(`pack ${columns} ${mode}`, (m) => {
    m.func('run', ints(12), (b, src, dst, n, stepJ, outer, stepO, middle, stepM, inner, stepI, first, last) => {
      const to = b.local('i32')
      b.set(to, i32.add(dst, i32.mul(i32.mul(first, columns * 4), i32.mul(outer, i32.mul(middle, inner)))))
      eachUnit(b, first, last, (panel) => {
        const j = b.let(i32.mul(panel, columns))
        const full = b.let(i32.leU(i32.add(j, columns), n))
        const start = b.let(i32.add(src, i32.mul(j, stepJ)))
        down(b, outer, start, stepO, (outerAt) => {
          down(b, middle, outerAt, stepM, (from) => {
            const left = b.let(inner)
            const scalars = () =>
              b.repeat(left, () => {
                const p = b.let(from)
                for (let c = 0; c < columns; c++) {
                  b.if(
                    i32.ltU(i32.add(j, c), n),
                    () => b.emit(f32.store(to, f32.load(p), c * 4)),
                    () => b.emit(f32.store(to, 0, c * 4)),
                  )
                  b.add(p, stepJ)
                }
                b.add(from, stepI)
                b.add(to, columns * 4)
              })
            if (mode === 'plain') return scalars()
            const vectors = mode === 'copy' ? copyRow : transposeRows
            b.if(full, () => {
              b.block((leave) =>
                b.loop((again) => {
                  leave(i32.ltU(left, vectors.turns))
                  vectors(b, from, to, stepJ, columns)
                  b.add(from, i32.mul(stepI, vectors.turns))
                  b.add(to, columns * 4 * vectors.turns)
                  b.add(left, -vectors.turns)
                  again()
                }),
              )
            })
            b.if(left, scalars)
          })
        })
      })
    })
  })
  const perPanel = depths[0] * depths[1] * depths[2] * columns
  engine.parallel(
    kernel,
    [from, to, n, columnStride * 4, depths[0], strides[0] * 4, depths[1], strides[1] * 4, depths[2], strides[2] * 4],
    Math.ceil(n / columns),
    Math.ceil(20000 / perPanel),
  )
}

/** `body(pointer)` for `count` >= 1 pointers that start at `from` and are `step` apart; `body` may move its own. */
function down(
  b: FunctionBuilder,
  count: Local<'i32'>,
  from: Local<'i32'>,
  step: Operand<'i32'>,
  body: (pointer: Local<'i32'>) => void,
): void {
  const at = b.let(from)
  const left = b.let(count)
  b.repeat(left, () => {
    body(b.let(at))
    b.add(at, step)
  })
}

function copyRow(b: FunctionBuilder, from: Local<'i32'>, to: Local<'i32'>, _: Local<'i32'>, columns: number): void {
  for (let c = 0; c < columns; c += 4) b.emit(v128.store(to, v128.load(from, c * 4), c * 4))
}
copyRow.turns = 1

function transposeRows(
  b: FunctionBuilder,
  from: Local<'i32'>,
  to: Local<'i32'>,
  stepJ: Local<'i32'>,
  columns: number,
): void {
  const p = b.let(from)
  for (let c = 0; c < columns; c += 4) {
    const rows = [0, 1, 2, 3].map(() => {
      const row = b.let(v128.load(p))
      b.add(p, stepJ)
      return row
    })
    transpose4(b, rows).forEach((row, k) => {
      b.emit(v128.store(to, row, (k * columns + c) * 4))
    })
  }
}
transposeRows.turns = 4

/** Panels that are packed together: of one alone, a row may be a single line of the cache in every page of the memory. */
export const groupPanels = 4

/** How the right-hand matrix B of a product lies: (k, n) by rows, or (n, k) and to be transposed. */
export type Lying = 'rows' | 'columns'

/** Panels of B at `right`, from `panel` to `last`, of them the rows from `depth` on, `steps` in number; they go to `own`. */
interface Place {
  readonly right: Local<'i32'>
  readonly own: Local<'i32'>
  readonly panel: Local<'i32'>
  readonly last: Local<'i32'>
  readonly depth: Local<'i32'>
  readonly steps: Local<'i32'>
  readonly n: Local<'i32'>
  readonly k: Local<'i32'>
}

/** How many panels are packed now. */
function groupOf(b: FunctionBuilder, { panel, last }: Place): Local<'i32'> {
  return b.let(least(i32.sub(last, panel), i32.const(groupPanels)))
}

/**
 * Packs a group of panels of B (k, n), row by row. What lies beyond column n may be anything, also what follows B in
 * the memory: no result comes of it.
 */
function packRows(b: FunctionBuilder, place: Place, columns: number): void {
  const { right, own, panel, depth, steps, n } = place
  const group = groupOf(b, place)
  const row = b.let(i32.add(right, i32.shl(i32.add(i32.mul(depth, n), i32.mul(panel, columns)), 2)))
  const rowTo = b.let(own)
  const panelBytes = b.let(i32.mul(steps, columns * 4))
  const left = b.let(steps)
  b.repeat(left, () => {
    const [from, to, panels] = [b.let(row), b.let(rowTo), b.let(group)]
    b.repeat(panels, () => {
      for (let c = 0; c < 4 * columns; c += 16) b.emit(v128.store(to, v128.load(from, c), c))
      b.add(from, columns * 4)
      b.add(to, panelBytes)
    })
    b.add(row, i32.shl(n, 2))
    b.add(rowTo, columns * 4)
  })
}

/** The same of B (n, k), by 4 x 4 blocks that are transposed. Columns beyond n repeat the last one. */
function packColumns(b: FunctionBuilder, place: Place, columns: number): void {
  const { right, own, panel, depth, steps, n, k } = place
  const rows = [0, 1, 2, 3].map(() => b.local('i32'))
  const [to, left] = [b.local('i32'), b.local('i32')]
  const column = b.let(i32.mul(panel, columns))
  const start = b.let(own)
  const group = groupOf(b, place)
  b.repeat(group, () => {
    for (let c = 0; c < columns; c += 4) {
      const first = b.let(least(i32.add(column, c), i32.sub(n, 1)))
      rowPointers(b, rows, i32.add(right, i32.shl(i32.add(i32.mul(first, k), depth), 2)), i32.shl(k, 2), first, n)
      b.set(to, i32.add(start, c * 4))
      b.set(left, i32.shrU(steps, 2))
      b.if(left, () =>
        b.repeat(left, () => {
          const block = rows.map((pointer) => b.let(v128.load(pointer)))
          transpose4(b, block).forEach((vector, i) => {
            b.emit(v128.store(to, vector, i * columns * 4))
          })
          for (const pointer of rows) b.add(pointer, 16)
          b.add(to, columns * 16)
        }),
      )
      b.set(left, i32.and(steps, 3))
      b.if(left, () =>
        b.repeat(left, () => {
          rows.forEach((pointer, i) => {
            b.emit(f32.store(to, f32.load(pointer), i * 4))
            b.add(pointer, 4)
          })
          b.add(to, columns * 4)
        }),
      )
    }
    b.add(column, columns)
    b.add(start, i32.mul(steps, columns * 4))
  })
}

/** Emits code that packs the next `groupPanels` panels, or as many as there are. */
export const packPanels: Readonly<Record<Lying, typeof packRows>> = { rows: packRows, columns: packColumns }

/** The columns of the 4 x 4 matrix whose rows are given. */
export function transpose4(b: FunctionBuilder, rows: readonly Local<'v128'>[]): Local<'v128'>[] {
  const [r0, r1, r2, r3] = rows as [Local<'v128'>, Local<'v128'>, Local<'v128'>, Local<'v128'>]
  const a = b.let(v128.shuffle32(r0, r1, [0, 4, 1, 5]))
  const c = b.let(v128.shuffle32(r0, r1, [2, 6, 3, 7]))
  const d = b.let(v128.shuffle32(r2, r3, [0, 4, 1, 5]))
  const e = b.let(v128.shuffle32(r2, r3, [2, 6, 3, 7]))
  return [
    b.let(v128.shuffle32(a, d, [0, 1, 4, 5])),
    b.let(v128.shuffle32(a, d, [2, 3, 6, 7])),
    b.let(v128.shuffle32(c, e, [0, 1, 4, 5])),
    b.let(v128.shuffle32(c, e, [2, 3, 6, 7])),
  ]
}
