/**
 * Makes the subset of Fashion-MNIST that this package carries, from a folder with the four original files:
 *
 *   npx tsx packages/data/scripts/make-fashion-mnist-subset.ts FOLDER
 *
 * Of every class, 600 of the 6,000 training pictures and 100 of the 1,000 test pictures are drawn with seed 0 (one stream
 * per half and class), and kept in their original order. The same input gives the same pictures.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { Generator } from '@convnets/tensor'
import { fashionMnist, type ImageDataset } from '../src/index.ts'

const SEED = 0

/** Indices of `perClass` pictures of every class, drawn from `generator` and in rising order. */
function draw(dataset: ImageDataset, perClass: number, generator: Generator): number[] {
  return dataset.classes
    .flatMap((_, label) => {
      const all = Array.from(dataset.labels.keys()).filter((i) => dataset.labels[i] === label)
      const order = generator.fork(label).permutation(all.length)
      return Array.from(order.subarray(0, perClass), (i) => all[i]!)
    })
    .sort((a, b) => a - b)
}

/** An idx file of bytes. */
function idx(shape: readonly number[], parts: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.alloc(4 + 4 * shape.length)
  header[2] = 0x08
  header[3] = shape.length
  for (const [i, dim] of shape.entries()) header.writeUInt32BE(dim, 4 + 4 * i)
  return Buffer.concat([header, ...parts])
}

async function write(name: string, file: Uint8Array): Promise<void> {
  const folder = fileURLToPath(new URL('../assets/fashion-mnist/', import.meta.url))
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, `${name}.gz`), gzipSync(file, { level: 9, memLevel: 9 }))
}

async function writeHalf(name: string, dataset: ImageDataset, perClass: number, stream: number): Promise<void> {
  const chosen = draw(dataset, perClass, new Generator(SEED).fork(stream))
  const { height, width } = dataset
  const pictures = chosen.map((i) => dataset.get(i).image.data)
  const labels = Uint8Array.from(chosen, (i) => dataset.labels[i]!)
  await write(`${name}-images-idx3-ubyte`, idx([chosen.length, height, width], pictures))
  await write(`${name}-labels-idx1-ubyte`, idx([chosen.length], [labels]))
}

const [root] = process.argv.slice(2)
if (root === undefined) throw new Error('usage: make-fashion-mnist-subset.ts FOLDER')
const { train, test } = await fashionMnist({ subset: 'full', root })
await writeHalf('train', train, 600, 0)
await writeHalf('t10k', test, 100, 1)
