/**
 * Learning-rate schedules: pure functions of the step. They hold no state, so a run is taken up at any step by asking for
 * that step. Closed forms of `torch.optim.lr_scheduler`.
 */
import { readOptions } from '@convnets/tensor'
import { checkCounts, checkNumbers, demand } from './check.ts'

/** What a schedule may refer to. */
export interface Horizon {
  /** Steps of the whole run. */
  readonly total: number
  /** The group's base learning rate: the `lr` that it was made with. */
  readonly lr: number
}

/** What a schedule sets. */
export interface Rates {
  readonly lr: number
  /** Momentum of SGD and RMSprop, the first beta of Adam; untouched where absent. */
  readonly momentum?: number
}

/**
 * Rates at a step, counted from 0. What a step is, is the caller's choice: `fit` counts batches; see `byEpoch`.
 * `optimizer.applySchedule(schedule, step, total)` sets them.
 */
export type Schedule = (step: number, horizon: Horizon) => Rates

/** lr gamma^floor(step / stepSize), as `StepLR`. `gamma` is 0.1 by default. */
export function step(stepSize: number, options: { readonly gamma?: number } = {}): Schedule {
  const { gamma } = readOptions('step', options, { gamma: 0.1 })
  checkCounts('step', { stepSize })
  checkNumbers('step', { gamma })
  return (step, { lr }) => ({ lr: lr * gamma ** Math.floor(step / stepSize) })
}

/** lr gamma^(milestones reached), as `MultiStepLR`. `gamma` is 0.1 by default. */
export function multiStep(milestones: readonly number[], options: { readonly gamma?: number } = {}): Schedule {
  const { gamma } = readOptions('multiStep', options, { gamma: 0.1 })
  checkCounts('multiStep', { ...milestones }, 0)
  checkNumbers('multiStep', { gamma })
  return (step, { lr }) => ({ lr: lr * gamma ** milestones.filter((milestone) => milestone <= step).length })
}

/** lr gamma^step, as `ExponentialLR`. */
export function exponential(gamma: number): Schedule {
  checkNumbers('exponential', { gamma })
  return (step, { lr }) => ({ lr: lr * gamma ** step })
}

const halfCosine = (from: number, to: number, share: number): number =>
  to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2

/**
 * From lr down to `etaMin` (default 0) along half a cosine over `steps` (default: the whole run), as `CosineAnnealingLR`;
 * after that it rises again, as there. Loshchilov and Hutter, 2017.
 */
export function cosine(options: { readonly steps?: number; readonly etaMin?: number } = {}): Schedule {
  const { steps, etaMin } = readOptions('cosine', options, { steps: undefined, etaMin: 0 })
  checkCounts('cosine', { steps: steps ?? 1 })
  checkNumbers('cosine', { etaMin })
  return (step, { total, lr }) => ({ lr: halfCosine(lr, etaMin, step / (steps ?? total)) })
}

/**
 * Cosines from lr to `etaMin` (default 0), the first `t0` steps long, each `tMult` (default 1) times the one before, as
 * `CosineAnnealingWarmRestarts`.
 */
export function cosineRestarts(
  t0: number,
  options: { readonly tMult?: number; readonly etaMin?: number } = {},
): Schedule {
  const { tMult, etaMin } = readOptions('cosineRestarts', options, { tMult: 1, etaMin: 0 })
  checkCounts('cosineRestarts', { t0, tMult })
  checkNumbers('cosineRestarts', { etaMin })
  return (step, { lr }) => {
    let [since, length] = [tMult === 1 ? step % t0 : step, t0]
    while (since >= length) {
      since -= length
      length *= tMult
    }
    return { lr: halfCosine(lr, etaMin, since / length) }
  }
}

/** From `startFactor` lr (default 1/3) to `endFactor` lr (default 1) in a line over `steps` (default 5), as `LinearLR`. */
export function linearWarmup(
  steps = 5,
  options: { readonly startFactor?: number; readonly endFactor?: number } = {},
): Schedule {
  const { startFactor, endFactor } = readOptions('linearWarmup', options, { startFactor: 1 / 3, endFactor: 1 })
  checkCounts('linearWarmup', { steps })
  checkNumbers('linearWarmup', { startFactor, endFactor })
  return (step, { lr }) => ({ lr: lr * (startFactor + ((endFactor - startFactor) * Math.min(step, steps)) / steps) })
}

/** lr (1 - step / steps)^power down to 0 over `steps` (default: the whole run), as `PolynomialLR`. `power` is 1. */
export function polynomial(options: { readonly steps?: number; readonly power?: number } = {}): Schedule {
  const { steps, power } = readOptions('polynomial', options, { steps: undefined, power: 1 })
  checkCounts('polynomial', { steps: steps ?? 1 })
  checkNumbers('polynomial', { power })
  return (step, { total, lr }) => {
    const end = steps ?? total
    return { lr: lr * (1 - Math.min(step, end) / end) ** power }
  }
}

/** How `oneCycle` goes; names and defaults are those of `OneCycleLR`. */
export interface OneCycleOptions {
  /** Largest learning rate (default: the base learning rate). */
  readonly maxLr?: number
  /** Length of the cycle (default: the whole run). */
  readonly totalSteps?: number
  /** Share of the cycle in which the rate rises (default 0.3). */
  readonly pctStart?: number
  /** Form of rise and fall (default 'cos'). */
  readonly annealStrategy?: 'cos' | 'linear'
  /** Lets momentum fall while the rate rises, and rise while it falls (default true). */
  readonly cycleMomentum?: boolean
  /** Momentum at the largest rate (default 0.85). */
  readonly baseMomentum?: number
  /** Momentum at the smallest rate (default 0.95). */
  readonly maxMomentum?: number
  /** The rate starts at maxLr / divFactor (default 25). */
  readonly divFactor?: number
  /** The rate ends at maxLr / divFactor / finalDivFactor (default 1e4). */
  readonly finalDivFactor?: number
}

/**
 * One rise to `maxLr` and one fall far below the start, momentum in the opposite direction, as `OneCycleLR` (Smith and
 * Topin, "Super-convergence", 2018).
 */
export function oneCycle(options: OneCycleOptions = {}): Schedule {
  const chosen = readOptions('oneCycle', options, {
    maxLr: undefined,
    totalSteps: undefined,
    pctStart: 0.3,
    annealStrategy: 'cos',
    cycleMomentum: true,
    baseMomentum: 0.85,
    maxMomentum: 0.95,
    divFactor: 25,
    finalDivFactor: 1e4,
  })
  const { maxLr, totalSteps, pctStart, annealStrategy, cycleMomentum } = chosen
  const { baseMomentum, maxMomentum, divFactor, finalDivFactor } = chosen
  checkNumbers('oneCycle', { maxLr: maxLr ?? 0 })
  checkCounts('oneCycle', { totalSteps: totalSteps ?? 1 })
  checkNumbers('oneCycle', { pctStart, baseMomentum, maxMomentum }, 0, 1)
  checkNumbers('oneCycle', { divFactor, finalDivFactor }, 1e-9)
  demand(['cos', 'linear'].includes(annealStrategy), 'oneCycle', 'annealStrategy', "'cos' or 'linear'", annealStrategy)
  const anneal =
    annealStrategy === 'cos' ? halfCosine : (from: number, to: number, share: number) => from + (to - from) * share
  return (step, { total, lr }) => {
    const steps = totalSteps ?? total
    demand(step <= steps, 'oneCycle', 'step', `at most the ${steps} of the cycle`, step)
    const [peak, last, max] = [pctStart * steps - 1, steps - 1, maxLr ?? lr]
    const first = max / divFactor
    const rising = step <= peak
    // A phase without length stands at its start.
    const share = Math.min(1, (rising ? step / peak : (step - peak) / (last - peak)) || 0)
    const between = (low: number, high: number, end: number): number =>
      rising ? anneal(low, high, share) : anneal(high, end, share)
    const rate = between(first, max, first / finalDivFactor)
    return cycleMomentum ? { lr: rate, momentum: between(maxMomentum, baseMomentum, maxMomentum) } : { lr: rate }
  }
}

/**
 * A linear rise from `startFactor` (default 0) times the first rate of `schedule`, over `steps`, in front of it; the
 * schedule then runs over what is left, from its beginning.
 */
export function withWarmup(
  steps: number,
  schedule: Schedule,
  options: { readonly startFactor?: number } = {},
): Schedule {
  const { startFactor } = readOptions('withWarmup', options, { startFactor: 0 })
  checkCounts('withWarmup', { steps }, 0)
  checkNumbers('withWarmup', { startFactor })
  return (step, { total, lr }) => {
    const horizon = { total: Math.max(1, total - steps), lr }
    if (step >= steps) return schedule(step - steps, horizon)
    const first = schedule(0, horizon)
    return { ...first, lr: first.lr * (startFactor + ((1 - startFactor) * step) / steps) }
  }
}

/** A schedule that counts in epochs where its caller counts in batches, of which an epoch has `batches`. */
export function byEpoch(batches: number, schedule: Schedule): Schedule {
  checkCounts('byEpoch', { batches })
  return (step, { total, lr }) => schedule(Math.floor(step / batches), { total: Math.ceil(total / batches), lr })
}
