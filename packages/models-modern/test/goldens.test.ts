/** Networks against their references: parameters, keys, shapes, logits, and one training step. */
import { readdirSync, readFileSync } from 'node:fs'
import { createModel, findModel, modern } from '@convnets/models-modern'
import { compile, crossEntropy } from '@convnets/nn'
import {
  defaultBackend,
  getPrecision,
  noGrad,
  setDefaultBackend,
  setPrecision,
  type Tensor,
  tensor,
  tidy,
} from '@convnets/tensor'
import {
  fill,
  fillModel,
  hollow,
  type ModelGolden,
  modelTolerances,
  parseModelGolden,
  relativeError,
  trainingDifference,
} from '@convnets/testkit'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

const computed = [
  'resnet18',
  'resnext50_32x4d',
  'densenet121',
  'legacy_seresnet18',
  'seresnet50',
  'squeezenet1_0',
  'squeezenet1_1',
  'shufflenet_v2_x1_0',
  'regnet_y_400mf',
  'convnext_tiny',
  'mobilenet_v2',
  'mobilenet_v3_small',
  'mobilenet_v3_large',
  'mnasnet1_0',
  'efficientnet_b0',
  'efficientnet_v2_s',
  'tf_efficientnet_b0',
]
/** With the precision of the arithmetic: through 120 layers fast convolutions leave the bound for gradients. */
const trained = [
  ['resnet18', 'fast'],
  ['efficientnet_b0', 'fast'],
  ['densenet121', 'strict'],
] as const

const read = (name: string): ModelGolden =>
  parseModelGolden(
    readFileSync(new URL(`../../../fixtures/goldens/models/${name}.json`, import.meta.url), 'utf8'),
    name,
  )

const input = ({ name, shape }: ModelGolden['input'], salt: string): Tensor =>
  tensor(Float32Array.from(fill(salt + name, shape)), { shape })

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const folder = new URL('../../../fixtures/goldens/models/', import.meta.url)
const goldens = readdirSync(folder).map((file) => file.replace('.json', ''))
const names = modern.map(({ name }) => name).filter((name) => goldens.includes(name))

describe('without numbers', () => {
  const backend = defaultBackend()
  beforeAll(() => setDefaultBackend(hollow))
  afterAll(() => setDefaultBackend(backend))

  test.each(names)('%s has the parameters, keys and shapes of its reference, in its order', (name) => {
    const golden = read(name)
    const model = createModel(name, { from: [modern] })
    expect(model.parameterCount()).toBe(golden.parameters)
    expect([...model.stateDict()].map(([key, { shape }]) => [key, shape])).toEqual(golden.state)
    expect(findModel(name, { from: [modern] }).params).toBe(golden.parameters)
  })
})

// Of each family the smallest; `pnpm -s verify` computes all of them.
describe.each(computed)('%s', (name) => {
  const golden = read(name)

  test('computes the logits of its reference from the same weights', () => {
    const { salt, normScale, output, float32Error } = golden
    const model = fillModel(createModel(name, { from: [modern] }), { salt, normScale }).eval()
    const outputs: Map<string, readonly number[]> = new Map()
    for (const [path, child] of model.namedChildren()) {
      child.registerForwardHook((_, __, y) => void outputs.set(path, (y as Tensor).shape))
    }
    tidy(() => {
      const logits = noGrad(() => model.forward(input(golden.input, salt)))
      expect(logits.shape).toEqual(output.shape)
      const values = logits.dataSync()
      const sampled = output.values.map((_, i) => values[i * output.stride] ?? Number.NaN)
      const { logits: tolerance } = modelTolerances({ logits: float32Error }, 'fast')
      expect(relativeError(sampled, output.values)).toBeLessThanOrEqual(tolerance)
      expect(Array.from(logits.argmax({ dim: 1 }).dataSync())).toEqual(output.argmax)
    })
    // Layers without numbers have other names in some references.
    const learned = new Set(golden.state.map(([key]) => key.split('.')[0]))
    for (const [path, { shape }] of golden.children) {
      if (learned.has(path)) expect(outputs.get(path), path).toEqual(shape)
    }
    model.dispose()
  })

  test('computes the same bits once it is compiled', () => {
    const { salt, normScale } = golden
    const model = fillModel(createModel(name, { from: [modern] }), { salt, normScale }).eval()
    const run = compile(model)
    tidy(() => {
      const x = input(golden.input, salt)
      const expected = noGrad(() => model.forward(x)).dataSync()
      // As it is written, recorded, and done again.
      for (const factor of [2, 3]) run(x.mul(factor))
      expect(run(x).dataSync()).toEqual(expected)
    })
    run.dispose()
    model.dispose()
  })
})

test.each(trained)('%s trains with the same bits once it is compiled', (name) => {
  const { salt, normScale, training } = read(name)
  const target = tensor(Int32Array.from(training?.target ?? [])).keep()
  const models = [false, true].map((compiled) => {
    const model = fillModel(createModel(name, { from: [modern] }), { salt, normScale }).train()
    const run = compile(model)
    return Object.assign(model, {
      run,
      loss(step: number) {
        const x = input(training?.input as ModelGolden['input'], `${step}`)
        return crossEntropy(compiled ? run(x) : model.forward(x), target)
      },
    })
  })
  expect(trainingDifference(models[0]!, models[1]!, 5)).toBeUndefined()
  expect(models.map(({ run }) => run.recordings)).toEqual([0, 1])
  target.dispose()
  for (const model of models) {
    model.run.dispose()
    model.dispose()
  }
})

test.each(trained)(
  'a training step of %s has the loss, the gradients and the running statistics of PyTorch (%s)',
  (name, precision) => {
    const former = getPrecision()
    setPrecision(precision)
    onTestFinished(() => setPrecision(former))
    const golden = read(name)
    const { salt, normScale, training } = golden
    if (training === undefined) throw new Error(`the golden of ${name} holds no training step`)
    const model = fillModel(createModel(name, { from: [modern], dropout: 0, dropPath: 0 }), { salt, normScale }).train()
    const own = training.float32Error
    const tolerance = modelTolerances({ logits: 0, ...own }, precision)
    tidy(() => {
      const target = tensor(Int32Array.from(training.target))
      const loss = crossEntropy(model.forward(input(training.input, salt)), target, {
        labelSmoothing: training.labelSmoothing,
      })
      expect(relativeError([loss.item()], [training.loss])).toBeLessThanOrEqual(tolerance.loss)
      loss.backward()
    })
    const parameters = model.namedParameters()
    expect([...parameters.keys()].sort()).toEqual([...training.gradNorm.keys()].sort())
    const errors = [...training.gradNorm].flatMap(([key, norm]) => {
      if (norm <= training.gradNormFloor) return []
      const gradient = parameters.get(key)?.grad?.dataSync() ?? []
      return [Math.abs(Math.sqrt(Array.from(gradient).reduce((sum, g) => sum + g * g, 0)) - norm) / norm]
    })
    expect(Math.max(...errors)).toBeLessThanOrEqual(tolerance.gradNormWorst)
    expect(median(errors)).toBeLessThanOrEqual(tolerance.gradNormMedian)
    const buffers = model.namedBuffers()
    for (const [key, sum] of training.runningVarSum) {
      const values = Array.from(buffers.get(key)?.dataSync() ?? [])
      expect(Math.abs(values.reduce((a, b) => a + b, 0) - sum) / sum, key).toBeLessThanOrEqual(1e-4)
    }
    for (const [key, buffer] of buffers) if (key.endsWith('num_batches_tracked')) expect(buffer.item(), key).toBe(1)
    model.dispose()
  },
)
