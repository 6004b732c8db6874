/** Ten thousand steps in flat memory. */
import { Linear, Module } from '@convnets/nn'
import { Adam } from '@convnets/optim'
import { memory, seeded, type Tensor, tensor, wasm } from '@convnets/tensor'
import { fit } from '@convnets/train'
import { expect, test } from 'vitest'

class Two extends Module {
  a: Linear = new Linear(4, 8)
  b: Linear = new Linear(8, 3)

  override forward(x: Tensor): Tensor {
    return this.b.forward(this.a.forward(x).relu())
  }
}

test('memory is the same after step 500 and after step 10,000', async () => {
  const model = seeded(1, () => new Two())
  const train = {
    length: 2500,
    *epoch(epoch: number, { from = 0 } = {}) {
      for (let i = from; i < this.length; i++) {
        const values = Float32Array.from({ length: 8 }, (_, j) => Math.sin(i * 8 + j + epoch))
        const label = (row: number) =>
          (values[row * 4] as number) > 0 ? 1 : (values[row * 4 + 1] as number) > 0 ? 2 : 0
        yield { input: tensor(values, { shape: [2, 4] }), target: tensor(Int32Array.of(label(0), label(1))) }
      }
    },
  }
  const optimizer = new Adam(model.parameters(), { lr: 0.01 })
  const seen = new Map<number, unknown>()
  const result = await fit(model, {
    train,
    optimizer,
    epochs: 4,
    clipGradNorm: 5,
    onBatch: ({ step }) => {
      const { tensors, buffers, bytes, reservedBytes } = memory(wasm)
      if (step === 500 || step === 10_000) seen.set(step, { tensors, buffers, bytes, reservedBytes })
    },
  })
  expect(seen.get(10_000)).toEqual(seen.get(500))
  expect(result.history.at(-1)?.train.accuracy).toBeGreaterThan(0.95)
}, 180_000)
