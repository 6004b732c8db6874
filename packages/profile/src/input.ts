/** Checking what a caller says of the input, and finding out what is wrong with it. */
import type { Module } from '@convnets/nn'
import { ArgumentError, BackendError, checkInteger, type DType, type Shape, ShapeError, zeros } from '@convnets/tensor'
import { shapeOnly } from '@convnets/tensor/shape-only'
import { nameOf, visiting } from './instrument.ts'

/** Checks the shape of one input, without its batch: (C, H, W) for images. */
export function checkInput(op: string, shape: Shape): Shape {
  if (!Array.isArray(shape)) {
    throw new ArgumentError(`${op}: input expects a shape such as [3, 224, 224], got ${String(shape)}`)
  }
  for (const [i, extent] of shape.entries()) checkInteger(op, `input[${i}]`, extent, 1)
  return shape
}

/** Checks a number of inputs that are computed at once. */
export function checkBatch(op: string, batch: number): number {
  return checkInteger(op, 'batch', batch, 1)
}

/** The dtype that a model computes in. */
export function dtypeOf(model: Module): DType {
  return model.parameters()[0]?.dtype ?? 'float32'
}

const show = (shape: Shape): string => `(${shape.join(', ')})`

/** The smallest square image that `fits`, given that `shape` does not; undefined where none up to 2048 does. */
function smallest(shape: Shape, fits: (shape: Shape) => boolean): Shape | undefined {
  const [channels] = shape
  if (shape.length !== 3 || channels === undefined) return undefined
  let bad = 0
  let good = 1
  const square = (side: number): Shape => [channels, side, side]
  while (!fits(square(good))) {
    bad = good
    good *= 2
    if (good > 2048) return undefined
  }
  while (good - bad > 1) {
    const middle = Math.floor((good + bad) / 2)
    if (fits(square(middle))) good = middle
    else bad = middle
  }
  return square(good)
}

/** What would fit in place of a shape that does not: the smallest of its channels, or the same and the smallest of others. */
function remedy(shape: Shape, channels: readonly number[], fits: (shape: Shape) => boolean): string {
  const size = smallest(shape, fits)
  if (size !== undefined) return `; the smallest that fits is ${show(size)}`
  for (const own of channels) {
    const least = smallest([own, 1, 1], fits)
    const other = [own, ...shape.slice(1)]
    if (fits(other)) {
      return least === undefined ? `; ${show(other)} fits` : `; ${show(other)} fits, the smallest is ${show(least)}`
    }
    if (least !== undefined) return `; the smallest that fits is ${show(least)}`
  }
  const flat = channels.map((own) => [own]).find(fits)
  return flat === undefined ? '' : `; the smallest that fits is ${show(flat)}`
}

/** The innermost module that `run` fails in. */
function culpritOf(model: Module, run: () => void): { readonly path: string; readonly module: Module } | undefined {
  let culprit: { readonly path: string; readonly module: Module } | undefined
  const fail = (path: string, module: Module): void => {
    culprit ??= { path, module }
  }
  try {
    visiting(model, { fail }, run)
  } catch {
    // It is the one that is being explained.
  }
  return culprit
}

/**
 * Runs `run`, and turns an error that tells only of an op into one that names the module, and for a shape that does not fit the
 * smallest that would.
 *
 * @param attempt runs the model on a shape, to find where it fails and which one fits.
 */
export function explaining<T>(op: string, model: Module, shape: Shape, run: () => T, attempt: (s: Shape) => void): T {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof ShapeError || error instanceof BackendError)) throw error
    const culprit = culpritOf(model, () => attempt(shape))
    if (culprit === undefined) throw error
    const at = nameOf(culprit.path, culprit.module)
    if (error instanceof ShapeError) {
      const fits = (s: Shape): boolean => {
        try {
          attempt(s)
          return true
        } catch {
          return false
        }
      }
      const own = (module: Module, key: string): unknown => Object.getOwnPropertyDescriptor(module, key)?.value
      const channels = new Set(
        [...model.namedModules().values()].flatMap((module) =>
          [own(module, 'inChannels'), own(module, 'inFeatures')].filter((n) => typeof n === 'number'),
        ),
      )
      const hint = remedy(shape, [...channels].slice(0, 8), fits)
      throw new ShapeError(`${op}: input ${show(shape)} does not fit at ${at}: ${error.message}${hint}`, {
        cause: error,
      })
    }
    throw new BackendError(
      `${op}: ${at} needs values to know its shapes, so it must be run to be measured: ${error.message}`,
      { cause: error },
    )
  }
}

/** A batch of inputs without numbers. */
export function outlineOf(batch: number, shape: Shape, dtype: DType): ReturnType<typeof zeros> {
  return zeros([batch, ...shape], { dtype, backend: shapeOnly })
}
