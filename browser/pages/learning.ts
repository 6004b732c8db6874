/** A small network that learns Fashion-MNIST; what the training page shows. */
import { DataLoader, fashionMnist, normalize } from '@convnets/data'
import { BatchNorm2d, Conv2d, crossEntropy, Flatten, Linear, MaxPool2d, ReLU, Sequential } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { type Backend, memory, seeded, tidy } from '@convnets/tensor'

export interface Learned {
  readonly losses: readonly number[]
  /** Milliseconds of the steps after the first, on average. */
  readonly stepTime: number
  /** Tensors alive after the first step and after the last. */
  readonly tensors: readonly [first: number, last: number]
}

/** Trains for `steps` batches of 32 pictures and reports every loss. */
export async function learn(
  backend: Backend,
  steps: number,
  progress: (loss: number) => Promise<void>,
): Promise<Learned> {
  const { train } = await fashionMnist()
  const loader = new DataLoader(train, { batchSize: 32, shuffle: true, seed: 1, transform: normalize(0.286, 0.353) })
  const model = seeded(
    1,
    () =>
      new Sequential(
        new Conv2d(1, 8, { kernel: 3, padding: 1, bias: false }),
        new BatchNorm2d(8),
        new ReLU(),
        new MaxPool2d(2),
        new Conv2d(8, 16, { kernel: 3, padding: 1 }),
        new ReLU(),
        new MaxPool2d(2),
        new Flatten(),
        new Linear(16 * 7 * 7, 10),
      ),
  )
  model.to(backend)
  const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9 })
  const losses: number[] = []
  const tensors: number[] = []
  let start = 0
  for (const { input, target } of loader.epoch(0)) {
    const loss = tidy(() => {
      optimizer.zeroGrad()
      const loss = crossEntropy(model.forward(input.to(backend)), target.to(backend))
      loss.backward()
      optimizer.step()
      return loss.detach()
    })
    losses.push((await loss.data())[0] ?? Number.NaN)
    for (const each of [loss, input, target]) each.dispose()
    tensors.push(memory(backend).tensors)
    if (losses.length === 1) start = performance.now()
    await progress(losses.at(-1) as number)
    if (losses.length === steps) break
  }
  const stepTime = (performance.now() - start) / Math.max(1, steps - 1)
  for (const each of [model, optimizer]) each.dispose()
  return { losses, stepTime, tensors: [tensors[0] ?? 0, tensors.at(-1) ?? 0] }
}
