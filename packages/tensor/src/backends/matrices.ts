/** Numbers on their way into the memory of a backend, and out of it. */
import type { TypedArray } from '../dtype.ts'
import type { Matrices } from './backend.ts'

/** Columns of a matrix that are transposed together: the lines of its rows stay in the first-level cache. */
const tile = 16

/** Writes all of `data`, transposed where it is matrices that are to be, to `memory`, which is as long. */
export function bring(data: TypedArray, memory: TypedArray, matrices?: Matrices): void {
  if (matrices === undefined) {
    memory.set(data)
    return
  }
  const { rows, columns } = matrices
  for (let start = 0; start < data.length; start += rows * columns) {
    for (let begin = 0; begin < columns; begin += tile) {
      const end = Math.min(columns, begin + tile)
      let to = start + begin * rows
      for (let column = start + begin; column < start + end; column++) {
        for (let from = column, last = to + rows; to < last; from += columns) memory[to++] = data[from] as number
      }
    }
  }
}
