/** Optimizers and averages on the way from one backend to another. */
import {
  Adagrad,
  Adam,
  AdamW,
  EMA,
  type Hyperparameters,
  type Optimizer,
  RMSprop,
  RMSpropTF,
  SGD,
} from '@convnets/optim'
import { type Backend, BackendError, memory, moveTo, reference, type Tensor, tensor, wasm } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'

type Named = Map<string, Tensor>
type AnyOptimizer = Optimizer<Hyperparameters>

const make: Record<string, (parameters: Named) => unknown> = {
  SGD: (parameters) => new SGD(parameters, { lr: 0.1, momentum: 0.9, nesterov: true }),
  RMSprop: (parameters) => new RMSprop(parameters, { lr: 0.01, momentum: 0.9, centered: true }),
  RMSpropTF: (parameters) => new RMSpropTF(parameters, { lr: 0.01, momentum: 0.9 }),
  Adam: (parameters) => new Adam(parameters, { lr: 0.01, amsgrad: true }),
  AdamW: (parameters) => new AdamW(parameters, { lr: 0.01 }),
  Adagrad: (parameters) => new Adagrad(parameters, { lr: 0.1 }),
}

class Run {
  readonly parameters: Named
  readonly optimizer: AnyOptimizer
  readonly ema: EMA

  constructor(name: string, backend: Backend) {
    const leaf = (values: number[]): Tensor => tensor(values, { requiresGrad: true, backend })
    this.parameters = new Map([
      ['a', leaf([1, -2, 0.5])],
      ['b', leaf([0.25])],
    ])
    this.optimizer = make[name]?.(this.parameters) as AnyOptimizer
    this.ema = new EMA({ namedParameters: () => this.parameters, namedBuffers: () => new Map() }, { decay: 0.5 })
  }

  steps(from: number, to: number): void {
    for (let step = from; step < to; step++) {
      for (const p of this.parameters.values()) {
        p.grad = tensor(
          Float32Array.from({ length: p.size }, (_, i) => Math.sin(3 * step + i)),
          { backend: p.backend },
        )
      }
      this.optimizer.step()
      this.ema.update()
    }
  }

  moveTo(backend: Backend): Promise<void> {
    return moveTo(backend, ...this.parameters.values(), this.optimizer, this.ema)
  }

  get tensors(): Tensor[] {
    const { parameters, optimizer, ema } = this
    return [...parameters.values(), ...optimizer.stateDict().tensors.values(), ...ema.stateDict().tensors.values()]
  }

  get values(): number[] {
    return this.tensors.flatMap((x) => [...x.dataSync()])
  }

  dispose(): void {
    for (const one of [...this.parameters.values(), this.optimizer, this.ema]) one.dispose()
  }
}

describe.each(Object.keys(make))('%s', (name) => {
  test.each([
    [wasm, reference],
    [reference, wasm],
  ])('goes on with its state on another backend and back ($name first)', async (home, away) => {
    const before = [memory(home).buffers, memory(away).buffers]
    const [stayed, moved] = [new Run(name, home), new Run(name, home)]
    stayed.steps(0, 6)
    moved.steps(0, 2)
    const [tensors, values] = [moved.tensors, moved.values]
    await moved.moveTo(away)
    expect(moved.tensors).toEqual(tensors)
    expect(moved.tensors.every(({ backend }) => backend === away)).toBe(true)
    expect(moved.values).toEqual(values)
    moved.steps(2, 4)
    await moved.moveTo(home)
    expect(moved.tensors.every(({ backend }) => backend === home)).toBe(true)
    moved.steps(4, 6)
    const expected = stayed.values
    for (const [i, value] of moved.values.entries()) expect(value).toBeCloseTo(expected[i] as number, 5)
    for (const run of [stayed, moved]) run.dispose()
    expect([memory(home).buffers, memory(away).buffers]).toEqual(before)
  })
})

test('a step with state, or an update of averages, left behind says so and changes nothing', async () => {
  const run = new Run('SGD', wasm)
  run.steps(0, 2)
  const { values } = run
  await moveTo(reference, ...run.parameters.values())
  expect(() => run.optimizer.step()).toThrow(BackendError)
  expect(() => run.optimizer.step()).toThrow(
    /^SGD\.step: a lies on reference, its state on wasm; .*await moveTo\(backend, model, optimizer, ema\)$/,
  )
  expect(() => run.ema.update()).toThrow(/^EMA\.update: a lies on reference, its average on wasm; move/)
  expect(() => run.ema.swap()).toThrow(/^EMA\.swap: a lies on reference, its average on wasm; move/)
  expect(run.values).toEqual(values)
  expect([run.ema.updates, run.optimizer.stateDict().parameters[0]?.steps]).toEqual([2, 2])
  await run.moveTo(reference)
  run.steps(2, 3)
  expect(run.ema.updates).toBe(3)
  run.dispose()
})

test('averages that are lent move and come back', async () => {
  const run = new Run('SGD', wasm)
  run.steps(0, 3)
  const { values } = run
  run.ema.swap()
  await run.moveTo(reference)
  run.ema.swap()
  expect(run.values).toEqual(values)
  run.dispose()
})
