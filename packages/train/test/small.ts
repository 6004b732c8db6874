/** A small run with everything random in it: shuffling, augmentation, dropout, running statistics, averages, a schedule. */
import { arrayDataset, compose, DataLoader, type Dataset, normalize, randomHorizontalFlip } from '@convnets/data'
import { BatchNorm2d, Conv2d, Dropout, globalAvgPool2d, Linear, Module } from '@convnets/nn'
import { Adam, EMA, oneCycle, SGD } from '@convnets/optim'
import { Generator, seeded, type Tensor } from '@convnets/tensor'
import { type FitOptions, type FitResult, fit, type TrainingBatch } from '@convnets/train'

export class SmallNet extends Module {
  conv: Conv2d
  bn: BatchNorm2d
  drop: Dropout = new Dropout(0.2)
  fc: Linear

  constructor(classes = 3) {
    super()
    this.conv = new Conv2d(1, 6, { kernel: 3, padding: 1, bias: false })
    this.bn = new BatchNorm2d(6)
    this.fc = new Linear(6, classes)
  }

  override forward(x: Tensor): Tensor {
    return this.fc.forward(this.drop.forward(globalAvgPool2d(this.bn.forward(this.conv.forward(x)).relu()).flatten(1)))
  }
}

export const smallNet = (seed = 1): SmallNet => seeded(seed, () => new SmallNet())

/** Pictures of 6 x 6 pixels of three classes: rows, columns and noise. */
function smallData(count: number, seed: number): Dataset {
  const generator = new Generator(seed)
  return arrayDataset(
    Array.from({ length: count }, (_, i) => {
      const label = i % 3
      const data = Float32Array.from({ length: 36 }, (_, p) => {
        const line = label === 0 ? Math.floor(p / 6) : p % 6
        return label === 2 ? generator.uniform() : (line % 2) * 0.8 + 0.2 * generator.uniform()
      })
      return { image: { data, height: 6, width: 6, channels: 1 }, label }
    }),
  )
}

export const loaders = (count = 26): { train: DataLoader; test: DataLoader } => ({
  train: new DataLoader(smallData(count, 1), {
    batchSize: 6,
    shuffle: true,
    seed: 3,
    transform: compose(randomHorizontalFlip(), normalize(0.5, 0.25)),
  }),
  test: new DataLoader(smallData(9, 2), { batchSize: 4, transform: normalize(0.5, 0.25) }),
})

export interface Small {
  readonly model: SmallNet
  readonly optimizer: SGD | Adam
  readonly ema: EMA
  run(options?: Partial<FitOptions<Tensor, TrainingBatch>>): Promise<FitResult>
  /** Every number that the run has led to. */
  state(): Record<string, number[]>
  dispose(): void
}

export function small(kind: 'sgd' | 'adam' = 'sgd', epochs = 2): Small {
  const model = smallNet()
  const optimizer =
    kind === 'sgd'
      ? new SGD(model.namedParameters(), { lr: 0.1, momentum: 0.9, weightDecay: 1e-3 })
      : new Adam(model.parameters(), { lr: 0.01, amsgrad: true })
  const ema = new EMA(model, { decay: 0.8, warmup: true })
  return {
    model,
    optimizer,
    ema,
    run: (options = {}) =>
      fit(model, { ...loaders(), optimizer, ema, epochs, schedule: oneCycle({ maxLr: 0.1 }), ...options }),
    state: () => {
      const numbers = (tensors: ReadonlyMap<string, Tensor>, prefix: string) =>
        [...tensors].map(([key, tensor]) => [`${prefix}.${key}`, Array.from(tensor.dataSync())] as const)
      return Object.fromEntries([
        ...numbers(model.stateDict(), 'model'),
        ...numbers(optimizer.stateDict().tensors, 'optimizer'),
        ...numbers(ema.stateDict().tensors, 'ema'),
      ])
    },
    dispose: () => {
      optimizer.dispose()
      ema.dispose()
      model.dispose()
    },
  }
}
