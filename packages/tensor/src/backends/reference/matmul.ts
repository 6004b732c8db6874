import type { TypedArray } from '../../dtype.ts'
import type { MatmulSpec } from '../backend.ts'

/** out = A B + bias for each product of the batch. */
export function matmul(a: TypedArray, b: TypedArray, bias: TypedArray | null, spec: MatmulSpec, out: TypedArray): void {
  const { m, n, k, transA, transB, offsetsA, offsetsB } = spec
  const [rowA, stepA] = transA ? [1, m] : [k, 1]
  const [columnB, stepB] = transB ? [k, 1] : [1, n]
  for (const [batch, offsetA] of offsetsA.entries()) {
    const offsetB = offsetsB[batch]!
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = bias === null ? 0 : bias[j]!
        for (let p = 0; p < k; p++) sum += a[offsetA + i * rowA + p * stepA]! * b[offsetB + j * columnB + p * stepB]!
        out[(batch * m + i) * n + j] = sum
      }
    }
  }
}
