/**
 * What a pickle can be made of here: data, and nothing that does something.
 *
 * Python's dicts become Maps, so a key called `__proto__` is a key. Values may be shared and may even contain themselves,
 * as in Python; whoever walks them must bound the walk.
 */

export type PickleKey = string | number | bigint | boolean | null

export type PickleValue =
  | PickleKey
  | Uint8Array
  | readonly PickleValue[]
  | PickleTuple
  | PickleDict
  | PickleSet
  | PickleObject

/** A Python tuple; lists are arrays. */
export class PickleTuple {
  readonly items: readonly PickleValue[]

  constructor(items: readonly PickleValue[]) {
    this.items = items
  }
}

/** A Python dict or OrderedDict. */
export class PickleDict {
  readonly entries: Map<PickleKey, PickleValue> = new Map()
}

export class PickleSet {
  readonly items: Set<PickleKey> = new Set()
}

/** Something that the host of the machine made: a tensor, a storage, a dtype. Opaque to the machine. */
export abstract class PickleObject {
  /** What it is, for messages. */
  abstract readonly kind: string
}

/** A class or function that a pickle may name. */
export class PickleGlobal extends PickleObject {
  readonly kind: string
  /** Builds a value from arguments; missing for what may be named but not called. */
  readonly call: ((args: readonly PickleValue[], fail: PickleFail) => PickleValue) | undefined

  constructor(name: string, call?: (args: readonly PickleValue[], fail: PickleFail) => PickleValue) {
    super()
    this.kind = name
    this.call = call
  }
}

/** Throws the `FormatError` for the opcode that is being carried out. */
export type PickleFail = (expected: string, got: string) => never

/** What a value is, for messages. */
export function kindOf(value: PickleValue | undefined): string {
  if (value === null) return 'None'
  if (value === undefined) return 'nothing'
  if (typeof value === 'object') {
    if (Array.isArray(value)) return 'a list'
    if (value instanceof Uint8Array) return 'bytes'
    if (value instanceof PickleTuple) return 'a tuple'
    if (value instanceof PickleDict) return 'a dict'
    if (value instanceof PickleSet) return 'a set'
    return (value as PickleObject).kind
  }
  if (typeof value === 'string')
    return `the text ${JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value)}`
  return `the ${typeof value === 'boolean' ? 'truth value' : 'number'} ${value}`
}
