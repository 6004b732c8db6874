/** Test pictures on disk, and what the network takes them for. */
import { basename, join } from 'node:path'
import type { ImageModel, ImageOutput } from '@convnets/blocks'
import type { ImageDataset } from '@convnets/data'
import { makeFolder, writeFileAtomic } from '@convnets/weights'
import { classifyPictures, type Guess } from './classifier.ts'
import type { Trained } from './trained.ts'

/** Most pictures that are written, where a data set has more classes than that. */
const MOST = 10

/** A test picture as a PNG file. */
export interface Picture {
  readonly file: string
  /** What it shows. */
  readonly label: string
  /** What the network says. */
  readonly guess: Guess
}

const slug = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')

/** Quotes a field of a CSV file if it must be. */
const field = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)

/**
 * Writes the first test picture of each class into `folder`, as `0-t-shirt-top.png` and so on, and beside them
 * `predictions.csv`, which says what the network takes them for.
 */
export async function writePictures(
  folder: string,
  test: ImageDataset,
  model: ImageModel<ImageOutput>,
  trained: Trained,
): Promise<Picture[]> {
  const chosen = trained.classes
    .map((name, label) => ({ name, file: `${label}-${slug(name)}.png`, index: test.labels.indexOf(label) }))
    .filter(({ index }) => index >= 0)
    .slice(0, MOST)
  const images = chosen.map(({ index }) => test.get(index).image)
  const guesses = classifyPictures(model, trained, images)
  await makeFolder(folder)
  for (const [i, { file }] of chosen.entries()) await images[i]!.save(join(folder, file))
  const pictures = chosen.map(({ name, file }, i) => ({
    file: join(folder, file),
    label: name,
    guess: guesses[i]![0]!,
  }))
  const rows = pictures.map(({ file, label, guess }) =>
    [basename(file), label, guess.name, guess.probability.toFixed(4)].map(field).join(','),
  )
  const csv = ['file,class,predicted,probability', ...rows, ''].join('\n')
  await writeFileAtomic(join(folder, 'predictions.csv'), new TextEncoder().encode(csv))
  return pictures
}
