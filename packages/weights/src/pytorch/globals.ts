/** The names that a checkpoint may use: all of them make data. What is not listed here cannot be reached from a file. */
import { type FileDType, itemSize } from '../dtypes.ts'
import type { PickleHost } from '../pickle/machine.ts'
import {
  kindOf,
  PickleDict,
  type PickleFail,
  PickleGlobal,
  type PickleKey,
  PickleSet,
  PickleTuple,
  type PickleValue,
} from '../pickle/values.ts'
import { integer, makeView, Storage, TensorView } from './tensor-view.ts'

/** A dtype, which may be named and stored, not called. */
class NamedDType extends PickleGlobal {
  readonly dtype: FileDType

  constructor(name: string, dtype: FileDType) {
    super(name)
    this.dtype = dtype
  }
}

/** The class of a storage, which says what its elements are. */
class StorageClass extends PickleGlobal {
  readonly dtype: FileDType | undefined

  constructor(name: string, dtype: FileDType | undefined) {
    super(name)
    this.dtype = dtype
  }
}

/** Storages by class, `torch.FloatStorage` and the like; those saved on a GPU are called `torch.cuda.FloatStorage`. */
const storageDTypes: Readonly<Record<string, FileDType>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
  ComplexFloatStorage: 'C64',
}

/** Dtypes by their names in PyTorch, short names included. */
const dtypes: Readonly<Record<string, FileDType>> = {
  float64: 'F64',
  double: 'F64',
  float32: 'F32',
  float: 'F32',
  float16: 'F16',
  half: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  long: 'I64',
  int32: 'I32',
  int: 'I32',
  int16: 'I16',
  short: 'I16',
  int8: 'I8',
  uint8: 'U8',
  uint16: 'U16',
  uint32: 'U32',
  uint64: 'U64',
  bool: 'BOOL',
  complex64: 'C64',
}

const storageModules: ReadonlySet<string> = new Set(['torch', 'torch.cuda', 'torch.storage'])
const byteStorages: ReadonlySet<string> = new Set(['UntypedStorage', '_UntypedStorage'])

function lookUp<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

/** Where the storages of a file lie. */
interface Storages {
  /**
   * The storage of a key: its elements, and a part of it if `view` says so (`(key, offset, elements)`, as old files do).
   * Fails if the file has no such storage or it has another size.
   */
  find(key: string, dtype: FileDType | undefined, elements: number, fail: PickleFail): Storage
}

/** What `fail` does and how much may be made; see `PickleLimits`. */
interface HostOptions {
  readonly storages: Storages
  readonly maxElements: number
  /** Items that may be copied in all: no more than the pickle has bytes, since each is spelled once. */
  readonly maxCopies: number
}

/** The host of checkpoints: collections, tensors, storages, shapes, dtypes and devices. */
export class TorchHost implements PickleHost {
  readonly #options: HostOptions
  readonly #globals: ReadonlyMap<string, PickleGlobal>
  #copies = 0

  constructor(options: HostOptions) {
    this.#options = options
    const of = (name: string, call: PickleGlobal['call']): [string, PickleGlobal] => [
      name,
      new PickleGlobal(name, call),
    ]
    this.#globals = new Map([
      of('collections.OrderedDict', (args, fail) => this.#dict(args, fail)),
      of('builtins.set', (args, fail) => this.#set(args, fail)),
      of('__builtin__.set', (args, fail) => this.#set(args, fail)),
      of('_codecs.encode', (args, fail) => this.#encode(args, fail)),
      of('torch.Size', ([items], fail) => (items instanceof PickleTuple ? items : fail('a tuple', kindOf(items)))),
      of('torch.device', (args) => new PickleTuple(args)),
      of('torch._utils._rebuild_tensor', (args, fail) => this.#tensor(args, 4, 4, fail)),
      of('torch._utils._rebuild_tensor_v2', (args, fail) => this.#tensor(args, 6, 7, fail)),
      of('torch._utils._rebuild_tensor_v3', (args, fail) => this.#tensor(args, 7, 8, fail)),
      of('torch._utils._rebuild_parameter', (args, fail) => this.#parameter(args, 3, fail)),
      of('torch._utils._rebuild_parameter_with_state', (args, fail) => this.#parameter(args, 4, fail)),
    ])
  }

  global(module: string, name: string): PickleGlobal | undefined {
    const known = this.#globals.get(`${module}.${name}`)
    if (known) return known
    if (storageModules.has(module)) {
      const dtype = lookUp(storageDTypes, name)
      if (dtype || byteStorages.has(name)) return new StorageClass(`${module}.${name}`, dtype)
    }
    if (module !== 'torch') return undefined
    const dtype = lookUp(dtypes, name)
    return dtype && new NamedDType(`torch.${name}`, dtype)
  }

  /** `('storage', class, key, device, elements)`, and in old files a sixth part: what part of it is meant, or None. */
  persistent(id: PickleValue, fail: PickleFail): PickleValue {
    if (!(id instanceof PickleTuple)) return fail('a tuple that names a storage', kindOf(id))
    const [word, type, key, device, count, view = null, ...more] = id.items
    if (word !== 'storage') return fail("'storage' as kind of a persistent object", kindOf(word))
    if (!(type instanceof StorageClass)) return fail('the class of a storage', kindOf(type))
    if (typeof key !== 'string') return fail('text as key of a storage', kindOf(key))
    if (typeof device !== 'string') return fail('text as device of a storage', kindOf(device))
    if (more.length > 0) return fail('five or six parts of a storage', `${id.items.length}`)
    const elements = integer(count, 'the size of a storage', fail)
    const storage = this.#options.storages.find(key, type.dtype, elements, fail)
    return view === null ? storage : partOf(storage, type.dtype, view, fail)
  }

  /** An OrderedDict may have attributes; the one that PyTorch sets (`_metadata`: versions of modules) is not needed. */
  build(target: PickleValue, state: PickleValue): boolean {
    return target instanceof PickleDict && state instanceof PickleDict
  }

  #spend(items: number, fail: PickleFail): void {
    this.#copies += items
    if (this.#copies > this.#options.maxCopies) fail('every item to be copied once', 'copies of copies')
  }

  /** Python 2 hands the items over as a list of pairs. */
  #dict(args: readonly PickleValue[], fail: PickleFail): PickleDict {
    const dict = new PickleDict()
    const [items = [], ...more] = args
    if (!Array.isArray(items) || more.length > 0) return fail('an OrderedDict of a list of pairs', kindOf(items))
    this.#spend(items.length, fail)
    for (const pair of items as readonly PickleValue[]) {
      const parts =
        pair instanceof PickleTuple ? pair.items : Array.isArray(pair) ? (pair as readonly PickleValue[]) : []
      const [key, value] = parts
      if (parts.length !== 2 || value === undefined) return fail('pairs of key and value', kindOf(pair))
      if (key === undefined || (key !== null && typeof key === 'object')) return fail('text or a number', kindOf(key))
      dict.entries.set(key, value)
    }
    return dict
  }

  #set(args: readonly PickleValue[], fail: PickleFail): PickleSet {
    const set = new PickleSet()
    const [items = []] = args
    if (!Array.isArray(items)) return fail('a set of a list', kindOf(items))
    this.#spend(items.length, fail)
    for (const item of items as readonly PickleValue[]) {
      if (item !== null && typeof item === 'object') return fail('a set of texts and numbers', kindOf(item))
      set.items.add(item as PickleKey)
    }
    return set
  }

  /** How protocol 2 spells bytes: as text of the code points 0 to 255. */
  #encode([text, encoding]: readonly PickleValue[], fail: PickleFail): Uint8Array {
    if (typeof text !== 'string' || encoding !== 'latin1') return fail("text in 'latin1'", kindOf(encoding))
    this.#spend(text.length, fail)
    return Uint8Array.from(text, (character) => {
      const code = character.codePointAt(0)!
      return code < 256 ? code : fail('code points below 256', `${code}`)
    })
  }

  /** `(storage, offset, shape, strides[, requires_grad, backward_hooks[, dtype][, metadata]])`. */
  #tensor(args: readonly PickleValue[], least: number, most: number, fail: PickleFail): TensorView {
    if (args.length < least || args.length > most) return fail(`${least} to ${most} arguments`, `${args.length}`)
    const [storage, offset, shape, strides, , hooks = new PickleDict(), dtype] = args
    if (!(hooks instanceof PickleDict) || hooks.entries.size > 0) return fail('a tensor without hooks', kindOf(hooks))
    const named = least === 7 ? dtype : undefined
    if (least === 7 && !(named instanceof NamedDType)) return fail('a dtype', kindOf(dtype))
    const options = {
      itemSize,
      maxElements: this.#options.maxElements,
      dtype: named instanceof NamedDType ? named.dtype : undefined,
    }
    return makeView(storage, offset, shape, strides, options, fail)
  }

  /** `(tensor, requires_grad, backward_hooks[, state])`. */
  #parameter(args: readonly PickleValue[], count: number, fail: PickleFail): TensorView {
    if (args.length !== count) return fail(`${count} arguments`, `${args.length}`)
    const [tensor, , hooks] = args
    if (!(tensor instanceof TensorView)) return fail('a tensor for a parameter', kindOf(tensor))
    if (!(hooks instanceof PickleDict) || hooks.entries.size > 0)
      return fail('a parameter without hooks', kindOf(hooks))
    return tensor
  }
}

/** `(key, offset, elements)`: a storage that is a part of another. */
function partOf(whole: Storage, dtype: FileDType | undefined, view: PickleValue, fail: PickleFail): Storage {
  if (!(view instanceof PickleTuple)) return fail('a tuple that says which part of a storage', kindOf(view))
  const size = dtype === undefined ? 1 : itemSize(dtype)
  const offset = integer(view.items[1], 'the offset of a part', fail) * size
  const bytes = integer(view.items[2], 'the size of a part', fail) * size
  if (offset + bytes > whole.bytes) fail(`a part within ${whole.bytes} bytes`, `${bytes} from ${offset} on`)
  return new Storage(whole.key, whole.dtype, whole.offset + offset, bytes)
}
