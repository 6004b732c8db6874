/** Where the state dict lies in what a checkpoint holds. */
import { FormatError } from '@convnets/tensor'
import { PickleDict, type PickleKey, type PickleValue } from '../pickle/values.ts'
import { TensorView } from './tensor-view.ts'

/**
 * Keys under which training programs keep the state dict, in the order in which they are looked for: PyTorch's examples
 * and Lightning, timm (whose `_ema` are averages), torchvision's references, others.
 */
const usualKeys: readonly string[] = [
  'state_dict',
  'model_state_dict',
  'model_state',
  'model',
  'module',
  'net',
  'network',
  'weights',
  'params',
  'state_dict_ema',
  'model_ema',
  'ema_state_dict',
  'ema',
]

/** What wrappers put in front of every key: DataParallel (also twice), torch.compile. */
const wrappers: readonly string[] = ['module.', '_orig_mod.']

const MAX_STEPS = 4

function tensorsOf(dict: PickleDict): Map<string, TensorView> {
  const tensors = new Map<string, TensorView>()
  for (const [key, value] of dict.entries) {
    if (typeof key === 'string' && value instanceof TensorView) tensors.set(key, value)
  }
  return tensors
}

export interface FoundState {
  readonly tensors: ReadonlyMap<string, TensorView>
  /** Numbers and texts beside the state dict, in the dicts on the way to it. */
  readonly facts: ReadonlyMap<string, string>
}

function factsOf(dict: PickleDict, facts: Map<string, string>): void {
  for (const [key, value] of dict.entries) {
    const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    if (typeof key === 'string' && plain && !facts.has(key)) facts.set(key, String(value))
  }
}

const list = (keys: Iterable<PickleKey>): string => {
  const all = [...keys].map(String)
  return all.length > 12 ? `${all.slice(0, 12).join(', ')} and ${all.length - 12} more` : all.join(', ')
}

/**
 * The tensors of a checkpoint: those under `select` (the keys that lead there), or by default those of the usual places.
 * A prefix that wrappers have put before every key is taken off. Throws `FormatError` where there are none.
 */
export function findState(value: PickleValue, select: readonly string[] | undefined, file: string): FoundState {
  const fail = (expected: string, got: string): never => {
    throw new FormatError({ file, offset: 0, expected, got })
  }
  const facts = new Map<string, string>()
  const path: string[] = []
  let dict = value instanceof PickleDict ? value : fail('a dict of tensors', 'a checkpoint of something else')
  const into = (key: string, next: PickleDict): void => {
    factsOf(dict, facts)
    path.push(key)
    dict = next
  }
  if (select) {
    for (const key of select) {
      const next = dict.entries.get(key)
      if (!(next instanceof PickleDict)) fail(`a dict under ${[...path, key].join(' > ')}`, list(dict.entries.keys()))
      into(key, next as PickleDict)
    }
  } else {
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const key = usualKeys.find((name) => dict.entries.get(name) instanceof PickleDict)
      if (key === undefined) break
      into(key, dict.entries.get(key) as PickleDict)
    }
  }
  let tensors = tensorsOf(dict)
  if (tensors.size === 0 && dict.entries.size > 0) {
    const where = path.length > 0 ? ` under ${path.join(' > ')}` : ''
    fail(`tensors${where}`, `${list(dict.entries.keys())}; select says which of them leads to the tensors`)
  }
  for (let steps = 0; steps < MAX_STEPS && tensors.size > 0; steps++) {
    const prefix = wrappers.find((word) => [...tensors.keys()].every((key) => key.startsWith(word)))
    if (prefix === undefined) break
    tensors = new Map([...tensors].map(([key, tensor]) => [key.slice(prefix.length), tensor]))
  }
  factsOf(dict, facts)
  return { tensors, facts }
}
