/**
 * The reference backend: the contract of `backend.ts` in plain loops, in float32 or float64. Read it to learn what a
 * kernel means; measure other backends against it. Sums are taken in float64 and rounded once.
 */
import { type DType, type TypedArray, zeroArray } from '../../dtype.ts'
import { BackendError, DisposedError } from '../../errors.ts'
import type { Backend, Buffer } from '../backend.ts'
import { bring } from '../matrices.ts'
import { type Host, loops } from './loops.ts'

class ReferenceBuffer implements Buffer {
  readonly dtype: DType
  readonly length: number
  version = 0
  pending: (() => void) | undefined = undefined
  /** Null once freed. */
  data: TypedArray | null

  constructor(dtype: DType, data: TypedArray) {
    this.dtype = dtype
    this.length = data.length
    this.data = data
  }
}

/** Memory of the host, counted. */
class Store implements Host {
  bytes = 0
  peakBytes = 0
  buffers = 0
  /** Buffers that the running kernel has made, where that matters. */
  made: Buffer[] = []

  /** Takes `data` over. */
  add(dtype: DType, data: TypedArray): Buffer {
    const buffer = new ReferenceBuffer(dtype, data)
    this.buffers++
    this.bytes += data.byteLength
    this.peakBytes = Math.max(this.peakBytes, this.bytes)
    return buffer
  }

  alloc(dtype: DType, length: number): Buffer {
    const buffer = this.add(dtype, zeroArray(dtype, length))
    this.made.push(buffer)
    return buffer
  }

  array(buffer: Buffer): TypedArray {
    return this.#own(buffer)[1]
  }

  free(buffer: Buffer): void {
    const [own, data] = this.#own(buffer)
    own.data = null
    this.bytes -= data.byteLength
    this.buffers--
  }

  #own(buffer: Buffer): [ReferenceBuffer, TypedArray] {
    if (!(buffer instanceof ReferenceBuffer)) {
      throw new BackendError('reference: buffer expects one made by this backend, got that of another')
    }
    if (buffer.data === null) throw new DisposedError('reference: buffer expects live memory, got a freed one')
    return [buffer, buffer.data]
  }
}

function createReferenceBackend(): Backend {
  const store = new Store()

  /** `kernel`, which leaves no buffer behind if it throws. */
  function guard<A extends readonly unknown[], R>(kernel: (...args: A) => R): (...args: A) => R {
    return (...args) => {
      store.made = []
      try {
        return kernel(...args)
      } catch (error) {
        for (const buffer of store.made) store.free(buffer)
        throw error
      } finally {
        store.made = []
      }
    }
  }

  function readSync(buffer: Buffer): TypedArray {
    return store.array(buffer).slice()
  }

  const guarded = Object.fromEntries(
    Object.entries(loops(store)).map(([name, kernel]) => [name, guard(kernel as (...args: unknown[]) => unknown)]),
  ) as unknown as ReturnType<typeof loops>
  return {
    name: 'reference',

    fill: (dtype, length, value) => store.add(dtype, zeroArray(dtype, length).fill(value)),
    alloc: (dtype, length) => store.add(dtype, zeroArray(dtype, length)),
    upload(dtype, data, matrices) {
      const memory = zeroArray(dtype, data.length)
      bring(data, memory, matrices)
      return store.add(dtype, memory)
    },
    read: async (buffer) => readSync(buffer),
    readSync,
    write(buffer, data, matrices) {
      bring(data, store.array(buffer), matrices)
      buffer.version++
    },
    free: (buffer) => store.free(buffer),
    memory: () => ({
      bytes: store.bytes,
      buffers: store.buffers,
      peakBytes: store.peakBytes,
      heldBytes: store.bytes,
      peakHeldBytes: store.peakBytes,
      derivedBytes: 0,
      workspaceBytes: 0,
      reservedBytes: store.bytes,
    }),
    resetPeak() {
      store.peakBytes = store.bytes
    },

    ...guarded,
  }
}

/** The living definition of every kernel: plain loops in float32, float64 and, where it makes sense, integers. */
export const reference: Backend = /* @__PURE__ */ createReferenceBackend()
