/**
 * Batch norm by the batch's own statistics, as in training; see `norm.ts` for the formulas.
 *
 * An activation without parameters and the running statistics belong to the op, for in a pass of their own they cost as much as
 * the norm does. With an activation, y = act(z), the gradient by z is what enters the norm's gradient; z is computed again from x.
 */

import type { Buffer, RunningNorm } from '../backends/backend.ts'
import { ArgumentError, DTypeError, ShapeError } from '../errors.ts'
import { f } from '../formula.ts'
import { isGradEnabled, noGrad } from '../grad-mode.ts'
import { apply, checkFloat, checkTensors, type Inputs, type Op, run } from '../op.ts'
import { checkOptionNames, optionNames } from '../options.ts'
import { local, tidy } from '../scope.ts'
import { checkNumber, show } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { watcher } from '../watch.ts'
import { expand } from './broadcast.ts'
import { add, mul, reciprocal } from './elementwise.ts'
import { type Activation, activationOf } from './formula-op.ts'
import {
  asImage,
  type BatchNormOptions,
  channelsOf,
  checkAffine,
  composedGradient,
  composedUnit,
  gradients,
  type NormAttrs,
  normOp,
} from './norm.ts'
import { reshape } from './reshape.ts'
import { update } from './update.ts'

/** Statistics over the batches that have been, which each batch moves on, in place. */
export interface RunningStatistics {
  /** By channel (C), of the dtype of what is normalised. */
  readonly mean: Tensor
  /** By channel (C); it takes in the unbiased variance of a batch. */
  readonly variance: Tensor
  /** Batches that have been: an int32 scalar. */
  readonly count: Tensor
  /** Weight of the newest batch, from 0 to 1; null for the average over all batches. */
  readonly momentum: number | null
}

export interface BatchNormTrainingOptions extends BatchNormOptions {
  /**
   * What the output ends with. An elementwise op of one tensor, such as `relu` or `silu`, runs in the same pass and has its
   * gradient in that of the norm.
   */
  readonly activation?: ((x: Tensor) => Tensor) | undefined
  /** Statistics that the batch moves on. */
  readonly running?: RunningStatistics | undefined
}

const trainingOptions = optionNames<BatchNormTrainingOptions>({ eps: true, running: true, activation: true })

/** Output of batch norm by the batch's own statistics, which carry no gradient. */
export interface BatchNormResult {
  readonly output: Tensor
  /** Mean by channel (C). */
  readonly mean: Tensor
  /** Biased variance by channel (C). */
  readonly variance: Tensor
}

interface BatchAttrs extends NormAttrs {
  readonly act: Activation | null
  readonly momentum: number | null
}

const plainOp = normOp('batchNorm')

/** Inputs: x, weight, bias; running mean, variance and count. For backends that have it in one. Extra: mean, variance, affine. */
const batchOp: Op<BatchAttrs> = {
  name: 'batchNorm',
  infer: plainOp.infer,
  forward([x, weight, bias, mean, variance, count], { extents, eps, act, momentum }, { dtype }, backend) {
    const buffer = (t: Tensor | undefined) => t?.storage.buffer ?? null
    const channels = extents[2]
    const running =
      mean && variance && count
        ? ({
            mean: mean.storage.buffer,
            variance: variance.storage.buffer,
            count: count.storage.buffer,
            momentum,
          } satisfies RunningNorm)
        : null
    const input = (x as Tensor).storage.buffer
    const formula = act?.formula ?? null
    const result = backend.normalizeBatch!(input, buffer(weight), buffer(bias), channels, eps, formula, running)
    const vector = (length: number) => ({ shape: [length], dtype })
    return {
      output: result.output,
      extra: [
        { buffer: result.mean, ...vector(channels) },
        { buffer: result.variance, ...vector(channels) },
        { buffer: result.affine, ...vector(2 * channels) },
      ],
    }
  },
  saves: () => ({ inputs: [0, 1, 2] }),
  backward(g, { attrs, input, optionalInput, extra, needs, metas }) {
    const [x, weight, bias] = [input(0), optionalInput(1), optionalInput(2)]
    const rest = [undefined, undefined, undefined]
    if (isGradEnabled()) {
      const shapes = metas.slice(0, 3).map((meta) => meta?.shape ?? [])
      const passed = attrs.act ? apply(attrs.act.gradientRule, [g, composed(x, weight, bias, attrs)], []) : g
      return [...composedGradient(passed, x, weight, attrs, needs, shapes), ...rest]
    }
    const { output, extra: parameters } = run(batchGradOp, [g, x, weight, extra(0), extra(1), extra(2)], attrs)
    const [byWeight, byBias] = parameters
    return [output, metas[1] && byWeight, metas[2] && byBias, ...rest]
  },
}

/** Inputs: g, x, weight, mean, variance, affine. Gives dx; extra: dw, db. */
const batchGradOp: Op<BatchAttrs> = {
  name: 'normalisation gradient',
  infer: ([, x]) => ({ shape: (x as Tensor).shape, dtype: (x as Tensor).dtype }),
  forward(inputs, { eps, act }, { dtype }, backend) {
    const [g, x, weight, mean, variance, affine] = inputs.map((t) => t?.storage.buffer) as Buffers
    const result = backend.normalizeBatchGrad!(
      g,
      x,
      weight ?? null,
      { mean, variance, affine },
      eps,
      act?.gradient ?? null,
    )
    return gradients(result, dtype)
  },
}

type Buffers = [g: Buffer, x: Buffer, weight: Buffer | undefined, mean: Buffer, variance: Buffer, affine: Buffer]

/** The norm from simple ops, all recorded. */
function composed(x: Tensor, weight: Tensor | undefined, bias: Tensor | undefined, attrs: NormAttrs): Tensor {
  let y = composedUnit(x, attrs).unit
  if (weight !== undefined) y = mul(y, reshape(weight, attrs.affine))
  if (bias !== undefined) y = add(y, reshape(bias, attrs.affine))
  return reshape(y, x.shape)
}

/** running = (1 - p0) running + p0 batch; the variance's p1 is p0 n / (n - 1), which makes it unbiased. */
const runningMean = f.add(f.mul(f.sub(1, f.param(0)), f.input(0)), f.mul(f.param(0), f.input(2)))
const runningVar = f.add(f.mul(f.sub(1, f.param(0)), f.input(1)), f.mul(f.param(1), f.input(3)))

/** The same with one share for each element as the last operand, and p0 = n / (n - 1). */
const [shareOfAll, others] = [f.input(4), f.sub(1, f.input(4))]
const meanOfAll = f.add(f.mul(others, f.input(0)), f.mul(shareOfAll, f.input(2)))
const varOfAll = f.add(f.mul(others, f.input(1)), f.mul(f.mul(shareOfAll, f.param(0)), f.input(3)))

/** Moves running statistics on by ops, for a batch of `cells` values per channel; the count last, when nothing can fail any more. */
function moveOn(running: RunningStatistics, mean: Tensor, variance: Tensor, cells: number): void {
  const { count, momentum } = running
  using next = add(count, 1)
  const unbiased = cells / (cells - 1)
  const targets = [running.mean, running.variance]
  if (momentum !== null) {
    update([runningMean, runningVar], targets, [mean, variance], [momentum, momentum * unbiased])
  } else {
    // The share of this batch is 1 / next, a number on the device: a GPU's count cannot be read at once.
    using share = noGrad(() => tidy(() => expand(reciprocal(next.to(mean.dtype)), mean.shape)))
    update([meanOfAll, varOfAll], targets, [mean, variance, share], [unbiased])
  }
  count.assign_(next)
}

function checkRunning(running: RunningStatistics, x: Tensor, channels: number): void {
  if (typeof running !== 'object' || running === null) {
    throw new ArgumentError(`batchNorm: running expects { mean, variance, count, momentum }, got ${String(running)}`)
  }
  const { mean, variance, count, momentum } = running
  const parts = { 'running.mean': mean, 'running.variance': variance, 'running.count': count }
  checkTensors('batchNorm', parts)
  checkAffine('batchNorm', { 'running.mean': mean, 'running.variance': variance }, [channels])
  for (const [argument, value] of Object.entries(parts)) {
    const expected = value === count ? 'int32' : x.dtype
    if (value.dtype !== expected) {
      throw new DTypeError(`batchNorm: ${argument} expects ${expected}, got ${value.dtype}`)
    }
  }
  if (count.size !== 1) throw new ShapeError(`batchNorm: running.count expects one element, got ${show(count.shape)}`)
  if (momentum !== null) checkNumber('batchNorm', 'running.momentum', momentum, 0, 1)
}

/**
 * Batch norm of x (N, C, ...) by the statistics of the batch, as in training. Ioffe and Szegedy 2015, algorithm 1.
 *
 * @param weight scale by channel (C), or none; `bias` alike.
 * @returns the output, of the shape of x, and the statistics (C).
 * @throws ShapeError, DTypeError where parameters or running statistics do not fit x; ShapeError for a batch with one value per channel, whose variance says nothing.
 */
export function batchNormTraining(
  x: Tensor,
  weight?: Tensor,
  bias?: Tensor,
  options: BatchNormTrainingOptions = {},
): BatchNormResult {
  checkOptionNames('batchNorm', options, trainingOptions)
  const { activation, running } = options
  const act = activation === undefined ? null : activationOf('batchNorm', activation)
  return local(() => {
    const { batch, channels, spatial } = channelsOf('batchNorm', x, 2)
    checkFloat('batchNorm', 'x', x)
    const eps = checkNumber('batchNorm', 'eps', options.eps ?? 1e-5, 0)
    checkAffine('batchNorm', { weight, bias }, [channels])
    if (running !== undefined) checkRunning(running, x, channels)
    const cells = batch * spatial
    if (cells < 2) {
      throw new ShapeError(`batchNorm: x expects more than one value per channel in training, got ${show(x.shape)}`)
    }
    const image = asImage(x)
    const attrs = {
      extents: [1, cells, channels, 1] as const,
      eps,
      axes: [0, 2],
      view: [batch, channels, spatial],
      affine: [channels, 1],
    }
    const inOne = x.backend.normalizeBatch !== undefined && x.dtype === 'float32' && watcher() === undefined
    const given: Inputs = [image, weight, bias]
    const { output, extra } = inOne
      ? run(batchOp, [...given, running?.mean, running?.variance, running?.count], {
          ...attrs,
          act: act ?? null,
          momentum: running?.momentum ?? null,
        })
      : run(plainOp, given, attrs)
    const [mean, variance] = extra.slice(0, 2).map((t) => reshape(t, [channels])) as [Tensor, Tensor]
    if (!inOne && running !== undefined) moveOn(running, mean, variance, cells)
    const normal = reshape(output, x.shape)
    const acted = inOne && act ? normal : (activation?.(normal) ?? normal)
    return { output: acted, mean, variance }
  })
}
