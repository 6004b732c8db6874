/** Networks by name, with weights from elsewhere. */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { ImageModel, ImageOutput, PretrainedWeights } from '@convnets/blocks'
import { cifar10Classes } from '@convnets/data'
import { loadWeights, WeightsMismatchError } from '@convnets/weights'
import { Failure } from './failure.ts'
import type { OpenedModel } from './model.ts'
import { type Network, networkOf, tables } from './networks.ts'
import { readingWeights } from './weights-problem.ts'

/** Lists of class names that come along, by their names in the models' tables. */
const labelSets: Readonly<Record<string, readonly string[]>> = { 'cifar-10': cifar10Classes }

/** The row of published weights that a file or a name is most likely of: it bears the file's name, or it is the best. */
function rowOf({ weights }: Network, source: string): PretrainedWeights | undefined {
  const rows = Object.values(weights)
  const tag = source.slice(source.lastIndexOf('.') + 1)
  return rows.find(({ url, name }) => basename(new URL(url).pathname) === basename(source) || name === tag) ?? rows[0]
}

/** Class names, one a line or as a JSON list. */
async function readLabels(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8')
  if (!text.trimStart().startsWith('[')) return text.replace(/\n+$/, '').split(/\r?\n/)
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch {
    // Said below.
  }
  if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list
  throw new Failure(`${file} should be a list of class names, one a line or in JSON.`)
}

/** What the network's input is made of where nothing is published: ImageNet's usual preprocessing. */
const usual = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
  interpolation: 'bilinear',
  channelOrder: 'rgb',
} as const

/** Classes of a file that fits a network but for their number. */
function otherClasses({ missing, unexpected, mismatched }: WeightsMismatchError): number | undefined {
  const counts = new Set(mismatched.map(({ got }) => got[0]))
  return missing.length + unexpected.length === 0 && counts.size === 1 ? [...counts][0] : undefined
}

/**
 * The network called `name` with weights from a file, an address or a hub. Class names come from `labels`, from the list
 * that the published weights name, or are numbers, as many as the weights tell apart.
 */
export async function openPublished(
  name: string,
  source: string,
  labels: string | undefined,
  signal: AbortSignal,
): Promise<OpenedModel> {
  const entry = networkOf(name)
  const row = rowOf(entry, source)
  const given = labels === undefined ? undefined : await readLabels(labels)
  const load = async (numClasses: number): Promise<ImageModel<ImageOutput>> => {
    const model = entry({ numClasses })
    await loadWeights(model, source, { from: tables, signal })
    return model
  }
  let numClasses = given?.length ?? row?.numClasses ?? entry.numClasses
  const model = await readingWeights(source, async () => {
    try {
      return await load(numClasses)
    } catch (error) {
      const found = error instanceof WeightsMismatchError ? otherClasses(error) : undefined
      if (found === undefined) throw error
      if (labels !== undefined) {
        throw new Failure(`${labels} names ${numClasses} classes, but ${source} tells ${found} apart.`, {
          cause: error,
        })
      }
      numClasses = found
      return load(found)
    }
  })
  const known = given ?? (numClasses === row?.numClasses ? labelSets[row.labels ?? ''] : undefined)
  const classes = Array.from({ length: numClasses }, (_, i) => known?.[i] ?? `class ${i}`)
  const [height, width] = row ? [row.crop, row.crop] : entry.inputSize
  const { mean, std, interpolation, channelOrder = 'rgb' } = row ?? usual
  const resize = row?.resize ?? Math.round(Math.min(height, width) / 0.875)
  const preprocessing = { height, width, channels: 3, mean, std, resize, interpolation, channelOrder } as const
  return {
    model: model.eval(),
    trained: { model: name, options: { inChannels: 3, numClasses }, classes, preprocessing },
  }
}
