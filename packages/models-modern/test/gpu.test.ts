/** A network on the gpu backend trains as it does on the default one. */
import { crossEntropy } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { type Backend, noGrad, type Tensor, tensor, tidy, wasm } from '@convnets/tensor'
import { gpu } from '@convnets/tensor/gpu'
import { fill, fillModel, relativeError } from '@convnets/testkit'
import { describe, expect, it } from 'vitest'
import { nodeWebGPU, softwareAdapter } from '../../../scripts/verify/webgpu.ts'
import { resnet20 } from '../src/index.ts'

/** The loss of a step, and the weights after it. */
async function step(backend: Backend): Promise<{ loss: ArrayLike<number>; weights: Map<string, ArrayLike<number>> }> {
  using model = tidy(() => fillModel(resnet20().to(backend), { salt: 'gpu.' }))
  using optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9, weightDecay: 1e-4 })
  using loss = tidy(() => {
    const shape = [2, 3, 32, 32]
    const x = tensor(fill('gpu.x', shape), { shape, dtype: 'float32', backend })
    const loss = crossEntropy(model.forward(x), tensor([3, 8], { dtype: 'int32', backend }))
    loss.backward()
    optimizer.step()
    return noGrad(() => loss.detach())
  })
  const weights = new Map<string, ArrayLike<number>>()
  for (const [key, t] of model.stateDict()) weights.set(key, await (t as Tensor).data())
  return { loss: await loss.data(), weights }
}

describe.skipIf(!softwareAdapter && !process.env.CI)('resnet20 on the gpu', () => {
  it('takes the same training step as on wasm', async () => {
    const backend = await gpu({ mode: 'webgpu', webgpu: await nodeWebGPU({ software: true }) })
    const [actual, expected] = [await step(backend), await step(wasm)]
    expect(relativeError(actual.loss, expected.loss)).toBeLessThan(2e-6)
    for (const [key, values] of expected.weights) {
      expect(relativeError(actual.weights.get(key) ?? [], values), key).toBeLessThan(2e-5)
    }
    expect(actual.weights.size).toBe(expected.weights.size)
    expect(backend.memory().buffers).toBe(0)
    await backend.destroy()
  }, 900_000)
})
