import { describe, expect, it } from 'vitest'
import { erf as exactErf } from '../../src/backends/reference/functions.ts'
import { type FunctionBuilder, i32, type Value, v128 } from '../../src/backends/wasm/asm.ts'
import { cos, decay, erf, exp, log, pow, sigmoid, sin, tanh } from '../../src/backends/wasm/math.ts'
import { engine, unfused } from './kernels.ts'

type Emit = (b: FunctionBuilder, ...args: Value<'v128'>[]) => Value<'v128'>

/** The function on all elements of the inputs. */
function apply(name: string, emit: Emit, inputs: readonly Float32Array[], on = engine): Float32Array {
  const length = (inputs[0] as Float32Array).length
  const padded = Math.ceil(length / 4) * 4
  const buffers = [...inputs, new Float32Array(length)].map((data) => {
    const buffer = on.alloc('float32', padded)
    on.array(buffer).fill(1)
    on.array(buffer).set(data)
    return buffer
  })
  const kernel = on.kernel(name, (m) =>
    m.func('run', [...inputs.map(() => 'i32' as const), 'i32', 'i32'], (b, ...pointers) => {
      const count = pointers.at(-1)
      const at = pointers.slice(0, -1)
      if (count === undefined) return
      b.repeat(count, () => {
        const args = at.slice(0, -1).map((p) => v128.load(p))
        b.emit(v128.store(at.at(-1) as (typeof at)[0], emit(b, ...args)))
        for (const p of at) b.set(p, i32.add(p, 16))
      })
    }),
  )
  on.run(kernel, ...buffers.map((buffer) => buffer.ptr), padded / 4)
  const result = (on.array(buffers.at(-1) as (typeof buffers)[0]) as Float32Array).slice(0, length)
  for (const buffer of buffers) on.free(buffer)
  return result
}

const bits = new Int32Array(1)
const float = new Float32Array(bits.buffer)

/** The distance between the float32 numbers around |x|. */
function ulp(x: number): number {
  float[0] = Math.abs(x)
  if (!Number.isFinite(float[0])) return 2 ** 104
  const exponent = Math.max((bits[0] as number) >>> 23, 1)
  return 2 ** (exponent - 150)
}

/** The error of `got` in units in the last place; infinities must agree, and NaN with NaN, and the sign of zeros. */
function errorOf(got: number, exact: number): number {
  const rounded = Math.fround(exact)
  if (Object.is(got, rounded)) return 0
  if (Number.isNaN(got) || Number.isNaN(rounded)) return Infinity
  if (got === 0 && rounded === 0) return Infinity
  // One step beyond the largest number is infinity.
  const value = Number.isFinite(got) ? got : Math.sign(got) * 2 ** 128
  return Math.abs(value - exact) / ulp(exact)
}

/** Floats from everywhere: all exponents, both signs, with the special ones. */
function everywhere(step: number): Float32Array {
  const words: number[] = []
  for (let word = 0; word < 2 ** 32; word += step) words.push(word | 0)
  const special = new Float32Array([0, -0, 1, -1, Infinity, -Infinity, Number.NaN, 2 ** -149, -(2 ** -149), 2 ** -126])
  const data = new Float32Array(new Int32Array(words).buffer)
  return Float32Array.from([...data, ...special])
}

/** `count` floats evenly from `low` to `high`. */
function range(low: number, high: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1))
}

function worst(
  name: string,
  emit: Emit,
  exact: (...x: number[]) => number,
  inputs: readonly Float32Array[],
  on = engine,
): number {
  const got = apply(name, emit, inputs, on)
  let most = 0
  let where = ''
  got.forEach((value, i) => {
    const args = inputs.map((input) => input[i] as number)
    const error = errorOf(value, exact(...args))
    if (error > most) {
      most = error
      where = `${name}(${args}) = ${value}, should be ${exact(...args)}`
    }
  })
  if (process.env.SHOW_ERRORS) process.stderr.write(`${most.toFixed(3)} ulp: ${where}\n`)
  return most
}

const all = everywhere(40_009)

describe('functions of one argument are within 2 ulp', () => {
  const cases: [string, Emit, (x: number) => number, Float32Array][] = [
    ['exp', exp, Math.exp, range(-105, 90, 300_001)],
    ['log', log, Math.log, range(0, 4, 300_001)],
    ['tanh', tanh, Math.tanh, range(-10, 10, 300_001)],
    ['erf', erf, exactErf, range(-5, 5, 300_001)],
    ['sin', sin, Math.sin, range(-50, 50, 300_001)],
    ['cos', cos, Math.cos, range(-50, 50, 300_001)],
  ]
  it.each(cases)('%s', (name, emit, exact, dense) => {
    expect(worst(name, emit, exact, [dense])).toBeLessThan(2)
    const wide =
      name === 'sin' || name === 'cos' ? all.filter((x) => !(Math.abs(x) > 2 ** 29) || !Number.isFinite(x)) : all
    expect(worst(name, emit, exact, [wide])).toBeLessThan(2)
  })

  it('exp, with fused products and without', () => {
    expect([engine.fma, unfused.fma]).toEqual([true, false])
    const numbers = Float32Array.from([...range(-105, 90, 300_001), ...all])
    expect(worst('exp', exp, Math.exp, [numbers], unfused)).toBeLessThan(2)
    expect(apply('exp', exp, [numbers], unfused)).not.toEqual(apply('exp', exp, [numbers]))
  })
})

describe.each([
  ['', engine],
  [' without fused products', unfused],
])('functions that end at the smallest normal number%s', (_, on) => {
  const normal = -126 * Math.LN2

  it('decay is within 3 ulp, exactly 1 at 0, and then 0', () => {
    expect(worst('decay', decay, Math.exp, [range(normal, 0, 300_001)], on)).toBeLessThan(3)
    expect([...apply('decay', decay, [Float32Array.of(0, -0, -88.1, -1e30, -Infinity, Number.NaN)], on)]).toEqual([
      ...[1, 1, 0, 0, 0, Number.NaN],
    ])
  })

  it('sigmoid is within 4 ulp, and has its limits', () => {
    const exact = (x: number): number => 1 / (1 + Math.exp(-x))
    expect(worst('sigmoid', sigmoid, exact, [range(normal, 90, 300_001)], on)).toBeLessThan(4)
    const wide = all.filter((x) => !(x < normal))
    expect(worst('sigmoid', sigmoid, exact, [wide], on)).toBeLessThan(4)
    expect([...apply('sigmoid', sigmoid, [Float32Array.of(-Infinity, -200, 0, -0)], on)]).toEqual([0, 0, 0.5, 0.5])
  })
})

describe('pow', () => {
  /** C's pow; JavaScript gives NaN for 1 ** NaN and (-1) ** Infinity. */
  const exact = (x: number, y: number): number => (x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y)

  it('is within 1 ulp for positive bases', () => {
    const base = range(0, 20, 2001)
    for (const power of [-3.7, -2, -1, -0.5, 0.25, 0.5, 1, 1.5, 2, 3, 10, 33.3]) {
      expect(worst('pow', pow, exact, [base, new Float32Array(base.length).fill(power)])).toBeLessThan(1)
    }
  })

  it('follows C for every pair of special values', () => {
    const values = [0, -0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 2.5, -2.5, 1e-40, -1e-40, 1e30, -1e30, 2 ** 24, 2 ** 24 + 2]
    const special = [...values, Infinity, -Infinity, Number.NaN]
    const x = Float32Array.from(special.flatMap((a) => special.map(() => a)))
    const y = Float32Array.from(special.flatMap(() => special))
    const got = apply('pow', pow, [x, y])
    got.forEach((value, i) => {
      const [a, b] = [x[i] as number, y[i] as number]
      expect(errorOf(value, exact(a, b)), `pow(${a}, ${b}) = ${value}, should be ${exact(a, b)}`).toBeLessThan(1)
    })
  })
})
