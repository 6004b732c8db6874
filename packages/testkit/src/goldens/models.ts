/** `models/*.json`: one network each, with weights by the fill rule. */
import type { Shape } from '@convnets/tensor'
import { Json } from './json.ts'

/** A tensor in a few numbers. */
export interface TensorStatistics {
  readonly shape: Shape
  readonly mean: number
  /** Biased standard deviation. */
  readonly std: number
  readonly absmax: number
  /** The first values in logical order. */
  readonly first: readonly number[]
}

/** An input that is fill(salt + name). */
export interface FilledInput {
  readonly name: string
  readonly shape: Shape
}

/** One step of training without the update: loss and gradients, dropout and drop-path off. */
export interface TrainingStepGolden {
  readonly input: FilledInput
  readonly target: readonly number[]
  readonly labelSmoothing: number
  /** Weight of each auxiliary head's loss, for networks that have such heads. */
  readonly auxWeight: number | undefined
  readonly loss: number
  /** Euclidean norm of every parameter's gradient. */
  readonly gradNorm: ReadonlyMap<string, number>
  /** Gradients with smaller norms are zero but for rounding, and are not compared. */
  readonly gradNormFloor: number
  /** Relative errors of PyTorch's own float32 arithmetic. */
  readonly float32Error: { readonly loss: number; readonly gradNormWorst: number; readonly gradNormMedian: number }
  /** Sums of the running variances after the step. */
  readonly runningVarSum: ReadonlyMap<string, number>
}

export interface ModelGolden {
  readonly name: string
  readonly source: string
  readonly salt: string
  readonly normScale: number
  readonly parameters: number
  /** Height and width of the images that the network was published for. */
  readonly nativeSize: number
  /** Multiply-accumulates of convolutions and linear layers for one image of `nativeSize`. */
  readonly macs: number
  readonly input: FilledInput
  readonly output: TensorStatistics & {
    readonly argmax: readonly number[]
    /** Every `stride`-th value of the flattened output. */
    readonly values: readonly number[]
    readonly stride: number
  }
  /** Relative error of PyTorch's own float32 arithmetic. */
  readonly float32Error: number
  /** Output of each child module, to find where a deviation starts. */
  readonly children: ReadonlyMap<string, TensorStatistics>
  /** Keys and shapes of the state dict, in order. */
  readonly state: readonly (readonly [key: string, shape: Shape])[]
  readonly training: TrainingStepGolden | undefined
}

function readStatistics(json: Json): TensorStatistics {
  return {
    shape: json.get('shape').shape(),
    mean: json.get('mean').number(),
    std: json.get('std').number(),
    absmax: json.get('absmax').number(),
    first: json.get('first').numbers(),
  }
}

function readInput(json: Json): FilledInput {
  return { name: json.get('name').string(), shape: json.get('shape').shape() }
}

function readStep(json: Json): TrainingStepGolden {
  const input = readInput(json.get('input'))
  const error = json.get('float32Error')
  return {
    input,
    target: json.get('target').numbersOf(input.shape[0] ?? 0),
    labelSmoothing: json.get('labelSmoothing').number(),
    auxWeight: json.optional('auxWeight', (weight) => weight.number()),
    loss: json.get('loss').number(),
    gradNorm: json.get('gradNorm').map((norm) => norm.number()),
    gradNormFloor: json.get('gradNormFloor').number(),
    float32Error: {
      loss: error.get('loss').number(),
      gradNormWorst: error.get('gradNormWorst').number(),
      gradNormMedian: error.get('gradNormMedian').number(),
    },
    runningVarSum: json.get('runningVarSum').map((sum) => sum.number()),
  }
}

/** Reads one of `models/*.json`. @throws GoldenError that names the field which is missing or of the wrong kind. */
export function parseModelGolden(text: string, file = 'model.json'): ModelGolden {
  const json = Json.parse(text, file)
  const output = json.get('output')
  return {
    name: json.get('name').string(),
    source: json.get('source').string(),
    salt: json.get('salt').string(),
    normScale: json.get('normScale').number(),
    parameters: json.get('parameters').integer(),
    nativeSize: json.get('nativeSize').integer(),
    macs: json.get('macs').integer(),
    input: readInput(json.get('input')),
    output: {
      ...readStatistics(output),
      argmax: output.get('argmax').numbers(),
      values: output.get('values').numbers(),
      stride: output.get('stride').integer(),
    },
    float32Error: json.get('float32Error').number(),
    children: json.get('children').map(readStatistics),
    state: json
      .get('state')
      .list()
      .map((entry) => {
        const [key, shape] = entry.listOf(2) as [Json, Json]
        return [key.string(), shape.shape()] as const
      }),
    training: json.optional('training', readStep),
  }
}
