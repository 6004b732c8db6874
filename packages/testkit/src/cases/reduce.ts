/** Cases of reductions and matrix products: every kind of axis, in memory innermost, outermost and between. */
import * as t from '@convnets/tensor'
import { type Cases, type OpCase, row } from './case.ts'

const reductions: readonly (readonly [t.Shape, t.ReduceOptions])[] = [
  [[7], {}],
  [[], {}],
  [[3, 4], {}],
  [[3, 4], { dim: 0 }],
  [[3, 4], { dim: -1, keepdim: true }],
  [[3, 2, 4], { dim: 1 }],
  [[3, 2, 4], { dim: [0, 2], keepdim: true }],
  [[2, 3, 2, 4], { dim: 1 }],
  [[2, 3, 2, 4], { dim: [0, 2, 3] }],
  [[2, 3, 2, 4], { dim: [2, 3], keepdim: true }],
  [[2, 3, 2, 4], { dim: [1, 3] }],
  [[2, 3, 2, 4], { dim: 0 }],
  [[2, 1, 3, 2, 2], { dim: [1, 4] }],
  [[37, 41], { dim: 0 }],
  [[37, 41], { dim: 1 }],
  [[3, 19, 9, 7], { dim: [0, 2, 3] }],
  [[3, 19, 9, 7], { dim: [2, 3] }],
  [[5003], {}],
]

function reduce(
  run: (x: t.Tensor, options: t.ReduceOptions) => t.Tensor,
  spread: { scale?: number; shift?: number } = {},
  only: (shape: t.Shape) => boolean = () => true,
): OpCase[] {
  return reductions
    .filter(([shape]) => only(shape))
    .map(([shape, options]) =>
      row(`(${shape.join(', ')}) ${JSON.stringify(options)}`, [{ shape, ...spread }], (x) => run(x, options)),
    )
}

const along: readonly (readonly [t.Shape, number])[] = [
  [[7], 0],
  [[3, 4], 0],
  [[3, 4], 1],
  [[2, 3, 4], 1],
  [[2, 3, 2, 4], 1],
  [[2, 3, 2, 4], 3],
  [[2, 3, 2, 4], 0],
  [[23, 45], 1],
  [[23, 45], 0],
]

function alongAxis(run: (x: t.Tensor, dim: number) => t.Tensor | readonly t.Tensor[], order: 0 | 2): OpCase[] {
  return along.map(([shape, dim]) => row(`(${shape.join(', ')}) along ${dim}`, [shape], (x) => run(x, dim), order))
}

const products: readonly (readonly [t.Shape, t.Shape])[] = [
  [
    [1, 1],
    [1, 1],
  ],
  [
    [3, 4],
    [4, 2],
  ],
  [[4], [4, 3]],
  [[3, 4], [4]],
  [[5], [5]],
  [
    [2, 3, 4],
    [4, 2],
  ],
  [
    [2, 1, 3, 4],
    [3, 4, 2],
  ],
  [
    [2, 3, 2, 3],
    [2, 3, 3, 2],
  ],
  [
    [3, 4],
    [2, 2, 4, 3],
  ],
  [
    [17, 33],
    [33, 29],
  ],
  [
    [64, 48],
    [48, 40],
  ],
  [
    [1, 130],
    [130, 7],
  ],
  [
    [130, 3],
    [3, 1],
  ],
]

/** Cases by op. */
export const reductionCases: Cases<
  | 'amax'
  | 'amin'
  | 'argmax'
  | 'argmin'
  | 'l2Normalize'
  | 'linear'
  | 'matmul'
  | 'max'
  | 'mean'
  | 'min'
  | 'norm'
  | 'std'
  | 'sum'
  | 'topk'
  | 'variance'
> = {
  amax: reduce(t.amax),
  amin: reduce(t.amin),
  argmax: [...alongAxis((x, dim) => t.argmax(x, { dim }), 0), row('of all', [[3, 5, 2, 2]], (x) => t.argmax(x), 0)],
  argmin: [
    ...alongAxis((x, dim) => t.argmin(x, { dim, keepdim: true }), 0),
    row('of all', [[3, 5, 2, 2]], (x) => t.argmin(x), 0),
  ],
  l2Normalize: [
    row('', [[4, 9]], (x) => t.l2Normalize(x)),
    row('along 0', [[3, 2, 2, 2]], (x) => t.l2Normalize(x, { dim: 0 })),
    row('clamped', [{ shape: [2, 3], scale: 1e-2 }], (x) => t.l2Normalize(x, { eps: 0.5 })),
  ],
  linear: [
    row('', [[3, 4], [2, 4], [2]], (x, w, b) => t.linear(x, w, b)),
    row(
      'no bias',
      [
        [3, 4],
        [2, 4],
      ],
      (x, w) => t.linear(x, w),
    ),
    row('of a vector', [[4], [2, 4], [2]], (x, w, b) => t.linear(x, w, b)),
    row('of rank 4', [[2, 2, 3, 4], [5, 4], [5]], (x, w, b) => t.linear(x, w, b)),
    row('of 33 features', [[9, 33], [21, 33], [21]], (x, w, b) => t.linear(x, w, b)),
    row('of 128 features', [[64, 128], [10, 128], [10]], (x, w, b) => t.linear(x, w, b)),
  ],
  matmul: products.map(([a, b]) => row(`(${a.join(', ')}) by (${b.join(', ')})`, [a, b], (x, y) => t.matmul(x, y))),
  max: alongAxis((x, dim) => [t.max(x, dim).values, t.max(x, dim).indices], 2),
  mean: reduce(t.mean),
  min: alongAxis((x, dim) => [t.min(x, dim, { keepdim: true }).values, t.min(x, dim).indices], 2),
  norm: [
    ...reduce((x, options) => t.norm(x, options), { scale: 0.9, shift: 1.1 }),
    ...[1, 3, 2.5, Number.POSITIVE_INFINITY].map((p) => row(`p ${p}`, [[3, 4]], (x) => t.norm(x, { p, dim: 1 }))),
  ],
  std: reduce(
    (x, options) => t.std(x, options),
    {},
    (shape) => shape.length > 0,
  ),
  sum: reduce(t.sum),
  topk: [
    ...alongAxis((x, dim) => {
      const { values, indices } = t.topk(x, 3, { dim })
      return [values, indices]
    }, 2).filter(({ inputs: [x] }) => (x as t.Shape).every((extent) => extent >= 3)),
    row('the smallest', [[4, 6]], (x) => t.topk(x, 2, { largest: false }).values),
    row('all of them', [[3, 4, 2, 2]], (x) => t.topk(x, 4, { dim: 1 }).values),
  ],
  variance: [
    ...reduce(
      (x, options) => t.variance(x, options),
      {},
      (shape) => shape.length > 0,
    ),
    row('biased', [[3, 4]], (x) => t.variance(x, { dim: 1, unbiased: false })),
  ],
}
