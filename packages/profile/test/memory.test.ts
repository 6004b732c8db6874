import { BatchNorm2d, Conv2d, Linear, type Module, Sequential } from '@convnets/nn'
import { Adam, type Averageable, EMA, RMSprop, SGD } from '@convnets/optim'
import {
  inferenceMemory,
  maxBatch,
  type OptimizerName,
  optimizerNames,
  profile,
  type TrainingMemory,
  trainingMemory,
  withoutNumbers,
} from '@convnets/profile'
import {
  ArgumentError,
  checkpoint,
  memory,
  noGrad,
  randn,
  resetPeakMemory,
  ShapeError,
  type Tensor,
  tidy,
} from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { lossOf, type Net, net } from './nets.ts'

const input = [3, 48, 48]

/** What steps of training really take, above what was there before. */
function measure(model: Net, batch: number, step: () => void, steps = 3): number {
  const run = (): void =>
    tidy(() => {
      model.zeroGrad()
      lossOf(model, randn([batch, ...input])).backward()
      step()
    })
  run()
  resetPeakMemory()
  for (let i = 1; i < steps; i++) run()
  const { peakHeldBytes } = memory()
  model.zeroGrad()
  return peakHeldBytes
}

describe('memory of a training step', () => {
  const m = (optimizer: OptimizerName, batch = 4): TrainingMemory => trainingMemory(net(), input, { optimizer, batch })

  test('optimizer state is what the optimizer keeps: with weights and gradients 2 to 5 times the parameters', () => {
    const times: Record<OptimizerName, number> = {
      sgd: 2,
      momentum: 3,
      nesterov: 3,
      rmsprop: 3,
      adagrad: 3,
      'rmsprop-momentum': 4,
      adam: 4,
      adamw: 4,
      amsgrad: 5,
    }
    expect(Object.keys(times).sort()).toEqual([...optimizerNames].sort())
    for (const name of optimizerNames) {
      const { parameters, gradients, optimizerState } = m(name)
      expect(parameters).toBe(4 * net().parameterCount())
      expect([name, (parameters + gradients + optimizerState) / parameters]).toEqual([name, times[name]])
    }
  })

  test('reads hyperparameters and groups of an optimizer that is there, and leaves it alone', () => {
    const model = net()
    const [first, ...rest] = model.parameters() as [Tensor, ...Tensor[]]
    const optimizer = new RMSprop([{ parameters: [first], momentum: 0.9 }, { parameters: rest }], { centered: true })
    const { optimizerState, parameters } = trainingMemory(model, input, { optimizer })
    expect(optimizerState).toBe(2 * parameters + 4 * first.size)
    expect(optimizer.stateDict().tensors.size).toBe(0)
    const made = trainingMemory(model, input, { optimizer: (p) => new Adam(p, { amsgrad: true }) })
    expect(made.optimizerState).toBe(3 * parameters)
    expect(() => trainingMemory(model, input, { optimizer: new SGD(net().parameters()) })).toThrow(
      /optimizer expects one of this model's parameters/,
    )
  })

  test('a moving average is one more copy of weights and statistics', () => {
    const model = net()
    const { average, peak } = trainingMemory(model, input, { ema: true })
    const floats = [...model.namedParameters(), ...model.namedBuffers()].filter(([, t]) => t.dtype === 'float32')
    expect(average).toBe(floats.reduce((sum, [, t]) => sum + 4 * t.size, 0))
    expect(peak).toBeGreaterThan(trainingMemory(model, input).peak)
  })

  test('frozen parameters have no gradient and no state', () => {
    const model = net().freeze('blocks')
    const { gradients, optimizerState, saved } = trainingMemory(model, input, { optimizer: 'adam' })
    const trained = model.parameters().filter((p) => p.requiresGrad)
    expect(gradients).toBe(trained.reduce((sum, p) => sum + 4 * p.size, 0))
    expect(optimizerState).toBe(2 * gradients)
    expect(saved).toBeLessThan(trainingMemory(net(), input).saved)
    expect(() => trainingMemory(net().freeze(), input)).toThrow(/expects parameters that require a gradient/)
  })

  test('saved activations are counted by op, once each, and are what the tape of a real pass keeps', () => {
    const { saved, savedByOp } = m('sgd')
    expect(Object.values(savedByOp).reduce((sum, bytes) => sum + bytes, 0)).toBe(saved)
    const model = net()
    tidy(() => {
      const x = randn([4, ...input])
      const loss = lossOf(model, x)
      const known = new Set<unknown>(
        [x, ...model.parameters(), ...model.namedBuffers().values()].map((t) => t.storage.buffer),
      )
      const kept = new Map<unknown, number>()
      loss.holds((held) => {
        const { buffer } = (held as Tensor).storage
        if (!known.has(buffer)) kept.set(buffer, buffer.length * 4 * (buffer.dtype === 'bool' ? 0.25 : 1))
      })
      expect(saved).toBe([...kept.values()].reduce((sum, bytes) => sum + bytes, 0))
    })
    // Relu keeps its output, as long as nobody else does; convolutions keep their input.
    expect(savedByOp.relu).toBeGreaterThan(0)
    expect(savedByOp.conv2d).toBeGreaterThan(0)
  })

  // The workspace is common to all that runs in a process and never shrinks: batches grow from test to test.
  test.each<[string, number, (model: Net) => () => void, Parameters<typeof trainingMemory>[2]]>([
    [
      'SGD',
      8,
      (model) =>
        (
          (o) => () =>
            o.step()
        )(new SGD(model.parameters())),
      { optimizer: 'sgd' },
    ],
    [
      'Adam',
      12,
      (model) =>
        (
          (o) => () =>
            o.step()
        )(new Adam(model.parameters())),
      { optimizer: 'adam' },
    ],
    [
      'momentum and a moving average',
      16,
      (model) => {
        const [optimizer, ema] = [new SGD(model.parameters(), { momentum: 0.9 }), new EMA(model as Averageable)]
        return () => {
          optimizer.step()
          ema.update()
        }
      },
      { optimizer: 'momentum', ema: true },
    ],
  ])('meets what is measured with %s', (_, batch, make, options) => {
    const base = memory().heldBytes - memory().workspaceBytes
    const model = net()
    const measured = measure(model, batch, make(model)) - base
    const { peak } = trainingMemory(model, input, { batch, ...options })
    expect(Math.abs(peak / measured - 1)).toBeLessThan(0.05)
    model.dispose()
  })

  test('checkpointing keeps less and changes nothing else', () => {
    const paths = ['blocks.0', 'blocks.1']
    const plain = trainingMemory(net(), input, { batch: 24 })
    const sparing = trainingMemory(net(), input, { batch: 24, checkpoint: paths })
    expect(sparing.saved).toBeLessThan(plain.saved / 2)
    expect(sparing.peak).toBeLessThan(plain.peak)
    expect(sparing.gradients).toBe(plain.gradients)
    const base = memory().heldBytes - memory().workspaceBytes
    const model = net()
    for (const block of model.blocks) {
      const own = block.forward.bind(block)
      Object.defineProperty(block, 'forward', { value: (x: Tensor) => checkpoint(own, x), configurable: true })
    }
    const optimizer = new SGD(model.parameters())
    const measured = measure(model, 24, () => optimizer.step()) - base
    expect(Math.abs(sparing.peak / measured - 1)).toBeLessThan(0.05)
    expect(() => trainingMemory(net(), input, { checkpoint: ['nowhere'] })).toThrow(/paths of modules, got 'nowhere'/)
  })

  test('grows with the batch and does not depend on where the model lies', () => {
    const [one, two] = [m('sgd', 8), m('sgd', 16)]
    for (const op of ['conv2d', 'relu', 'maxPool2d', 'linear']) {
      expect([op, two.savedByOp[op]]).toEqual([op, 2 * (one.savedByOp[op] as number)])
    }
    expect(two.input).toBe(2 * one.input)
    expect(two.parameters).toBe(one.parameters)
    expect(trainingMemory(withoutNumbers(net), input, { batch: 8 })).toEqual(one)
  })

  test('leaves the model and its gradients as they are', () => {
    const model = net().eval()
    tidy(() => lossOf(model, randn([2, ...input])).backward())
    const grad = model.fc.weight.grad?.dataSync()
    const before = memory().buffers
    trainingMemory(model, input, { optimizer: 'adam', ema: true })
    expect(model.fc.weight.grad?.dataSync()).toEqual(grad)
    expect(memory().buffers).toBe(before)
    expect(model.blocks.training).toBe(false)
  })

  test('bad input', () => {
    expect(() => trainingMemory(net(), input, { batch: 0 })).toThrow(/batch expects an integer of at least 1, got 0/)
    expect(() => trainingMemory(net(), input, { optimizer: 'lion' as OptimizerName })).toThrow(
      /optimizer expects sgd, momentum, .*, got lion/,
    )
    expect(() => trainingMemory(net(), [4, 8, 8])).toThrow(ShapeError)
    expect(() => trainingMemory(net(), input, { loss: () => randn([2]) })).toThrow(/one number/)
  })
})

test('memory of inference meets what is measured', () => {
  const base = memory().heldBytes - memory().workspaceBytes
  const model = net().eval()
  const run = (): void => tidy(() => noGrad(() => void model.forward(randn([64, ...input]))))
  run()
  resetPeakMemory()
  run()
  const measured = memory().peakHeldBytes - base
  expect(Math.abs(inferenceMemory(model, input, { batch: 64 }) / measured - 1)).toBeLessThan(0.05)
})

describe('the largest batch', () => {
  test('fits, and one more does not', () => {
    const model = net()
    for (const [bytes, optimizer] of [
      [20e6, 'sgd'],
      [64 * 2 ** 20, 'adam'],
      [1e9, 'momentum'],
    ] as const) {
      const batch = maxBatch(model, input, bytes, { optimizer })
      expect(trainingMemory(model, input, { optimizer, batch }).peak).toBeLessThanOrEqual(bytes)
      expect(trainingMemory(model, input, { optimizer, batch: batch + 1 }).peak).toBeGreaterThan(bytes)
    }
    expect(profile(model, input).maxBatch(20e6)).toBe(maxBatch(model, input, 20e6))
  })

  test('is 0 where not even one fits, and a budget below the parameters is an error', () => {
    const model: Module = new Sequential(new Linear(100, 100))
    const own = 4 * 10_100
    expect(maxBatch(model, [100], own)).toBe(0)
    expect(() => maxBatch(model, [100], own - 1)).toThrow(ArgumentError)
    expect(() => maxBatch(model, [100], own - 1)).toThrow(
      /bytes expects at least 40400, the parameters' own size, got 40399/,
    )
    expect(() => maxBatch(model, [100], Number.NaN)).toThrow(ArgumentError)
    expect(() => maxBatch(model, [100], Number.POSITIVE_INFINITY)).toThrow(/finite/)
  })

  test('starts at two where batch norm has one cell', () => {
    const model = new Sequential(new Conv2d(3, 8, { kernel: 4 }), new BatchNorm2d(8))
    expect(() => trainingMemory(model, [3, 4, 4])).toThrow(/more than one value per channel/)
    expect(maxBatch(model, [3, 4, 4], 1e6)).toBeGreaterThan(2)
  })
})
