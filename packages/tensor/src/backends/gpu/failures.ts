/** Errors of devices. */
import type { DType, TypedArray } from '../../dtype.ts'
import { BackendError, DeviceLostError, OutOfMemoryError } from '../../errors.ts'

/** Throws where float32 does not hold an integer of `data`. */
export function checkIntegers(dtype: DType, data: TypedArray): void {
  if (dtype !== 'int32') return
  for (const value of data) {
    if (Math.abs(value) > 2 ** 24) {
      throw new BackendError(
        `gpu: int32 expects values up to 2^24 on this backend, whose numbers are float32, got ${value}`,
      )
    }
  }
}

/** The device is gone. */
export function lostError(reason: string): DeviceLostError {
  return new DeviceLostError(
    `gpu: the device was lost (${reason}) and its tensors with it; make another backend with gpu() and continue from ` +
      'the last checkpoint',
  )
}

/** What a kernel of gpu.js threw, as an error of this library. */
export function failureOf(op: string, cause: unknown): BackendError {
  const [message = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n--- generated')
  if (/\blost\b/i.test(message)) return lostError(message)
  if (/out of memory|allocation failed|could not allocate memory/i.test(message)) {
    return new OutOfMemoryError(`${op}: the gpu device has no memory left: ${message}`, { cause })
  }
  return new BackendError(`${op}: the gpu kernel failed: ${message}`, { cause })
}

/** An error that the device reported by itself. */
export function faultError(message: string): BackendError {
  const Kind = /memory/i.test(message) ? OutOfMemoryError : BackendError
  return new Kind(
    `gpu: the device reported: ${message}; make another backend with gpu() and continue from the last checkpoint`,
  )
}
