/**
 * Normalisation: x^ = (x - mean) / sqrt(var + eps), y = x^ w + b, with statistics over a part of the axes. Batch, layer,
 * instance and group norm differ in that part alone, so they share one op over extents [a, b, c, d] (`NormExtents`).
 *
 * Gradient, with m elements per statistic and sums over them:
 *     dx = w / sqrt(var + eps) * (g - sum(g w) / (m w) - x^ sum(g w x^) / (m w)),  dw = sum(g x^),  db = sum(g).
 * It is a kernel of its own. Under `createGraph` the gradient is made of simple ops instead, which can be
 * differentiated again.
 */

import type { Buffer, NormExtents } from '../backends/backend.ts'
import type { DType } from '../dtype.ts'
import { ShapeError } from '../errors.ts'
import { isGradEnabled } from '../grad-mode.ts'
import { apply, checkDType, checkFloat, checkTensor, checkTensors, type Forward, type Op, run } from '../op.ts'
import { checkOptionNames, optionNames } from '../options.ts'
import { local } from '../scope.ts'
import { at, checkInteger, checkNumber, checkShape, type Shape, sameShape, show, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { sumTo } from './broadcast.ts'
import { add, div, mul, pow, rsqrt, square, sub } from './elementwise.ts'
import { mean as meanOf } from './reduce.ts'
import { reshape } from './reshape.ts'
import { narrow, pad } from './slice.ts'

export interface NormAttrs {
  readonly extents: NormExtents
  readonly eps: number
  /** Logical axes that the statistics run over, in `view`. */
  readonly axes: readonly number[]
  /** x seen with every group of axes apart, and weight and bias seen so that they broadcast with it. */
  readonly view: Shape
  readonly affine: Shape
}

export const normOp = (name: string): Op<NormAttrs> => ({
  name,
  infer([x, weight, bias], { extents }) {
    const input = x as Tensor
    checkFloat(name, 'x', input)
    const [, , c, d] = extents
    for (const [argument, value] of [
      ['weight', weight],
      ['bias', bias],
    ] as const) {
      if (value === undefined) continue
      checkDType(name, argument, value, input.dtype)
      if (value.size !== c * d)
        throw new ShapeError(`${name}: ${argument} expects ${c * d} elements, got ${show(value.shape)}`)
    }
    return { shape: input.shape, dtype: input.dtype }
  },
  forward([x, weight, bias], { extents, eps }, _, backend) {
    const input = x as Tensor
    const [a, , c] = extents
    const { output, mean, variance } = backend.normalize(
      input.storage.buffer,
      weight?.storage.buffer ?? null,
      bias?.storage.buffer ?? null,
      extents,
      eps,
    )
    const statistic = { shape: [a, c], dtype: input.dtype }
    return {
      output,
      extra: [
        { buffer: mean, ...statistic },
        { buffer: variance, ...statistic },
      ],
    }
  },
  saves: () => ({ inputs: [0, 1] }),
  backward(g, { attrs, input, optionalInput, extra, needs, metas }) {
    const x = input(0)
    const weight = optionalInput(1)
    if (isGradEnabled())
      return composedGradient(
        g,
        x,
        weight,
        attrs,
        needs,
        metas.map((meta) => meta?.shape ?? []),
      )
    const { output, extra: rest } = run(normGradOp, [g, x, weight, extra(0), extra(1)], attrs)
    return [output, weight === undefined ? undefined : rest[0], metas[2] === undefined ? undefined : rest[1]].map(
      (result, i) => (result === undefined ? undefined : reshape(result, metas[i]?.shape ?? [])),
    )
  },
})

/** Inputs: g, x, weight, mean, variance. Gives dx; extra: dw, db. */
const normGradOp: Op<NormAttrs> = {
  name: 'normalisation gradient',
  infer: ([, x]) => ({ shape: (x as Tensor).shape, dtype: (x as Tensor).dtype }),
  forward([g, x, weight, mean, variance], { extents, eps }, { dtype }, backend) {
    const buffer = (t: Tensor | undefined) => (t as Tensor).storage.buffer
    const result = backend.normalizeGrad(
      buffer(g),
      buffer(x),
      weight === undefined ? null : buffer(weight),
      buffer(mean),
      buffer(variance),
      extents,
      eps,
    )
    return gradients(result, dtype)
  },
}

/** Gradients as a backend gives them, as the result of an op: dx; extra: dw, db. */
export function gradients({ x, weight, bias }: Record<'x' | 'weight' | 'bias', Buffer>, dtype: DType): Forward {
  const vector = (buffer: Buffer) => ({ buffer, shape: [buffer.length], dtype })
  return { output: x, extra: [vector(weight), vector(bias)] }
}

/** x^ in `view`, from simple ops, all recorded; its scale and the mean over the axes. */
export function composedUnit(
  x: Tensor,
  { eps, axes, view }: NormAttrs,
): { readonly unit: Tensor; readonly scale: Tensor; readonly average: (t: Tensor) => Tensor } {
  const average = (t: Tensor): Tensor => meanOf(t, { dim: axes, keepdim: true })
  const seen = reshape(x, view)
  const centred = sub(seen, average(seen))
  const scale = rsqrt(add(average(square(centred)), eps))
  return { unit: mul(centred, scale), scale, average }
}

/** The same gradient from simple ops, all recorded. */
export function composedGradient(
  g: Tensor,
  x: Tensor,
  weight: Tensor | undefined,
  attrs: NormAttrs,
  needs: readonly boolean[],
  shapes: readonly Shape[],
): (Tensor | undefined)[] {
  const { view, affine } = attrs
  const gv = reshape(g, view)
  const { unit, scale, average } = composedUnit(x, attrs)
  const gw = weight === undefined ? gv : mul(gv, reshape(weight, affine))
  const dx = mul(scale, sub(sub(gw, average(gw)), mul(unit, average(mul(gw, unit)))))
  const toAffine = (t: Tensor, i: number): Tensor => reshape(sumTo(t, affine), shapes[i] ?? [])
  return [
    needs[0] === true ? reshape(dx, x.shape) : undefined,
    needs[1] === true ? toAffine(mul(gv, unit), 1) : undefined,
    needs[2] === true ? toAffine(gv, 2) : undefined,
  ]
}

const layerNormOp = normOp('layerNorm')
const groupNormOp = normOp('groupNorm')
const instanceNormOp = normOp('instanceNorm')

/** (N, C, ...) as channels and the product of the spatial extents, which is how all of them treat ranks. */
export function channelsOf(
  op: string,
  x: Tensor,
  minRank: number,
): { batch: number; channels: number; spatial: number } {
  checkTensor(op, 'x', x)
  if (x.rank < minRank)
    throw new ShapeError(
      `${op}: x expects at least rank ${minRank} (N, C${minRank > 2 ? ', ...' : ''}), got ${show(x.shape)}`,
    )
  return { batch: at(x.shape, 0), channels: at(x.shape, 1), spatial: sizeOf(x.shape.slice(2)) }
}

/** Checks that parameters and statistics, as far as they are there, have a shape. */
export function checkAffine(op: string, parts: Readonly<Record<string, Tensor | undefined>>, shape: Shape): void {
  for (const argument in parts) {
    const value = parts[argument]
    if (value === undefined) continue
    checkTensor(op, argument, value)
    if (!sameShape(value.shape, shape)) {
      throw new ShapeError(`${op}: ${argument} expects ${show(shape)}, got ${show(value.shape)}`)
    }
  }
}

/** Rank 2 and 4 have channels innermost in memory; (N, C, L) and others go by way of (N, C, L, 1). */
export function asImage(x: Tensor): Tensor {
  return x.rank === 2 || x.rank === 4 ? x : reshape(x, [at(x.shape, 0), at(x.shape, 1), sizeOf(x.shape.slice(2)), 1])
}

export interface BatchNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number
}

const normOptions = optionNames<BatchNormOptions>({ eps: true })

/** Layer norm over the trailing axes `normalizedShape`; weight and bias have that shape. Ba et al. 2016. */
export function layerNorm(
  x: Tensor,
  normalizedShape: Shape,
  weight?: Tensor,
  bias?: Tensor,
  options: BatchNormOptions = {},
): Tensor {
  return local(() => {
    checkTensors('layerNorm', { x })
    checkOptionNames('layerNorm', options, normOptions)
    const eps = checkNumber('layerNorm', 'eps', options.eps ?? 1e-5, 0)
    checkShape('layerNorm', normalizedShape)
    const lead = x.rank - normalizedShape.length
    if (normalizedShape.length === 0 || lead < 0 || !sameShape(x.shape.slice(Math.max(0, lead)), normalizedShape)) {
      throw new ShapeError(`layerNorm: x expects ${show(normalizedShape)} as its last axes, got ${show(x.shape)}`)
    }
    checkAffine('layerNorm', { weight, bias }, normalizedShape)
    const size = sizeOf(normalizedShape)
    const rows = sizeOf(x.shape.slice(0, lead))
    const flat = (t: Tensor | undefined): Tensor | undefined => (t === undefined ? undefined : reshape(t, [size]))
    const attrs = { extents: [rows, 1, 1, size] as const, eps, axes: [1], view: [rows, size], affine: [size] }
    return reshape(apply(layerNormOp, [reshape(x, [rows, size]), flat(weight), flat(bias)], attrs), x.shape)
  })
}

/** Group norm of x (N, C, ...): statistics by sample and group of channels. Wu and He 2018. */
export function groupNorm(
  x: Tensor,
  groups: number,
  weight?: Tensor,
  bias?: Tensor,
  options: BatchNormOptions = {},
): Tensor {
  return local(() => {
    const { batch, channels, spatial } = channelsOf('groupNorm', x, 2)
    checkOptionNames('groupNorm', options, normOptions)
    const eps = checkNumber('groupNorm', 'eps', options.eps ?? 1e-5, 0)
    checkInteger('groupNorm', 'groups', groups, 1)
    if (channels % groups !== 0)
      throw new ShapeError(`groupNorm: groups expects a divisor of ${channels} channels, got ${groups}`)
    checkAffine('groupNorm', { weight, bias }, [channels])
    const size = channels / groups
    const attrs = {
      extents: [batch, spatial, groups, size] as const,
      eps,
      axes: [2, 3],
      view: [batch, groups, size, spatial],
      affine: [groups, size, 1],
    }
    return reshape(apply(groupNormOp, [asImage(x), weight, bias], attrs), x.shape)
  })
}

/** Instance norm of x (N, C, ...): statistics by sample and channel. Ulyanov et al. 2016. */
export function instanceNorm(x: Tensor, weight?: Tensor, bias?: Tensor, options: BatchNormOptions = {}): Tensor {
  return local(() => {
    const { batch, channels, spatial } = channelsOf('instanceNorm', x, 3)
    checkOptionNames('instanceNorm', options, normOptions)
    const eps = checkNumber('instanceNorm', 'eps', options.eps ?? 1e-5, 0)
    checkAffine('instanceNorm', { weight, bias }, [channels])
    if (spatial < 2) throw new ShapeError(`instanceNorm: x expects more than one spatial cell, got ${show(x.shape)}`)
    const attrs = {
      extents: [batch, spatial, channels, 1] as const,
      eps,
      axes: [2],
      view: [batch, channels, spatial],
      affine: [channels, 1],
    }
    return reshape(apply(instanceNormOp, [asImage(x), weight, bias], attrs), x.shape)
  })
}

export interface LocalResponseNormOptions {
  /** Channels that are summed over. */
  readonly size: number
  /** Default 1e-4; divided by `size`, as PyTorch does. */
  readonly alpha?: number
  /** Default 0.75. */
  readonly beta?: number
  /** Default 1. The paper uses 2. */
  readonly k?: number
}

const responseNormOptions = optionNames<LocalResponseNormOptions>({ size: true, alpha: true, beta: true, k: true })

/**
 * x / (k + alpha / size * sum of squares over `size` neighbouring channels)^beta, for (N, C, ...).
 * Krizhevsky et al. 2012, section 3.3, with PyTorch's alpha.
 */
export function localResponseNorm(x: Tensor, options: LocalResponseNormOptions): Tensor {
  return local(() => {
    const op = 'localResponseNorm'
    const { channels } = channelsOf(op, x, 3)
    checkFloat(op, 'x', x)
    checkOptionNames(op, options, responseNormOptions)
    const size = checkInteger(op, 'size', options.size, 1)
    const alpha = checkNumber(op, 'alpha', options.alpha ?? 1e-4, -Infinity)
    const beta = checkNumber(op, 'beta', options.beta ?? 0.75, -Infinity)
    const k = checkNumber(op, 'k', options.k ?? 1, -Infinity)
    const before = Math.floor(size / 2)
    const around = [...x.shape.slice(2).flatMap(() => [0, 0]), before, size - 1 - before]
    const squares = pad(square(x), around)
    let total = narrow(squares, 1, 0, channels)
    for (let i = 1; i < size; i++) total = add(total, narrow(squares, 1, i, channels))
    return div(x, pow(add(mul(total, alpha / size), k), beta))
  })
}
