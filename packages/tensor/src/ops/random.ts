/** Random tensors and dropout, all from a counter-based generator. */

import { isFloat } from '../dtype.ts'
import { DTypeError } from '../errors.ts'
import { apply, checkFloat, checkTensors, type Op } from '../op.ts'
import { checkOptionNames, optionNames } from '../options.ts'
import { type Generator, type GeneratorState, takeFrom } from '../random.ts'
import { local } from '../scope.ts'
import { checkNumber, type Shape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { ge, mul } from './elementwise.ts'
import { reshape } from './reshape.ts'

interface Draw {
  readonly position: GeneratorState
  readonly shape: Shape
}

/** Uniform numbers in [0, 1), of the input's dtype and backend. */
const uniformOp: Op<Draw> = {
  name: 'random',
  infer: ([x], { shape }) => ({ shape, dtype: (x as Tensor).dtype }),
  forward([x], { position, shape }, meta, backend) {
    if (!isFloat(meta.dtype)) throw new DTypeError(`random: x expects a float dtype, got ${(x as Tensor).dtype}`)
    const length = shape.reduce((n, extent) => n * extent, 1)
    return backend.random('uniform', meta.dtype as 'float32' | 'float64', length, position)
  },
}

export interface DropoutOptions {
  /** Probability of a zero. Default 0.5. */
  readonly p?: number
  /** Source of the mask. Default: the default generator. */
  readonly generator?: Generator
}

const dropoutOptions = optionNames<DropoutOptions>({ p: true, generator: true })

/** x with zeros of probability p, the rest scaled by 1 / (1 - p). Axes from number `rank` on are dropped as one. */
function dropMask(op: string, x: Tensor, rank: number, options: DropoutOptions): Tensor {
  return local(() => {
    checkTensors(op, { x })
    checkFloat(op, 'x', x)
    checkOptionNames(op, options, dropoutOptions)
    const p = checkNumber(op, 'p', options.p ?? 0.5, 0, 1)
    if (p === 0) return reshape(x, x.shape)
    const shape = x.shape.map((extent, axis) => (axis < rank ? extent : 1))
    const size = shape.reduce((n, extent) => n * extent, 1)
    const draw = apply(uniformOp, [x.detach()], { position: takeFrom(options.generator, size), shape })
    const mask = ge(draw, p)
    draw.dispose()
    return mul(mul(x, mask), p === 1 ? 0 : 1 / (1 - p))
  })
}

/** Zeros each element with probability p and scales the others by 1 / (1 - p). Srivastava et al. 2014. */
export function dropout(x: Tensor, options: DropoutOptions = {}): Tensor {
  return dropMask('dropout', x, Number.POSITIVE_INFINITY, options)
}

/** Dropout of whole channels of (N, C, ...). Tompson et al. 2015. */
export function dropout2d(x: Tensor, options: DropoutOptions = {}): Tensor {
  return dropMask('dropout2d', x, 2, options)
}

/** Stochastic depth: zeros whole samples of (N, ...) with probability p. Huang et al. 2016; PyTorch's mode "row". */
export function dropPath(x: Tensor, options: DropoutOptions = {}): Tensor {
  return dropMask('dropPath', x, 1, options)
}
