/**
 * The three linear maps of Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks", 2015, sections 4.1 and 4.3): a tile of the output is
 *
 *   Y = A^T [ (G w G^T) * (B^T d B) ] A
 *
 * for the tile d of the input, * element by element. F(4x4, 3x3) takes 36 products for 16 outputs instead of 144, and
 * F(2x2, 3x3) 16 for 4 instead of 36. The gradient by the weights is the same read backwards:
 * G^T [ sum (B^T d B) * (A dY A^T) ] G.
 */
import { type FunctionBuilder, f32x4, i32, type Local, type Value, v128 } from '../asm.ts'
import { multiplyAdd } from '../math.ts'

type Vector = Value<'v128'>
/** One dimension of a map: values in, values out; what is used twice is kept by `keep`. */
export type Line = (values: readonly Vector[], keep: (value: Vector) => Vector) => Vector[]

/*
 * The points of interpolation are 0, +-a, +-b and infinity. The usual 1 and 2 are cheap by hand, but their powers grow
 * apart; with 5/8 and 3/2, as in oneDNN's F(4x4, 3x3), rounding errors are half as large in the output and a third in
 * the weights' gradient. All powers of them that are used below are exact in float32.
 */
const a = 5 / 8
const b = 3 / 2
const [a2, b2] = [a * a, b * b]
/** Derivatives of x (x^2 - a^2) (x^2 - b^2) at 0, a and b: what the rows of G are divided by. */
const [at0, atA, atB] = [a2 * b2, 2 * a2 * (a2 - b2), 2 * b2 * (b2 - a2)]

/** The maps of a tile in one dimension, on the four channels of a vector at once. */
export interface Transforms {
  /** The side of a tile of the output; that of the input is 2 more. */
  readonly side: TileSide
  /** B^T. */
  readonly input: Line
  /** G. */
  readonly weight: Line
  /** A^T. */
  readonly output: Line
}

export type TileSide = 2 | 4

/** Products of a tile, and so planes of its transforms. */
export function planesOf(side: TileSide): number {
  return (side + 2) ** 2
}

export function transforms(side: TileSide, fma: boolean): Transforms {
  return side === 2 ? smallTiles : largeTiles(fma)
}

/** F(2x2, 3x3): the points 0, 1, -1 and infinity. */
const smallTiles: Transforms = {
  side: 2,
  input: ([d0, d1, d2, d3]) => [f32x4.sub(d0!, d2!), f32x4.add(d1!, d2!), f32x4.sub(d2!, d1!), f32x4.sub(d3!, d1!)],
  weight([w0, w1, w2], keep) {
    const outer = keep(f32x4.add(w0!, w2!))
    return [w0!, f32x4.mul(f32x4.add(outer, w1!), 0.5), f32x4.mul(f32x4.sub(outer, w1!), 0.5), w2!]
  },
  output: ([m0, m1, m2, m3]) => [f32x4.add(f32x4.add(m0!, m1!), m2!), f32x4.add(f32x4.sub(m1!, m2!), m3!)],
}

/** F(4x4, 3x3), and the maps of the gradient by the weights. */
export function largeTiles(fma: boolean): Transforms & Record<'outputGrad' | 'weightGrad', Line> {
  const { add, sub, mul } = f32x4
  const madd = (factor: number, x: Vector, y: Vector) => multiplyAdd(fma, f32x4.const(factor), x, y)
  return {
    side: 4,
    /** B^T, 6 to 6. */
    input([d0, d1, d2, d3, d4, d5], keep) {
      const evenA = keep(madd(-b2, d2!, d4!))
      const oddA = keep(madd(-b2, d1!, d3!))
      const evenB = keep(madd(-a2, d2!, d4!))
      const oddB = keep(madd(-a2, d1!, d3!))
      return [
        madd(a2 * b2, d0!, madd(-a2 - b2, d2!, d4!)),
        madd(a, oddA, evenA),
        madd(-a, oddA, evenA),
        madd(b, oddB, evenB),
        madd(-b, oddB, evenB),
        madd(a2 * b2, d1!, madd(-a2 - b2, d3!, d5!)),
      ]
    },
    /** G, 3 to 6. */
    weight([w0, w1, w2], keep) {
      const evenA = keep(madd(a2 / atA, w2!, mul(w0!, 1 / atA)))
      const evenB = keep(madd(b2 / atB, w2!, mul(w0!, 1 / atB)))
      return [
        mul(w0!, 1 / at0),
        madd(a / atA, w1!, evenA),
        madd(-a / atA, w1!, evenA),
        madd(b / atB, w1!, evenB),
        madd(-b / atB, w1!, evenB),
        w2!,
      ]
    },
    /** A^T, 6 to 4. */
    output([m0, m1, m2, m3, m4, m5], keep) {
      const evenA = keep(add(m1!, m2!))
      const oddA = keep(sub(m1!, m2!))
      const evenB = keep(add(m3!, m4!))
      const oddB = keep(sub(m3!, m4!))
      return [
        add(add(m0!, evenA), evenB),
        madd(b, oddB, mul(oddA, a)),
        madd(b2, evenB, mul(evenA, a2)),
        madd(b2 * b, oddB, madd(a2 * a, oddA, m5!)),
      ]
    },
    /** A, 4 to 6. */
    outputGrad([y0, y1, y2, y3], keep) {
      const evenA = keep(madd(a2, y2!, y0!))
      const oddA = keep(madd(a2, y3!, y1!))
      const evenB = keep(madd(b2, y2!, y0!))
      const oddB = keep(madd(b2, y3!, y1!))
      return [y0!, madd(a, oddA, evenA), madd(-a, oddA, evenA), madd(b, oddB, evenB), madd(-b, oddB, evenB), y3!]
    },
    /** G^T, 6 to 3. */
    weightGrad([u0, u1, u2, u3, u4, u5], keep) {
      const evenA = keep(add(u1!, u2!))
      const evenB = keep(add(u3!, u4!))
      return [
        madd(1 / atB, evenB, madd(1 / atA, evenA, mul(u0!, 1 / at0))),
        madd(b / atB, sub(u3!, u4!), mul(sub(u1!, u2!), a / atA)),
        madd(b2 / atB, evenB, madd(a2 / atA, evenA, u5!)),
      ]
    },
  }
}

/** Where value i of a line is: an address and a constant offset, or nothing if it is not wanted. */
export type Place = (i: number) => readonly [Value<'i32'>, number]

/** Vectors that lie side by side and are mapped at the same time: two, where the compiler makes one of two. */
export function vectorsAtOnce(turbo: boolean, channels: number): 1 | 2 {
  return turbo && channels % 8 === 0 ? 2 : 1
}

/** Bytes of a tile between its two maps. */
export const betweenBytes: number = 36 * 32

/** Reads `from` values, maps them, stores the results, vector number v of each `shift` = 16 v bytes further. */
export function emitLine(
  b: FunctionBuilder,
  line: Line,
  size: number,
  from: Place,
  store: (i: number, value: Vector, shift: number) => void,
  vectors = 1,
): void {
  const side = Array.from({ length: vectors }, (_, v) => v * 16)
  const values = Array.from({ length: size }, (_, i) => {
    const [address, offset] = from(i)
    return side.map((shift) => b.let(v128.load(address, offset + shift)))
  })
  const results = side.map((_, v) =>
    line(
      values.map((value) => value[v]!),
      (value) => b.let(value),
    ),
  )
  for (let i = 0; i < results[0]!.length; i++) side.forEach((shift, v) => void store(i, results[v]![i]!, shift))
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
