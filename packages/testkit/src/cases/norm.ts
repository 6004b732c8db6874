/** Cases of normalisation, softmax, losses and dropout. */
import * as t from '@convnets/tensor'
import { type Cases, type InputSpec, like, type OpCase, row } from './case.ts'

const rows: readonly (readonly [t.Shape, number])[] = [
  [[5], 0],
  [[4, 9], 1],
  [[4, 9], 0],
  [[2, 5, 3, 4], 1],
  [[2, 3, 3, 2], 3],
  [[2, 3, 4], -2],
  [[3, 1], 1],
  [[7, 1000], 1],
]

function alongRows(run: (x: t.Tensor, dim: number) => t.Tensor): OpCase[] {
  return rows.map(([shape, dim]) =>
    row(`(${shape.join(', ')}) along ${dim}`, [{ shape, scale: 4 }], (x) => run(x, dim)),
  )
}

const images: readonly t.Shape[] = [
  [4, 3],
  [2, 3, 4],
  [2, 3, 2, 3],
  [1, 2, 3, 2],
  [2, 2, 2, 2, 2],
  [3, 17, 5, 4],
  [2, 64, 3, 3],
]

/** Inputs around 1, as scales and variances are. */
export const scale = (channels: number): InputSpec => ({ shape: [channels], scale: 0.5, shift: 1 })

/** Every shape with weight and bias, and one with neither. */
function normalised(
  shapes: readonly t.Shape[],
  run: (x: t.Tensor, weight?: t.Tensor, bias?: t.Tensor) => t.Tensor | readonly t.Tensor[],
): OpCase[] {
  const channels = (shape: t.Shape): number => shape[1] ?? 0
  return [
    ...shapes.map((shape) =>
      row(`(${shape.join(', ')})`, [shape, scale(channels(shape)), [channels(shape)]], (x, w, b) => run(x, w, b)),
    ),
    row('without weight and bias', [[2, 4, 3, 2]], (x) => run(x)),
    row('with bias alone', [[2, 4, 3, 2], [4]], (x, b) => run(x, undefined, b)),
    row('with weight alone', [[2, 4, 3, 2], scale(4)], (x, w) => run(x, w)),
    row('far from 0', [{ shape: [3, 4, 5, 2], scale: 0.5, shift: 8 }], (x) => run(x)),
  ]
}

const groups = (x: t.Tensor): number => ((x.shape[1] ?? 1) % 2 === 0 ? 2 : 1)

const drawing = () => new t.Generator(7)

/** Cases by op. */
export const normalisationCases: Cases<
  | 'batchNormInference'
  | 'batchNormTraining'
  | 'crossEntropy'
  | 'dropout'
  | 'dropout2d'
  | 'dropPath'
  | 'groupNorm'
  | 'instanceNorm'
  | 'layerNorm'
  | 'localResponseNorm'
  | 'logSoftmax'
  | 'mseLoss'
  | 'softmax'
> = {
  batchNormInference: [
    ...images.map((shape) =>
      row(
        `(${shape.join(', ')})`,
        [shape, [shape[1] ?? 0], scale(shape[1] ?? 0), scale(shape[1] ?? 0), [shape[1] ?? 0]],
        (x, mean, variance, w, b) => t.batchNormInference(x, mean, variance, w, b),
      ),
    ),
    row('without weight and bias', [[2, 3, 2, 2], [3], scale(3)], (x, mean, variance) =>
      t.batchNormInference(x, mean, variance, undefined, undefined, { eps: 1e-3 }),
    ),
    row('with relu', [[2, 5, 3, 4], [5], scale(5), scale(5), [5]], (x, mean, variance, w, b) =>
      t.batchNormInference(x, mean, variance, w, b, { activation: t.relu }),
    ),
  ],
  batchNormTraining: normalised(images, (x, w, b) => t.batchNormTraining(x, w, b).output),
  crossEntropy: [
    row('', [{ shape: [4, 9], scale: 3 }], (x) => t.crossEntropy(x, like(x, [1, 0, 8, 3], 'int32'))),
    row('smoothed', [{ shape: [4, 9], scale: 3 }], (x) =>
      t.crossEntropy(x, like(x, [1, 0, 8, 3], 'int32'), { labelSmoothing: 0.1 }),
    ),
    row('weighted', [{ shape: [4, 3], scale: 3 }], (x) =>
      t.crossEntropy(x, like(x, [1, 0, 2, 1], 'int32'), { weight: like(x, [0.5, 1, 2]), labelSmoothing: 0.2 }),
    ),
    row('ignoring a class', [{ shape: [4, 3], scale: 3 }], (x) =>
      t.crossEntropy(x, like(x, [1, -100, 2, 1], 'int32'), { reduction: 'sum' }),
    ),
    row('row by row', [{ shape: [4, 3], scale: 3 }], (x) =>
      t.crossEntropy(x, like(x, [1, 0, 2, 2], 'int32'), { reduction: 'none', ignoreIndex: 0 }),
    ),
    row('by pixel', [{ shape: [1, 3, 2, 2], scale: 3 }], (x) =>
      t.crossEntropy(
        x,
        like(
          x,
          [
            [
              [1, 0],
              [2, 1],
            ],
          ],
          'int32',
        ),
      ),
    ),
    row('by position', [{ shape: [2, 3, 2], scale: 3 }], (x) =>
      t.crossEntropy(
        x,
        like(
          x,
          [
            [1, 0],
            [2, 1],
          ],
          'int32',
        ),
      ),
    ),
    row('with probabilities', [{ shape: [2, 3], scale: 3 }], (x) =>
      t.crossEntropy(
        x,
        like(x, [
          [0.25, 0.25, 0.5],
          [1, 0, 0],
        ]),
        { labelSmoothing: 0.1 },
      ),
    ),
    row('of 1000 classes', [{ shape: [5, 1000], scale: 5 }], (x) =>
      t.crossEntropy(x, like(x, [999, 0, 17, 500, 3], 'int32'), { labelSmoothing: 0.1 }),
    ),
    row('of large logits', [{ shape: [3, 4], scale: 300 }], (x) => t.crossEntropy(x, like(x, [0, 1, 2], 'int32'))),
  ],
  dropout: [
    row('p 0.5', [[3, 7]], (x) => t.dropout(x, { generator: drawing() })),
    row('p 0.2', [[2, 3, 4, 5]], (x) => t.dropout(x, { p: 0.2, generator: drawing() })),
    row('p 0', [[5]], (x) => t.dropout(x, { p: 0, generator: drawing() })),
    row('p 1', [[5]], (x) => t.dropout(x, { p: 1, generator: drawing() })),
  ],
  dropout2d: [row('', [[2, 6, 3, 2]], (x) => t.dropout2d(x, { generator: drawing() }))],
  dropPath: [row('', [[6, 2, 2, 2]], (x) => t.dropPath(x, { p: 0.3, generator: drawing() }))],
  groupNorm: normalised(images, (x, w, b) => t.groupNorm(x, groups(x), w, b)),
  instanceNorm: normalised(
    images.filter((shape) => shape.length > 2),
    (x, w, b) => t.instanceNorm(x, w, b),
  ),
  layerNorm: [
    row('', [[3, 4, 5], { shape: [4, 5], shift: 1, scale: 0.5 }, [4, 5]], (x, w, b) => t.layerNorm(x, [4, 5], w, b)),
    row('of rank 4', [[2, 3, 2, 4], { shape: [3, 2, 4], shift: 1 }, [3, 2, 4]], (x, w, b) =>
      t.layerNorm(x, [3, 2, 4], w, b),
    ),
    row('of the last of 4 axes', [[2, 3, 2, 4], { shape: [4], shift: 1 }, [4]], (x, w, b) => t.layerNorm(x, [4], w, b)),
    row('without weight and bias', [[5, 33]], (x) => t.layerNorm(x, [33])),
    row('of 384 features', [[7, 384], { shape: [384], shift: 1 }, [384]], (x, w, b) => t.layerNorm(x, [384], w, b)),
  ],
  localResponseNorm: [
    row('size 5', [[2, 8, 2, 2]], (x) => t.localResponseNorm(x, { size: 5, alpha: 0.3, k: 2 })),
    row('size 2', [[1, 3, 4]], (x) => t.localResponseNorm(x, { size: 2, alpha: 1, beta: 0.5 })),
    row('wider than the channels', [[1, 2, 2, 3]], (x) => t.localResponseNorm(x, { size: 7, alpha: 1 })),
  ],
  logSoftmax: alongRows((x, dim) => t.logSoftmax(x, { dim })),
  mseLoss: [
    row(
      'mean',
      [
        [4, 3],
        [4, 3],
      ],
      (x, y) => t.mseLoss(x, y),
    ),
    row(
      'sum',
      [
        [2, 3, 2, 2],
        [2, 3, 2, 2],
      ],
      (x, y) => t.mseLoss(x, y, { reduction: 'sum' }),
    ),
    row(
      'none',
      [
        [4, 3],
        [4, 3],
      ],
      (x, y) => t.mseLoss(x, y, { reduction: 'none' }),
    ),
  ],
  softmax: alongRows((x, dim) => t.softmax(x, { dim })),
}
