/** What no golden covers: formulas against scalar loops, groups, clipping, averages, resuming. */
import {
  Adagrad,
  Adam,
  AdamW,
  byEpoch,
  clipGradNorm,
  clipGradNormOnDevice,
  clipGradValue,
  cosine,
  EMA,
  oneCycle,
  RMSprop,
  RMSpropTF,
  type Schedule,
  SGD,
  step,
  withWarmup,
} from '@convnets/optim'
import { ArgumentError, memory, reference, type Tensor, tensor, tidy, wasm } from '@convnets/tensor'
import { describe, expect, test, vi } from 'vitest'

const same: Schedule = (_, { lr }) => ({ lr })

const gradients = [
  [0.5, -2, 0.01],
  [1, 3, -0.02],
  [-0.25, 0, 0.03],
  [2, -1, 0.5],
]

function parameter(values: readonly number[] = [1, -1, 0.5], backend = reference): Tensor {
  return tensor(Float64Array.from(values), { backend, requiresGrad: true })
}

function setGrad(p: Tensor, values: readonly number[]): void {
  p.grad = tensor(Float64Array.from(values), { backend: p.backend })
}

function run(p: Tensor, optimizer: { step(): void }, steps = gradients): number[] {
  for (const g of steps) {
    setGrad(p, g)
    optimizer.step()
  }
  return Array.from(p.dataSync())
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length)
  for (const [i, value] of expected.entries()) expect(Math.abs((actual[i] as number) - value)).toBeLessThan(1e-12)
}

describe('RMSpropTF', () => {
  test.each([
    { momentum: 0.9, centered: false },
    { momentum: 0, centered: false },
    { momentum: 0.9, centered: true },
  ])('momentum $momentum, centered $centered: one element at a time, as TensorFlow documents it', (options) => {
    const { momentum, centered } = options
    const h = { lr: 0.045, alpha: 0.9, eps: 1, weightDecay: 0.01 }
    const expected = [1, -1, 0.5].map((start, i) => {
      // rms <- decay rms + (1 - decay) grad^2;  mom <- momentum mom + lr grad / sqrt(rms + eps);  var <- var - mom
      let [x, rms, mg, mom] = [start, 1, 0, 0]
      for (const row of gradients) {
        const g = (row[i] as number) + h.weightDecay * x
        rms = h.alpha * rms + (1 - h.alpha) * g * g
        mg = h.alpha * mg + (1 - h.alpha) * g
        mom = momentum * mom + (h.lr * g) / Math.sqrt(rms - (centered ? mg * mg : 0) + h.eps)
        x -= mom
      }
      return x
    })
    const p = parameter()
    expectClose(run(p, new RMSpropTF([p], { ...h, ...options })), expected)
  })

  test('the first step of EfficientNet by hand: mean square 0.9 + 0.1 g^2, eps inside the root', () => {
    const p = parameter([1])
    const got = run(p, new RMSpropTF([p], { lr: 0.016, eps: 1e-3, momentum: 0.9 }), [[2]])
    expectClose(got, [1 - (0.016 * 2) / Math.sqrt(0.9 + 0.4 + 0.001)])
  })
})

test('RMSprop, centered, stays a number where rounding makes the variance of a constant gradient negative', () => {
  const p = tensor([1, 1, 1, 1], { backend: wasm, requiresGrad: true })
  const optimizer = new RMSprop([p], { centered: true, alpha: 0.5 })
  for (let i = 0; i < 100; i++) {
    p.grad = tensor([0.1, 0.3, 1 / 3, 0.7], { backend: wasm })
    optimizer.step()
  }
  expect(p.dataSync().every(Number.isFinite)).toBe(true)
})

test('Adagrad lowers its rate and starts its sum as asked', () => {
  const h = { lr: 0.1, lrDecay: 0.5, initialAccumulatorValue: 0.3, weightDecay: 0.02, eps: 1e-10 }
  const expected = [1, -1, 0.5].map((start, i) => {
    let [x, sum] = [start, 0.3]
    for (const [t, row] of gradients.entries()) {
      const g = (row[i] as number) + 0.02 * x
      sum += g * g
      x -= ((0.1 / (1 + t * 0.5)) * g) / (Math.sqrt(sum) + 1e-10)
    }
    return x
  })
  const p = parameter()
  expectClose(run(p, new Adagrad([p], h)), expected)
})

test('Adam moves by lr at first, whatever the size of the gradient', () => {
  const p = parameter([0, 0, 0])
  const got = run(p, new Adam([p], { lr: 0.01, eps: 0 }), [[1e-6, -5, 1e6]])
  expectClose(got, [-0.01, 0.01, -0.01])
})

test('momentum that a schedule turns on later starts from the gradient of that step', () => {
  const p = parameter([0])
  const optimizer = new SGD([p], { lr: 1 })
  run(p, optimizer, [[1]])
  const group = optimizer.groups[0]
  if (group) Object.assign(group, { momentum: 0.5, dampening: 0.5 })
  // -1, then v = 2, then v = 0.5 * 2 + 0.5 * 4 = 3.
  expectClose(run(p, optimizer, [[2], [4]]), [-1 - 2 - 3])
})

test('groups have hyperparameters of their own, and a schedule scales each from its own rate', () => {
  const [a, b] = [parameter([1]), parameter([1])]
  const optimizer = new SGD(
    [
      { parameters: [a], weightDecay: 0 },
      { parameters: [b], lr: 0.01 },
    ],
    {
      lr: 0.1,
      weightDecay: 1,
    },
  )
  setGrad(a, [1])
  setGrad(b, [1])
  optimizer.step()
  expectClose([a.item(), b.item()], [0.9, 1 - 0.01 * 2])
  optimizer.applySchedule(step(2), 5, 10)
  expectClose(
    optimizer.groups.map(({ lr }) => lr),
    [0.1 * 0.01, 0.01 * 0.01],
  )
  optimizer.applySchedule(same, 6, 10)
  expect(optimizer.groups.map(({ lr }) => lr)).toEqual([0.1, 0.01])
})

test('a parameter without gradient keeps its value, its state and its step count', () => {
  const [a, b] = [parameter([1]), parameter([1])]
  const optimizer = new AdamW([a, b], { lr: 0.1 })
  setGrad(a, [1])
  optimizer.step()
  expect(b.item()).toBe(1)
  expect(optimizer.stateDict().parameters.map(({ steps }) => steps)).toEqual([1, 0])
  optimizer.zeroGrad()
  expect(a.grad).toBeUndefined()
})

test('state made inside of tidy lives on, and dispose frees it', () => {
  const p = parameter()
  const before = memory(reference).tensors
  const optimizer = new Adam([p])
  tidy(() => {
    setGrad(p, [1, 1, 1])
    optimizer.step()
    optimizer.zeroGrad()
  })
  expect(memory(reference).tensors).toBe(before + 2)
  run(p, optimizer, [[1, 1, 1]])
  optimizer.zeroGrad()
  optimizer.dispose()
  expect(memory(reference).tensors).toBe(before)
})

describe('state dicts', () => {
  const makers = {
    SGD: (p: Iterable<Tensor>) => new SGD(p, { lr: 0.1, momentum: 0.9, dampening: 0.1 }),
    RMSprop: (p: Iterable<Tensor>) => new RMSprop(p, { momentum: 0.5, centered: true }),
    RMSpropTF: (p: Iterable<Tensor>) => new RMSpropTF(p, { momentum: 0.5 }),
    Adam: (p: Iterable<Tensor>) => new Adam(p, { amsgrad: true, weightDecay: 0.1 }),
    AdamW: (p: Iterable<Tensor>) => new AdamW(p),
    Adagrad: (p: Iterable<Tensor>) => new Adagrad(p, { lrDecay: 0.1, initialAccumulatorValue: 0.5 }),
  }

  test.each(Object.entries(makers))('%s goes on to the bit, through JSON', (_, make) => {
    const whole = parameter()
    const expected = run(whole, make([whole]))
    for (let stop = 0; stop <= gradients.length; stop++) {
      const first = parameter()
      const former = make([first])
      run(first, former, gradients.slice(0, stop))
      const { tensors, ...rest } = former.stateDict()
      const second = parameter(Array.from(first.dataSync()))
      const latter = make([second])
      latter.loadStateDict({ ...JSON.parse(JSON.stringify(rest)), tensors })
      expect(run(second, latter, gradients.slice(stop))).toEqual(expected)
    }
  })

  test('names of parameters become keys; hyperparameters and the base rate come back', () => {
    const p = parameter()
    const optimizer = new SGD(new Map([['__proto__', p]]), { lr: 0.3, momentum: 0.9 })
    run(p, optimizer, gradients.slice(0, 1))
    optimizer.applySchedule(cosine(), 1, 2)
    const state = optimizer.stateDict()
    expect([...state.tensors.keys()]).toEqual(['__proto__.momentum'])
    const other = new SGD(new Map([['__proto__', p]]), { lr: 5 })
    other.loadStateDict(state)
    expect(other.groups[0]?.lr).toBeCloseTo(0.15, 12)
    other.applySchedule(same, 0, 2)
    expect(other.groups[0]?.lr).toBe(0.3)
    expect(other.groups[0]?.momentum).toBe(0.9)
  })
})

describe('clipping', () => {
  test.each([
    [2, Math.hypot(3, 4, 12)],
    [1, 19],
    [Infinity, 12],
  ])('by norm of order %d', (normType, norm) => {
    for (const backend of [reference, wasm]) {
      const [a, b] = [parameter([0, 0], backend), parameter([0], backend)]
      const none = parameter([0], backend)
      setGrad(a, [3, -4])
      setGrad(b, [12])
      const before = memory(backend).tensors
      expect(clipGradNorm([a, none, b], 6.5, { normType })).toBe(norm)
      const scale = 6.5 / (norm + 1e-6)
      const got = [...(a.grad as Tensor).dataSync(), ...(b.grad as Tensor).dataSync()]
      for (const [i, value] of [3, -4, 12].entries()) expect(got[i]).toBeCloseTo(value * scale, 12)
      expect(memory(backend).tensors).toBe(before)
    }
  })

  test('on the device: the same gradients, and the norm as a promise', async () => {
    for (const maxNorm of [6.5, 100]) {
      const [a, b] = [parameter([0, 0]), parameter([0, 0])]
      for (const p of [a, b]) setGrad(p, [3, -4])
      const before = memory(a.backend).tensors
      expect(await clipGradNormOnDevice([a], maxNorm)).toBe(clipGradNorm([b], maxNorm))
      const [got, expected] = [a, b].map((p) => Array.from((p.grad as Tensor).dataSync())) as [number[], number[]]
      for (const [i, value] of expected.entries()) expect(got[i]).toBeCloseTo(value, 12)
      expect(memory(a.backend).tensors).toBe(before)
    }
    expect(await clipGradNormOnDevice([parameter([0])], 1)).toBe(0)
    await expect(clipGradNormOnDevice([], -1)).rejects.toThrow('clipGradNormOnDevice: maxNorm expects a number from 0')
  })

  test('a small norm is left alone, to the bit; without gradients it is 0', () => {
    const p = parameter([0, 0])
    expect(clipGradNorm([p], 1)).toBe(0)
    setGrad(p, [0.1, 0.2])
    clipGradNorm([p], 1)
    expect(Array.from((p.grad as Tensor).dataSync())).toEqual([0.1, 0.2])
  })

  test('reads the device once, however many parameters there are', () => {
    let reads = 0
    const counting = Object.create(reference, {
      readSync: {
        value: (buffer: never) => {
          reads++
          return reference.readSync(buffer)
        },
      },
    }) as typeof reference
    const parameters = [1, 2, 3].map((value) => parameter([value], counting))
    for (const p of parameters) setGrad(p, [1])
    clipGradNorm(parameters, 1)
    expect(reads).toBe(1)
  })

  test('by value; NaN stays NaN', () => {
    const p = parameter([0, 0, 0, 0])
    setGrad(p, [-3, 0.5, 7, Number.NaN])
    clipGradValue([p], 1)
    expect(Array.from((p.grad as Tensor).dataSync())).toEqual([-1, 0.5, 1, Number.NaN])
  })
})

describe('EMA', () => {
  const modelOf = (weight: Tensor, buffer: Tensor) => ({
    namedParameters: () => new Map([['weight', weight]]),
    namedBuffers: () =>
      new Map([
        ['running', buffer],
        ['count', tensor([3], { dtype: 'int32', backend: reference })],
      ]),
  })

  test('averages parameters and float buffers, is lent and taken back to the bit', async () => {
    const [weight, running] = [parameter([1, 2]), parameter([10])]
    using ema = new EMA(modelOf(weight, running), { decay: 0.75 })
    weight.assign_([5, 2])
    running.assign_([20])
    ema.update()
    weight.assign_([0.1, 0.2])
    const inside = await ema.using(() => [...weight.dataSync(), ...running.dataSync()])
    expect(inside).toEqual([2, 2, 12.5])
    expect([...weight.dataSync(), ...running.dataSync()]).toEqual([0.1, 0.2, 20])
    await expect(ema.using(() => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
    expect(Array.from(weight.dataSync())).toEqual([0.1, 0.2])
  })

  test('warm-up: update n keeps 1 - (1 + n)^(-2/3), so the first one copies', () => {
    const weight = parameter([0])
    using ema = new EMA(
      { namedParameters: () => [['w', weight]], namedBuffers: () => [] },
      { decay: 0.5, warmup: true },
    )
    let expected = 0
    for (const [n, value] of [8, 1, 3, 4, -2].entries()) {
      weight.assign_([value])
      ema.update()
      const decay = Math.min(0.5, 1 - (1 + n) ** (-2 / 3))
      expected = decay * expected + (1 - decay) * value
    }
    expectClose(Array.from((ema.stateDict().tensors.get('w') as Tensor).dataSync()), [expected])
  })

  test('without buffers only parameters are averaged; the state dict goes on', () => {
    const [weight, running] = [parameter([1]), parameter([10])]
    using a = new EMA(modelOf(weight, running), { decay: 0.9, buffers: false })
    expect([...a.stateDict().tensors.keys()]).toEqual(['weight'])
    weight.assign_([2])
    a.update()
    using b = new EMA(modelOf(weight, running), { decay: 0.9, buffers: false })
    b.loadStateDict(a.stateDict())
    weight.assign_([3])
    a.update()
    b.update()
    const value = (ema: EMA) => ema.stateDict().tensors.get('weight')?.item()
    expect(value(b)).toBe(value(a))
    expect(b.updates).toBe(2)
  })
})

describe('schedules', () => {
  const rates = (schedule: Schedule, total: number, lr = 1) =>
    Array.from({ length: total }, (_, i) => schedule(i, { total, lr }))

  test('one-cycle moves momentum against the rate, as OneCycleLR does by default', () => {
    const cycle = rates(oneCycle({ maxLr: 1 }), 10)
    expect(cycle[0]?.momentum).toBeCloseTo(0.95, 12)
    expect(cycle[2]?.momentum).toBeCloseTo(0.85, 12)
    expect(cycle[9]?.momentum).toBeCloseTo(0.95, 12)
    expect(cycle[9]?.lr).toBeCloseTo(1 / 25 / 1e4, 12)
    expect(rates(oneCycle({ cycleMomentum: false }), 10).every(({ momentum }) => momentum === undefined)).toBe(true)
  })

  test('one-cycle without maxLr goes up to the base rate, in lines where asked', () => {
    const cycle = rates(oneCycle({ annealStrategy: 'linear' }), 10, 0.2)
    expectClose(
      cycle.slice(0, 3).map(({ lr }) => lr),
      [0.008, 0.104, 0.2],
    )
    expect(cycle[3]?.lr).toBeCloseTo(0.2 - (0.2 - 8e-7) / 7, 12)
  })

  test('sets momentum of SGD and the first beta of Adam', () => {
    const p = parameter()
    const [sgd, adam] = [new SGD([p], { momentum: 0.9 }), new Adam([p])]
    sgd.applySchedule(oneCycle({ maxLr: 1 }), 2, 10)
    adam.applySchedule(oneCycle({ maxLr: 1 }), 2, 10)
    expect(sgd.groups[0]?.momentum).toBeCloseTo(0.85, 12)
    expect(adam.groups[0]?.betas[0]).toBeCloseTo(0.85, 12)
    expect(adam.groups[0]?.betas[1]).toBe(0.999)
  })

  test('warm-up rises to the first rate of what follows, which then runs over the rest', () => {
    const lrs = rates(withWarmup(4, cosine()), 12, 2).map(({ lr }) => lr)
    const rest = rates(cosine(), 8, 2).map(({ lr }) => lr)
    expectClose(lrs, [0, 0.5, 1, 1.5, ...rest])
  })

  test('byEpoch holds a rate for an epoch', () => {
    const lrs = rates(byEpoch(3, step(1, { gamma: 0.5 })), 9).map(({ lr }) => lr)
    expect(lrs).toEqual([1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])
  })

  test('tiny cycles are finite', () => {
    for (const total of [1, 2, 3, 4]) {
      for (const pctStart of [0, 0.3, 0.5, 1]) {
        for (const { lr } of rates(oneCycle({ pctStart }), total)) expect(Number.isFinite(lr) && lr > 0).toBe(true)
      }
    }
  })
})

test('a step is taken by all parameters or by none', () => {
  const [a, b] = [parameter([1]), parameter([1])]
  const optimizer = new SGD([a, b], { lr: 0.1, momentum: 0.9 })
  setGrad(a, [1])
  setGrad(b, [1])
  const before = memory(reference).tensors
  b.dispose()
  expect(() => optimizer.step()).toThrow(/was used after it was freed/)
  expect(a.item()).toBe(1)
  expect(memory(reference).tensors).toBe(before - 2)
  const group = optimizer.groups[0]
  if (group) group.lr = Number.NaN
  expect(() => optimizer.step()).toThrow(ArgumentError)
  expect(a.item()).toBe(1)
})

test('a step that fails is not counted, and nothing has changed', () => {
  const p = parameter([1, 2])
  setGrad(p, [0.5, 0.5])
  const optimizer = new Adam([p])
  const failing = vi.spyOn(reference, 'update').mockImplementationOnce(() => {
    throw new Error('no memory')
  })
  expect(() => optimizer.step()).toThrow('no memory')
  failing.mockRestore()
  expect(optimizer.stateDict().parameters[0]?.steps).toBe(0)
  expect([...p.dataSync()]).toEqual([1, 2])
  optimizer.step()
  expect(optimizer.stateDict().parameters[0]?.steps).toBe(1)
  expect([...p.dataSync()]).not.toEqual([1, 2])
})
