/** What the experiments train on, and how. */
import { compose, DataLoader, type Dataset, fashionMnist, normalize, resize, type Sample, subset } from '@convnets/data'
import { Conv2d, init, Linear, type Module } from '@convnets/nn'
import { type Schedule, SGD } from '@convnets/optim'
import { seeded, type Tensor } from '@convnets/tensor'
import { fit, type Model, NonFiniteError } from '@convnets/train'
import { seed } from './experiment.ts'

/** A model of `@convnets/nn` with its parameters, as all experiments train. */
type Network = Module & Model<Tensor>

export interface Recipe {
  /** Training pictures, the first of the 6,000 that come with `@convnets/data`. */
  readonly pictures: number
  readonly epochs: number
  /** Height and width of the pictures, at most the 28 that they have. Default 28. */
  readonly size?: number
  /** Learning rate, a tenth of it from 60 % of the steps on, a hundredth from 85 % on. */
  readonly lr: number
  readonly batchSize?: number
  readonly loss?: (logits: Tensor, target: Tensor) => Tensor
}

/** What came of training. Loss and accuracy are null where the loss was no finite number at some step. */
export interface Course {
  /** Training loss: the mean of each eighth of an epoch, at its end. */
  readonly curve: readonly { readonly epoch: number; readonly loss: number }[]
  /** Mean training loss of the last epoch. */
  readonly loss: number | null
  /** Share of the 1,000 test pictures that are right, at the end. */
  readonly accuracy: number | null
}

const first = <Item>(dataset: Dataset<Item>, count: number): Dataset<Item> =>
  subset(
    dataset,
    Array.from({ length: count }, (_, i) => i),
  )

/** The first `pictures` training pictures, shuffled, and as many test pictures, at most all 1,000, in their order. */
export async function loaders({
  pictures,
  size = 28,
  batchSize = 64,
}: Pick<Recipe, 'pictures' | 'size' | 'batchSize'>): Promise<{ train: DataLoader; test: DataLoader }> {
  const data = await fashionMnist()
  const standard = normalize(0.286, 0.353)
  const transform = size === 28 ? standard : compose(resize([size, size]), standard)
  const test: Dataset<Sample> = first(data.test, Math.min(pictures, data.test.length))
  return {
    train: new DataLoader(first(data.train, pictures), { batchSize, shuffle: true, dropLast: true, seed, transform }),
    test: new DataLoader(test, { batchSize: 250, transform }),
  }
}

const fallsTwice: Schedule = (step, { total, lr }) => ({
  lr: step < 0.6 * total ? lr : step < 0.85 * total ? lr / 10 : lr / 100,
})

/** Trains by SGD with momentum 0.9 and weight decay 1e-4, the recipe of the residual networks (He et al. 2015). */
export async function train(model: Network, recipe: Recipe): Promise<Course> {
  const { epochs, lr, loss } = recipe
  const data = await loaders(recipe)
  const perPoint = Math.max(1, Math.round(data.train.length / 8))
  const curve: { epoch: number; loss: number }[] = []
  let [before, seen] = [0, 0]
  const result = await fit(model, {
    ...data,
    epochs,
    optimizer: new SGD(model.parameters(), { lr, momentum: 0.9, weightDecay: 1e-4 }),
    schedule: fallsTwice,
    ...(loss && { loss }),
    onBatch: ({ epoch, batch, batches, loss }) => {
      if (batch % perPoint !== 0 && batch !== batches) return
      // `loss` is the mean since the epoch began; the mean since the last point follows from it.
      curve.push({ epoch: epoch - 1 + batch / batches, loss: (loss * batch - before) / (batch - seen) })
      ;[before, seen] = batch === batches ? [0, 0] : [loss * batch, batch]
      if (batch === batches) console.error(`epoch ${epoch} of ${epochs}: loss ${loss.toFixed(3)}`)
    },
  }).catch((error: unknown) => {
    if (!(error instanceof NonFiniteError)) throw error
    console.error(error.message)
  })
  const last = result?.history.at(-1)
  return { curve, loss: last?.train.loss ?? null, accuracy: last?.test?.accuracy ?? null }
}

/** Draws all weights as He et al. 2015b, so that no network starts at a disadvantage. */
export function initialize(module: Module): void {
  if (module instanceof Conv2d || module instanceof Linear) init.kaimingNormal_(module.weight, { mode: 'fanOut' })
}

/** Loss and accuracy of a course, as cells of a table. */
export const cells = ({ loss, accuracy }: Course): Record<string, string> => ({
  'training loss, last epoch': loss?.toFixed(3) ?? 'not finite',
  'test accuracy': accuracy === null ? '' : percent(accuracy),
})

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

/** Trains networks one after the other, each from the same seed. */
export async function trainEach<Name extends string>(
  networks: Readonly<Record<Name, () => Network>>,
  recipe: Recipe,
): Promise<Record<Name, Course>> {
  const courses: Partial<Record<Name, Course>> = {}
  for (const name of Object.keys(networks) as Name[]) {
    console.error(name)
    courses[name] = await train(seeded(seed, networks[name]), recipe)
  }
  return courses as Record<Name, Course>
}
