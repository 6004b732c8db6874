/**
 * Kernels emitted from formulas: rows of elements, four at a time, each subexpression computed once and as far outside
 * the loops as what it depends on allows.
 */
import type { DType } from '../../dtype.ts'
import { type Expr, partsOf } from '../../formula.ts'
import {
  type FunctionBuilder,
  f32x4,
  i16x8,
  i32,
  i32x4,
  ints,
  type Local,
  type ModuleBuilder,
  type Type,
  type Value,
  v128,
} from './asm.ts'
import { costOf, FormulaValues, type Lanes } from './formula-value.ts'

type Vector = Value<'v128'>

/** How an operand or a result is walked along a row: `repeat` is stride 0, `dense` 1, `strided` any other. */
export interface Walked {
  readonly dtype: Exclude<DType, 'float64'>
  readonly step: 'repeat' | 'dense' | 'strided'
}

export const elementBytes: Record<Walked['dtype'], number> = { float32: 4, int32: 4, uint8: 1, bool: 1 }

/** Loops that a value changes in: 0 none, 1 that over rows, 2 that within a row. */
type Depth = 0 | 1 | 2

/** Where the rows of a kernel lie, and where its loops find operands and results. */
interface Rows {
  /** Operands, then results; those that are changed in place are one and the same. */
  readonly walks: readonly Walk[]
  readonly params: readonly Local<'f32'>[]
  /** Elements of a row; read once it has begun. */
  readonly count: Local<'i32'>
  readonly from: Local<'i32'>
  readonly to: Local<'i32'>
  /** Emits what leads to row `from`, to the row that begins, and from a row to the next. */
  readonly enter: () => void
  readonly begin: () => void
  readonly next: () => void
}

interface Walk extends Walked {
  /** Address of the element at hand. */
  readonly at: Local<'i32'>
  /** Bytes from element to element. */
  readonly bytes: number | Local<'i32'>
}

/** Types of the arguments of a kernel, and its rows by them. */
interface RowSource {
  readonly types: readonly Type[]
  rows(b: FunctionBuilder, args: readonly Local[]): Rows
}

/**
 * Rows of two loops. Arguments: for each operand and then the result the byte address, the bytes from row to row, those that
 * the step from the last row of a group to the next group has beyond that and, if it is strided, those from element to
 * element; the params; the rows of a group; the elements of a row, at least 4; the first row and end.
 */
export function regularRows(all: readonly Walked[], params: number): RowSource {
  const typesOf = ({ step }: Walked): Type[] => ints(step === 'strided' ? 4 : 3)
  return {
    types: [...all.flatMap(typesOf), ...new Array<Type>(params).fill('f32'), ...ints(4)],
    rows(b, args) {
      let next = 0
      const take = <T extends Type>(): Local<T> => args[next++] as Local<T>
      const walks = all.map(({ dtype, step }) => {
        const start = take<'i32'>()
        const toRow = take<'i32'>()
        const toGroup = take<'i32'>()
        const bytes = step === 'strided' ? take<'i32'>() : elementBytes[dtype]
        return { dtype, step, start, toRow, toGroup, bytes, at: b.local('i32') }
      })
      const given = Array.from({ length: params }, () => take<'f32'>())
      const [groupRows, count, from, to] = [take<'i32'>(), take<'i32'>(), take<'i32'>(), take<'i32'>()]
      /** Rows of the group from the one at hand on. */
      const left = b.local('i32')
      return {
        walks,
        params: given,
        count,
        from,
        to,
        enter() {
          const group = b.let(i32.divU(from, groupRows))
          b.set(left, i32.sub(groupRows, i32.remU(from, groupRows)))
          for (const { start, toRow, toGroup } of walks) {
            b.add(start, i32.add(i32.mul(toRow, from), i32.mul(toGroup, group)))
          }
        },
        begin() {
          for (const { at, start } of walks) b.set(at, start)
        },
        next() {
          for (const { start, toRow } of walks) b.add(start, toRow)
          b.add(left, -1)
          b.if(i32.eq(left, 0), () => {
            for (const { start, toGroup } of walks) b.add(start, toGroup)
            b.set(left, groupRows)
          })
        },
      }
    },
  }
}

/**
 * Rows of floats anywhere, as a list tells: for each its addresses in all operands and its number of elements, at least 4.
 * The first `results` operands are changed in place. Arguments: the list, the params, the first row and the end.
 */
export function listedRows(operands: number, results: number, params: number): RowSource {
  return {
    types: ['i32', ...new Array<Type>(params).fill('f32'), 'i32', 'i32'],
    rows(b, args) {
      const list = args[0] as Local<'i32'>
      const [from, to] = args.slice(-2) as [Local<'i32'>, Local<'i32'>]
      const count = b.local('i32')
      const walks = Array.from({ length: operands }, (): Walk => {
        return { dtype: 'float32', step: 'dense', bytes: 4, at: b.local('i32') }
      })
      return {
        walks: [...walks, ...walks.slice(0, results)],
        params: args.slice(1, -2) as Local<'f32'>[],
        count,
        from,
        to,
        enter: () => b.set(list, i32.add(list, i32.mul(from, 4 * (operands + 1)))),
        begin() {
          for (const [k, { at }] of walks.entries()) b.set(at, i32.load(list, 4 * k))
          b.set(count, i32.load(list, 4 * operands))
        },
        next: () => b.add(list, 4 * (operands + 1)),
      }
    },
  }
}

/**
 * Adds the function `run` to a module: result i of each row is `formulas[i]`. The last vector of a row overlaps the one
 * before if the count is no multiple of 4, so what is changed in place has rows of multiples.
 */
export function emitFormulas(m: ModuleBuilder, formulas: readonly Expr[], source: RowSource): void {
  m.func('run', source.types, (b, ...args) => {
    const { walks, params: given, count, from, to, enter, begin, next } = source.rows(b, args)
    const operands = walks.slice(0, walks.length - formulas.length)

    // --- values, each computed once ---
    const depthOf = (e: Expr): Depth => {
      if (e.kind === 'input') return operands[e.index]!.step === 'repeat' ? 1 : 2
      return Math.max(0, ...partsOf(e).map(depthOf)) as Depth
    }
    /** Elements before those that are loaded next. */
    let before = 0
    const load = (k: number): Lanes => {
      const { dtype, step, at, bytes } = walks[k]!
      const wide = elementBytes[dtype] === 4
      let value: Vector
      if (step === 'repeat') value = wide ? v128.load32Splat(at) : i32x4.splat(i32.load8U(at))
      else if (step === 'dense') {
        const offset = before * elementBytes[dtype]
        value = wide ? v128.load(at, offset) : i32x4.fromU16Low(i16x8.fromU8Low(v128.load32Zero(at, offset)))
      } else {
        const place = b.let(at)
        value = wide ? v128.load32Zero(place) : i32x4.splat(i32.load8U(place))
        for (let lane = 1; lane < 4; lane++) {
          const before = b.let(value)
          b.set(place, i32.add(place, bytes))
          value = wide ? v128.load32Lane(place, before, lane) : i32x4.replace(before, lane, i32.load8U(place))
        }
      }
      return dtype === 'float32' ? { float: b.let(value) } : { ints: b.let(value) }
    }
    const values = new FormulaValues(b, {
      input: load,
      param: (index) => f32x4.splat(given[index]!),
      lasts: (e) => depthOf(e) < 2,
    })
    /** Computes what changes in no deeper loop than `depth`. */
    const hoist = (e: Expr, depth: Depth): void => {
      if (e.kind === 'const') return
      if (depthOf(e) <= depth) values.evaluate(e)
      else for (const part of partsOf(e)) hoist(part, depth)
    }
    const forget = (depth: Depth): void => values.forget((e) => depthOf(e) >= depth)

    // --- loops ---
    const store = (lanes: Lanes, k: number, ahead: number): void => {
      const { dtype, step, at, bytes } = walks[k]!
      const wide = elementBytes[dtype] === 4
      let value: Vector
      if (dtype === 'float32') value = values.float(lanes)
      else if (dtype === 'bool') value = v128.and(values.mask(lanes), i32x4.const(1))
      else value = lanes.ints ?? i32x4.fromF32(values.float(lanes))
      const kept = b.let(value)
      if (step === 'dense') {
        const offset = ahead * elementBytes[dtype]
        if (wide) b.emit(v128.store(at, kept, offset))
        else {
          const packed = v128.shuffle(kept, kept, [0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12])
          b.emit(v128.store32Lane(at, packed, 0, offset))
        }
        return
      }
      const place = b.let(at)
      for (let lane = 0; lane < 4; lane++) {
        b.emit(wide ? v128.store32Lane(place, kept, lane) : v128.store8Lane(place, kept, lane * 4))
        b.set(place, i32.add(place, bytes))
      }
    }
    const moving = [...new Set(walks)].filter(({ step }) => step !== 'repeat')
    const advance = (elements: number): void => {
      for (const { at, bytes } of moving) {
        b.set(at, i32.add(at, typeof bytes === 'number' ? bytes * elements : i32.mul(bytes, elements)))
      }
    }
    /** Four elements, or several times four, of which hosts interleave the code as no store stands between their loads. */
    const step = (...aheads: readonly number[]): void => {
      const computed = aheads.map((ahead) => {
        before = ahead
        const lanes = formulas.map((e) => values.evaluate(e))
        forget(2)
        return lanes
      })
      for (const [j, lanes] of computed.entries()) {
        for (const [i, value] of lanes.entries()) store(value, operands.length + i, aheads[j] as number)
      }
    }
    const cost = formulas.reduce((sum, e) => sum + costOf(e), 0)
    const ahead = walks.some(({ step }) => step === 'strided') ? [0] : cost <= 16 ? [0, 4, 8, 12] : [0, 4]
    const elements = ahead.length * 4

    for (const e of formulas) hoist(e, 0)
    enter()
    const row = b.let(from)
    const left = b.local('i32')
    b.for(row, to, 1, () => {
      begin()
      for (const e of formulas) hoist(e, 1)
      b.set(left, count)
      if (elements > 4) {
        b.if(i32.geU(left, elements), () =>
          b.loop((again) => {
            step(...ahead)
            advance(elements)
            b.add(left, -elements)
            again(i32.geU(left, elements))
          }),
        )
      }
      b.if(left, () =>
        b.loop((again) => {
          b.if(i32.ltU(left, 4), () => {
            const back = b.let(i32.sub(4, left))
            for (const { at, bytes } of moving) b.set(at, i32.sub(at, i32.mul(back, bytes)))
            b.set(left, 4)
          })
          step(0)
          advance(4)
          b.add(left, -4)
          again(left)
        }),
      )
      next()
      forget(1)
    })
  })
}
