/** Cases of pooling and resampling. */
import {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  avgPool2d,
  globalAvgPool2d,
  interpolate,
  maxPool2d,
  maxPool2dWithIndices,
  type Pool2dOptions,
  type Shape,
} from '@convnets/tensor'
import { type Cases, row } from './case.ts'

/** Image, kernel and options; channel counts around vector widths. */
const windows: readonly (readonly [Shape, number | readonly [number, number], Pool2dOptions])[] = [
  [[1, 1, 2, 2], 2, {}],
  [[2, 3, 5, 6], 2, {}],
  [[1, 2, 6, 5], 3, { stride: 2, padding: 1 }],
  [[1, 2, 6, 6], 3, { stride: 2, ceilMode: true }],
  [[1, 2, 7, 5], 2, { stride: 2, padding: 1, ceilMode: true }],
  [[1, 3, 5, 5], 3, { stride: 1, padding: 1 }],
  [[1, 2, 5, 7], [3, 2], { stride: [1, 2], padding: [1, 0] }],
  [[1, 2, 7, 7], 2, { stride: 3 }],
  [[2, 17, 9, 9], 3, { stride: 2, padding: 1 }],
  [[1, 33, 8, 10], 2, {}],
  [[1, 64, 7, 7], 7, {}],
]

const sizes: readonly (readonly [Shape, number | readonly [number, number]])[] = [
  [[1, 1, 1, 1], 1],
  [[2, 3, 4, 5], 1],
  [
    [1, 2, 5, 7],
    [3, 4],
  ],
  [
    [1, 2, 3, 2],
    [5, 3],
  ],
  [
    [2, 19, 13, 10],
    [6, 4],
  ],
  [[1, 32, 7, 7], 1],
]

const named = (...parts: readonly unknown[]): string => JSON.stringify(parts)

/** Cases by op. */
export const poolingCases: Cases<
  | 'adaptiveAvgPool2d'
  | 'adaptiveMaxPool2d'
  | 'avgPool2d'
  | 'globalAvgPool2d'
  | 'interpolate'
  | 'maxPool2d'
  | 'maxPool2dWithIndices'
> = {
  adaptiveAvgPool2d: sizes.map(([shape, size]) => row(named(shape, size), [shape], (x) => adaptiveAvgPool2d(x, size))),
  adaptiveMaxPool2d: sizes.map(([shape, size]) => row(named(shape, size), [shape], (x) => adaptiveMaxPool2d(x, size))),
  avgPool2d: windows.flatMap(([shape, kernel, options]) =>
    [true, false].map((countIncludePad) =>
      row(named(shape, kernel, options, countIncludePad), [shape], (x) =>
        avgPool2d(x, kernel, { ...options, countIncludePad }),
      ),
    ),
  ),
  globalAvgPool2d: [row('', [[2, 5, 3, 4]], (x) => globalAvgPool2d(x))],
  interpolate: [
    ...(
      [
        [5, 7],
        [2, 3],
        [3, 4],
        [1, 1],
        [9, 2],
      ] as const
    ).flatMap((size) => [
      row(`nearest to ${size}`, [[1, 2, 3, 4]], (x) => interpolate(x, size)),
      row(`bilinear to ${size}`, [[2, 3, 3, 4]], (x) => interpolate(x, size, { mode: 'bilinear' })),
      row(`bilinear to ${size}, corners aligned`, [[1, 2, 3, 4]], (x) =>
        interpolate(x, size, { mode: 'bilinear', alignCorners: true }),
      ),
    ]),
    row('bilinear of 17 channels', [[1, 17, 5, 6]], (x) => interpolate(x, [11, 4], { mode: 'bilinear' })),
  ],
  maxPool2d: windows.map(([shape, kernel, options]) =>
    row(named(shape, kernel, options), [shape], (x) => maxPool2d(x, kernel, options)),
  ),
  maxPool2dWithIndices: windows.map(([shape, kernel, options]) =>
    row(named(shape, kernel, options), [shape], (x) => {
      const { values, indices } = maxPool2dWithIndices(x, kernel, options)
      return [values, indices]
    }),
  ),
}
