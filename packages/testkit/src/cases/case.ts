/** What a case of an op is. */
import { type Backend, type DType, type Shape, type Tensor, tensor } from '@convnets/tensor'
import { fill } from '../fill.ts'

type Exports = typeof import('@convnets/tensor')

/** What an op gives: a tensor, several, or a record with a main result. */
type Result = Tensor | readonly Tensor[] | { readonly values: Tensor } | { readonly output: Tensor }

/** Exports that give tensors without being ops: they make tensors from numbers, or run functions. */
type Makers =
  | 'arange'
  | 'checkpoint'
  | 'enableGrad'
  | 'withPrecision'
  | 'fromChannelsLast'
  | 'full'
  | 'grad'
  | 'noGrad'
  | 'ones'
  | 'onesLike'
  | 'rand'
  | 'randn'
  | 'readOptions'
  | 'seeded'
  | 'tensor'
  | 'tidy'
  | 'watchOps'
  | 'zeros'
  | 'zerosLike'

/** The exported ops of `@convnets/tensor`, by type: a new one that has no cases does not compile. */
export type OpName = Exclude<
  { [K in keyof Exports]: Exports[K] extends (...args: never[]) => Result ? K : never }[keyof Exports],
  Makers
>

/** An input that is scale * u + shift with u from the fill rule, in [-1, 1). A bare shape has scale 1 and shift 0. */
export type InputSpec = Shape | { readonly shape: Shape; readonly scale?: number; readonly shift?: number }

/** A call of an op with inputs of given shapes. */
export interface OpCase {
  readonly id: string
  readonly inputs: readonly InputSpec[]
  readonly run: (...inputs: Tensor[]) => Tensor | readonly Tensor[]
  /** Derivatives that exist: 0 none, 1 the gradient, 2 the gradient of the gradient too. */
  readonly order: 0 | 1 | 2
}

/** Cases of some of the ops. */
export type Cases<K extends OpName> = Readonly<Record<K, readonly OpCase[]>>

/** A case. `order` is 2 where nothing else is said. */
export function row(
  id: string,
  inputs: readonly InputSpec[],
  run: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  order: 0 | 1 | 2 = 2,
): OpCase {
  return { id, inputs, run, order }
}

/** A tensor of given numbers on the backend of `x`, for indices, targets and masks. */
export function like(x: Tensor, values: Parameters<typeof tensor>[0], dtype: DType = x.dtype): Tensor {
  return tensor(values, { dtype, backend: x.backend })
}

/** The inputs of a case as tensors; the numbers depend on op and case, and are exact in float32. */
export function makeInputs(
  op: string,
  { id, inputs }: OpCase,
  backend: Backend,
  dtype: 'float32' | 'float64',
): Tensor[] {
  return inputs.map((input, i) => {
    const { shape, scale = 1, shift = 0 } = 'shape' in input ? input : { shape: input }
    const values = fill(`${op}.${id}.${i}`, shape).map((u) => Math.fround(u * scale + shift))
    return tensor(values, { shape, dtype, backend })
  })
}
