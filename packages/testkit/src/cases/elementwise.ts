/** Cases of elementwise ops: values on both sides of every kink, odd lengths, and all ways of broadcasting. */
import * as t from '@convnets/tensor'
import { type Cases, type InputSpec, type OpCase, row } from './case.ts'

/** Lengths that are no multiple of any vector width, and rank 4, whose memory order differs. */
const shapes: readonly t.Shape[] = [[3, 7], [1], [2, 3, 2, 3], [0], []]

function unary(
  run: (x: t.Tensor) => t.Tensor,
  spread: { scale?: number; shift?: number } = {},
  order: 0 | 1 | 2 = 2,
): readonly OpCase[] {
  const rows = shapes.map((shape) =>
    row(`of shape (${shape.join(', ')})`, [{ shape, ...spread }], (x) => run(x), order),
  )
  return [...rows, row('of 1027 elements', [{ shape: [1027], ...spread }], (x) => run(x), order)]
}

/** Pairs of shapes: equal, with axes of extent 1 on either side, with axes missing, with rank 4. */
const pairs: readonly (readonly [t.Shape, t.Shape])[] = [
  [
    [3, 5],
    [3, 5],
  ],
  [
    [4, 1, 3],
    [2, 1],
  ],
  [[2, 3], []],
  [[], [3]],
  [
    [2, 3, 4, 2],
    [2, 3, 4, 2],
  ],
  [
    [2, 3, 4, 2],
    [3, 1, 1],
  ],
  [
    [2, 3, 4, 2],
    [2, 1, 1, 1],
  ],
  [
    [1, 3, 1, 2],
    [2, 1, 4, 1],
  ],
  [
    [2, 1, 3, 2, 2],
    [4, 1, 2, 1],
  ],
]

type Side = { scale?: number; shift?: number }

function binary(
  run: (a: t.Operand, b: t.Operand) => t.Tensor,
  [left, right]: readonly [Side, Side] = [{}, {}],
  order: 0 | 1 | 2 = 2,
): readonly OpCase[] {
  const input = (shape: t.Shape, side: Side): InputSpec => ({ shape, ...side })
  return [
    ...pairs.map(([a, b]) =>
      row(`(${a.join(', ')}) and (${b.join(', ')})`, [input(a, left), input(b, right)], (x, y) => run(x, y), order),
    ),
    row('with itself', [input([3, 4], right)], (x) => run(x, x), order),
    row('with a number on the right', [input([2, 5], left)], (x) => run(x, 1.25), order),
    row('with a number on the left', [input([2, 5], right)], (x) => run(1.25, x), order),
    row('of 1031 elements', [input([1031], left), input([1031], right)], (x, y) => run(x, y), order),
  ]
}

type Unary =
  | 'abs'
  | 'ceil'
  | 'cos'
  | 'elu'
  | 'erf'
  | 'exp'
  | 'expm1'
  | 'floor'
  | 'gelu'
  | 'hardsigmoid'
  | 'hardswish'
  | 'isnan'
  | 'leakyRelu'
  | 'log'
  | 'log1p'
  | 'mish'
  | 'neg'
  | 'reciprocal'
  | 'relu'
  | 'relu6'
  | 'round'
  | 'rsqrt'
  | 'sigmoid'
  | 'sign'
  | 'silu'
  | 'sin'
  | 'softplus'
  | 'sqrt'
  | 'square'
  | 'tanh'
  | 'trunc'

const positive = { scale: 0.9, shift: 1.1 } as const

const unaryCases: Cases<Unary> = {
  abs: unary(t.abs),
  ceil: unary(t.ceil, { scale: 4 }),
  cos: unary(t.cos, { scale: 7 }),
  elu: [...unary((x) => t.elu(x), { scale: 3 }), row('alpha 0.5', [[9]], (x) => t.elu(x, 0.5))],
  erf: unary(t.erf, { scale: 3 }),
  exp: unary(t.exp, { scale: 4 }),
  expm1: [...unary(t.expm1, { scale: 3 }), row('near 0', [{ shape: [17], scale: 1e-3 }], (x) => t.expm1(x))],
  floor: unary(t.floor, { scale: 4 }),
  gelu: [
    ...unary((x) => t.gelu(x), { scale: 4 }),
    row('by tanh', [{ shape: [19], scale: 4 }], (x) => t.gelu(x, { approximate: 'tanh' })),
  ],
  hardsigmoid: unary(t.hardsigmoid, { scale: 5 }),
  hardswish: unary(t.hardswish, { scale: 5 }),
  isnan: unary(t.isnan, {}, 0),
  leakyRelu: [...unary((x) => t.leakyRelu(x)), row('slope 0.2', [[9]], (x) => t.leakyRelu(x, 0.2))],
  log: unary(t.log, positive),
  log1p: [...unary(t.log1p, { scale: 0.9 }), row('near 0', [{ shape: [17], scale: 1e-3 }], (x) => t.log1p(x))],
  mish: unary(t.mish, { scale: 4 }),
  neg: unary(t.neg),
  reciprocal: unary(t.reciprocal, positive),
  relu: unary(t.relu),
  relu6: unary(t.relu6, { scale: 9 }),
  round: unary(t.round, { scale: 4 }),
  rsqrt: unary(t.rsqrt, positive),
  sigmoid: unary(t.sigmoid, { scale: 6 }),
  sign: unary(t.sign),
  silu: unary(t.silu, { scale: 5 }),
  sin: unary(t.sin, { scale: 7 }),
  softplus: [
    ...unary((x) => t.softplus(x), { scale: 5 }),
    row('beta 2, threshold 3', [{ shape: [23], scale: 4 }], (x) => t.softplus(x, { beta: 2, threshold: 3 })),
  ],
  sqrt: unary(t.sqrt, positive),
  square: unary(t.square),
  tanh: unary(t.tanh, { scale: 3 }),
  trunc: unary(t.trunc, { scale: 4 }),
}

type Binary = 'add' | 'div' | 'eq' | 'ge' | 'gt' | 'le' | 'lt' | 'maximum' | 'minimum' | 'mul' | 'ne' | 'pow' | 'sub'

const binaryCases: Cases<Binary> = {
  add: binary(t.add),
  div: binary(t.div, [{}, { scale: 0.5, shift: 1.5 }]),
  eq: binary(t.eq, [{}, {}], 0),
  ge: binary(t.ge, [{}, {}], 0),
  gt: binary(t.gt, [{}, {}], 0),
  le: binary(t.le, [{}, {}], 0),
  lt: binary(t.lt, [{}, {}], 0),
  maximum: binary(t.maximum),
  minimum: binary(t.minimum),
  mul: binary(t.mul),
  ne: binary(t.ne, [{}, {}], 0),
  pow: [
    ...binary(t.pow, [positive, { scale: 2, shift: 2.5 }]),
    ...[2, 3, 0.5, -1, -0.5, 1.7].map((exponent) =>
      row(`to the power ${exponent}`, [{ shape: [11], ...positive }], (x) => t.pow(x, exponent)),
    ),
    row('of negative numbers to the power 3', [[7]], (x) => t.pow(x, 3)),
  ],
  sub: binary(t.sub),
}

const truth = (x: t.Tensor): t.Tensor => t.gt(x, 0)

/** Cases by op. */
export const elementwiseCases: Cases<
  Unary | Binary | 'addRelu' | 'cast' | 'clamp' | 'logicalAnd' | 'logicalNot' | 'logicalOr' | 'where'
> = {
  ...unaryCases,
  ...binaryCases,
  addRelu: [
    row(
      '',
      [
        [2, 3, 4, 5],
        [2, 3, 4, 5],
      ],
      t.addRelu,
    ),
    row(
      'with broadcasting',
      [
        [2, 3, 2, 3],
        [3, 1, 1],
      ],
      t.addRelu,
    ),
  ],
  cast: [
    row('to its own dtype', [[2, 3, 2, 2]], (x) => t.cast(x, x.dtype)),
    ...(['int32', 'bool'] as const).map((dtype) =>
      row(`to ${dtype}`, [{ shape: [2, 5, 3, 2], scale: 100 }], (x) => t.cast(x, dtype), 0),
    ),
    row('to uint8', [{ shape: [300], scale: 127, shift: 127 }], (x) => t.cast(x, 'uint8'), 0),
    row('there and back', [{ shape: [33], scale: 9 }], (x) => t.cast(t.cast(x, 'int32'), 'float32'), 0),
  ],
  clamp: [
    ...unary((x) => t.clamp(x, { min: -0.5, max: 0.25 })),
    row('from below', [[13]], (x) => t.clamp(x, { min: 0.1 })),
    row('from above', [[13]], (x) => t.clamp(x, { max: 0.1 })),
  ],
  logicalAnd: [row('', [[3, 5], [5]], (x, y) => t.logicalAnd(truth(x), truth(y)), 0)],
  logicalNot: [row('', [[3, 5]], (x) => t.logicalNot(truth(x)), 0)],
  logicalOr: [
    row(
      '',
      [
        [3, 5],
        [3, 1],
      ],
      (x, y) => t.logicalOr(truth(x), truth(y)),
      0,
    ),
  ],
  where: [
    row(
      '',
      [
        [3, 5],
        [3, 5],
        [3, 5],
      ],
      (c, x, y) => t.where(truth(c), x, y),
    ),
    row(
      'broadcast',
      [
        [2, 1, 3, 1],
        [3, 4],
        [2, 2, 1, 1],
      ],
      (c, x, y) => t.where(truth(c), x, y),
    ),
    row('with a number on the right', [[5], [5]], (c, x) => t.where(truth(c), x, 3)),
    row('with a number on the left', [[5], [5]], (c, x) => t.where(truth(c), 3, x)),
  ],
}
