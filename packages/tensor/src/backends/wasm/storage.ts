/** Buffers in and out: the storage part of the contract. */
import { copyInto, type TypedArray, zeroArray } from '../../dtype.ts'
import { ArgumentError } from '../../errors.ts'
import type { Buffer } from '../backend.ts'
import type { StorageMethod } from '../reference/loops.ts'
import type { Engine, Kernels } from './engine.ts'

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
    upload(dtype, data, arrange = copyInto) {
      const buffer = engine.alloc(dtype, data.length)
      arrange(data, engine.array(buffer))
      return buffer
    },
    readSync,
    read: async (buffer) => readSync(buffer),
    write(buffer, data, arrange = copyInto) {
      arrange(data, engine.array(buffer))
      buffer.version++
    },
    free: (buffer) => engine.free(buffer),
    memory: () => engine.memory,
    resetPeak: () => engine.resetPeak(),
  }
}
