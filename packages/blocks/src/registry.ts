/** Models by name, without a global list: whoever asks says which lists to look in, so that bundlers drop the rest. */
import {
  ArgumentError,
  checkOptionNames,
  checkOptionsObject,
  nearest,
  optionNames,
  seeded,
  type Tensor,
} from '@convnets/tensor'
import type { ImageOutput } from './heads.ts'
import type { ImageModel } from './model.ts'

/** Options that every model takes. */
export interface ModelOptions {
  /** Classes of the logits. Default: those of the published weights. */
  readonly numClasses?: number
  /** Channels of the images. Default 3. */
  readonly inChannels?: number
  /** Dropout in front of the classifier. Default: the paper's. */
  readonly dropout?: number
  /** Stochastic depth of the last block, rising linearly from 0. Default: the paper's. */
  readonly dropPath?: number
  /** Makes the initial weights a function of this number. Default: they come from the default generator. */
  readonly seed?: number
}

/** How images are prepared for published weights: resized to `resize`, centre crop, values in [0, 1] normalised. */
export interface Preprocessing {
  readonly inputSize: readonly [height: number, width: number]
  /** Pixels of the shorter side before the crop; or height and width, where pictures were squeezed. */
  readonly resize: number | readonly [height: number, width: number]
  /** Pixels of the centre crop. */
  readonly crop: number
  readonly interpolation: 'bilinear' | 'bicubic'
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** Order of the channels that the network sees, and of `mean` and `std`. Default 'rgb'; networks from Caffe: 'bgr'. */
  readonly channelOrder?: 'rgb' | 'bgr'
}

/** Facts of published weights. */
export interface PretrainedWeights extends Preprocessing {
  /** Name among the model's weights, as published: `IMAGENET1K_V1`. */
  readonly name: string
  readonly url: string
  /** Of the file, in full. */
  readonly sha256?: string
  /** First digits of the file's sha256, where only those are published (as part of the file name). */
  readonly sha256Prefix?: string
  /** Licence of the weights, or of the project that published them, with its reservations. */
  readonly license: string
  /** Set of class names: `imagenet-1k`, `cifar-10`. */
  readonly labels: string
  readonly numClasses: number
  /** Published accuracy in percent, on the validation (test) set, or on `benchmark`. Absent where none was measured. */
  readonly top1?: number
  readonly top5?: number
  /** What `top1` was measured on, where it is not the validation set of `labels`. */
  readonly benchmark?: string
  /** What stands before every key in the file. */
  readonly keyPrefix?: string
}

/** What is known of a model without building it. */
export interface ModelFacts {
  /** Published name. */
  readonly name: string
  /** Paper, with the section or table that defines the model. */
  readonly paper: string
  /** Numbers in all parameters, with default options. */
  readonly params: number
  /** Multiply-accumulates of convolutions and linear layers for one image of `inputSize`, with default options. */
  readonly macs: number
  readonly inputSize: readonly [height: number, width: number]
  readonly numClasses: number
  /** Published weights by name, best first. */
  readonly weights: Readonly<Record<string, PretrainedWeights>>
}

/** A model: call it to build one, read it to know it. `resnet50({ numClasses: 10 })`, `resnet50.weights`. */
export interface ModelEntry<
  Options extends ModelOptions = ModelOptions,
  Model extends ImageModel<ImageOutput> = ImageModel,
> extends ModelFacts {
  (options?: Options): Model
}

/** Makes an entry of a model's facts and of how it is built. `seed` is seen to here. */
export function defineModel<Options extends ModelOptions, Model extends ImageModel<ImageOutput>>(
  facts: ModelFacts,
  build: (options: Options) => Model,
): ModelEntry<Options, Model> {
  const create = (options: Options = {} as Options): Model => {
    // Spread over options that an entry has beforehand, a number would be no option at all.
    checkOptionsObject(facts.name, options)
    return options.seed === undefined ? build(options) : seeded(options.seed, () => build(options))
  }
  // A function's name cannot be assigned to, only defined.
  const properties = Object.entries(facts).map(([key, value]) => [key, { value, enumerable: true }] as const)
  return Object.defineProperties(create, Object.fromEntries(properties)) as unknown as ModelEntry<Options, Model>
}

/** An entry whose models give `Output`. */
type EntryOf<Output extends ImageOutput> = ModelEntry<ModelOptions, ImageModel<Output>>

/** Lists of entries to choose from, as the model packages export them. */
export interface From<Output extends ImageOutput = Tensor> {
  readonly from: readonly (readonly EntryOf<Output>[])[]
}

const fromOptions = optionNames<From>({ from: true })

function entriesOf<Output extends ImageOutput>(op: string, from: From<Output>['from']): Map<string, EntryOf<Output>> {
  if (!Array.isArray(from) || !from.every(Array.isArray)) {
    throw new ArgumentError(`${op}: from expects lists of models, as in { from: [modern] }, got ${typeof from}`)
  }
  return new Map(from.flat().map((entry: EntryOf<Output>) => [entry.name, entry]))
}

/** The entry of a name. @throws ArgumentError with the nearest names where there is none. */
export function findModel<Output extends ImageOutput = Tensor>(name: string, options: From<Output>): EntryOf<Output> {
  checkOptionNames('findModel', options, fromOptions)
  const entries = entriesOf('findModel', options.from)
  const entry = entries.get(name)
  if (entry !== undefined) return entry
  const near = nearest(String(name), entries.keys()).join(', ')
  throw new ArgumentError(`findModel: name expects one of ${entries.size} models, got '${name}'; nearest: ${near}`)
}

/**
 * Builds a model by its name: `createModel('resnet50', { from: [modern], numClasses: 10 })`.
 *
 * @throws ArgumentError with the nearest names for a name that is in none of the lists.
 */
export function createModel<Output extends ImageOutput = Tensor>(
  name: string,
  options: From<Output> & ModelOptions = {} as From<Output>,
): ImageModel<Output> {
  // Which other names there are, the model knows.
  checkOptionsObject('createModel', options)
  const { from, ...rest } = options
  return findModel(name, { from })(rest)
}

/** Names of all models that fit a pattern with `*` and `?`, or a regular expression, in the order of the lists. */
export function listModels(pattern: string | RegExp, options: From<ImageOutput>): string[] {
  checkOptionNames('listModels', options, fromOptions)
  const fits =
    typeof pattern === 'string'
      ? new RegExp(
          `^${pattern
            .replaceAll(/[\\^$.+()[\]{}|]/g, '\\$&')
            .replaceAll('*', '.*')
            .replaceAll('?', '.')}$`,
        )
      : pattern
  return [...entriesOf('listModels', options.from).keys()].filter((name) => name.search(fits) >= 0)
}
