/** Cases of ops that move elements: ranks around 4, where the order in memory changes. */
import * as t from '@convnets/tensor'
import { type Cases, like, row } from './case.ts'

const permutations: readonly (readonly [t.Shape, readonly number[]])[] = [
  [
    [3, 4],
    [1, 0],
  ],
  [
    [2, 3, 4],
    [2, 0, 1],
  ],
  [
    [2, 3, 4, 5],
    [0, 2, 3, 1],
  ],
  [
    [2, 3, 4, 5],
    [0, 3, 1, 2],
  ],
  [
    [2, 3, 4, 5],
    [3, 2, 1, 0],
  ],
  [
    [2, 1, 4, 1],
    [2, 3, 0, 1],
  ],
  [
    [2, 3, 2, 2, 3],
    [4, 1, 3, 0, 2],
  ],
]

const reshapes: readonly (readonly [t.Shape, t.Shape])[] = [
  [[6], [2, 3]],
  [[2, 3, 4, 5], [-1]],
  [
    [2, 3, 4, 5],
    [6, 20],
  ],
  [[120], [2, 3, 4, 5]],
  [
    [2, 3, 4, 5],
    [5, 4, 3, 2],
  ],
  [
    [2, 3, 4, 5],
    [2, 12, 5],
  ],
  [
    [2, 3, 1, 1],
    [2, 3],
  ],
  [
    [2, 1, 3, 4],
    [2, 3, 4],
  ],
  [
    [0, 3],
    [3, 0, 2],
  ],
  [[], [1, 1, 1, 1]],
]

/** Cases by op. */
export const shapeCases: Cases<
  | 'cat'
  | 'chunk'
  | 'embedding'
  | 'expand'
  | 'flatten'
  | 'flip'
  | 'fromPixelRows'
  | 'gather'
  | 'indexSelect'
  | 'narrow'
  | 'oneHot'
  | 'pad'
  | 'permute'
  | 'pixelRows'
  | 'reshape'
  | 'scatterAdd'
  | 'select'
  | 'slice'
  | 'split'
  | 'squeeze'
  | 'stack'
  | 'transpose'
  | 'unsqueeze'
> = {
  cat: [
    row(
      'along 0',
      [
        [2, 3],
        [1, 3],
        [3, 3],
      ],
      (...x) => t.cat(x),
    ),
    row(
      'along channels',
      [
        [2, 3, 2, 2],
        [2, 1, 2, 2],
      ],
      (...x) => t.cat(x, 1),
    ),
    row(
      'along width',
      [
        [2, 3, 2, 2],
        [2, 3, 2, 5],
      ],
      (...x) => t.cat(x, -1),
    ),
    row('of one', [[2, 3]], (...x) => t.cat(x, 1)),
    row(
      'with an empty one',
      [
        [2, 3],
        [2, 0],
      ],
      (...x) => t.cat(x, 1),
    ),
    row('of one tensor twice', [[2, 3]], (x) => t.cat([x, x], 1)),
    row(
      'of 33 and 17 channels',
      [
        [2, 33, 5, 4],
        [2, 17, 5, 4],
      ],
      (...x) => t.cat(x, 1),
    ),
  ],
  chunk: [row('', [[5, 3]], (x) => t.chunk(x, 2)), row('of channels', [[2, 6, 2, 3]], (x) => t.chunk(x, 3, 1))],
  embedding: [
    row('', [[5, 3]], (w) =>
      t.embedding(
        like(
          w,
          [
            [0, 4, 4],
            [2, 0, 1],
          ],
          'int32',
        ),
        w,
      ),
    ),
    row('of a vector', [[5, 33]], (w) => t.embedding(like(w, [3, 3, 0], 'int32'), w)),
  ],
  expand: [
    row('', [[3, 1]], (x) => t.expand(x, [2, 3, 4])),
    row('to rank 4', [[3, 1, 1]], (x) => t.expand(x, [2, 3, 4, 5])),
    row('of rank 4', [[2, 1, 3, 1]], (x) => t.expand(x, [2, 5, 3, 4])),
    row('of a scalar', [[]], (x) => t.expand(x, [3])),
    row('to its own shape', [[2, 3]], (x) => t.expand(x, [2, 3])),
  ],
  flatten: [
    row('', [[2, 3, 4, 5]], (x) => t.flatten(x, 1)),
    row('between', [[2, 3, 4, 5]], (x) => t.flatten(x, 1, 2)),
    row('of a scalar', [[]], (x) => t.flatten(x)),
  ],
  flip: [
    row('of width', [[2, 3, 4, 5]], (x) => t.flip(x, 3)),
    row('of two', [[2, 3, 4, 5]], (x) => t.flip(x, [1, 2])),
    row('of a vector', [[7]], (x) => t.flip(x, 0)),
  ],
  fromPixelRows: [row('', [[40, 3]], (x) => t.fromPixelRows(x, [2, 3, 4, 5]))],
  gather: [
    row('along 1', [[3, 4]], (x) =>
      t.gather(
        x,
        1,
        like(
          x,
          [
            [0, 2],
            [1, 1],
            [3, 0],
          ],
          'int32',
        ),
      ),
    ),
    row('along 0', [[3, 4]], (x) =>
      t.gather(
        x,
        0,
        like(
          x,
          [
            [0, 2, 1],
            [1, 1, 0],
          ],
          'int32',
        ),
      ),
    ),
    row('of rank 4', [[1, 2, 2, 3]], (x) =>
      t.gather(
        x,
        1,
        like(
          x,
          [
            [
              [
                [1, 0, 1],
                [0, 1, 0],
              ],
            ],
          ],
          'int32',
        ),
      ),
    ),
  ],
  indexSelect: [
    row('of rows', [[4, 5]], (x) => t.indexSelect(x, 0, like(x, [3, 0, 3], 'int32'))),
    row('of channels', [[2, 5, 3, 2]], (x) => t.indexSelect(x, 1, like(x, [4, 0, 0, 1, 2, 2], 'int32'))),
    row('of height', [[2, 3, 4, 2]], (x) => t.indexSelect(x, -2, like(x, [1, 1], 'int32'))),
  ],
  narrow: [
    row('of channels', [[2, 5, 3, 2]], (x) => t.narrow(x, 1, 1, 3)),
    row('to nothing', [[4]], (x) => t.narrow(x, 0, 2, 0)),
  ],
  oneHot: [
    row(
      '',
      [[2]],
      (x) =>
        t.oneHot(
          like(
            x,
            [
              [0, 2],
              [1, 4],
            ],
            'int32',
          ),
          5,
        ),
      0,
    ),
  ],
  pad: [
    row('of images', [[1, 2, 3, 4]], (x) => t.pad(x, [1, 2, 0, 3])),
    row('of channels', [[1, 3, 2, 2]], (x) => t.pad(x, [0, 0, 0, 0, 2, 1])),
    row('with a value', [[2, 3]], (x) => t.pad(x, [1, 1], { value: 0.5 })),
    row('with crops', [[1, 2, 5, 6]], (x) => t.pad(x, [-1, 2, 1, -2])),
  ],
  permute: permutations.map(([shape, dims]) =>
    row(`(${shape.join(', ')}) by ${dims}`, [shape], (x) => t.permute(x, dims)),
  ),
  pixelRows: [row('', [[2, 3, 4, 5]], (x) => t.pixelRows(x))],
  reshape: reshapes.map(([from, to]) =>
    row(`(${from.join(', ')}) to (${to.join(', ')})`, [from], (x) => t.reshape(x, to)),
  ),
  scatterAdd: [
    row('', [[3, 2]], (x) =>
      t.scatterAdd(
        [3, 4],
        1,
        like(
          x,
          [
            [0, 2],
            [1, 1],
            [3, 0],
          ],
          'int32',
        ),
        x,
      ),
    ),
    row('of rank 4', [[1, 2, 1, 3]], (x) =>
      t.scatterAdd([1, 4, 1, 3], 1, like(x, [[[[3, 0, 1]], [[3, 1, 1]]]], 'int32'), x),
    ),
  ],
  select: [
    row('of a row', [[3, 4]], (x) => t.select(x, 0, -1)),
    row('of a channel', [[2, 3, 2, 2]], (x) => t.select(x, 1, 1)),
  ],
  slice: [
    row('with steps', [[4, 7]], (x) =>
      t.slice(x, [
        [0, 3, 2],
        [1, 6, 2],
      ]),
    ),
    row('from the end', [[6]], (x) => t.slice(x, [[-4, -1]])),
    row('of rank 4', [[2, 3, 5, 6]], (x) => t.slice(x, [undefined, [1, 3], [0, 5, 3], [2]])),
    row('of nothing', [[3]], (x) => t.slice(x, [[2, 1]])),
  ],
  split: [
    row('by one size', [[5, 2]], (x) => t.split(x, 2)),
    row('by sizes', [[2, 6, 2, 2]], (x) => t.split(x, [1, 3, 2], 1)),
  ],
  squeeze: [row('all', [[1, 3, 1, 2]], (x) => t.squeeze(x)), row('one', [[1, 3, 1, 2]], (x) => t.squeeze(x, 2))],
  stack: [
    row(
      'in front',
      [
        [2, 3],
        [2, 3],
      ],
      (...x) => t.stack(x),
    ),
    row(
      'of images',
      [
        [3, 2, 2],
        [3, 2, 2],
      ],
      (...x) => t.stack(x, 1),
    ),
    row(
      'behind',
      [
        [2, 3, 4],
        [2, 3, 4],
      ],
      (...x) => t.stack(x, -1),
    ),
  ],
  transpose: [
    row('', [[3, 4]], (x) => t.transpose(x, 0, 1)),
    row('of images', [[2, 3, 4, 5]], (x) => t.transpose(x, -1, -2)),
  ],
  unsqueeze: [
    row('', [[3, 2]], (x) => t.unsqueeze(x, 1)),
    row('of an image', [[3, 4, 5]], (x) => t.unsqueeze(x, 0)),
    row('at the end', [[2, 3, 4]], (x) => t.unsqueeze(x, -1)),
  ],
}
