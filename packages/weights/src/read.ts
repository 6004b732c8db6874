/** All tensors of a file at once. */
import { type Backend, checkOptionNames, optionNames, type Tensor, tensor } from '@convnets/tensor'
import { decode, tensorDType } from './decode.ts'
import type { WeightsFormat } from './entry.ts'
import type { WeightSource } from './locate.ts'
import { type OpenOptions, openFile, openOptions } from './open.ts'

/** A file that has been read; the tensors are the caller's. */
export interface ReadWeights {
  readonly format: WeightsFormat
  readonly tensors: Map<string, Tensor>
  /** What the file says besides: texts of safetensors, numbers and texts beside a checkpoint's state dict. */
  readonly metadata: ReadonlyMap<string, string>
}

export interface ReadWeightsOptions extends OpenOptions {
  /** Backend of the tensors; the default backend if absent. */
  readonly backend?: Backend
}

const readWeightsOptions = [
  ...optionNames<Omit<ReadWeightsOptions, keyof OpenOptions>>({ backend: true }),
  ...openOptions,
]

/**
 * Reads all tensors of a file of any format, in its order. F16 and BF16 become float32 (exactly), integers int32 if every
 * value fits. Rejects like `loadWeights`; no tensor is left behind then.
 */
export async function readWeights(source: WeightSource, options: ReadWeightsOptions = {}): Promise<ReadWeights> {
  checkOptionNames('readWeights', options, readWeightsOptions)
  const { backend, signal } = options
  const file = await openFile(source, options)
  const tensors = new Map<string, Tensor>()
  try {
    await file.verify(signal)
    for (const [key, entry] of file.entries) {
      signal?.throwIfAborted()
      const what = `${file.file}: tensor ${JSON.stringify(key)}`
      const dtype = tensorDType(entry.dtype, what)
      const values = decode(entry.dtype, await entry.read(), what)
      tensors.set(key, tensor(values, { shape: [...entry.shape], dtype, ...(backend && { backend }) }))
    }
  } catch (error) {
    for (const made of tensors.values()) made.dispose()
    throw error
  } finally {
    await file.close()
  }
  return { format: file.format, tensors, metadata: file.metadata }
}
