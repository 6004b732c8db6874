/**
 * Batches whose pictures are mixed with each other, and their targets alike: MixUp (Zhang et al., "mixup: Beyond empirical
 * risk minimization", 2018, arXiv:1710.09412) and CutMix (Yun et al., "CutMix: Regularization strategy to train strong
 * classifiers with localizable features", 2019, arXiv:1905.04899), by the formulas of `torchvision.transforms.v2`.
 */
import {
  ArgumentError,
  cat,
  checkOptionNames,
  type Generator,
  narrow,
  noGrad,
  oneHot,
  optionNames,
  ShapeError,
  type Tensor,
  tidy,
} from '@convnets/tensor'
import { beta } from './beta.ts'
import type { Batch } from './collate.ts'

/** A change of whole batches, for `DataLoader`'s `batchTransform`. It frees the tensors that it replaces. */
export type BatchTransform<B extends Pick<Batch, 'input' | 'target'> = Batch> = (batch: B, generator: Generator) => B

/** How batches are mixed. */
export interface MixOptions {
  /** Number of classes, for class numbers as targets. */
  readonly numClasses: number
  /** The share of each picture is drawn from Beta(alpha, alpha) (default 1: uniform). */
  readonly alpha?: number
}

const names = optionNames<MixOptions>({ numClasses: true, alpha: true })

function checkOptions(where: string, options: MixOptions): Required<MixOptions> {
  checkOptionNames(where, options, names)
  const { numClasses, alpha = 1 } = options
  if (!Number.isInteger(numClasses) || numClasses < 1) {
    throw new ArgumentError(`${where}: numClasses expects a positive integer, got ${numClasses}`)
  }
  if (!(alpha > 0 && Number.isFinite(alpha))) {
    throw new ArgumentError(`${where}: alpha expects a positive number, got ${alpha}`)
  }
  return { numClasses, alpha }
}

/** The batch one further: the last sample comes first. */
function rolled(x: Tensor): Tensor {
  const n = x.shape[0]!
  return n === 1 ? x : cat([narrow(x, 0, n - 1, 1), narrow(x, 0, 0, n - 1)], 0)
}

/** Each sample's targets with those of the one before it, as (N, classes) float32. */
function mixedTargets(where: string, target: Tensor, numClasses: number, share: number): Tensor {
  const isNumbers = target.rank === 1 && target.dtype === 'int32'
  const isShares = target.rank === 2 && target.dtype === 'float32' && target.shape[1] === numClasses
  if (!isNumbers && !isShares) {
    throw new ShapeError(
      `${where}: target expects (N) int32 or (N, ${numClasses}) float32, got (${target.shape.join(', ')}) ${target.dtype}`,
    )
  }
  const shares = isNumbers ? oneHot(target, numClasses).to('float32') : target
  return rolled(shares)
    .mul(1 - share)
    .add(shares.mul(share))
}

/** Puts what `make` gives in place of a batch's tensors, which are freed. */
function replaced<B extends Pick<Batch, 'input' | 'target'>>(
  batch: B,
  make: () => { input: Tensor; target: Tensor },
): B {
  const made = noGrad(() => tidy(make))
  batch.input.dispose()
  batch.target.dispose()
  return { ...batch, ...made }
}

function checkInput(where: string, input: Tensor): readonly [height: number, width: number] {
  if (input.rank !== 4) throw new ShapeError(`${where}: input expects (N, C, H, W), got (${input.shape.join(', ')})`)
  return [input.shape[2]!, input.shape[3]!]
}

/**
 * Mixes each picture with the one before it in the batch, the first with the last: lambda x + (1 - lambda) x', where lambda
 * is drawn for the batch from Beta(alpha, alpha). Targets become (N, numClasses) float32 shares, which `crossEntropy` takes.
 */
export function mixUp(options: MixOptions): BatchTransform {
  const where = 'mixUp'
  const { numClasses, alpha } = checkOptions(where, options)
  return (batch, generator) => {
    checkInput(where, batch.input)
    const share = beta(alpha, generator)
    return replaced(batch, () => ({
      target: mixedTargets(where, batch.target, numClasses, share),
      input: rolled(batch.input)
        .mul(1 - share)
        .add(batch.input.mul(share)),
    }))
  }
}

/** A box around a centre, cut at the borders: rows `top` to `bottom`, columns `left` to `right`. */
export function cutMixBox(
  [height, width]: readonly [number, number],
  share: number,
  [y, x]: readonly [number, number],
): { top: number; left: number; bottom: number; right: number; share: number } {
  const half = 0.5 * Math.sqrt(1 - share)
  const [halfHeight, halfWidth] = [Math.trunc(half * height), Math.trunc(half * width)]
  const [top, left] = [Math.max(y - halfHeight, 0), Math.max(x - halfWidth, 0)]
  const [bottom, right] = [Math.min(y + halfHeight, height), Math.min(x + halfWidth, width)]
  return { top, left, bottom, right, share: 1 - ((bottom - top) * (right - left)) / (height * width) }
}

/** `x` with the box taken from `y`; both (N, C, H, W). */
function pasted(x: Tensor, y: Tensor, { top, left, bottom, right }: ReturnType<typeof cutMixBox>): Tensor {
  if (bottom <= top || right <= left) return x.mul(1)
  const [, , height = 0, width = 0] = x.shape
  const rows = (from: Tensor): Tensor => narrow(from, 2, top, bottom - top)
  const columns = [
    ...(left > 0 ? [narrow(rows(x), 3, 0, left)] : []),
    narrow(rows(y), 3, left, right - left),
    ...(right < width ? [narrow(rows(x), 3, right, width - right)] : []),
  ]
  const parts = [
    ...(top > 0 ? [narrow(x, 2, 0, top)] : []),
    columns.length === 1 ? columns[0]! : cat(columns, 3),
    ...(bottom < height ? [narrow(x, 2, bottom, height - bottom)] : []),
  ]
  return parts.length === 1 ? parts[0]! : cat(parts, 2)
}

/**
 * Puts a box of the picture before it in the batch into each picture (of the last into the first): its centre anywhere, its
 * area 1 - lambda of the picture before it is cut at the borders, lambda from Beta(alpha, alpha). Targets become
 * (N, numClasses) float32, by the areas that are really there.
 */
export function cutMix(options: MixOptions): BatchTransform {
  const where = 'cutMix'
  const { numClasses, alpha } = checkOptions(where, options)
  return (batch, generator) => {
    const [height, width] = checkInput(where, batch.input)
    const drawn = beta(alpha, generator)
    const x = generator.integer(width)
    const y = generator.integer(height)
    const box = cutMixBox([height, width], drawn, [y, x])
    return replaced(batch, () => ({
      target: mixedTargets(where, batch.target, numClasses, box.share),
      input: pasted(batch.input, rolled(batch.input), box),
    }))
  }
}

/** One of several changes for every batch, equally likely or by `weights`: `oneOf([mixUp(o), cutMix(o)])`. */
export function oneOf(transforms: readonly BatchTransform[], weights?: readonly number[]): BatchTransform {
  if (transforms.length === 0) throw new ArgumentError('oneOf: transforms expects at least one, got none')
  const own = weights ?? transforms.map(() => 1)
  const total = own.reduce((sum, weight) => sum + weight, 0)
  if (
    own.length !== transforms.length ||
    !own.every((weight) => weight >= 0) ||
    !(total > 0 && Number.isFinite(total))
  ) {
    throw new ArgumentError(
      `oneOf: weights expects ${transforms.length} numbers from 0 with a positive sum, got [${own.join(', ')}]`,
    )
  }
  return (batch, generator) => {
    let left = generator.uniform() * total
    for (const [i, transform] of transforms.entries()) {
      left -= own[i]!
      if (left < 0) return transform(batch, generator)
    }
    // Rounding, at the very end.
    return transforms[own.findLastIndex((weight) => weight > 0)]!(batch, generator)
  }
}
