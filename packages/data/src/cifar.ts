/**
 * CIFAR-10 and CIFAR-100, binary version: records of one label (CIFAR-100: coarse and fine) and 3 x 32 x 32 of picture, red
 * plane first (Krizhevsky, "Learning multiple layers of features from tiny images", 2009;
 * https://www.cs.toronto.edu/~kriz/cifar.html).
 */
import { ArgumentError, checkOptionNames, FormatError, optionNames, readOptions } from '@convnets/tensor'
import { builtin } from '@convnets/tensor/host'
import { cifar10Classes, cifar100CoarseClasses, cifar100FineClasses } from './cifar-classes.ts'
import { ImageDataset, type Split } from './dataset.ts'
import { readBytes } from './file-source.ts'
import { gunzip } from './gzip.ts'
import { type FolderOptions, folderOf, folderOptions } from './mnist.ts'
import type { RemoteFile } from './remote-files.ts'
import { readTar } from './tar.ts'

const SIDE = 32
const PLANE = SIDE * SIDE
const PICTURE = 3 * PLANE

/** How the records of a file are laid out. */
interface Layout {
  readonly labelBytes: number
  /** Which of the label's bytes is taken. */
  readonly labelAt: number
  readonly classes: readonly string[]
}

interface Part {
  readonly bytes: Uint8Array
  readonly file: string
}

const tenLayout: Layout = { labelBytes: 1, labelAt: 0, classes: cifar10Classes }

/** Which of CIFAR-100's two labels is taken: one of 100 classes, or one of 20 groups of them. */
export type Cifar100Labels = 'fine' | 'coarse'

function hundredLayout(where: string, labels: Cifar100Labels): Layout {
  if (labels === 'fine') return { labelBytes: 2, labelAt: 1, classes: cifar100FineClasses }
  if (labels === 'coarse') return { labelBytes: 2, labelAt: 0, classes: cifar100CoarseClasses }
  throw new ArgumentError(`${where}: labels expects 'fine' or 'coarse', got ${JSON.stringify(labels)}`)
}

/** Pictures and labels of one or more files, one after the other. */
function readRecords(parts: readonly Part[], { labelBytes, labelAt, classes }: Layout): ImageDataset {
  const record = labelBytes + PICTURE
  const total = parts.reduce((sum, { bytes, file }) => {
    if (bytes.length === 0 || bytes.length % record !== 0) {
      const offset = bytes.length - (bytes.length % record)
      const got = `${bytes.length} bytes in all`
      throw new FormatError({ file, offset, expected: `records of ${record} bytes`, got })
    }
    return sum + bytes.length / record
  }, 0)
  const images = new Uint8Array(total * PICTURE)
  const labels = new Uint8Array(total)
  let n = 0
  for (const { bytes, file } of parts) {
    for (let at = 0; at < bytes.length; at += record, n++) {
      const label = bytes[at + labelAt]!
      if (label >= classes.length) {
        const expected = `a label from 0 to ${classes.length - 1}`
        throw new FormatError({ file, offset: at + labelAt, expected, got: `${label}` })
      }
      labels[n] = label
      const to = n * PICTURE
      const from = at + labelBytes
      for (let i = 0; i < PLANE; i++) {
        for (let c = 0; c < 3; c++) images[to + 3 * i + c] = bytes[from + c * PLANE + i]!
      }
    }
  }
  return new ImageDataset({ images, height: SIDE, width: SIDE, channels: 3, labels, classes })
}

/** Reads a batch file of CIFAR-10's binary version: pictures of 32 x 32 x 3. Throws `FormatError` for a broken one. */
export function readCifar10(bytes: Uint8Array, options: { file?: string } = {}): ImageDataset {
  const { file } = readOptions('readCifar10', options, { file: 'CIFAR-10' })
  return readRecords([{ bytes, file }], tenLayout)
}

/** Reads a file of CIFAR-100's binary version: pictures of 32 x 32 x 3. Throws `FormatError` for a broken one. */
export function readCifar100(
  bytes: Uint8Array,
  options: { file?: string; labels?: Cifar100Labels } = {},
): ImageDataset {
  const { file, labels } = readOptions('readCifar100', options, { file: 'CIFAR-100', labels: 'fine' })
  return readRecords([{ bytes, file }], hundredLayout('readCifar100', labels))
}

/** One of the two data sets as it is published. */
interface Published {
  readonly name: string
  /** Folder inside of the archive. */
  readonly folder: string
  readonly train: readonly string[]
  readonly test: string
  readonly archive: RemoteFile
}

/** Checksums as on the data sets' own page. */
const ten: Published = {
  name: 'cifar10',
  folder: 'cifar-10-batches-bin',
  train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`),
  test: 'test_batch.bin',
  archive: { name: 'cifar-10-binary.tar.gz', bytes: 170_052_171, md5: 'c32a1d4ab5d03f1284b67883e8d87530' },
}
const hundred: Published = {
  name: 'cifar100',
  folder: 'cifar-100-binary',
  train: ['train.bin'],
  test: 'test.bin',
  archive: { name: 'cifar-100-binary.tar.gz', bytes: 168_513_733, md5: '03b5dce01913d631647c71ecec9e9cb8' },
}

const urls: readonly string[] = ['https://www.cs.toronto.edu/~kriz']

/** The files of a data set: of its folder, the folder in it, or the archive in it. */
async function filesOf(published: Published, options: FolderOptions): Promise<(name: string) => Promise<Part>> {
  const { name: wanted, folder, test, archive } = published
  const { existsSync } = builtin('node:fs', wanted)
  const { join } = builtin('node:path', wanted)
  const unpacked = (root: string): string | undefined =>
    [join(root, folder), root].find((place) => existsSync(join(place, test)))
  const root = await folderOf(wanted, options, urls, (place) => (unpacked(place) === undefined ? [archive] : []))
  const place = unpacked(root)
  const packed = join(root, archive.name)
  if (place !== undefined || !existsSync(packed)) {
    return async (name) => {
      const file = join(place ?? root, name)
      return { file, bytes: await readBytes(file, wanted, options.signal) }
    }
  }
  const contents = readTar(await gunzip(await readBytes(packed, wanted, options.signal), packed), { file: packed })
  return async (name) => {
    const bytes = contents.get(`${folder}/${name}`)
    if (bytes) return { file: `${packed}:${name}`, bytes }
    throw new FormatError({ file: packed, offset: 0, expected: `a file ${folder}/${name}`, got: 'none of that name' })
  }
}

async function read(published: Published, layout: Layout, options: FolderOptions): Promise<Split> {
  const find = await filesOf(published, options)
  const train = readRecords(await Promise.all(published.train.map(find)), layout)
  return { train, test: readRecords([await find(published.test)], layout), classes: layout.classes }
}

const cifar10Options = optionNames<FolderOptions>(folderOptions)

/**
 * CIFAR-10: 50,000 training and 10,000 test pictures, 32 x 32 x 3, of ten classes, from a folder that holds its six binary
 * files, the folder `cifar-10-batches-bin` of its archive, or the archive itself.
 *
 * Rejects with `FormatError` for a broken file, `DownloadError` for a failed download (170 MB), Node's own error for a file
 * that is missing and not to be downloaded, the signal's reason when aborted, and `ArgumentError` for options that are none.
 */
export async function cifar10(options: FolderOptions = {}): Promise<Split> {
  checkOptionNames('cifar10', options, cifar10Options)
  return read(ten, tenLayout, options)
}

const cifar100Options = optionNames<FolderOptions & { labels?: Cifar100Labels }>({ ...folderOptions, labels: true })

/**
 * CIFAR-100: 50,000 training and 10,000 test pictures, 32 x 32 x 3, of 100 classes (`labels: 'fine'`, the default) or 20
 * groups of five classes (`'coarse'`); from a folder that holds `train.bin` and `test.bin`, the folder `cifar-100-binary` of
 * its archive, or the archive itself. Rejects as `cifar10` does.
 */
export async function cifar100(options: FolderOptions & { readonly labels?: Cifar100Labels } = {}): Promise<Split> {
  checkOptionNames('cifar100', options, cifar100Options)
  return read(hundred, hundredLayout('cifar100', options.labels ?? 'fine'), options)
}
