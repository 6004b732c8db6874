/** Options with their defaults, and what is said of those that do not exist. */
import * as t from '@convnets/tensor'
import { ArgumentError, checkOptionNames, readOptions } from '@convnets/tensor'
import { optionFaults } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

interface Options {
  readonly size?: number
  readonly mode?: 'nearest' | 'bilinear'
  readonly alignCorners?: boolean
}

const read = (options: unknown): unknown =>
  readOptions('resize', options as Options, { size: undefined, mode: 'nearest', alignCorners: false })

describe('readOptions', () => {
  test('gives the table of defaults where nothing is said', () => {
    expect(read({})).toEqual({ size: undefined, mode: 'nearest', alignCorners: false })
  })

  test('takes what is given over, except undefined', () => {
    expect(read({ size: 3, mode: undefined, alignCorners: null })).toEqual({
      size: 3,
      mode: 'nearest',
      alignCorners: null,
    })
  })

  test.each([
    [{ aligncorners: true }, 'got aligncorners (did you mean alignCorners?)'],
    [{ align_corners: true }, 'got align_corners (did you mean alignCorners?)'],
    [{ size: 2, mdoe: 'bilinear' }, 'got mdoe (did you mean mode?)'],
    [{ antialias: undefined }, 'got antialias'],
    [{ toString: 1 }, 'got toString'],
  ])('refuses %j', (options, got) => {
    const error = (() => {
      try {
        return read(options)
      } catch (error) {
        return error
      }
    })()
    expect(error).toBeInstanceOf(ArgumentError)
    expect((error as Error).message).toBe(`resize: options expects one of size, mode, alignCorners, ${got}`)
  })

  test.each([[10], ['bilinear'], [null], [true]])('refuses %j, which is no object', (options) => {
    expect(() => read(options)).toThrow(`resize: options expects an object, got ${options}`)
  })
})

test('checkOptionNames lets known options pass', () => {
  expect(() => checkOptionNames('resize', { size: 1 }, ['size', 'mode'])).not.toThrow()
})

describe('functions with options', () => {
  const x = t.randn([2, 4, 6, 6], { seed: 1 })
  const [weight, classes] = [t.ones([4, 4, 3, 3]), t.tensor(Int32Array.of(0, 1))]
  const channels = t.ones([4])
  // biome-ignore lint/suspicious/noExplicitAny: what the compiler would refuse
  const calls: Record<string, (options: any) => unknown> = {
    sum: (options) => x.sum(options),
    mean: (options) => x.mean(options),
    variance: (options) => x.variance(options),
    std: (options) => x.std(options),
    amax: (options) => x.amax(options),
    amin: (options) => x.amin(options),
    argmax: (options) => x.argmax(options),
    argmin: (options) => x.argmin(options),
    max: (options) => x.max(1, options),
    min: (options) => x.min(1, options),
    topk: (options) => x.topk(2, options),
    norm: (options) => x.norm(options),
    l2Normalize: (options) => t.l2Normalize(x, options),
    softmax: (options) => x.softmax(options),
    logSoftmax: (options) => x.logSoftmax(options),
    pad: (options) => t.pad(x, [1, 1], options),
    conv2d: (options) => t.conv2d(x, weight, undefined, options),
    convTranspose2d: (options) => t.convTranspose2d(x, weight, undefined, options),
    conv2dBatchNorm: (options) =>
      t.conv2dBatchNorm(x, weight, undefined, { mean: channels, variance: channels }, options),
    batchNormTraining: (options) => t.batchNormTraining(x, undefined, undefined, options),
    batchNormInference: (options) => t.batchNormInference(x, channels, channels, undefined, undefined, options),
    layerNorm: (options) => t.layerNorm(x, [6], undefined, undefined, options),
    groupNorm: (options) => t.groupNorm(x, 2, undefined, undefined, options),
    instanceNorm: (options) => t.instanceNorm(x, undefined, undefined, options),
    localResponseNorm: (options) => t.localResponseNorm(x, options),
    avgPool2d: (options) => t.avgPool2d(x, 2, options),
    maxPool2d: (options) => t.maxPool2d(x, 2, options),
    maxPool2dWithIndices: (options) => t.maxPool2dWithIndices(x, 2, options),
    interpolate: (options) => t.interpolate(x, 4, options),
    gelu: (options) => t.gelu(x, options),
    softplus: (options) => t.softplus(x, options),
    crossEntropy: (options) => t.crossEntropy(t.zeros([2, 3]), classes, options),
    mseLoss: (options) => t.mseLoss(x, x, options),
    dropout: (options) => t.dropout(x, options),
    dropout2d: (options) => t.dropout2d(x, options),
    dropPath: (options) => t.dropPath(x, options),
    elementwise: (options) => t.elementwise('twice', (value) => t.f.mul(value, 2), options),
    tensor: (options) => t.tensor([1], options),
    zeros: (options) => t.zeros([1], options),
    ones: (options) => t.ones([1], options),
    full: (options) => t.full([1], 2, options),
    arange: (options) => t.arange(0, 3, 1, options),
    rand: (options) => t.rand([1], options),
    randn: (options) => t.randn([1], options),
    fromChannelsLast: (options) => t.fromChannelsLast(new Uint8Array(12), [2, 2, 3], options),
    backward: (options) => x.backward(undefined, options),
    grad: (options) => t.grad(x, [x], options),
    record: (options) => t.record((y: t.Tensor) => y, options),
  }
  // By the name of the op that is meant, where several functions are one.
  const nameOf: Record<string, string> = {
    batchNormTraining: 'batchNorm',
    batchNormInference: 'batchNorm',
    maxPool2dWithIndices: 'maxPool2d',
  }

  test.each(Object.entries(calls))('%s refuses names that do not exist, and what is no object', async (name, call) => {
    expect(await optionFaults(nameOf[name] ?? name, call)).toEqual([])
  })

  test('tells of a similar name, and of options in the place of a tensor', () => {
    expect(() => x.sum({ keepDim: true } as object)).toThrow(
      'sum: options expects one of dim, keepdim, got keepDim (did you mean keepdim?)',
    )
    // biome-ignore lint/suspicious/noExplicitAny: what the compiler would refuse
    const options = { padding: 1 } as any
    expect(() => t.conv2d(x, weight, options)).toThrow('conv2d: bias expects a Tensor, got an object')
    expect(() => t.convTranspose2d(x, weight, options)).toThrow('convTranspose2d: bias expects a Tensor, got an object')
    expect(() => t.linear(x, t.ones([3, 6]), options)).toThrow('linear: bias expects a Tensor, got an object')
    expect(() => t.layerNorm(x, [6], options)).toThrow('layerNorm: weight expects a Tensor, got an object')
  })

  test('knows all functions that take options', () => {
    // Their last parameter has a default, so that it does not count.
    const sources = Object.entries(t).filter(
      ([, value]) => typeof value === 'function' && /\boptions = \{\}/.test(String(value)),
    )
    expect(sources.map(([name]) => name).filter((name) => !(name in calls))).toEqual([])
    expect(sources.length).toBeGreaterThan(40)
  })
})
