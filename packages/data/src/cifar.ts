/**
 * CIFAR-10, binary version: records of 3,073 bytes, one of label and 3 x 32 x 32 of picture, red plane first
 * (Krizhevsky, "Learning multiple layers of features from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html).
 */
import { FormatError } from '@convnets/tensor'
import { ImageDataset, type Split } from './dataset.ts'
import { builtin, readBytes } from './host.ts'
import type { FolderOptions } from './mnist.ts'

/** Class names of CIFAR-10 by number. */
export const cifar10Classes: readonly string[] = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
]

const SIDE = 32
const PLANE = SIDE * SIDE
const PICTURE = 3 * PLANE
const RECORD = 1 + PICTURE

/** Pictures and labels of one or more batch files, one after the other. */
function readRecords(files: readonly { readonly bytes: Uint8Array; readonly file: string }[]): ImageDataset {
  const total = files.reduce((sum, { bytes, file }) => {
    if (bytes.length === 0 || bytes.length % RECORD !== 0) {
      const offset = bytes.length - (bytes.length % RECORD)
      throw new FormatError({
        file,
        offset,
        expected: `records of ${RECORD} bytes`,
        got: `${bytes.length} bytes in all`,
      })
    }
    return sum + bytes.length / RECORD
  }, 0)
  const images = new Uint8Array(total * PICTURE)
  const labels = new Uint8Array(total)
  let n = 0
  for (const { bytes, file } of files) {
    for (let at = 0; at < bytes.length; at += RECORD, n++) {
      const label = bytes[at]!
      if (label >= cifar10Classes.length) {
        throw new FormatError({ file, offset: at, expected: 'a label from 0 to 9', got: `${label}` })
      }
      labels[n] = label
      const to = n * PICTURE
      for (let i = 0; i < PLANE; i++) {
        for (let c = 0; c < 3; c++) images[to + 3 * i + c] = bytes[at + 1 + c * PLANE + i]!
      }
    }
  }
  return new ImageDataset({ images, height: SIDE, width: SIDE, channels: 3, labels, classes: cifar10Classes })
}

/** Reads a batch file of CIFAR-10's binary version: pictures of 32 x 32 x 3. Throws `FormatError` for a broken one. */
export function readCifar10(bytes: Uint8Array, { file = 'CIFAR-10' }: { file?: string } = {}): ImageDataset {
  return readRecords([{ bytes, file }])
}

/**
 * CIFAR-10 from a folder that holds its six binary files, or the folder `cifar-10-batches-bin` of its archive: 50,000
 * training and 10,000 test pictures of 32 x 32 x 3. Rejects with `FormatError` for a broken file, with Node's own error for
 * a missing one.
 */
export async function cifar10({ root, signal }: FolderOptions): Promise<Split> {
  const { existsSync } = builtin('node:fs', 'cifar10')
  const { join } = builtin('node:path', 'cifar10')
  const inner = join(root, 'cifar-10-batches-bin')
  const folder = existsSync(inner) ? inner : root
  const read = async (name: string): Promise<{ bytes: Uint8Array; file: string }> => {
    const file = join(folder, name)
    return { file, bytes: await readBytes(file, 'cifar10', signal) }
  }
  const train = await Promise.all([1, 2, 3, 4, 5].map((i) => read(`data_batch_${i}.bin`)))
  return { train: readRecords(train), test: readRecords([await read('test_batch.bin')]), classes: cifar10Classes }
}
