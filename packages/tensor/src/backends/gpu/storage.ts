import type { DType } from '../../dtype.ts'
import type { BackendError } from '../../errors.ts'
import type { Buffer } from '../backend.ts'
import type { Handle } from './library.ts'

/**
 * Device memory: float32 whatever the dtype, which holds integers exactly up to 2^24. The handles come and go in the
 * order in which kernels were issued; only tasks of the device's queue look at them.
 */
export class GpuBuffer implements Buffer {
  readonly dtype: DType
  readonly length: number
  version = 0
  pending: (() => void) | undefined = undefined
  /** What lies on the device now; several handles where one would be larger than a binding may be. */
  handles: readonly Handle[] = []
  /** Why the kernel that was to write it failed; whoever reads it is told. */
  error: BackendError | undefined
  /** Integers that came from the host, so that indices can be checked at the call. */
  host: Int32Array | undefined

  constructor(dtype: DType, length: number) {
    this.dtype = dtype
    this.length = length
  }

  get bytes(): number {
    return this.length * 4
  }
}
