/** Dense blocks: what they compute, and that saving memory changes nothing but memory. */
import { DenseBlock, DenseLayer, Transition } from '@convnets/blocks'
import { BatchNorm2d, Module, Sequential } from '@convnets/nn'
import {
  avgPool2d,
  cat,
  memory,
  noGrad,
  type OpCall,
  reference,
  relu,
  resetPeakMemory,
  seeded,
  type Tensor,
  tensor,
  tidy,
  watchOps,
} from '@convnets/tensor'
import { checkGradient, fill, fillModel } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

const values = (t: Tensor): number[] => Array.from(t.dataSync())
const filled = (shape: readonly number[], name = 'x'): Tensor => tensor(Float32Array.from(fill(name, shape)), { shape })

describe('what they compute', () => {
  test('a layer squeezes all maps to 4 k channels and adds k', () => {
    const layer = fillModel(new DenseLayer(6, 3)).eval()
    expect([layer.inChannels, layer.outChannels, layer.conv1.outChannels]).toEqual([6, 3, 12])
    const x = filled([2, 6, 5, 4])
    const squeezed = layer.conv1.forward(relu(layer.norm1.forward(x)))
    const y = layer.conv2.forward(relu(layer.norm2.forward(squeezed)))
    expect(values(layer.forward(x))).toEqual(values(y))
    expect(values(layer.forward([x.narrow(1, 0, 2), x.narrow(1, 2, 4)]))).toEqual(values(y))
    expect(y.shape).toEqual([2, 3, 5, 4])
  })

  test('a block keeps its input and joins what each layer adds, oldest first', () => {
    const block = fillModel(new DenseBlock(4, 2, 3)).eval()
    const x = filled([2, 4, 5, 5])
    const y = block.forward(x)
    expect([y.shape, block.outChannels]).toEqual([[2, 10, 5, 5], 10])
    expect(values(y.narrow(1, 0, 4))).toEqual(values(x))
    let maps = x
    for (const layer of block.namedChildren().values()) maps = cat([maps, (layer as DenseLayer).forward(maps)], 1)
    expect(values(y)).toEqual(values(maps))
    expect([...block.namedChildren().keys()]).toEqual(['denselayer1', 'denselayer2', 'denselayer3'])
  })

  test('a transition compresses the channels and halves the size', () => {
    const block = fillModel(new Transition(7)).eval()
    const x = filled([1, 7, 5, 4])
    const y = block.forward(x)
    expect([y.shape, block.outChannels]).toEqual([[1, 3, 2, 2], 3])
    expect(values(y)).toEqual(values(avgPool2d(block.conv.forward(relu(block.norm.forward(x))), 2)))
    expect(new Transition(8, { compression: 1 }).outChannels).toBe(8)
  })

  test('they chain by their channels', () => {
    const body = new Sequential(
      new DenseBlock(4, 2, 2),
      (channels) => new Transition(channels),
      (channels) => new DenseBlock(channels, 3, 1),
    )
    expect([body.inChannels, body.outChannels]).toEqual([4, 7])
    expect(body.forward(filled([1, 4, 4, 4])).shape).toEqual([1, 7, 2, 2])
  })

  test.each([false, true])('gradients are those of central differences, memoryEfficient: %s', (memoryEfficient) => {
    const block = fillModel(new DenseBlock(2, 2, 2, { memoryEfficient }).to('float64').to(reference)).eval()
    const x = tensor(fill('gradient', [1, 2, 3, 3]), { shape: [1, 2, 3, 3], dtype: 'float64', backend: reference })
    for (const error of checkGradient((t) => block.forward(t as Tensor), [x]).errors) expect(error).toBeLessThan(1e-6)
  })
})

test('attention and dropout act on the new maps alone', () => {
  class Mute extends Module {
    forward(x: Tensor): Tensor {
      return x.mul(0)
    }
  }
  const x = filled([2, 4, 4, 4])
  for (const options of [{ attention: () => new Mute() }, { dropout: 1 }]) {
    const y = new DenseBlock(4, 2, 2, options).forward(x)
    expect(values(y.narrow(1, 0, 4))).toEqual(values(x))
    expect(values(y.narrow(1, 4, 4)).every((v) => v === 0)).toBe(true)
  }
})

describe('memoryEfficient', () => {
  const step = (memoryEfficient: boolean): { numbers: Map<string, number[]>; peak: number } => {
    const block = fillModel(new DenseBlock(8, 8, 12, { memoryEfficient, dropout: 0.2 }))
    resetPeakMemory()
    const before = memory().bytes
    const numbers = tidy(() => {
      const x = filled([2, 8, 12, 12])
      x.requiresGrad = true
      const y = seeded(1, () => block.forward(x))
      y.mul(filled(y.shape, 'upstream')).sum().backward()
      const gradients = [...block.namedParameters()].map(([key, p]) => [`${key}.grad`, p.grad as Tensor] as const)
      const all = [['y', y], ['x', x.grad as Tensor], ...gradients, ...block.namedBuffers()] as const
      return new Map(all.map(([key, t]) => [key, values(t)]))
    })
    const peak = memory().peakBytes - before
    block.dispose()
    return { numbers, peak }
  }

  test('gives the same output, gradients and running statistics to the bit, in less memory', () => {
    const [plain, efficient] = [step(false), step(true)]
    expect(efficient.numbers).toEqual(plain.numbers)
    expect(plain.numbers.get('denselayer3.norm1.num_batches_tracked')).toEqual([1])
    expect(efficient.peak).toBeLessThan(0.8 * plain.peak)
  })
})

describe('joining', () => {
  /** Inputs of every `cat` of a pass. */
  const joins = (block: DenseBlock, x: Tensor): number[] => {
    const seen: number[] = []
    const end = ({ name, inputs }: OpCall): void => void (name === 'cat' && seen.push(inputs.length))
    tidy(() => watchOps({ end }, () => void block.forward(x)))
    return seen
  }

  test('every layer adds to one tensor, except where joined maps are not to be kept for the gradient', () => {
    const x = filled([2, 4, 5, 5])
    const [plain, efficient] = [false, true].map((memoryEfficient) => new DenseBlock(4, 2, 3, { memoryEfficient }))
    expect(joins(plain as DenseBlock, x)).toEqual([2, 2, 2])
    expect(joins(efficient as DenseBlock, x)).toEqual([2, 3, 4])
    expect(noGrad(() => joins(efficient as DenseBlock, x))).toEqual([2, 2, 2])
  })

  test('without gradients both ways give the same, in the memory of the last layer', () => {
    const x = filled([2, 8, 12, 12])
    const results = [false, true].map((memoryEfficient) => {
      const block = fillModel(new DenseBlock(8, 8, 20, { memoryEfficient })).eval()
      const expected = tidy(() => values(block.forward(x)))
      resetPeakMemory()
      const before = memory()
      const y = noGrad(() => block.forward(x))
      // What is joined and what it is joined of, and no more: of the layers, their 32 channels of the bottleneck.
      expect(memory().peakBytes - before.bytes).toBeLessThan(2.25 * y.size * 4)
      expect(memory()).toMatchObject({ tensors: before.tensors + 1, bytes: before.bytes + y.size * 4 })
      const got = values(y)
      got.forEach((value, i) => void expect(value).toBeCloseTo(expected[i] as number, 4))
      y.dispose()
      block.dispose()
      return got
    })
    expect(results[1]).toEqual(results[0])
  })

  test('hooks of layers see the maps so far and what is added', () => {
    const block = new DenseBlock(4, 2, 3).eval()
    const seen: unknown[] = []
    for (const layer of block.namedChildren().values() as Iterable<DenseLayer>) {
      layer.registerForwardHook((_, [x], y) => void seen.push([(x as Tensor).shape[1], y.shape[1]]))
      layer.norm1.registerForwardHook((_, __, y) => void seen.push((y as Tensor).shape[1]))
    }
    tidy(() => noGrad(() => block.forward(filled([1, 4, 5, 5]))))
    expect(seen).toEqual([4, [4, 2], 6, [6, 2], 8, [8, 2]])
  })
})

test('norms are exchangeable', () => {
  const block = new DenseBlock(2, 2, 1, { norm: (channels) => new BatchNorm2d(channels, { eps: 1e-3 }) })
  const norms = [...block.namedModules().values()].filter((module) => module instanceof BatchNorm2d)
  expect(norms.map(({ eps }) => eps)).toEqual([1e-3, 1e-3])
})

test.each<[() => unknown, string]>([
  [() => new DenseLayer(0, 4), 'DenseLayer: inChannels expects an integer of at least 1, got 0'],
  [() => new DenseLayer(4, 0), 'DenseLayer: growth expects an integer of at least 1, got 0'],
  [() => new DenseBlock(4, 2, 0), 'DenseBlock: depth expects an integer of at least 1, got 0'],
  [() => new DenseBlock(4, 2, 1, { bottleneck: 0 }), 'DenseLayer: bottleneck expects an integer of at least 1, got 0'],
  [() => new Transition(4, { compression: 1.5 }), 'Transition: compression expects a number from 0 to 1, got 1.5'],
  [() => new Transition(4, { theta: 1 } as object), 'Transition: options expects one of compression, norm, got theta'],
  [
    () => new DenseBlock(4, 2, 1, { memory_efficient: true } as object),
    'got memory_efficient (did you mean memoryEfficient?)',
  ],
  [() => new Transition(1), 'Transition: compression * inChannels expects an integer of at least 1, got 0'],
])('bad arguments, case %#', (call, message) => {
  expect(call).toThrow(message)
})
