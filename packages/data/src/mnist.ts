/** MNIST and Fashion-MNIST: four idx files each, 28 x 28 grey pictures of ten classes. */
import { ArgumentError, checkOptionNames, FormatError, optionNames } from '@convnets/tensor'
import { builtin, cacheFolder } from '@convnets/tensor/host'
import { ImageDataset, type Split } from './dataset.ts'
import { type FileSource, sourceName } from './file-source.ts'
import { loadIdx } from './idx.ts'
import { type DownloadProgress, downloadFiles, type RemoteFile } from './remote-files.ts'

/** The sources of a split, in the order of `names`. */
type Four<T> = readonly [trainImages: T, trainLabels: T, testImages: T, testLabels: T]

const names: Four<string> = [
  'train-images-idx3-ubyte',
  'train-labels-idx1-ubyte',
  't10k-images-idx3-ubyte',
  't10k-labels-idx1-ubyte',
]

/** Sizes and checksums of the files in the repository of Fashion-MNIST (its README gives them as MD5). */
const fashionFiles: readonly RemoteFile[] = [
  {
    name: 'train-images-idx3-ubyte.gz',
    bytes: 26_421_880,
    sha256: '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
  },
  {
    name: 'train-labels-idx1-ubyte.gz',
    bytes: 29_515,
    sha256: 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
  },
  {
    name: 't10k-images-idx3-ubyte.gz',
    bytes: 4_422_102,
    sha256: '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
  },
  {
    name: 't10k-labels-idx1-ubyte.gz',
    bytes: 5_148,
    sha256: '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
  },
]

const fashionUrls: readonly string[] = [
  'https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion',
  'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com',
]

/** Class names of Fashion-MNIST by number. */
export const fashionMnistClasses: readonly string[] = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
]

const digits: readonly string[] = [...'0123456789']

/** Each address is written out, so that bundlers find the file and put it beside what they make. */
const embedded = (): Four<URL> => [
  new URL('../assets/fashion-mnist/train-images-idx3-ubyte.gz', import.meta.url),
  new URL('../assets/fashion-mnist/train-labels-idx1-ubyte.gz', import.meta.url),
  new URL('../assets/fashion-mnist/t10k-images-idx3-ubyte.gz', import.meta.url),
  new URL('../assets/fashion-mnist/t10k-labels-idx1-ubyte.gz', import.meta.url),
]

/** One half of a split: pictures and labels from two idx files. */
async function half(
  images: FileSource,
  labels: FileSource,
  classes: readonly string[],
  signal: AbortSignal | undefined,
): Promise<ImageDataset> {
  const options = signal ? { signal } : {}
  const [pictures, numbers] = await Promise.all([loadIdx(images, options), loadIdx(labels, options)])
  const [count = 0, height = 0, width = 0] = pictures.shape
  if (!(pictures.data instanceof Uint8Array) || pictures.shape.length !== 3 || pictures.data.length === 0) {
    const got = `${pictures.data.constructor.name} [${pictures.shape.join(', ')}]`
    throw new FormatError({ file: sourceName(images), offset: 2, expected: 'pictures of bytes, [N, H, W]', got })
  }
  if (!(numbers.data instanceof Uint8Array) || numbers.shape.length !== 1 || numbers.data.length !== count) {
    const got = `${numbers.data.constructor.name} [${numbers.shape.join(', ')}]`
    throw new FormatError({ file: sourceName(labels), offset: 2, expected: `${count} labels of one byte`, got })
  }
  const wrong = numbers.data.findIndex((label) => label >= classes.length)
  if (wrong >= 0) {
    throw new FormatError({
      file: sourceName(labels),
      offset: 8 + wrong,
      expected: `labels below ${classes.length}`,
      got: `${numbers.data[wrong]}`,
    })
  }
  return new ImageDataset({ images: pictures.data, height, width, channels: 1, labels: numbers.data, classes })
}

async function split(sources: Four<FileSource>, classes: readonly string[], signal?: AbortSignal): Promise<Split> {
  const [trainImages, trainLabels, testImages, testLabels] = sources
  const [train, test] = await Promise.all([
    half(trainImages, trainLabels, classes, signal),
    half(testImages, testLabels, classes, signal),
  ])
  return { train, test, classes }
}

/** The four files of a folder, packed or not. */
function inFolder(root: string): Four<string> {
  const { existsSync } = builtin('node:fs', 'mnist')
  const { join } = builtin('node:path', 'mnist')
  const find = (name: string): string => {
    const packed = join(root, `${name}.gz`)
    return existsSync(packed) || !existsSync(join(root, name)) ? packed : join(root, name)
  }
  const [trainImages, trainLabels, testImages, testLabels] = names
  return [find(trainImages), find(trainLabels), find(testImages), find(testLabels)]
}

/** Where a data set is read from, and whether it is downloaded. */
export interface FolderOptions {
  /** Folder of the files; if absent, `convnets/<name of the data set>` under `$XDG_CACHE_HOME` or `~/.cache`. */
  readonly root?: string
  /** Whether to download files that are missing; default true without `root`, false with one. */
  readonly download?: boolean
  /** Addresses of folders to download from, in the order to try; default the data set's own. */
  readonly urls?: readonly string[]
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: DownloadProgress) => void
}

/** Their names, for data sets that may have more. */
export const folderOptions: Readonly<Record<keyof FolderOptions, true>> = {
  root: true,
  download: true,
  urls: true,
  signal: true,
  onProgress: true,
}

/** The folder of a data set, with those files downloaded that `missing` finds missing, if they are to be. */
export async function folderOf(
  name: string,
  { root, download, urls, signal, onProgress }: FolderOptions,
  from: readonly string[],
  missing: (folder: string) => readonly RemoteFile[],
): Promise<string> {
  const folder = root ?? cacheFolder(name)
  if (download ?? root === undefined) {
    await downloadFiles(missing(folder), { from: urls ?? from, to: folder, signal, onProgress })
  }
  return folder
}

/** Those of packed files that are there neither packed nor unpacked. */
function missingFrom(files: readonly RemoteFile[]): (folder: string) => RemoteFile[] {
  const { existsSync } = builtin('node:fs', 'mnist')
  const { join } = builtin('node:path', 'mnist')
  return (folder) => files.filter(({ name }) => !existsSync(join(folder, name.replace(/\.gz$/, ''))))
}

/** As torchvision knows them (`torchvision.datasets.MNIST.resources`). */
const mnistFiles: readonly RemoteFile[] = [
  { name: 'train-images-idx3-ubyte.gz', bytes: 9_912_422, md5: 'f68b3c2dcbeaaa9fbdd348bbdeb94873' },
  { name: 'train-labels-idx1-ubyte.gz', bytes: 28_881, md5: 'd53e105ee54ea40749a09fcbcd1e9432' },
  { name: 't10k-images-idx3-ubyte.gz', bytes: 1_648_877, md5: '9fb629c4189551a2d022fa330f9573f3' },
  { name: 't10k-labels-idx1-ubyte.gz', bytes: 4_542, md5: 'ec29112dd5afa0611ce80d1b7f02629c' },
]

const mnistUrls: readonly string[] = [
  'https://ossci-datasets.s3.amazonaws.com/mnist',
  'https://storage.googleapis.com/cvdf-datasets/mnist',
]

const mnistOptions = optionNames<FolderOptions>(folderOptions)

/**
 * MNIST (LeCun, Cortes and Burges): 60,000 training and 10,000 test pictures, 28 x 28 x 1, from a folder that holds its
 * four idx files, packed with gzip or not. Over the training pictures the mean is 0.1307 and the standard deviation 0.3081.
 *
 * Rejects with `FormatError` for a broken file, `DownloadError` for a failed download (12 MB), Node's own error for a file
 * that is missing and not to be downloaded, the signal's reason when aborted, and `ArgumentError` for options that are none.
 */
export async function mnist(options: FolderOptions = {}): Promise<Split> {
  checkOptionNames('mnist', options, mnistOptions)
  const folder = await folderOf('mnist', options, mnistUrls, missingFrom(mnistFiles))
  return split(inFolder(folder), digits, options.signal)
}

/** Which Fashion-MNIST, and from where; the rest is for the full one (30 MB). */
export interface FashionMnistOptions extends FolderOptions {
  /**
   * `'embedded'` (default): the 6,000 training and 1,000 test pictures that come with this package, every class equally
   * often; works in browsers. `'full'`: all 60,000 and 10,000.
   */
  readonly subset?: 'embedded' | 'full'
}

const fashionMnistOptions = optionNames<FashionMnistOptions>({ ...folderOptions, subset: true })

/**
 * Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; MIT licence, Zalando SE): grey pictures, 28 x 28 x 1, of
 * ten kinds of clothing. Over the training pictures the mean is 0.286 and the standard deviation 0.353.
 *
 * Rejects with `FormatError` for a broken file, `DownloadError` for a failed download, Node's own error for a file that is
 * missing and not to be downloaded, the signal's reason when aborted, and `ArgumentError` for options that are none.
 */
export async function fashionMnist(options: FashionMnistOptions = {}): Promise<Split> {
  checkOptionNames('fashionMnist', options, fashionMnistOptions)
  const { subset = 'embedded', signal } = options
  if (subset === 'embedded') return split(embedded(), fashionMnistClasses, signal)
  if (subset !== 'full') {
    throw new ArgumentError(`fashionMnist: subset expects 'embedded' or 'full', got ${JSON.stringify(subset)}`)
  }
  const folder = await folderOf('fashion-mnist', options, fashionUrls, missingFrom(fashionFiles))
  return split(inFolder(folder), fashionMnistClasses, signal)
}
