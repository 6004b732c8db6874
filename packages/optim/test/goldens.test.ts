/** Every optimizer along PyTorch's trajectories, every schedule along PyTorch's rates. */
import { readFileSync } from 'node:fs'
import {
  Adagrad,
  Adam,
  AdamW,
  type Averageable,
  cosine,
  cosineRestarts,
  exponential,
  type Hyperparameters,
  linearWarmup,
  multiStep,
  type Optimizer,
  oneCycle,
  polynomial,
  RMSprop,
  type Schedule,
  SGD,
  step,
} from '@convnets/optim'
import { crossEntropy, memory, reference, type Tensor, tensor, tidy, wasm } from '@convnets/tensor'
import { fill, parseTrainingGoldens, relativeError } from '@convnets/testkit'
import { expect, test } from 'vitest'
import { TinyNet } from './tiny-net.ts'

const file = new URL('../../../fixtures/goldens/training.json', import.meta.url)
const goldens = parseTrainingGoldens(readFileSync(file, 'utf8'))

type Source = ReturnType<Averageable['namedParameters']>

const optimizers: Record<string, (p: Source) => Optimizer<Hyperparameters>> = {
  sgd: (p) => new SGD(p, { lr: 0.1 }),
  sgd_momentum: (p) => new SGD(p, { lr: 0.05, momentum: 0.9, weightDecay: 1e-2 }),
  sgd_nesterov: (p) => new SGD(p, { lr: 0.05, momentum: 0.9, nesterov: true, weightDecay: 1e-4 }),
  sgd_dampening: (p) => new SGD(p, { lr: 0.05, momentum: 0.9, dampening: 0.5 }),
  rmsprop: (p) => new RMSprop(p, { lr: 0.01, alpha: 0.9, eps: 1e-3 }),
  rmsprop_momentum_centered: (p) =>
    new RMSprop(p, { lr: 0.01, alpha: 0.9, eps: 1e-3, momentum: 0.9, centered: true, weightDecay: 1e-3 }),
  adam: (p) => new Adam(p, { lr: 0.01, weightDecay: 1e-2 }),
  adam_amsgrad: (p) => new Adam(p, { lr: 0.01, amsgrad: true }),
  adamw: (p) => new AdamW(p, { lr: 0.01, weightDecay: 0.05 }),
  adagrad: (p) => new Adagrad(p, { lr: 0.05 }),
}

const schedules: Record<string, Schedule> = {
  step: step(3, { gamma: 0.1 }),
  multistep: multiStep([2, 5], { gamma: 0.5 }),
  exponential: exponential(0.97),
  cosine: cosine({ steps: 8, etaMin: 0.01 }),
  cosine_restarts: cosineRestarts(3, { tMult: 2, etaMin: 0.01 }),
  linear_warmup: linearWarmup(4, { startFactor: 0.1 }),
  polynomial: polynomial({ steps: 6, power: 2 }),
  one_cycle: oneCycle({ maxLr: 1, totalSteps: 10 }),
}

const backends = [
  { backend: reference, dtype: 'float64', loss: 1e-9, state: 1e-8 },
  { backend: wasm, dtype: 'float32', loss: 1e-4, state: 2e-3 },
] as const

test('every run and every schedule of the goldens is tested', () => {
  expect([...goldens.runs.keys()].sort()).toEqual(Object.keys(optimizers).sort())
  expect([...goldens.schedules.keys()].sort()).toEqual(Object.keys(schedules).sort())
})

for (const { backend, dtype, ...tolerance } of backends) {
  for (const [name, golden] of goldens.runs) {
    test(`${name} on ${backend.name} in ${dtype} trains as PyTorch does`, () => {
      const before = memory(backend)
      const net = new TinyNet(goldens.salt, backend, dtype)
      const make = optimizers[name] as (p: Source) => Optimizer<Hyperparameters>
      const optimizer = make(net.namedParameters())
      const shape = [goldens.batch, 3, 10, 10]
      const x = tensor(fill(goldens.salt + goldens.input, shape), { shape, dtype, backend })
      const y = tensor(Int32Array.from(goldens.target), { backend })
      const losses = golden.losses.map(() =>
        tidy(() => {
          optimizer.zeroGrad()
          const loss = crossEntropy(net.forward(x), y, { labelSmoothing: goldens.labelSmoothing })
          loss.backward()
          optimizer.step()
          return loss.item()
        }),
      )
      for (const [i, loss] of losses.entries()) {
        expect(Math.abs(loss / (golden.losses[i] as number) - 1), `loss ${i}`).toBeLessThan(tolerance.loss)
      }
      net.training = false
      const read = (t: Tensor) => Array.from(t.dataSync())
      const logits = tidy(() => read(net.forward(x)))
      expect(relativeError(logits, golden.evalLogits)).toBeLessThan(tolerance.state)
      expect(relativeError(read(net.get('fc.weight')), golden.fcWeight)).toBeLessThan(tolerance.state)
      expect(relativeError(read(net.get('bn1.running_var')), golden.bn1RunningVar)).toBeLessThan(tolerance.state)
      optimizer.zeroGrad()
      optimizer.dispose()
      net.dispose()
      x.dispose()
      y.dispose()
      const after = memory(backend)
      expect([after.tensors, after.bytes]).toEqual([before.tensors, before.bytes])
    })
  }
}

test.each([...goldens.schedules])('%s gives the rates of PyTorch', (name, rates) => {
  const parameter = tensor([0], { requiresGrad: true })
  const optimizer = new SGD([parameter], { lr: 1, momentum: 0.9 })
  for (const [i, rate] of rates.entries()) {
    optimizer.applySchedule(schedules[name] as Schedule, i, rates.length)
    expect(Math.abs((optimizer.groups[0]?.lr as number) - rate)).toBeLessThan(1e-12)
  }
})
