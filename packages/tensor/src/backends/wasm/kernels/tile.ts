/**
 * The innermost loop of every matrix product and convolution: a tile of the result that stays in registers while a
 * column of A, one number per row, meets a row of B, one vector per four columns.
 */
import { type Expr, formulaKey } from '../../../formula.ts'
import { type FunctionBuilder, f32x4, i32, type Local, type Operand, select, type Value, v128 } from '../asm.ts'
import { formulaOf } from '../formula-value.ts'
import { multiplyAdd } from '../math.ts'

/**
 * Products in a partial sum under strict precision. The rounding error of a sum grows with the root of its length, so that
 * of 1000 products in parts of 64 has about a third of what one long sum has.
 */
export const strictDepth = 64

/** What becomes of sums when they are stored. */
export interface Ending {
  /** Bytes from a cell of the result to the number that is added to it; 0 for none. */
  readonly residual?: number
  /** The activation, a formula of one operand. */
  readonly act?: Expr | undefined
}

/** How an ending stands in the key of a kernel. */
export function endingKey({ residual = 0, act }: Ending): string {
  return `${residual !== 0} ${act && formulaKey(act)}`
}

/** Rows and columns of a tile; `columns` is a multiple of 4 and the width of the panels that B is packed in. */
export interface TileShape {
  readonly rows: number
  readonly columns: number
}

/** Where row i of the tile is: a pointer and a constant byte offset. */
export type RowAddress = (row: number) => readonly [pointer: Value<'i32'>, offset: number]

/** The first `count` floats at an address, zeros in the other lanes. */
export function loadFloats(address: Value<'i32'>, offset: number, count: number): Value<'v128'> {
  if (count >= 4) return v128.load(address, offset)
  if (count === 1) return v128.load32Zero(address, offset)
  const two = v128.load64Zero(address, offset)
  return count === 2 ? two : v128.load32Lane(address, two, 2, offset + 8)
}

/** Stores the first `count` lanes and touches no other byte. */
export function storeFloats(
  b: FunctionBuilder,
  address: Value<'i32'>,
  value: Value<'v128'>,
  offset: number,
  count: number,
): void {
  if (count >= 4) b.emit(v128.store(address, value, offset))
  else if (count === 1) b.emit(v128.store32Lane(address, value, 0, offset))
  else b.emit(v128.store64Lane(address, value, 0, offset))
  if (count === 3) b.emit(v128.store32Lane(address, value, 2, offset + 8))
}

/** Code that works on one tile; all methods emit. */
export class Tile {
  readonly rows: number
  readonly columns: number
  readonly acc: readonly (readonly Local<'v128'>[])[]
  private readonly b: FunctionBuilder
  private readonly fma: boolean
  private readonly vectors: readonly Local<'v128'>[]
  private readonly scalar: Local<'v128'>

  constructor(b: FunctionBuilder, fma: boolean, { rows, columns }: TileShape) {
    this.b = b
    this.fma = fma
    this.rows = rows
    this.columns = columns
    const vectors = () => Array.from({ length: columns / 4 }, () => b.local('v128'))
    this.acc = Array.from({ length: rows }, vectors)
    this.vectors = vectors()
    this.scalar = b.local('v128')
  }

  clear(): void {
    for (const row of this.acc) for (const acc of row) this.b.set(acc, f32x4.const(0))
  }

  /** Every row becomes the vectors at `pointer`, of which `valid` columns count. */
  broadcast(pointer: Value<'i32'>, valid: number = this.columns): void {
    this.acc.forEach((row, i) => {
      row.forEach((acc, j) => {
        if (i > 0) this.b.set(acc, this.acc[0]![j]!)
        else this.b.set(acc, 4 * j < valid ? loadFloats(pointer, 16 * j, valid - 4 * j) : f32x4.const(0))
      })
    })
  }

  /** The ending of sums whose results lie at `address`; `residual` is that of the ending as the kernel is told it. */
  end(ending: Ending, residual: Local<'i32'>, address: RowAddress, valid: number): void {
    if (ending.residual) {
      this.addFrom((row) => {
        const [pointer, offset] = address(row)
        return [this.b.let(i32.add(pointer, residual)), offset]
      }, valid)
    }
    if (ending.act) for (const acc of this.acc.flat()) this.b.set(acc, formulaOf(this.b, ending.act, acc))
  }

  load(address: RowAddress, valid: number = this.columns): void {
    this.each(address, valid, (acc, pointer, offset, count) => this.b.set(acc, loadFloats(pointer, offset, count)))
  }

  /** Adds what lies there. */
  addFrom(address: RowAddress, valid: number = this.columns): void {
    this.each(address, valid, (acc, pointer, offset, count) =>
      this.b.set(acc, f32x4.add(acc, loadFloats(pointer, offset, count))),
    )
  }

  store(address: RowAddress, valid: number = this.columns): void {
    this.each(address, valid, (acc, pointer, offset, count) => storeFloats(this.b, pointer, acc, offset, count))
  }

  /**
   * `steps` >= 1 products along k: `rows` are pointers into A that advance by `stepA` bytes, `panel` one into B that
   * advances by `stepB`. With one pointer for all rows, row i is `i * rowBytes` bytes further.
   */
  multiply(
    rows: readonly Local<'i32'>[],
    panel: Local<'i32'>,
    steps: Operand<'i32'>,
    stepA: Operand<'i32'> = 4,
    stepB: Operand<'i32'> = this.columns * 4,
    rowBytes = 4,
  ): void {
    const { b } = this
    const count = b.local('i32')
    b.set(count, steps)
    b.repeat(count, () => {
      this.step((i) => (rows.length > 1 ? [rows[i]!, 0] : [rows[0]!, i * rowBytes]), panel)
      for (const pointer of rows) b.add(pointer, stepA)
      b.add(panel, stepB)
    })
  }

  /** One product: a number of A per row, a row of B. */
  step(address: RowAddress, panel: Value<'i32'>): void {
    const { b } = this
    this.vectors.forEach((vector, j) => {
      b.set(vector, v128.load(panel, 16 * j))
    })
    this.acc.forEach((row, i) => {
      b.set(this.scalar, v128.load32Splat(...address(i)))
      row.forEach((acc, j) => {
        b.set(acc, multiplyAdd(this.fma, this.scalar, this.vectors[j]!, acc))
      })
    })
  }

  private each(
    address: RowAddress,
    valid: number,
    visit: (acc: Local<'v128'>, pointer: Value<'i32'>, offset: number, count: number) => void,
  ): void {
    this.acc.forEach((row, i) => {
      const [pointer, offset] = address(i)
      row.forEach((acc, j) => {
        if (4 * j < valid) visit(acc, pointer, offset + 16 * j, valid - 4 * j)
      })
    })
  }
}

/** A function over `units` that the engine splits: `body(unit)` for each unit in [from, to). */
export function eachUnit(
  b: FunctionBuilder,
  from: Local<'i32'>,
  to: Local<'i32'>,
  body: (unit: Local<'i32'>) => void,
): void {
  b.for(b.let(from), to, 1, body)
}

/** The whole steps that `n` takes. */
export function roundUp(n: number, step: number): number {
  return Math.ceil(n / step) * step
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
