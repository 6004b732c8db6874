/** The ImageNet ResNets against torchvision's: parameters, keys, shapes, logits, and one training step. */
import { readFileSync } from 'node:fs'
import { createModel, modern } from '@convnets/models-modern'
import { crossEntropy } from '@convnets/nn'
import { noGrad, type Tensor, tensor, tidy } from '@convnets/tensor'
import { fill, fillModel, type ModelGolden, modelTolerances, parseModelGolden, relativeError } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

const read = (name: string): ModelGolden =>
  parseModelGolden(
    readFileSync(new URL(`../../../fixtures/goldens/models/${name}.json`, import.meta.url), 'utf8'),
    name,
  )

const input = ({ name, shape }: ModelGolden['input'], salt: string): Tensor =>
  tensor(Float32Array.from(fill(salt + name, shape)), { shape })

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

describe.each(['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'])('%s', (name) => {
  const golden = read(name)

  test('has the parameters, keys and shapes of torchvision, in its order', () => {
    const model = createModel(name, { from: [modern] })
    expect(model.parameterCount()).toBe(golden.parameters)
    expect([...model.stateDict()].map(([key, { shape }]) => [key, shape])).toEqual(golden.state)
    model.dispose()
  })

  test('computes the logits of torchvision from the same weights', () => {
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
    for (const [path, { shape }] of golden.children) expect(outputs.get(path), path).toEqual(shape)
    model.dispose()
  })
})

test('a training step of resnet18 has the loss, the gradients and the running statistics of PyTorch', () => {
  const golden = read('resnet18')
  const { salt, normScale, training } = golden
  if (training === undefined) throw new Error('the golden of resnet18 holds no training step')
  const model = fillModel(createModel('resnet18', { from: [modern] }), { salt, normScale }).train()
  const own = training.float32Error
  const tolerance = modelTolerances({ logits: 0, ...own }, 'fast')
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
})
