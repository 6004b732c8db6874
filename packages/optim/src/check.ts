/** Checks with sentences for what does not fit: who, what, expected, got. */
import { ArgumentError, BackendError, ShapeError, type Tensor } from '@convnets/tensor'

/** What a value is, in a message. */
function shown(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : Array.isArray(value) ? `[${value.join(', ')}]` : String(value)
}

/** Throws an `ArgumentError` unless `fits`. */
export function demand(fits: boolean, who: string, what: string, expected: string, got: unknown): asserts fits {
  if (!fits) throw new ArgumentError(`${who}: ${what} expects ${expected}, got ${shown(got)}`)
}

/** Throws unless the values are finite numbers (integers, where `whole`) from `least` to `most`. */
export function checkNumbers(
  who: string,
  values: Readonly<Record<string, unknown>>,
  least = 0,
  most: number = Infinity,
  whole = false,
): void {
  const expected = `${whole ? 'an integer' : 'a number'} from ${least}${most < Infinity ? ` to ${most}` : ''}`
  for (const [what, value] of Object.entries(values) as [string, number][]) {
    const fits = (whole ? Number.isSafeInteger : Number.isFinite)(value) && value >= least && value <= most
    demand(fits, who, what, expected, value)
  }
}

/** Throws unless the values are integers of at least `least`. */
export function checkCounts(who: string, values: Readonly<Record<string, unknown>>, least = 1): void {
  checkNumbers(who, values, least, Infinity, true)
}

const kind = (tensor?: Tensor): string => (tensor ? `(${tensor.shape.join(', ')}) ${tensor.dtype}` : 'none')

/** Throws a `ShapeError` unless `tensor` is there and of the shape and dtype of `like`. */
export function checkLike(who: string, what: string, tensor: Tensor | undefined, like: Tensor): asserts tensor {
  if (kind(tensor) !== kind(like)) throw new ShapeError(`${who}: ${what} expects ${kind(like)}, got ${kind(tensor)}`)
}

/** Throws a `BackendError` unless what belongs to a tensor lies where the tensor does. */
export function checkTogether(who: string, name: string, tensor: Tensor, what: string, other: Tensor): void {
  const [own, elsewhere] = [tensor.backend, other.backend]
  if (own === elsewhere) return
  throw new BackendError(
    `${who}: ${name} lies on ${own.name}, its ${what} on ${elsewhere.name}; move models, optimizers and averages together: ` +
      'await moveTo(backend, model, optimizer, ema)',
  )
}
