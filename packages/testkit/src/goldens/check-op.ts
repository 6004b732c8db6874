/** One golden op on one backend: outputs and gradients against PyTorch's. */
import {
  type Backend,
  checkOptionNames,
  type DType,
  grad,
  optionNames,
  type Tensor,
  tensor,
  tidy,
} from '@convnets/tensor'
import { relativeError, type Tolerances, tolerances, within } from '../errors.ts'
import { fill } from '../fill.ts'
import { runGoldenOp } from './op-runners.ts'
import type { OpGolden } from './ops.ts'

/** How far one op is from its golden. */
export interface OpGoldenResult {
  readonly id: string
  readonly passed: boolean
  /** Relative error of the output. */
  readonly output: number
  /** Relative errors of the gradients by input. */
  readonly gradients: ReadonlyMap<string, number>
}

export interface CheckOpOptions {
  readonly backend: Backend
  /** Default float32. */
  readonly dtype?: DType
  /** Default: those of the dtype. */
  readonly tolerances?: Tolerances
  /** Prefix of the file. Default ''. */
  readonly prefix?: string
}

const checkOptions = optionNames<CheckOpOptions>({ backend: true, dtype: true, tolerances: true, prefix: true })

/**
 * Runs a case of `ops.json` and compares its output and all gradients. Frees everything.
 *
 * @throws GoldenError for an op that is not known, and what the op itself throws.
 */
export async function checkGoldenOp(golden: OpGolden, options: CheckOpOptions): Promise<OpGoldenResult> {
  checkOptionNames('checkGoldenOp', options, checkOptions)
  const { backend, dtype = 'float32', prefix = '' } = options
  const limits = options.tolerances ?? tolerances[dtype === 'float64' ? 'float64' : 'float32']
  const make = (name: string, shape: readonly number[]): Tensor =>
    tensor(fill(`${prefix}${golden.id}.${name}`, shape), { shape, dtype, backend })
  const { y, results } = tidy(() => {
    const inputs = new Map(
      [...golden.inputs].map(([name, shape]) => {
        const x = make(name, shape)
        x.requiresGrad = true
        return [name, x] as const
      }),
    )
    const y = runGoldenOp(golden.op, inputs, golden.attrs)
    const sameShape = String(y.shape) === String(golden.outputShape)
    const upstream = y.rank === 0 || !sameShape ? undefined : make('grad', y.shape)
    const results = sameShape ? grad(y, [...inputs.values()], { gradients: [upstream] }) : []
    return { y: y.detach(), results: results.map((g) => g?.detach()) }
  })
  try {
    const sameShape = String(y.shape) === String(golden.outputShape)
    const output = sameShape ? relativeError(await y.data(), golden.output) : Number.NaN
    const gradients = new Map<string, number>()
    for (const [i, [name, expected]] of [...golden.grads].entries()) {
      gradients.set(name, relativeError((await results[i]?.data()) ?? new Float64Array(), expected))
    }
    const passed =
      within(output, limits.output) && [...gradients.values()].every((error) => within(error, limits.gradient))
    return { id: golden.id, passed, output, gradients }
  } finally {
    for (const t of [y, ...results]) t?.dispose()
  }
}
