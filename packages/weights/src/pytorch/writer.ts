/**
 * State dicts as checkpoints that `torch.load(weights_only=True)` opens: an OrderedDict of tensors, each with a storage of
 * its own, in the zip format of PyTorch 1.6 and later.
 */
import { ArgumentError } from '@convnets/tensor'
import type { Sink } from '../atomic.ts'
import { elementCount, type FileDType } from '../dtypes.ts'
import { PickleWriter } from '../pickle/writer.ts'
import { rowMajor } from '../strided.ts'
import { ZipWriter } from '../zip/writer.ts'

/** A tensor to be written, whose bytes are asked for when it is its turn. */
export interface TensorToWrite {
  readonly dtype: FileDType
  readonly shape: readonly number[]
  read(): Promise<Uint8Array>
}

/** Classes of storages; PyTorch has none for unsigned integers of more than a byte. */
const storageClasses: Readonly<Partial<Record<FileDType, string>>> = {
  F64: 'DoubleStorage',
  F32: 'FloatStorage',
  F16: 'HalfStorage',
  BF16: 'BFloat16Storage',
  I64: 'LongStorage',
  I32: 'IntStorage',
  I16: 'ShortStorage',
  I8: 'CharStorage',
  U8: 'ByteStorage',
  BOOL: 'BoolStorage',
  C64: 'ComplexFloatStorage',
}

function storageClass(key: string, dtype: FileDType): string {
  const name = storageClasses[dtype]
  if (name !== undefined) return name
  throw new ArgumentError(`saveWeights: ${JSON.stringify(key)} expects a dtype that PyTorch stores, got ${dtype}`)
}

function pickleState(tensors: ReadonlyMap<string, TensorToWrite>): Uint8Array {
  const pickle = new PickleWriter()
  pickle.orderedDict()
  pickle.setItems(() => {
    let index = 0
    for (const [key, { dtype, shape }] of tensors) {
      const storage = `${index++}`
      pickle.text(key)
      pickle.global('torch._utils', '_rebuild_tensor_v2')
      pickle.tuple(() => {
        pickle.tuple(() => {
          pickle.text('storage')
          pickle.global('torch', storageClass(key, dtype))
          pickle.text(storage)
          pickle.text('cpu')
          pickle.integer(elementCount(shape)!)
        })
        pickle.persistent()
        pickle.integer(0)
        pickle.integers(shape)
        pickle.integers(rowMajor(shape))
        pickle.boolean(false)
        pickle.orderedDict()
      })
      pickle.reduce()
    }
  })
  return pickle.finish()
}

/** The folder inside the archive; its name means nothing. */
const FOLDER = 'archive'

/** Writes a checkpoint tensor by tensor. Throws `ArgumentError` before anything is written. */
export async function writeCheckpoint(tensors: ReadonlyMap<string, TensorToWrite>, write: Sink): Promise<void> {
  const pickle = pickleState(tensors)
  const text = (value: string): Uint8Array => new TextEncoder().encode(value)
  const zip = new ZipWriter(write)
  await zip.add(`${FOLDER}/data.pkl`, pickle)
  await zip.add(`${FOLDER}/byteorder`, text('little'))
  let index = 0
  for (const { read } of tensors.values()) await zip.add(`${FOLDER}/data/${index++}`, await read())
  await zip.add(`${FOLDER}/version`, text('3\n'))
  await zip.finish()
}
