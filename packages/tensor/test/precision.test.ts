import { afterEach, describe, expect, it } from 'vitest'
import {
  ArgumentError,
  checkpoint,
  conv2d,
  Generator,
  getPrecision,
  grad,
  linear,
  type Precision,
  randn,
  setPrecision,
  type Tensor,
  withPrecision,
} from '../src/index.ts'

afterEach(() => setPrecision('fast'))

const generator = new Generator(3)
const x = randn([2, 24, 12, 12], { generator })
const weight = randn([32, 24, 3, 3], { generator })
const wide = randn([16, 600], { generator })
const matrix = randn([20, 600], { generator })
for (const leaf of [x, weight, wide, matrix]) leaf.requiresGrad = true

type Forward = () => Tensor

const convolve: Forward = () => conv2d(x, weight, undefined, { padding: 1 })
const multiply: Forward = () => linear(wide, matrix)

/** The output and both gradients, which are computed after `scope` has ended. */
function numbers(forward: Forward, inputs: Tensor[], scope: (forward: Forward) => Tensor): Float32Array[] {
  const y = scope(forward)
  return [y, ...grad(y.mul(y).sum(), inputs)].map((result) => (result as Tensor).dataSync() as Float32Array)
}

const convolution = (scope: (forward: Forward) => Tensor) => numbers(convolve, [x, weight], scope)
const product = (scope: (forward: Forward) => Tensor) => numbers(multiply, [wide, matrix], scope)
const globally = (precision: Precision) => (forward: Forward) => {
  setPrecision(precision)
  return forward()
}

describe('precision', () => {
  const fast = { convolution: convolution(globally('fast')), product: product(globally('fast')) }
  const strict = { convolution: convolution(globally('strict')), product: product(globally('strict')) }

  it('makes a difference', () => {
    for (const i of [0, 1, 2]) expect(fast.convolution[i]).not.toEqual(strict.convolution[i])
    for (const i of [0, 1]) expect(fast.product[i]).not.toEqual(strict.product[i])
  })

  it('holds inside a function and for its gradients, whatever is set outside', () => {
    expect(convolution((forward) => withPrecision('strict', forward))).toEqual(strict.convolution)
    expect(product((forward) => withPrecision('strict', forward))).toEqual(strict.product)
    setPrecision('strict')
    expect(convolution((forward) => withPrecision('fast', forward))).toEqual(fast.convolution)
    expect(product((forward) => withPrecision('fast', forward))).toEqual(fast.product)
  })

  it('holds for a call of conv2d and its gradients', () => {
    const call = (precision: Precision): Float32Array[] =>
      convolution(() => conv2d(x, weight, undefined, { padding: 1, precision }))
    expect(call('strict')).toEqual(strict.convolution)
    setPrecision('strict')
    expect(call('fast')).toEqual(fast.convolution)
    expect(withPrecision('strict', () => call('fast'))).toEqual(fast.convolution)
  })

  it('holds when a checkpoint computes again', () => {
    const recomputed = convolution((forward) => withPrecision('strict', () => checkpoint(() => forward(), x, weight)))
    expect(recomputed).toEqual(strict.convolution)
  })

  it('holds in a backward pass for what was left open', () => {
    const y = convolve()
    const loss = y.mul(y).sum()
    const [gx, gw] = withPrecision('strict', () => grad(loss, [x, weight])) as [Tensor, Tensor]
    expect(gx.dataSync()).not.toEqual(fast.convolution[1])
    expect(gw.dataSync()).not.toEqual(fast.convolution[2])
  })

  it('nests, and ends with the function, also where that throws', () => {
    const seen: Precision[] = []
    withPrecision('strict', () => {
      seen.push(getPrecision())
      withPrecision('fast', () => seen.push(getPrecision()))
      seen.push(getPrecision())
    })
    expect(() =>
      withPrecision('strict', () => {
        throw new Error('no')
      }),
    ).toThrow('no')
    expect([...seen, getPrecision()]).toEqual(['strict', 'fast', 'strict', 'fast'])
  })

  it('is fast or strict', () => {
    expect(() => withPrecision('exact' as 'fast', () => 1)).toThrow(ArgumentError)
    expect(() => withPrecision('exact' as 'fast', () => 1)).toThrow(
      "withPrecision: precision expects 'fast' or 'strict', got 'exact'",
    )
    expect(() => conv2d(x, weight, undefined, { precision: 'exact' as 'fast' })).toThrow(
      "conv2d: precision expects 'fast' or 'strict', got 'exact'",
    )
  })
})
