/** How every op of `ops.json` is run: PyTorch's name and attributes on one side, our op on the other. */
import {
  abs,
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  add,
  avgPool2d,
  batchNormInference,
  batchNormTraining,
  cat,
  conv2d,
  convTranspose2d,
  crossEntropy,
  div,
  elu,
  exp,
  gather,
  gelu,
  groupNorm,
  hardsigmoid,
  hardswish,
  instanceNorm,
  interpolate,
  l2Normalize,
  layerNorm,
  leakyRelu,
  linear,
  localResponseNorm,
  log,
  logSoftmax,
  matmul,
  max,
  maxPool2d,
  mean,
  mseLoss,
  mul,
  pad,
  permute,
  relu,
  relu6,
  sigmoid,
  silu,
  slice,
  softmax,
  softplus,
  sqrt,
  sum,
  type Tensor,
  tanh,
  tensor,
  variance,
} from '@convnets/tensor'
import { GoldenError } from '../errors.ts'
import type { Json } from './json.ts'

/** The inputs of a case by name. */
class Inputs {
  readonly #tensors: ReadonlyMap<string, Tensor>
  readonly #op: string

  constructor(op: string, tensors: ReadonlyMap<string, Tensor>) {
    this.#op = op
    this.#tensors = tensors
  }

  get(name: string): Tensor {
    const found = this.#tensors.get(name)
    if (found === undefined) throw new GoldenError(`${this.#op}: expects an input called ${name}, got none`)
    return found
  }

  optional(name: string): Tensor | undefined {
    return this.#tensors.get(name)
  }

  /** Numbers of the attributes as a tensor beside the inputs. */
  like(values: Parameters<typeof tensor>[0], dtype?: 'int32'): Tensor {
    const [first] = this.#tensors.values()
    if (first === undefined) throw new GoldenError(`${this.#op}: expects at least one input, got none`)
    return tensor(values, { dtype: dtype ?? first.dtype, backend: first.backend })
  }
}

type Runner = (t: Inputs, attrs: Json) => Tensor

const unary =
  (fn: (x: Tensor) => Tensor): Runner =>
  (t) =>
    fn(t.get('x'))

const pooling = (a: Json) =>
  ({
    stride: a.get('stride').pair(),
    padding: a.get('padding').pair(),
    ceilMode: a.get('ceilMode').boolean(),
  }) as const

const dims = (a: Json) => (Array.isArray(a.get('dim').value) ? a.get('dim').numbers() : a.get('dim').integer())

const runners: Readonly<Record<string, Runner>> = {
  conv2d: (t, a) =>
    conv2d(t.get('x'), t.get('w'), t.optional('b'), {
      stride: a.get('stride').pair(),
      padding: a.get('padding').pair(),
      dilation: a.get('dilation').pair(),
      groups: a.get('groups').integer(),
    }),
  conv_transpose2d: (t, a) =>
    convTranspose2d(t.get('x'), t.get('w'), t.optional('b'), {
      stride: a.get('stride').pair(),
      padding: a.get('padding').pair(),
      outputPadding: a.get('outputPadding').pair(),
    }),
  linear: (t) => linear(t.get('x'), t.get('w'), t.optional('b')),
  matmul: (t) => matmul(t.get('a'), t.get('b')),

  max_pool2d: (t, a) => maxPool2d(t.get('x'), a.get('kernel').pair(), pooling(a)),
  avg_pool2d: (t, a) =>
    avgPool2d(t.get('x'), a.get('kernel').pair(), {
      ...pooling(a),
      countIncludePad: a.get('countIncludePad').boolean(),
    }),
  adaptive_avg_pool2d: (t, a) => adaptiveAvgPool2d(t.get('x'), a.get('size').pair()),
  adaptive_max_pool2d: (t, a) => adaptiveMaxPool2d(t.get('x'), a.get('size').pair()),

  batch_norm: (t, a) => {
    const eps = a.get('eps').number()
    if (a.get('training').boolean()) {
      return batchNormTraining(t.get('x'), t.optional('w'), t.optional('b'), { eps }).output
    }
    const [mean, variance] = [t.like(a.get('runningMean').numbers()), t.like(a.get('runningVar').numbers())]
    return batchNormInference(t.get('x'), mean, variance, t.optional('w'), t.optional('b'), { eps })
  },
  layer_norm: (t, a) =>
    layerNorm(t.get('x'), a.get('normalizedShape').shape(), t.optional('w'), t.optional('b'), {
      eps: a.get('eps').number(),
    }),
  instance_norm: (t, a) => instanceNorm(t.get('x'), t.optional('w'), t.optional('b'), { eps: a.get('eps').number() }),
  group_norm: (t, a) =>
    groupNorm(t.get('x'), a.get('groups').integer(), t.optional('w'), t.optional('b'), { eps: a.get('eps').number() }),
  local_response_norm: (t, a) =>
    localResponseNorm(t.get('x'), {
      size: a.get('size').integer(),
      alpha: a.get('alpha').number(),
      beta: a.get('beta').number(),
      k: a.get('k').number(),
    }),
  l2_normalize: (t, a) => l2Normalize(t.get('x'), { dim: a.get('dim').integer(), eps: a.get('eps').number() }),

  relu: unary(relu),
  relu6: unary(relu6),
  sigmoid: unary(sigmoid),
  tanh: unary(tanh),
  silu: unary(silu),
  gelu: unary(gelu),
  hardswish: unary(hardswish),
  hardsigmoid: unary(hardsigmoid),
  leaky_relu: unary(leakyRelu),
  elu: unary(elu),
  softplus: unary(softplus),
  exp: unary(exp),
  sqrt: unary(sqrt),
  log: unary(log),
  abs: unary(abs),

  softmax: (t, a) => softmax(t.get('x'), { dim: a.get('dim').integer() }),
  log_softmax: (t, a) => logSoftmax(t.get('x'), { dim: a.get('dim').integer() }),
  cross_entropy: (t, a) => {
    const weight = a.optional('weight', (w) => t.like(w.numbers()))
    return crossEntropy(t.get('x'), t.like(a.get('target').numbers(), 'int32'), {
      labelSmoothing: a.optional('labelSmoothing', (e) => e.number()) ?? 0,
      reduction: a.optional('reduction', (r) => r.oneOf('mean', 'sum', 'none')) ?? 'mean',
      ...(weight && { weight }),
    })
  },
  mse_loss: (t) => mseLoss(t.get('x'), t.get('y')),

  mul: (t) => mul(t.get('a'), t.get('b')),
  div: (t) => div(t.get('a'), t.get('b')),
  sum: (t, a) => sum(t.get('x'), { dim: dims(a), keepdim: a.get('keepdim').boolean() }),
  mean: (t, a) => mean(t.get('x'), { dim: dims(a), keepdim: a.get('keepdim').boolean() }),
  var: (t, a) => variance(t.get('x'), { dim: dims(a), unbiased: a.get('unbiased').boolean() }),
  max: (t, a) => max(t.get('x'), a.get('dim').integer()).values,
  cat: (t, a) => cat([t.get('a'), t.get('b')], a.get('dim').integer()),
  pad: (t, a) => pad(t.get('x'), a.get('padding').numbers()),
  permute: (t, a) => permute(t.get('x'), a.get('dims').numbers()),
  slice: (t, a) => {
    const [ends, steps] = [a.get('ends').numbers(), a.get('steps').numbers()]
    const starts = a.get('starts').numbers()
    return slice(
      t.get('x'),
      starts.map((start, i) => [start, ends[i], steps[i]]),
    )
  },
  gather: (t, a) => {
    const index = a.get('index').list()
    return gather(
      t.get('x'),
      a.get('dim').integer(),
      t.like(
        index.map((row) => row.numbers()),
        'int32',
      ),
    )
  },
  interpolate: (t, a) =>
    interpolate(t.get('x'), a.get('size').pair(), {
      mode: a.get('mode').oneOf('nearest', 'bilinear'),
      alignCorners: a.optional('alignCorners', (value) => value.boolean()) ?? false,
    }),
}

/** PyTorch's names of the ops that `runGoldenOp` knows. */
export const goldenOps: readonly string[] = Object.keys(runners)

/**
 * Runs an op by PyTorch's name. `preScale` and `preAdd` of the attributes apply to input x, `preAddB` to input b,
 * before the op and inside the gradient.
 *
 * @throws GoldenError for an op, an input or an attribute that is not known.
 */
export function runGoldenOp(op: string, inputs: ReadonlyMap<string, Tensor>, attrs: Json): Tensor {
  const runner = Object.hasOwn(runners, op) ? runners[op] : undefined
  if (runner === undefined) throw new GoldenError(`op ${op} is not one of ${goldenOps.join(', ')}`)
  const prepared = new Map(inputs)
  const change = (name: string, attribute: string, fn: (x: Tensor, by: number) => Tensor): void => {
    const x = prepared.get(name)
    if (!attrs.has(attribute)) return
    if (x === undefined) throw new GoldenError(`${op}: ${attribute} expects an input called ${name}, got none`)
    prepared.set(name, fn(x, attrs.get(attribute).number()))
  }
  change('x', 'preScale', mul)
  change('x', 'preAdd', add)
  change('b', 'preAddB', add)
  return runner(new Inputs(op, prepared), attrs)
}
