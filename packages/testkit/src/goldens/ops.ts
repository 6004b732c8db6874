/** `ops.json`: single ops with their outputs and gradients. */
import type { Shape } from '@convnets/tensor'
import { Json } from './json.ts'

/** One op with PyTorch's result, in float64. */
export interface OpGolden {
  readonly id: string
  /** PyTorch's name of the op. */
  readonly op: string
  /** Attributes in JSON, as `opRunners` reads them. */
  readonly attrs: Json
  /** Shapes of the inputs by name. Their values are fill(prefix + id + '.' + name). */
  readonly inputs: ReadonlyMap<string, Shape>
  readonly outputShape: Shape
  readonly output: readonly number[]
  /** Gradients of the inputs for the upstream gradient fill(prefix + id + '.grad'), or 1 for a scalar output. */
  readonly grads: ReadonlyMap<string, readonly number[]>
}

export interface OpGoldens {
  /** Put in front of every fill name. */
  readonly prefix: string
  readonly cases: readonly OpGolden[]
}

function readCase(json: Json): OpGolden {
  const inputs = json.get('inputs').map((shape) => shape.shape())
  const outputShape = json.get('outputShape').shape()
  const size = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1)
  const grads = json.get('grads')
  return {
    id: json.get('id').string(),
    op: json.get('op').string(),
    attrs: json.get('attrs'),
    inputs,
    outputShape,
    output: json.get('output').numbersOf(size(outputShape)),
    grads: new Map([...inputs].map(([name, shape]) => [name, grads.get(name).numbersOf(size(shape))])),
  }
}

/**
 * Reads `ops.json`.
 *
 * @param file what messages call it.
 * @throws GoldenError that names the field which is missing, of the wrong kind or of the wrong length.
 */
export function parseOpGoldens(text: string, file = 'ops.json'): OpGoldens {
  const json = Json.parse(text, file)
  return { prefix: json.get('prefix').string(), cases: json.get('cases').list().map(readCase) }
}
