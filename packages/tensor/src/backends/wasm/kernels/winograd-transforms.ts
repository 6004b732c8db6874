/**
 * The three linear maps of Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional
 * Neural Networks", 2015, section 4.3): a 4 x 4 tile of the output is
 *
 *   Y = A^T [ (G w G^T) * (B^T d B) ] A
 *
 * for the 6 x 6 tile d of the input, * element by element: 36 products instead of 144. The gradient by the weights is
 * the same read backwards: G^T [ sum (B^T d B) * (A dY A^T) ] G.
 */
import { type FunctionBuilder, f32x4, i32, type Local, type Value, v128 } from '../asm.ts'
import { multiplyAdd } from './tile.ts'

type Vector = Value<'v128'>
/** One dimension of a map: values in, values out; what is used twice is kept by `keep`. */
export type Line = (values: readonly Vector[], keep: (value: Vector) => Vector) => Vector[]

/** The maps in one dimension, on the four channels of a vector at once. */
export function lines(fma: boolean): Record<'input' | 'weight' | 'output' | 'outputGrad' | 'weightGrad', Line> {
  const { add, sub, mul } = f32x4
  const madd = (factor: number, a: Vector, c: Vector) => multiplyAdd(fma, f32x4.const(factor), a, c)
  return {
    /** B^T, 6 to 6. */
    input([d0, d1, d2, d3, d4, d5], keep) {
      const a = keep(madd(-4, d2!, d4!))
      const b = keep(madd(-4, d1!, d3!))
      const c = keep(sub(d4!, d2!))
      const e = keep(mul(sub(d3!, d1!), 2))
      return [
        madd(4, d0!, madd(-5, d2!, d4!)),
        add(a, b),
        sub(a, b),
        add(c, e),
        sub(c, e),
        madd(4, d1!, madd(-5, d3!, d5!)),
      ]
    },
    /** G, 3 to 6. */
    weight([w0, w1, w2], keep) {
      const a = keep(mul(add(w0!, w2!), -1 / 6))
      const b = keep(mul(w1!, 1 / 6))
      const c = keep(madd(1 / 24, w0!, mul(w2!, 1 / 6)))
      const e = keep(mul(w1!, 1 / 12))
      return [mul(w0!, 1 / 4), sub(a, b), add(a, b), add(c, e), sub(c, e), w2!]
    },
    /** A^T, 6 to 4. */
    output([m0, m1, m2, m3, m4, m5], keep) {
      const a = keep(add(m1!, m2!))
      const b = keep(sub(m1!, m2!))
      const c = keep(add(m3!, m4!))
      const d = keep(sub(m3!, m4!))
      return [add(add(m0!, a), c), madd(2, d, b), madd(4, c, a), add(madd(8, d, b), m5!)]
    },
    /** A, 4 to 6. */
    outputGrad([y0, y1, y2, y3], keep) {
      const a = keep(add(y0!, y2!))
      const b = keep(add(y1!, y3!))
      const c = keep(madd(4, y2!, y0!))
      const d = keep(madd(8, y3!, add(y1!, y1!)))
      return [y0!, add(a, b), sub(a, b), add(c, d), sub(c, d), y3!]
    },
    /** G^T, 6 to 3. */
    weightGrad([u0, u1, u2, u3, u4, u5], keep) {
      const a = keep(add(u1!, u2!))
      const b = keep(add(u3!, u4!))
      return [
        madd(1 / 24, b, madd(-1 / 6, a, mul(u0!, 1 / 4))),
        madd(1 / 12, sub(u3!, u4!), mul(sub(u2!, u1!), 1 / 6)),
        madd(1 / 6, sub(b, a), u5!),
      ]
    },
  }
}

/** Where value i of a line is: an address and a constant offset, or nothing if it is not wanted. */
export type Place = (i: number) => readonly [Value<'i32'>, number]

/** Reads `from` values, maps them, stores the results. */
export function emitLine(
  b: FunctionBuilder,
  line: Line,
  size: number,
  from: Place,
  store: (i: number, value: Vector) => void,
): void {
  const values = Array.from({ length: size }, (_, i) => b.let(v128.load(...from(i))))
  line(values, (value) => b.let(value)).forEach((value, i) => {
    store(i, value)
  })
}

/** `turns` lines, in a loop of their own: unrolled, they would need more registers than there are. */
export function emitLines(b: FunctionBuilder, turns: number, body: () => void): void {
  const left: Local<'i32'> = b.local('i32')
  b.set(left, turns)
  b.repeat(left, body)
}

/** `count` pointers that are `step` apart, as locals; `advance` moves them all. */
export function pointers(b: FunctionBuilder, start: Value<'i32'>, step: Value<'i32'>, count: number): Local<'i32'>[] {
  const list = [b.let(start)]
  while (list.length < count) list.push(b.let(i32.add(list.at(-1)!, step)))
  return list
}

/** Bytes from plane to plane: an odd number of cache lines, so that the planes of a tile do not fall into one set. */
export function planeBytes(tiles: number, channels: number): number {
  const linesOfCache = Math.ceil((tiles * channels * 4) / 64)
  return (linesOfCache | 1) * 64
}
