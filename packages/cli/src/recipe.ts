/** From settings to what `fit` takes: data, optimizer, schedule. */
import {
  cifar10,
  compose,
  DataLoader,
  type Dataset,
  type DownloadProgress,
  fashionMnist,
  mnist,
  normalize,
  randomCrop,
  randomHorizontalFlip,
  type Sample,
  type Split,
  subset,
  type Transform,
} from '@convnets/data'
import {
  Adam,
  AdamW,
  byEpoch,
  cosine,
  type Hyperparameters,
  multiStep,
  type Optimizer,
  oneCycle,
  RMSprop,
  type Schedule,
  SGD,
} from '@convnets/optim'
import type { Tensor } from '@convnets/tensor'
import { UsageError } from './failure.ts'
import { dataSets, type Settings } from './settings.ts'
import type { Trained } from './trained.ts'

/** Pictures per step while testing: enough to keep kernels busy, few enough for any memory. */
const TEST_BATCH = 250

/** Where data come from, and who is told how far a download is. */
interface DataOptions {
  readonly signal: AbortSignal
  readonly onProgress?: (progress: DownloadProgress) => void
}

/** Both halves of the data set. Rejects with `UsageError` where it needs a folder that was not given. */
export async function loadData({ data, dataRoot }: Settings, { signal, onProgress }: DataOptions): Promise<Split> {
  if (data === 'fashion-mnist') return fashionMnist({ signal })
  if (data === 'fashion-mnist-full') {
    return fashionMnist({
      subset: 'full',
      signal,
      ...(dataRoot !== undefined && { root: dataRoot }),
      ...(onProgress && { onProgress }),
    })
  }
  if (dataRoot === undefined) throw new UsageError(`--data ${data} needs --data-root, the folder of its files.`)
  return data === 'mnist' ? mnist({ root: dataRoot, signal }) : cifar10({ root: dataRoot, signal })
}

const first = (dataset: Dataset, limit: number | undefined): Dataset =>
  limit === undefined || limit >= dataset.length
    ? dataset
    : subset(
        dataset,
        Array.from({ length: limit }, (_, i) => i),
      )

/** Loaders for training, with augmentation, and for testing. */
export function makeLoaders(settings: Settings, split: Split): { train: DataLoader; test: DataLoader } {
  const { mean, std, flips, padding } = dataSets[settings.data]
  const train = first(split.train, settings.limit)
  const test = first(split.test, settings.limit)
  if (settings.batch > train.length) {
    throw new UsageError(`--batch ${settings.batch} is more than the ${train.length} training pictures.`)
  }
  const steps: Transform[] = []
  if (padding > 0) steps.push(randomCrop([split.train.height, split.train.width], { padding }))
  if (flips) steps.push(randomHorizontalFlip())
  const standard = normalize(mean, std)
  return {
    train: new DataLoader(train as Dataset<Sample<number>>, {
      batchSize: settings.batch,
      shuffle: true,
      seed: settings.seed,
      transform: compose(...steps, standard),
    }),
    test: new DataLoader(test as Dataset<Sample<number>>, { batchSize: TEST_BATCH, transform: standard }),
  }
}

/** What the weights' file will say of the network. */
export function describeTrained({ model, data }: Settings, { train, classes }: Split): Trained {
  const { mean, std } = dataSets[data]
  const channels = train.channels === 1 ? 1 : 3
  return {
    model,
    options: { inChannels: channels, numClasses: classes.length },
    classes,
    preprocessing: { height: train.height, width: train.width, channels, mean, std },
  }
}

/** The optimizer of a run. */
export function makeOptimizer(
  { optimizer, lr, momentum = 0.9, weightDecay }: Settings,
  parameters: Iterable<readonly [string, Tensor]>,
): Optimizer<Hyperparameters> {
  const rates = { lr, weightDecay }
  switch (optimizer) {
    case 'sgd':
      return new SGD(parameters, { ...rates, momentum })
    case 'rmsprop':
      return new RMSprop(parameters, { ...rates, momentum })
    case 'adam':
      return new Adam(parameters, rates)
    case 'adamw':
      return new AdamW(parameters, rates)
  }
}

/** The learning rate over a run, unless it stays the same; epochs have `batches` steps. */
export function makeSchedule({ schedule, epochs, lr, momentum }: Settings, batches: number): Schedule | undefined {
  switch (schedule) {
    case 'one-cycle':
      return oneCycle({ maxLr: lr, cycleMomentum: momentum === undefined })
    case 'cosine':
      return cosine()
    case 'step':
      return byEpoch(batches, multiStep([Math.ceil(epochs / 2), Math.ceil((epochs * 3) / 4)]))
    case 'constant':
      return undefined
  }
}
