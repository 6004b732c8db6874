/** Networks by name, and networks from files. */
import { readFile } from 'node:fs/promises'
import { type ImageModel, type ImageOutput, listModels } from '@convnets/blocks'
import { StateDictError } from '@convnets/nn'
import { FormatError } from '@convnets/tensor'
import { readSafetensors } from '@convnets/weights'
import { Failure } from './failure.ts'
import { type Network, tables } from './networks.ts'
import { fromMetadata, type Trained } from './trained.ts'
import { misfit } from './weights-problem.ts'

/** All networks whose name contains `pattern`, in which `*` and `?` stand for anything and for any character. */
export function listEntries(pattern = '*'): Network[] {
  const anywhere = /[*?]/.test(pattern) ? pattern : `*${pattern}*`
  const names = new Set(listModels(anywhere, { from: tables }))
  return tables.flat().filter(({ name }) => names.has(name))
}

/** The network of a name, or undefined. */
function entryOf(name: string): Network | undefined {
  return tables.flat().find((entry) => entry.name === name)
}

/** A network ready to classify, and what its file says of it. */
export interface OpenedModel {
  readonly model: ImageModel<ImageOutput>
  readonly trained: Trained
}

/**
 * Opens a file that `convnets train` has written. Throws `Failure` for one that is broken, that does not say what network
 * it is for, or whose weights are not those of that network.
 */
export async function openModel(file: string): Promise<OpenedModel> {
  const bytes = await readFile(file)
  const { tensors, metadata } = readWeights(bytes, file)
  try {
    const trained = fromMetadata(metadata, file)
    const entry = entryOf(trained.model)
    if (entry === undefined) {
      throw new Failure(`${file} is for a network called '${trained.model}', which this version does not have.`)
    }
    const model = entry(trained.options)
    try {
      model.loadStateDict(tensors)
    } catch (error) {
      if (!(error instanceof StateDictError)) throw error
      throw new Failure(
        `${file} says that it is for ${trained.model}, but its tensors are those of another network: ${misfit(error)}.`,
        { cause: error },
      )
    }
    return { model: model.eval(), trained }
  } finally {
    for (const tensor of tensors.values()) tensor.dispose()
  }
}

function readWeights(bytes: Uint8Array, file: string): ReturnType<typeof readSafetensors> {
  try {
    return readSafetensors(bytes, { file })
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    throw new Failure(
      `${file} is no whole safetensors file: at byte ${error.offset}, expected ${error.expected}, got ${error.got}.`,
      { cause: error },
    )
  }
}
