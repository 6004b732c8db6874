import { Conv2d, type Layer, Linear, Module, ReLU, Sequential } from '@convnets/nn'
import { profile, withoutNumbers } from '@convnets/profile'
import {
  ArgumentError,
  BackendError,
  defaultBackend,
  defaultGenerator,
  Generator,
  memory,
  randn,
  ShapeError,
  type Tensor,
  tidy,
  wasm,
} from '@convnets/tensor'
import { shapeOnly } from '@convnets/tensor/shape-only'
import { describe, expect, test } from 'vitest'
import { net } from './nets.ts'

describe('the tree', () => {
  const p = profile(net(), [3, 32, 32], { batch: 2 })

  test('has shapes as they are when the model runs', () => {
    const model = net()
    const shapes: [string, unknown][] = []
    for (const [path, module] of model.namedModules()) {
      module.registerForwardHook((_, __, y) => void shapes.push([path, (y as Tensor).shape]))
    }
    tidy(() => void model.eval().forward(randn([2, 3, 32, 32])))
    for (const [path, shape] of shapes) expect([path, p.at(path).outputShape]).toEqual([path, shape])
    expect(shapes.length).toBe(model.namedModules().size)
    expect(p.at('blocks.0').inputShape).toEqual([2, 16, 8, 8])
  })

  test('adds up: parameters, MACs and what blocks compute themselves', () => {
    const stem = 3 * 16 * 49
    const block = 16 * 16 * 9 + 32 + (16 * 9 + 16) + (16 * 16 + 16)
    expect(p.parameters).toBe(stem + 2 * block + 170)
    expect(p.parameters).toBe(net().parameterCount())
    expect(p.at('blocks').parameters).toBe(2 * block)
    expect(p.macs).toBe(2 * (stem * 256 + 2 * 64 * (16 * 16 * 9 + 16 * 9 + 16 * 16) + 160))
    // A product and a sum per element.
    expect(p.at('blocks.1').own).toMatchObject({ macs: 0, flops: 2 * 2 * 16 * 64 })
    const sum = p.root.children.reduce((total, child) => total + child.cost.flops, p.root.own.flops)
    expect(sum).toBe(p.flops)
    expect(p.layers.map(({ type }) => type).slice(0, 3)).toEqual(['Conv2d', 'MaxPool2d', 'Conv2d'])
    expect(p.layers).toHaveLength(16)
  })

  test('tells frozen parameters from trained ones', () => {
    const model = net().freeze('stem', 'blocks.0')
    const q = profile(model, [3, 32, 32])
    expect(q.trainable).toBe(q.parameters - q.at('stem').parameters - q.at('blocks.0').parameters)
  })

  test('counts a module that is used twice once by parameters and twice by arithmetic', () => {
    class Twice extends Module {
      conv = new Conv2d(4, 4, { kernel: 1, bias: false })
      again = this.conv
      forward(x: Tensor): Tensor {
        return this.again.forward(this.conv.forward(x))
      }
    }
    const q = profile(new Twice(), [4, 2, 2])
    expect(q.parameters).toBe(16)
    expect(q.macs).toBe(2 * 16 * 4)
    expect(q.at('conv').calls).toBe(2)
  })

  test('as a table: a line per module to a depth, within a width, long names cut in the middle', () => {
    const lines = p.table({ depth: 1 }).split('\n')
    expect(lines.map((line) => line.split(/ {2,}/)[0])).toEqual([
      'module',
      'Net',
      '├ stem Conv2d',
      '├ pool MaxPool2d',
      '├ blocks Sequential',
      '├ drop Dropout',
      '└ fc Linear',
    ])
    expect(lines[2]).toMatch(/2x16x16x16 +2,352 +1\.20 M/)
    for (const width of [20, 40, 60, 80, 100]) {
      for (const line of p.table({ width }).split('\n')) expect(line.length).toBeLessThanOrEqual(Math.max(width, 40))
    }
    expect(p.table({ columns: ['parameters'] }).split('\n')[0]).toMatch(/^module +parameters$/)
    expect(() => p.table({ columns: ['cost' as 'macs'] })).toThrow(ArgumentError)
    expect(() => p.at('blocks.7')).toThrow(/at: path expects that of a module/)
  })

  test('shares are of MACs or of all FLOPs, as is chosen', () => {
    const q = profile(net(), [3, 32, 32], { convention: 'flops' })
    const relu = q.at('blocks.0.relu')
    expect(p.share(p.at('blocks.0.relu'))).toBe(0)
    expect(q.share(relu)).toBeCloseTo(relu.cost.flops / q.flops, 12)
    expect([q.share(q.root), p.share(p.root)]).toEqual([1, 1])
    expect(q.macs).toBe(profile(net(), [3, 32, 32]).macs)
    expect(() => profile(net(), [3, 32, 32], { convention: 'mults' as 'macs' })).toThrow(
      /convention expects macs or flops/,
    )
  })

  test('as JSON keeps every number', () => {
    const facts = JSON.parse(JSON.stringify(p))
    expect(facts).toMatchObject({ name: 'Net', input: [3, 32, 32], batch: 2, macs: p.macs, flops: p.flops })
    expect(facts.root.children).toHaveLength(5)
  })
})

describe('profiling leaves no trace', () => {
  test('in the model, the backend, memory or the random numbers', () => {
    const model = net()
    const before = {
      state: [...model.stateDict()],
      values: model.fc.weight.dataSync(),
      memory: memory().bytes,
      tensors: memory().tensors,
      random: defaultGenerator().state(),
      shapes: shapeOnly.memory().buffers,
    }
    model.drop.train()
    profile(model, [3, 32, 32], { training: true })
    expect([...model.stateDict()]).toEqual(before.state)
    expect(model.fc.weight.dataSync()).toEqual(before.values)
    expect(model.blocks.training).toBe(true)
    expect(memory().bytes).toBe(before.memory)
    expect(memory().tensors).toBe(before.tensors)
    expect(shapeOnly.memory().buffers).toBe(before.shapes)
    expect(defaultGenerator().state()).toEqual(before.random)
    expect(defaultBackend()).toBe(wasm)
    expect(Object.hasOwn(model.stem, 'forward')).toBe(false)
  })

  test('in a generator that a module brings along', () => {
    class Noise extends Module {
      generator = new Generator(5)
      forward(x: Tensor): Tensor {
        this.generator.take(100)
        return x.add(1)
      }
    }
    const model = new Noise()
    profile(model, [3])
    expect(model.generator.state()).toEqual({ seed: 5, offset: 0 })
  })

  test('where it fails', () => {
    const model = net()
    expect(() => profile(model, [4, 32, 32])).toThrow(ShapeError)
    expect(Object.hasOwn(model.stem, 'forward')).toBe(false)
    expect(model.stem.weight.backend).toBe(wasm)
    expect(defaultBackend()).toBe(wasm)
  })

  test('and hooks of the user stay', () => {
    const model = net()
    let calls = 0
    const remove = model.fc.registerForwardHook(() => void calls++)
    profile(model, [3, 32, 32])
    tidy(() => void model.forward(randn([1, 3, 32, 32])))
    expect(calls).toBe(2)
    remove()
    expect(Object.hasOwn(model.fc, 'forward')).toBe(false)
  })
})

test('a model without numbers takes no memory and costs the same', () => {
  const before = memory().bytes
  const big = withoutNumbers(() => new Sequential(new Linear(100_000, 100_000), new ReLU(), new Linear(100_000, 10)))
  expect(memory().bytes).toBe(before)
  expect(profile(big, [100_000]).parameters).toBe(100_000 * 100_000 + 100_000 + 1_000_010)
  expect(defaultBackend()).toBe(wasm)
  expect(profile(withoutNumbers(net), [3, 32, 32]).toJSON()).toEqual(profile(net(), [3, 32, 32]).toJSON())
})

describe('bad input', () => {
  class Peeking extends Module {
    inner = new ReLU()
    forward(x: Tensor): Tensor {
      return x.sum().item() > 0 ? this.inner.forward(x) : x
    }
  }
  class Waiting extends Module {
    async forward(x: Tensor): Promise<Tensor> {
      return (await x.data()).length > 0 ? x : x.add(1)
    }
  }

  test('a module that needs values is named', () => {
    const model = new Sequential(new ReLU(), new Peeking())
    expect(() => profile(model, [3])).toThrow(BackendError)
    expect(() => profile(model, [3])).toThrow(/profile: 1 \(Peeking\) needs values to know its shapes/)
    expect(() => profile(model, [3])).toThrow(/made by sum/)
    expect(() => profile(new Waiting(), [3])).toThrow(/the model \(Waiting\) gives a promise/)
  })

  test.each<[string, () => Layer, number[], RegExp]>([
    [
      'too small an image',
      () => new Sequential(new Conv2d(3, 4, { kernel: 3 }), new ReLU(), new Conv2d(4, 4, { kernel: 5, stride: 2 })),
      [3, 4, 5],
      /input \(3, 4, 5\) does not fit at 2 \(Conv2d\): .*; the smallest that fits is \(3, 7, 7\)$/,
    ],
    [
      'other channels',
      () => new Sequential(new Conv2d(3, 4, { kernel: 3 })),
      [1, 28, 28],
      /input \(1, 28, 28\) does not fit at 0 \(Conv2d\): .*; \(3, 28, 28\) fits, the smallest is \(3, 3, 3\)$/,
    ],
    [
      'an image for a linear layer',
      () => new Linear(12, 3),
      [3, 2, 2],
      /input \(3, 2, 2\) does not fit at the model \(Linear\): .*; the smallest that fits is \(12\)$/,
    ],
  ])('%s: the layer and the smallest that would fit', (_, make, input, message) => {
    expect(() => profile(make(), input)).toThrow(ShapeError)
    expect(() => profile(make(), input)).toThrow(message)
  })

  test('a batch of 0, shapes that are none', () => {
    expect(() => profile(net(), [3, 32, 32], { batch: 0 })).toThrow(
      /profile: batch expects an integer of at least 1, got 0/,
    )
    expect(() => profile(net(), [3, 0, 32])).toThrow(/profile: input\[1\] expects an integer of at least 1, got 0/)
    expect(() => profile(net(), 224 as unknown as number[])).toThrow(/profile: input expects a shape/)
    expect(() => profile(net(), [3, 32, 32], { batch: 1.5 })).toThrow(ArgumentError)
  })
})
