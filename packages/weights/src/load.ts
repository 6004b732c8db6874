/** Weights into models. */
import { checkOptionNames, optionNames, type Shape, type Tensor } from '@convnets/tensor'
import { decode, mayOverflow, tensorDType, type Values } from './decode.ts'
import { elementCount } from './dtypes.ts'
import type { WeightEntry, WeightsFile } from './entry.ts'
import { chooseOffer, type MapKeys } from './layouts/choose.ts'
import type { WeightSource } from './locate.ts'
import { type OpenOptions, openFile, openOptions } from './open.ts'
import {
  compare,
  keysOfAbsentHeads,
  type LoadReport,
  type Offered,
  onlyClassifiersDiffer,
  WeightsMismatchError,
} from './plan.ts'

/** What weights can be loaded into and saved from: `Module` of `@convnets/nn`, or anything with a state dict. */
export interface WithState {
  /** Its own tensors by checkpoint key. */
  stateDict(): ReadonlyMap<string, Tensor>
  /** What the model is called, for messages. */
  readonly name?: string
  /** Where its auxiliary heads lie, which a file may lack, and which the model may have been built without. */
  readonly auxHeads?: readonly string[]
}

/** How weights are loaded. */
export interface LoadOptions extends OpenOptions {
  /** Throw for keys that are missing or unexpected and for shapes that differ (default true); else load what fits. */
  readonly strict?: boolean
  /**
   * The model's name for a key of the file, or undefined to leave it out. Default `'auto'`: the file's own keys if they
   * fit, else those of the first known layout that fits (`layouts`); `'none'` for the file's own in any case.
   */
  readonly mapKeys?: MapKeys
  /**
   * Leave the model's classifier alone where the file has one for another number of classes (default false), as for fine
   * tuning. It is then reported as mismatched.
   */
  readonly allowClassifierMismatch?: boolean
}

const loadOptions = [
  ...optionNames<Omit<LoadOptions, keyof OpenOptions>>({ strict: true, mapKeys: true, allowClassifierMismatch: true }),
  ...openOptions,
]

const named = (file: WeightsFile, key: string): string => `${file.file}: tensor ${JSON.stringify(key)}`

/** Values of an entry as the model is to see them. */
async function valuesOf(
  file: WeightsFile,
  entry: WeightEntry,
  { from, shape, skipRows = 0 }: Offered,
): Promise<Values> {
  const values = decode(entry.dtype, await entry.read(), named(file, from))
  return skipRows === 0 ? values : values.subarray(values.length - elementCount(shape)!)
}

/**
 * Loads a file of weights into a model, whatever its format: a path, a URL, bytes, a name on a hub (`hf:timm/resnet50.a1_in1k`,
 * `torchvision:ResNet50_Weights.IMAGENET1K_V2`) or a row of a model's table (`resnet50.weights.IMAGENET1K_V2`).
 *
 * Tensors go from the file into the model one by one, so a file of any size needs no second copy in memory. Before the
 * first one, names, shapes, dtypes and all checksums are checked. Auxiliary heads, which training alone needs, may be absent
 * in the file or in the model; the report names their keys. Rejects with `FormatError` for a file that is not whole,
 * `WeightsMismatchError` (which names all keys) for one that does not fit under `strict`, `DTypeError` for values that the
 * model cannot hold, `DownloadError` where the network does not give the file, and with Node's own error for a file that
 * cannot be read; the model is as it was then.
 */
export async function loadWeights(
  model: WithState,
  source: WeightSource,
  options: LoadOptions = {},
): Promise<LoadReport> {
  checkOptionNames('loadWeights', options, loadOptions)
  const { strict = true, mapKeys = 'auto', allowClassifierMismatch = false, signal } = options
  const file = await openFile(source, options)
  try {
    const own = model.stateDict()
    const shapes = new Map<string, Shape>([...own].map(([key, tensor]) => [key, tensor.shape]))
    const { offer, layout } = chooseOffer(shapes, file.entries, mapKeys)
    const report: LoadReport = { ...compare(shapes, offer), ...(layout !== undefined && { layout }) }
    const { missing, unexpected, mismatched } = report
    const tolerated = allowClassifierMismatch && onlyClassifiersDiffer(mismatched)
    const forgiven = keysOfAbsentHeads(model.auxHeads ?? [], own.keys(), offer.keys())
    const lacking = [...missing, ...unexpected].filter((key) => !forgiven.has(key))
    const problems = lacking.length + (tolerated ? 0 : mismatched.length)
    if (strict && problems > 0) {
      const { name } = model
      throw new WeightsMismatchError(file.file, report, {
        keys: own.keys(),
        ...(name !== undefined && { model: name }),
      })
    }

    const skipped = new Set(mismatched.map(({ key }) => key))
    const pairs: { target: Tensor; entry: WeightEntry; offered: Offered }[] = []
    for (const [key, offered] of offer) {
      const target = own.get(key)
      if (target === undefined || skipped.has(key)) continue
      const entry = file.entries.get(offered.from)!
      tensorDType(entry.dtype, named(file, offered.from))
      // Asks for the storage, so that a tensor that was freed is an error here and not halfway through.
      void target.storage
      pairs.push({ target, entry, offered })
    }
    await file.verify(signal)
    for (const { entry, offered } of pairs) {
      if (mayOverflow.has(entry.dtype)) await valuesOf(file, entry, offered)
    }
    signal?.throwIfAborted()
    for (const { target, entry, offered } of pairs) target.assign_(await valuesOf(file, entry, offered))
    return report
  } finally {
    await file.close()
  }
}
