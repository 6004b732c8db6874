// Datasets for workers, good and bad.
import { workerData } from 'node:worker_threads'
import './typescript.mjs'

const { arrayDataset, compose, randomCrop, randomHorizontalFlip, sampleSource } = await import('../../src/index.ts')
const { FormatError } = await import('@convnets/tensor')

/** A picture of 6 x 5 x 3 that tells its number, as bytes or floats. */
function picture(index, floats = false) {
  const data = Uint8Array.from({ length: 90 }, (_, i) => (i * 7 + index * 31) % 256)
  return { data: floats ? Float32Array.from(data, (value) => value / 7) : data, height: 6, width: 5, channels: 3 }
}

const dataset = (length, get) => ({ length, get })
const plain = dataset(37, (index) => ({ image: picture(index), label: index % 4 }))
const transform = compose(randomHorizontalFlip(), randomCrop([6, 5], { padding: 2 }))
const source = (name, data, more = {}) => sampleSource(import.meta.url, name, { dataset: data, ...more })
const failing = (index, fail) => dataset(20, (i) => (i === index ? fail() : { image: picture(i), label: 0 }))

export const good = source('good', plain, { transform })
/** Later ones of each pair first. */
export const promised = source(
  'promised',
  dataset(37, async (index) => {
    await new Promise((resolve) => setTimeout(resolve, index % 2 === 0 ? 2 : 0))
    return { image: picture(index), label: index % 4 }
  }),
  { transform },
)
export const floats = source(
  'floats',
  dataset(37, (index) => ({ image: picture(index, true), label: index % 4 })),
  { transform },
)
/** Sizes and kinds that no tensor takes together. */
export const mixed = source(
  'mixed',
  dataset(10, (index) => {
    const height = 1 + (index % 3)
    const data = new (index % 2 ? Float32Array : Uint8Array)(height * 5).map((_, i) => i + index)
    return { image: { data, height, width: 5, channels: 1 }, label: `caption ${index}`, from: { file: `${index}.png` } }
  }),
)
export const slow = source(
  'slow',
  dataset(40, async (index) => {
    await new Promise((resolve) => setTimeout(resolve, 50))
    return { image: picture(index), label: 0 }
  }),
)
/** Counts what it has made in memory that nobody else has: files. */
export const large = source(
  'large',
  dataset(64, (index) => ({
    image: { data: new Uint8Array(256 * 256 * 3).fill(index), height: 256, width: 256, channels: 3 },
    label: 0,
  })),
)
export const broken = source(
  'broken',
  failing(13, () => {
    throw new FormatError({ file: 'photos/13.jpg', offset: 7, expected: 'a picture', got: 'nonsense' })
  }),
)
export const missing = source(
  'missing',
  failing(13, () => Promise.reject(Object.assign(new Error('gone'), { code: 'ENOENT', path: 'photos/13.jpg' }))),
)
export const labelled = source(
  'labelled',
  failing(13, () => ({ image: picture(0), label: 0.5 })),
)
export const unsendable = source(
  'unsendable',
  failing(13, () => ({ image: picture(0), label: () => 0 })),
)
export const exiting = source(
  'exiting',
  failing(13, () => process.exit(3)),
)
export const throwing = source(
  'throwing',
  failing(13, () => {
    setImmediate(() => {
      throw new Error('out of the blue')
    })
    return new Promise(() => {})
  }),
)
export const hanging = source(
  'hanging',
  failing(13, () => new Promise(() => {})),
)
export const spinning = source(
  'spinning',
  failing(13, () => {
    for (;;);
  }),
)
export const greedy = source(
  'greedy',
  failing(13, () => {
    let list = {}
    for (;;) list = { list, more: new Array(100) }
  }),
)
/** A dataset that is another one in a worker. */
export const shrinking = source(
  'shrinking',
  dataset(workerData?.mark ? 4 : 5, (index) => ({ image: picture(index), label: 0 })),
)
export const sizes = source(
  'sizes',
  dataset(10, (index) => ({
    image: { ...picture(0), data: new Uint8Array(90 + 15 * index), height: 6 + index },
    label: 0,
  })),
)
export const renamed = sampleSource(import.meta.url, 'constructor', {
  dataset: arrayDataset([{ image: picture(0), label: 0 }]),
})
