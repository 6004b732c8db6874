/** Goldens against models: what the tests of all networks share. */
import { readFileSync } from 'node:fs'
import type { ImageModel } from '@convnets/blocks'
import { classic, createModel, headLoss, type ImageOutput, mainLogits } from '@convnets/models-classic'
import { compile, crossEntropy, Dropout } from '@convnets/nn'
import { noGrad, Tensor, tensor, tidy } from '@convnets/tensor'
import {
  fill,
  fillModel,
  type ModelGolden,
  modelTolerances,
  parseModelGolden,
  relativeError,
  type TensorStatistics,
  trainingDifference,
} from '@convnets/testkit'
import { expect } from 'vitest'

type Precision = 'strict' | 'fast'

export function read(name: string): ModelGolden {
  const file = new URL(`../../../fixtures/goldens/models/${name}.json`, import.meta.url)
  return parseModelGolden(readFileSync(file, 'utf8'), name)
}

const input = ({ name, shape }: ModelGolden['input'], salt: string): Tensor =>
  tensor(Float32Array.from(fill(salt + name, shape)), { shape })

function distance(values: ArrayLike<number>, { mean, std, absmax, first }: TensorStatistics): number {
  const list = Array.from(values)
  const own = list.reduce((sum, v) => sum + v, 0) / list.length
  const deviation = Math.sqrt(list.reduce((sum, v) => sum + (v - own) ** 2, 0) / list.length)
  const apart = [own - mean, deviation - std, ...first.map((v, i) => (list[i] ?? Number.NaN) - v)]
  return Math.max(...apart.map(Math.abs)) / absmax
}

/** The network of a golden, with the weights of its rule. */
function filled({ name, salt, normScale }: ModelGolden): ImageModel<ImageOutput> {
  return fillModel(createModel<ImageOutput>(name, { from: [classic] }), { salt, normScale })
}

/** Logits and the output of every child in evaluation mode, of the network itself or of one that should equal it. */
export function expectLogits(golden: ModelGolden, precision: Precision, equal: typeof filled = filled): void {
  const { salt, output, float32Error } = golden
  const model = equal(golden).eval()
  const { logits: tolerance } = modelTolerances({ logits: float32Error }, precision)
  const errors: Map<string, number> = new Map()
  for (const [path, child] of model.namedChildren()) {
    const expected = golden.children.get(path)
    if (expected === undefined) continue
    child.registerForwardHook((_, __, y) => {
      if (!(y instanceof Tensor)) return
      expect(y.shape, path).toEqual(expected.shape)
      errors.set(path, distance(y.dataSync(), expected))
    })
  }
  tidy(() => {
    const logits = mainLogits(noGrad(() => model.forward(input(golden.input, salt))))
    expect(logits.shape).toEqual(output.shape)
    const values = logits.dataSync()
    const sampled = output.values.map((_, i) => values[i * output.stride] ?? Number.NaN)
    expect(relativeError(sampled, output.values)).toBeLessThanOrEqual(tolerance)
    expect(Array.from(logits.argmax({ dim: 1 }).dataSync())).toEqual(output.argmax)
  })
  expect([...golden.children.keys()].filter((path) => !errors.has(path))).toEqual([])
  for (const [path, error] of errors) expect(error, path).toBeLessThanOrEqual(tolerance)
  model.dispose()
}

/** The bits of the logits, once the network is compiled. */
export function expectCompiled(golden: ModelGolden): void {
  const model = filled(golden).eval()
  const run = compile(model)
  tidy(() => {
    const x = input(golden.input, golden.salt)
    const expected = mainLogits(noGrad(() => model.forward(x))).dataSync()
    // As it is written, recorded, and done again.
    for (const factor of [2, 3]) run(x.mul(factor))
    expect(mainLogits(run(x)).dataSync()).toEqual(expected)
  })
  run.dispose()
  model.dispose()
}

/** The bits of losses, gradients and statistics, once the network is compiled. */
export function expectCompiledSteps(golden: ModelGolden): void {
  const { training, name } = golden
  if (training === undefined) throw new Error(`the golden of ${name} holds no training step`)
  const target = tensor(Int32Array.from(training.target)).keep()
  const models = [false, true].map((compiled) => {
    const model = filled(golden).train()
    const run = compile(model)
    const forward = (x: Tensor): ImageOutput => (compiled ? run(x) : model.forward(x))
    const loss = (step: number): Tensor =>
      headLoss(forward(input(training.input, `${step}`)), (logits) => crossEntropy(logits, target))
    return Object.assign(model, { run, loss })
  })
  expect(trainingDifference(models[0]!, models[1]!, 5)).toBeUndefined()
  expect(models.map(({ run }) => run.recordings)).toEqual([0, 1])
  target.dispose()
  for (const model of models) {
    model.run.dispose()
    model.dispose()
  }
}

/** Loss, gradient norms and running statistics of one step in training mode, without dropout. */
export function expectStep(golden: ModelGolden, precision: Precision): void {
  const { name, salt, training } = golden
  if (training === undefined) throw new Error(`the golden of ${name} holds no training step`)
  const model = filled(golden).train()
  for (const module of model.namedModules().values()) if (module instanceof Dropout) module.eval()
  const tolerance = modelTolerances({ logits: 0, ...training.float32Error }, precision)
  const { labelSmoothing, auxWeight } = training
  tidy(() => {
    const target = tensor(Int32Array.from(training.target))
    const output = model.forward(input(training.input, salt))
    if (auxWeight !== undefined) expect(output).toMatchObject({ auxWeight })
    const loss = headLoss(output, (logits) => crossEntropy(logits, target, { labelSmoothing }))
    expect(relativeError([loss.item()], [training.loss])).toBeLessThanOrEqual(tolerance.loss)
    loss.backward()
  })
  const parameters = model.namedParameters()
  expect([...parameters.keys()].sort()).toEqual([...training.gradNorm.keys()].sort())
  const errors = [...training.gradNorm].flatMap(([key, norm]) => {
    if (norm <= training.gradNormFloor) return []
    const gradient = parameters.get(key)?.grad?.dataSync() ?? []
    let sum = 0
    for (let i = 0; i < gradient.length; i++) sum += (gradient[i] as number) ** 2
    return [Math.abs(Math.sqrt(sum) - norm) / norm]
  })
  errors.sort((a, b) => a - b)
  expect(errors.at(-1)).toBeLessThanOrEqual(tolerance.gradNormWorst)
  expect(errors[errors.length >> 1]).toBeLessThanOrEqual(tolerance.gradNormMedian)
  const buffers = model.namedBuffers()
  for (const [key, sum] of training.runningVarSum) {
    const values = Array.from(buffers.get(key)?.dataSync() ?? [])
    expect(Math.abs(values.reduce((a, b) => a + b, 0) - sum) / sum, key).toBeLessThanOrEqual(tolerance.gradNormMedian)
  }
  model.dispose()
}
