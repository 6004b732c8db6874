import type { TypedArray } from '../../dtype.ts'
import { ArgumentError } from '../../errors.ts'
import type { CrossEntropySpec, Rows } from '../backend.ts'

/** log(sum(exp(x))) over `size` elements that are `step` apart, as [maximum, log of the sum of exp(x - maximum)]. */
function logSumExp(x: TypedArray, start: number, size: number, step: number): [max: number, log: number] {
  let max = -Infinity
  for (let s = 0; s < size; s++) max = Math.max(max, x[start + s * step]!)
  let sum = 0
  for (let s = 0; s < size; s++) sum += Math.exp(x[start + s * step]! - max)
  return [max, Math.log(sum)]
}

/** softmax over the middle axis, or its logarithm. */
export function softmax(x: TypedArray, [outer, size, inner]: Rows, log: boolean, out: TypedArray): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const start = o * size * inner + i
      const [max, logSum] = logSumExp(x, start, size, inner)
      for (let s = 0; s < size; s++) {
        const at = start + s * inner
        const value = x[at]! - max - logSum
        out[at] = log ? value : Math.exp(value)
      }
    }
  }
}

/** Gradient by x, for y = softmax(x): y (g - sum(g y)); for y = log softmax(x): g - exp(y) sum(g). */
export function softmaxGrad(
  g: TypedArray,
  y: TypedArray,
  [outer, size, inner]: Rows,
  log: boolean,
  out: TypedArray,
): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const start = o * size * inner + i
      let sum = 0
      for (let s = 0; s < size; s++) {
        const at = start + s * inner
        sum += log ? g[at]! : g[at]! * y[at]!
      }
      for (let s = 0; s < size; s++) {
        const at = start + s * inner
        out[at] = log ? g[at]! - Math.exp(y[at]!) * sum : y[at]! * (g[at]! - sum)
      }
    }
  }
}

/** The class of `row`, or -1 if the row is ignored. */
function classOf(target: Int32Array, row: number, spec: CrossEntropySpec): number {
  const index = target[row]!
  if (index === spec.ignoreIndex) return -1
  if (index < 0 || index >= spec.classes) {
    throw new ArgumentError(
      `crossEntropy: target expects class indices from 0 to ${spec.classes - 1} ` +
        `or ignoreIndex ${spec.ignoreIndex}, got ${index} in row ${row}`,
    )
  }
  return index
}

/** Throws an `ArgumentError` unless every class index names a class or is `ignoreIndex`. */
export function checkClasses(target: Int32Array, spec: CrossEntropySpec): void {
  for (let row = 0; row < spec.rows; row++) classOf(target, row, spec)
}

/** q_c of a row: weight_c ((1 - e) target_c + e / K), where target_c is [c = t] for class targets. */
function targetShare(
  target: TypedArray,
  weight: TypedArray | null,
  { classes, labelSmoothing }: CrossEntropySpec,
  row: number,
  c: number,
): number {
  const share = target instanceof Int32Array ? (target[row] === c ? 1 : 0) : target[row * classes + c]!
  return (weight?.[c] ?? 1) * ((1 - labelSmoothing) * share + labelSmoothing / classes)
}

/**
 * loss_i = -sum_c q_c log softmax(logits_i)_c and the weight of the row in an average. `target` is an `Int32Array` of
 * class indices or (rows, classes) probabilities.
 */
export function crossEntropy(
  logits: TypedArray,
  target: TypedArray,
  weight: TypedArray | null,
  spec: CrossEntropySpec,
  loss: TypedArray,
  rowWeight: TypedArray,
): void {
  const { rows, classes } = spec
  for (let row = 0; row < rows; row++) {
    let sum = 0
    let ofRow = 1
    const index = target instanceof Int32Array ? classOf(target, row, spec) : 0
    if (index < 0) ofRow = 0
    else {
      if (target instanceof Int32Array) ofRow = weight?.[index] ?? 1
      const [max, logSum] = logSumExp(logits, row * classes, classes, 1)
      for (let c = 0; c < classes; c++) {
        // A class without a share has no say, even where its probability is 0 and its logarithm infinite.
        const q = targetShare(target, weight, spec, row, c)
        if (q !== 0) sum -= q * (logits[row * classes + c]! - max - logSum)
      }
    }
    loss[row] = sum
    rowWeight[row] = ofRow
  }
}

/** Gradient by the logits, given the gradient g of each row's loss: g_i (softmax_c sum(q) - q_c). */
export function crossEntropyGrad(
  g: TypedArray,
  logits: TypedArray,
  target: TypedArray,
  weight: TypedArray | null,
  spec: CrossEntropySpec,
  out: TypedArray,
): void {
  const { rows, classes } = spec
  for (let row = 0; row < rows; row++) {
    const start = row * classes
    if (target instanceof Int32Array && classOf(target, row, spec) < 0) {
      out.fill(0, start, start + classes)
      continue
    }
    const [max, logSum] = logSumExp(logits, start, classes, 1)
    let total = 0
    for (let c = 0; c < classes; c++) total += targetShare(target, weight, spec, row, c)
    for (let c = 0; c < classes; c++) {
      const probability = Math.exp(logits[start + c]! - max - logSum)
      out[start + c] = g[row]! * (probability * total - targetShare(target, weight, spec, row, c))
    }
  }
}
