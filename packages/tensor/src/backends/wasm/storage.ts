/** Buffers in and out: the storage part of the contract. */
import { type TypedArray, zeroArray } from '../../dtype.ts'
import { ArgumentError } from '../../errors.ts'
import type { Buffer, Matrices } from '../backend.ts'
import { bring } from '../matrices.ts'
import type { StorageMethod } from '../reference/loops.ts'
import { transposeMatrices } from './copy.ts'
import type { WasmBuffer } from './derived.ts'
import type { Engine, Kernels } from './engine.ts'

/** Elements that are transposed together: they stay in a cache from the one copy to the other. */
const part = 2 ** 17

/** Writes `data` to a buffer, and transposes matrices: kernels do it where vectors find enough in a matrix. */
function put(engine: Engine, data: TypedArray, buffer: WasmBuffer, matrices?: Matrices): void {
  const { rows, columns } = matrices ?? { rows: 0, columns: 0 }
  const size = rows * columns
  if (!(data instanceof Float32Array) || rows < 4 || columns < 4 || size > part) {
    bring(data, engine.array(buffer), matrices)
    return
  }
  const step = Math.floor(part / size) * size
  const from = engine.workspace(Math.min(step, data.length) * 4)
  for (let start = 0; start < data.length; start += step) {
    const some = data.subarray(start, start + step)
    engine.heap.floats(from, some.length).set(some)
    transposeMatrices(engine, from, engine.ptr(buffer, start), rows, columns, some.length / size)
  }
}

/** The storage methods but `fill`, which is a kernel. */
export function storage(engine: Engine): Pick<Kernels, Exclude<StorageMethod, 'fill'>> {
  const readSync = (buffer: Buffer): TypedArray => {
    if (engine.isRecording) {
      throw new ArgumentError(
        'record: fn expects to read no numbers, since what is done with them would not be done again',
      )
    }
    const copy = zeroArray(buffer.dtype, buffer.length)
    copy.set(engine.array(buffer))
    return copy
  }
  return {
    alloc: (dtype, length) => engine.alloc(dtype, length),
    upload(dtype, data, matrices) {
      const buffer = engine.alloc(dtype, data.length)
      put(engine, data, buffer, matrices)
      return buffer
    },
    readSync,
    read: async (buffer) => readSync(buffer),
    write(buffer, data, matrices) {
      buffer.version++
      put(engine, data, engine.own(buffer), matrices)
    },
    free: (buffer) => engine.free(buffer),
    memory: () => engine.memory,
    resetPeak: () => engine.resetPeak(),
  }
}
