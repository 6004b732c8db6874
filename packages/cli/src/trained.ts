/** What a file of weights says of the network it is for, so that classifying needs nothing else. */
import { Failure } from './failure.ts'

/** How a picture becomes the network's input. */
interface Preprocessing {
  readonly height: number
  readonly width: number
  readonly channels: 1 | 3
  /** Per channel, of values from 0 to 1. */
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /**
   * Pixels of the shorter side before the middle is cut out, or height and width. Default: a shorter side that covers the
   * input.
   */
  readonly resize?: number | readonly [height: number, width: number]
  /** Default bilinear. */
  readonly interpolation?: 'bilinear' | 'bicubic'
  /** Default rgb. */
  readonly channelOrder?: 'rgb' | 'bgr'
}

/** Everything but the weights themselves. */
export interface Trained {
  /** Name of the network, as `createModel` knows it. */
  readonly model: string
  readonly options: { readonly inChannels: number; readonly numClasses: number }
  /** Names of the classes by number. */
  readonly classes: readonly string[]
  readonly preprocessing: Preprocessing
}

/** Metadata for a safetensors file. `format: pt` says that keys, shapes and meaning are PyTorch's. */
export function toMetadata({ model, options, classes, preprocessing }: Trained): Map<string, string> {
  return new Map([
    ['format', 'pt'],
    ['model', model],
    ['options', JSON.stringify(options)],
    ['classes', JSON.stringify(classes)],
    ['preprocessing', JSON.stringify(preprocessing)],
  ])
}

type Fields = Readonly<Record<string, unknown>>

const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) > 0

function isListOf(value: unknown, kind: 'string' | 'number', length: number): boolean {
  return Array.isArray(value) && value.length === length && value.every((item) => typeof item === kind)
}

function isPreprocessing(value: Fields): boolean {
  const { height, width, channels, mean, std } = value
  if (!isCount(height) || !isCount(width) || (channels !== 1 && channels !== 3)) return false
  const positive = Array.isArray(std) && std.every((item) => item > 0)
  return positive && isListOf(mean, 'number', channels) && isListOf(std, 'number', channels)
}

/** Reads what `toMetadata` wrote. Throws `Failure` for a file that lacks it or holds something else. */
export function fromMetadata(metadata: ReadonlyMap<string, string>, file: string): Trained {
  const missing = ['model', 'options', 'classes', 'preprocessing'].filter((key) => !metadata.has(key))
  if (missing.length > 0) {
    throw new Failure(
      `${file} holds weights, but does not say what network they are for (${missing.join(', ')} missing in its metadata); files that \`convnets train\` has written do.`,
    )
  }
  const read = (key: string): unknown => {
    try {
      return JSON.parse(metadata.get(key) as string)
    } catch {
      return undefined
    }
  }
  const [options, classes, preprocessing] = ['options', 'classes', 'preprocessing'].map(read) as [
    Fields | null,
    unknown,
    Fields | null,
  ]
  const whole =
    isCount(options?.inChannels) &&
    isCount(options?.numClasses) &&
    isListOf(classes, 'string', options?.numClasses as number) &&
    isPreprocessing(preprocessing ?? {}) &&
    preprocessing?.channels === options?.inChannels
  if (!whole) throw new Failure(`${file} describes its network in a way that makes no sense; its metadata are damaged.`)
  return { model: metadata.get('model') as string, options, classes, preprocessing } as unknown as Trained
}
