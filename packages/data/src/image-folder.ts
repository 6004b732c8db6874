/** Pictures in folders: one folder per class. */
import { ArgumentError, FormatError, readOptions, type WithDefaults } from '@convnets/tensor'
import { builtin } from '@convnets/tensor/host'
import type { Dataset } from './dataset.ts'
import { Image } from './image.ts'
import { recall, share } from './workers/shared.ts'

/** A file that could not be opened as a picture. */
export interface BrokenFile {
  readonly file: string
  readonly error: Error
}

/** How a folder of pictures is read. */
export interface ImageFolderOptions {
  /**
   * The order of classes, which gives them their numbers, and of files: `'natural'` (default) puts `class2` before
   * `class10`; `'torchvision'` is the order of code points, `class10` before `class2`, for weights that PyTorch trained.
   * They differ only where names hold numbers of different lengths.
   */
  readonly order?: 'natural' | 'torchvision'
  /** Channels of the pictures: 3 for RGB (default), 1 for grey, 4 for RGBA. */
  readonly channels?: 1 | 3 | 4
  /** Endings of the names of pictures, in lower case; other files are passed over. */
  readonly extensions?: readonly string[]
  /**
   * What a file does that is no whole picture: `'refuse'` (default) is an error when it is asked for; `'skip'` decodes all
   * files once at the beginning and leaves out those that fail, which `broken` lists.
   */
  readonly broken?: 'refuse' | 'skip'
  /** Told of every file that is skipped. */
  readonly onBroken?: (broken: BrokenFile) => void
  /** Whether classes without pictures are kept (default false: an error), as torchvision's `allow_empty`. */
  readonly allowEmpty?: boolean
  readonly signal?: AbortSignal
}

/** What `Image.open` takes, by its usual names. */
const defaultExtensions: readonly string[] = ['.jpg', '.jpeg', '.png', '.webp', '.gif', '.tif', '.tiff', '.avif']

const defaults = {
  order: 'natural',
  channels: 3,
  extensions: defaultExtensions,
  broken: 'refuse',
  onBroken: undefined,
  allowEmpty: false,
  signal: undefined,
} as const

type Read = WithDefaults<ImageFolderOptions, typeof defaults>

/** What is found in a folder; plain data. */
interface Listing {
  readonly classes: readonly string[]
  /** Paths below the root, with `/`. */
  readonly files: readonly string[]
  readonly labels: Int32Array
  readonly broken: readonly { readonly file: string; readonly message: string }[]
}

/** By code points, as Python sorts. */
function byCodePoints(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)]
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

/** Runs of digits by their value, the rest by code points; the same on every host, whatever its language. */
function naturally(a: string, b: string): number {
  const parts = (text: string): string[] => text.match(/\d+|\D+/g) ?? []
  const [left, right] = [parts(a), parts(b)]
  for (let i = 0; i < left.length && i < right.length; i++) {
    const [x, y] = [left[i]!, right[i]!]
    const bothNumbers = /^\d/.test(x) && /^\d/.test(y)
    const [p, q] = bothNumbers ? [x.replace(/^0+(?=\d)/, ''), y.replace(/^0+(?=\d)/, '')] : [x, y]
    const difference = bothNumbers && p.length !== q.length ? p.length - q.length : byCodePoints(p, q)
    if (difference !== 0) return difference
  }
  return left.length - right.length || byCodePoints(a, b)
}

const orders = { natural: naturally, torchvision: byCodePoints }

/** Paths of the files below a folder, with `/`. Links are followed, as torchvision does, but not in circles. */
async function filesBelow(root: string, compare: (a: string, b: string) => number): Promise<string[]> {
  const { promises: fs } = builtin('node:fs', 'imageFolder')
  const { join } = builtin('node:path', 'imageFolder')
  const found: string[] = []
  const walk = async (folder: string, prefix: string, above: ReadonlySet<string>): Promise<void> => {
    const real = await fs.realpath(folder)
    if (above.has(real)) return
    const entries = await fs.readdir(folder, { withFileTypes: true })
    const folders: string[] = []
    const files: string[] = []
    for (const entry of entries) {
      const isLink = entry.isSymbolicLink()
      const target = isLink ? await fs.stat(join(folder, entry.name)).catch(() => undefined) : entry
      if (target?.isDirectory()) folders.push(entry.name)
      // A link to nowhere is a file that cannot be opened: asked for, it says so.
      else if (target === undefined || target.isFile()) files.push(entry.name)
    }
    for (const name of files.sort(compare)) found.push(prefix + name)
    for (const name of folders.sort(compare)) {
      await walk(join(folder, name), `${prefix}${name}/`, new Set([...above, real]))
    }
  }
  await walk(root, '', new Set())
  return found
}

async function list(root: string, { order, extensions, allowEmpty, signal }: Read): Promise<Listing> {
  const { promises: fs } = builtin('node:fs', 'imageFolder')
  const { join } = builtin('node:path', 'imageFolder')
  const compare = orders[order]
  const entries = await fs.readdir(root, { withFileTypes: true })
  const classes: string[] = []
  for (const entry of entries) {
    const isFolder = entry.isSymbolicLink()
      ? await fs.stat(join(root, entry.name)).then(
          (target) => target.isDirectory(),
          () => false,
        )
      : entry.isDirectory()
    if (isFolder) classes.push(entry.name)
  }
  classes.sort(compare)
  if (classes.length === 0)
    throw new ArgumentError(`imageFolder: root expects a folder for each class, got none in ${root}`)
  const files: string[] = []
  const labels: number[] = []
  const empty: string[] = []
  for (const [label, name] of classes.entries()) {
    signal?.throwIfAborted()
    const inside = await filesBelow(join(root, name), compare)
    const pictures = inside.filter((file) => extensions.some((ending) => file.toLowerCase().endsWith(ending)))
    if (pictures.length === 0) empty.push(name)
    for (const file of pictures) {
      files.push(`${name}/${file}`)
      labels.push(label)
    }
  }
  if (empty.length > 0 && !allowEmpty) {
    throw new ArgumentError(
      `imageFolder: root expects pictures (${extensions.join(', ')}) for every class, got none for ${empty.map((name) => JSON.stringify(name)).join(', ')}`,
    )
  }
  return { classes, files, labels: Int32Array.from(labels), broken: [] }
}

/** Files that are decoded at once. */
const AT_ONCE = 8

/** The listing without the files that cannot be opened. */
async function whole(listing: Listing, root: string, { signal, onBroken }: Read): Promise<Listing> {
  const { join } = builtin('node:path', 'imageFolder')
  const errors = new Map<number, Error>()
  let next = 0
  const work = async (): Promise<void> => {
    for (let i = next++; i < listing.files.length; i = next++) {
      signal?.throwIfAborted()
      try {
        await Image.open(join(root, listing.files[i]!), signal ? { signal } : {})
      } catch (error) {
        signal?.throwIfAborted()
        if (!(error instanceof FormatError) && !(error instanceof Error && 'code' in error)) throw error
        errors.set(i, error)
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  const broken: { file: string; message: string }[] = []
  for (const [i, name] of listing.files.entries()) {
    const error = errors.get(i)
    if (!error) continue
    const file = join(root, name)
    broken.push({ file, message: error.message })
    onBroken?.({ file, error })
  }
  const isWhole = (_: unknown, i: number): boolean => !errors.has(i)
  const files = listing.files.filter(isWhole)
  return { ...listing, files, labels: listing.labels.filter(isWhole), broken }
}

/** Labelled pictures in folders; each is read when it is asked for. Made by `imageFolder`. */
export class ImageFolder implements Dataset<{ image: Image; label: number; file: string }> {
  readonly root: string
  /** Class names by number. */
  readonly classes: readonly string[]
  /** Class numbers by name. A `Map`, as a folder may be called `__proto__`. */
  readonly classToIndex: ReadonlyMap<string, number>
  /** Paths of the pictures. */
  readonly files: readonly string[]
  /** Their class numbers. */
  readonly labels: Int32Array
  /** Files that were left out, and why (`broken: 'skip'`). */
  readonly broken: readonly { readonly file: string; readonly message: string }[]
  readonly #channels: 1 | 3 | 4

  constructor(root: string, { classes, files, labels, broken }: Listing, channels: 1 | 3 | 4) {
    const { join } = builtin('node:path', 'imageFolder')
    this.root = root
    this.classes = classes
    this.classToIndex = new Map(classes.map((name, number) => [name, number]))
    this.files = files.map((file) => join(root, file))
    this.labels = labels
    this.broken = broken
    this.#channels = channels
  }

  get length(): number {
    return this.files.length
  }

  /** The picture, its class number and its path. Rejects with an error that names the file if it cannot be opened. */
  async get(index: number): Promise<{ image: Image; label: number; file: string }> {
    const file = this.files[index]
    if (file === undefined) {
      throw new ArgumentError(`ImageFolder.get: index expects an integer from 0 to ${this.length - 1}, got ${index}`)
    }
    return { image: await Image.open(file, { channels: this.#channels }), label: this.labels[index]!, file }
  }
}

/**
 * Pictures in a folder that holds a folder for each class, as torchvision's `ImageFolder`: `root/dog/xxx.png`,
 * `root/cat/nsdf3/123.png`. Classes are numbered in `order`. Workers of a `DataLoader` get the program's listing, so that
 * files that come or break meanwhile change nothing.
 *
 * Rejects with `ArgumentError` for a root without classes, a class without pictures and options that are none, with Node's
 * own error for a folder that cannot be read, and with `BackendError` in browsers.
 */
export async function imageFolder(root: string | URL, options: ImageFolderOptions = {}): Promise<ImageFolder> {
  const read = readOptions('imageFolder', options, defaults)
  const { order, channels, broken, extensions, allowEmpty } = read
  if (!Object.hasOwn(orders, order)) {
    throw new ArgumentError(`imageFolder: order expects 'natural' or 'torchvision', got ${JSON.stringify(order)}`)
  }
  if (broken !== 'refuse' && broken !== 'skip') {
    throw new ArgumentError(`imageFolder: broken expects 'refuse' or 'skip', got ${JSON.stringify(broken)}`)
  }
  const { resolve } = builtin('node:path', 'imageFolder')
  const path = resolve(root instanceof URL ? builtin('node:url', 'imageFolder').fileURLToPath(root) : root)
  const key = `imageFolder ${JSON.stringify([path, order, broken, extensions, allowEmpty])}`
  let listing = recall<Listing>(key)
  if (!listing) {
    listing = await list(path, read)
    if (broken === 'skip') listing = await whole(listing, path, read)
    share(key, listing)
  }
  return new ImageFolder(path, listing, channels)
}
