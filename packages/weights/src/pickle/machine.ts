/**
 * A pickle machine that only builds data.
 *
 * Python's machine imports what a pickle names and calls it, so a checkpoint can do anything. This one knows the
 * instructions that build numbers, text, lists, dicts and tuples, and asks its host about everything that has a name; the
 * host knows a short list and no way to get further. Instructions that create objects of a class, call through copyreg or
 * import by other ways are not implemented at all. No recursion, and nothing is larger than a fixed multiple of the bytes
 * that spell it.
 *
 * CPython, Lib/pickletools.py (the meaning of each instruction) and torch/_weights_only_unpickler.py (which of them
 * checkpoints use).
 */
import { defaultLimits, type PickleLimits } from './limits.ts'
import { type PickleBytes, PickleReader } from './reader.ts'
import {
  kindOf,
  PickleDict,
  type PickleFail,
  PickleGlobal,
  type PickleKey,
  PickleSet,
  PickleTuple,
  type PickleValue,
} from './values.ts'

/** What stands outside the machine. */
export interface PickleHost {
  /** The class or function of a name, if it may be named. */
  global(module: string, name: string): PickleGlobal | undefined
  /** The object that lies outside the pickle under an id. */
  persistent(id: PickleValue, fail: PickleFail): PickleValue
  /** A state handed to an object after it was built. `undefined` if this object takes none. */
  build?(target: PickleValue, state: PickleValue, fail: PickleFail): boolean
}

/** Values above the mark of an open container. */
const MAX_OPEN_VALUES = 1_000_000

/** Bytes of an integer. */
const MAX_INTEGER_BYTES = 256

const MAX_NAME_BYTES = 1000

type Step = (machine: PickleMachine) => void

class PickleMachine {
  readonly #reader: PickleReader
  readonly #host: PickleHost
  readonly #limits: Required<PickleLimits>
  readonly #memo: Map<number, PickleValue> = new Map()
  #stack: PickleValue[] = []
  /** Stacks of the containers that are open, outermost first. */
  readonly #open: PickleValue[][] = []
  /** Where the instruction that is being carried out stands, and its name. */
  #at = 0
  #name = ''
  #objects = 0

  constructor(reader: PickleReader, host: PickleHost, limits: Required<PickleLimits>) {
    this.#reader = reader
    this.#host = host
    this.#limits = limits
  }

  run(): PickleValue {
    const { opcodes } = this.#limits
    if (this.#reader.uint8('a pickle') !== 0x80) {
      this.#reader.fail('a pickle of protocol 2 to 5', 'something else', this.#reader.position - 1)
    }
    const protocol = this.#reader.uint8('the protocol')
    if (protocol < 2 || protocol > 5) this.#reader.fail('protocol 2 to 5', `${protocol}`, this.#reader.position - 1)
    for (let count = 0; ; count++) {
      if (count >= opcodes) this.#reader.fail(`at most ${opcodes} instructions`, 'more')
      this.#at = this.#reader.position
      const code = this.#reader.uint8('instructions')
      if (code === STOP) return this.#finish()
      const step = steps[code]
      if (step === undefined) return this.#refuse(code)
      this.#name = step[0]
      step[1](this)
    }
  }

  #refuse(code: number): never {
    const name = refused.get(code)
    const hex = `0x${code.toString(16).padStart(2, '0')}`
    return this.#reader.fail('an instruction that builds data', name ? `${name} (${hex})` : `the byte ${hex}`, this.#at)
  }

  #finish(): PickleValue {
    this.#name = 'STOP'
    const value = this.pop()
    if (this.#stack.length + this.#open.length > 0) this.fail('one value at the end', 'more')
    return value
  }

  /** Throws for the instruction that is being carried out. */
  readonly fail: PickleFail = (expected, got) => this.#reader.fail(`${expected} (${this.#name})`, got, this.#at)

  get reader(): PickleReader {
    return this.#reader
  }

  push(value: PickleValue): void {
    if (this.#stack.length >= MAX_OPEN_VALUES) this.fail(`at most ${MAX_OPEN_VALUES} values`, 'more')
    this.#stack.push(value)
  }

  /** Pushes a value that was not there before and takes memory of its own. */
  make(value: PickleValue): void {
    if (++this.#objects > this.#limits.objects) this.fail(`at most ${this.#limits.objects} objects`, 'more')
    this.push(value)
  }

  pop(): PickleValue {
    const value = this.#stack.pop()
    return value === undefined ? this.fail('a value', 'an empty stack') : value
  }

  top(): PickleValue {
    const value = this.#stack.at(-1)
    return value === undefined ? this.fail('a value', 'an empty stack') : value
  }

  mark(): void {
    if (this.#open.length >= this.#limits.depth) this.fail(`at most ${this.#limits.depth} open containers`, 'more')
    this.#open.push(this.#stack)
    this.#stack = []
  }

  /** Closes the innermost container and gives its values. */
  popMark(): PickleValue[] {
    const values = this.#stack
    this.#stack = this.#open.pop() ?? this.fail('an open container', 'none')
    return values
  }

  /** As many values as a tuple takes, the last one on top. */
  popTuple(count: number): PickleTuple {
    if (this.#stack.length < count) this.fail(`${count} values`, `${this.#stack.length}`)
    return new PickleTuple(this.#stack.splice(this.#stack.length - count, count))
  }

  put(index: number): void {
    const value = this.top()
    if (this.#memo.size >= this.#limits.memo && !this.#memo.has(index)) {
      this.fail(`at most ${this.#limits.memo} remembered values`, 'more')
    }
    this.#memo.set(index, value)
  }

  memoize(): void {
    this.put(this.#memo.size)
  }

  get(index: number): void {
    const value = this.#memo.get(index)
    this.push(value === undefined ? this.fail('a remembered value', `number ${index}, which is none`) : value)
  }

  /** The length of a text or byte string, if it may be so long. */
  length(count: number): number {
    const { stringBytes } = this.#limits
    if (count > stringBytes) this.fail(`at most ${stringBytes} bytes`, `${count}`)
    return count
  }

  text(count: number): void {
    this.push(this.#reader.text(this.length(count), 'text'))
  }

  bytes(count: number): void {
    this.make(this.#reader.bytes(this.length(count), 'bytes'))
  }

  integer(count: number): void {
    if (count > MAX_INTEGER_BYTES) this.fail(`an integer of at most ${MAX_INTEGER_BYTES} bytes`, `one of ${count}`)
    this.push(this.#reader.integer(count, 'an integer'))
  }

  key(value: PickleValue | undefined): PickleKey {
    if (value === undefined || (value !== null && typeof value === 'object')) {
      return this.fail('text, a number or None as key', kindOf(value))
    }
    return value
  }

  setItems(target: PickleValue, items: readonly PickleValue[]): void {
    if (!(target instanceof PickleDict)) this.fail('a dict', kindOf(target))
    if (items.length % 2 !== 0) this.fail('keys with values', `${items.length} values`)
    for (let i = 0; i < items.length; i += 2) target.entries.set(this.key(items[i]), items[i + 1]!)
  }

  append(target: PickleValue, items: readonly PickleValue[]): void {
    if (!Array.isArray(target)) this.fail('a list', kindOf(target))
    for (const item of items) target.push(item)
  }

  addItems(target: PickleValue, items: readonly PickleValue[]): void {
    if (!(target instanceof PickleSet)) this.fail('a set', kindOf(target))
    for (const item of items) target.items.add(this.key(item))
  }

  global(module: PickleValue, name: PickleValue): void {
    if (typeof module !== 'string' || typeof name !== 'string') {
      this.fail('a module and a name', `${kindOf(module)} and ${kindOf(name)}`)
    }
    const found = this.#host.global(module, name)
    this.make(found ?? this.fail('a class of tensors or plain data', `${module}.${name}`))
  }

  line(): string {
    return this.#reader.line(MAX_NAME_BYTES, 'a name')
  }

  reduce(): void {
    const args = this.pop()
    const target = this.pop()
    if (!(args instanceof PickleTuple)) this.fail('a tuple of arguments', kindOf(args))
    if (!(target instanceof PickleGlobal) || target.call === undefined) {
      this.fail('a function that builds data', kindOf(target))
    }
    this.make(target.call(args.items, this.fail))
  }

  persistent(): void {
    this.make(this.#host.persistent(this.pop(), this.fail))
  }

  build(): void {
    const state = this.pop()
    const target = this.top()
    if (this.#host.build?.(target, state, this.fail) !== true) this.fail('an object that takes a state', kindOf(target))
  }

  frame(): void {
    const count = this.#reader.uint64('a frame')
    const from = this.#reader.position
    // The frame's bytes must be there; they are then read as if there were no frame.
    this.#reader.take(count, 'a frame')
    this.#reader.position = from
  }
}

const STOP = 0x2e

const u8 = (m: PickleMachine): number => m.reader.uint8('an operand')
const u16 = (m: PickleMachine): number => m.reader.uint16('an operand')
const u32 = (m: PickleMachine): number => m.reader.uint32('an operand')
const u64 = (m: PickleMachine): number => m.reader.uint64('an operand')

/** Every instruction that is carried out. Those that pickle has for protocol 0 and 1 only are not among them. */
const table: Readonly<Record<string, readonly [code: number, step: Step]>> = {
  MARK: [0x28, (m) => m.mark()],
  POP: [0x30, (m) => void m.pop()],
  POP_MARK: [0x31, (m) => void m.popMark()],
  DUP: [0x32, (m) => m.push(m.top())],
  BINFLOAT: [0x47, (m) => m.push(m.reader.float64('a number'))],
  BININT: [0x4a, (m) => m.push(m.reader.int32('a number'))],
  BININT1: [0x4b, (m) => m.push(u8(m))],
  BININT2: [0x4d, (m) => m.push(u16(m))],
  NONE: [0x4e, (m) => m.push(null)],
  BINPERSID: [0x51, (m) => m.persistent()],
  REDUCE: [0x52, (m) => m.reduce()],
  // Text of Python 2, which its pickles call a string of bytes.
  BINSTRING: [0x54, (m) => m.text(u32(m))],
  SHORT_BINSTRING: [0x55, (m) => m.text(u8(m))],
  BINUNICODE: [0x58, (m) => m.text(u32(m))],
  EMPTY_LIST: [0x5d, (m) => m.make([])],
  APPEND: [
    0x61,
    (m) => {
      const item = m.pop()
      m.append(m.top(), [item])
    },
  ],
  BUILD: [0x62, (m) => m.build()],
  GLOBAL: [
    0x63,
    (m) => {
      const module = m.line()
      m.global(module, m.line())
    },
  ],
  DICT: [
    0x64,
    (m) => {
      const items = m.popMark()
      const dict = new PickleDict()
      m.setItems(dict, items)
      m.make(dict)
    },
  ],
  APPENDS: [
    0x65,
    (m) => {
      const items = m.popMark()
      m.append(m.top(), items)
    },
  ],
  BINGET: [0x68, (m) => m.get(u8(m))],
  LONG_BINGET: [0x6a, (m) => m.get(u32(m))],
  LIST: [0x6c, (m) => m.make(m.popMark())],
  BINPUT: [0x71, (m) => m.put(u8(m))],
  LONG_BINPUT: [0x72, (m) => m.put(u32(m))],
  SETITEM: [
    0x73,
    (m) => {
      const value = m.pop()
      const key = m.pop()
      m.setItems(m.top(), [key, value])
    },
  ],
  TUPLE: [0x74, (m) => m.make(new PickleTuple(m.popMark()))],
  SETITEMS: [
    0x75,
    (m) => {
      const items = m.popMark()
      m.setItems(m.top(), items)
    },
  ],
  EMPTY_TUPLE: [0x29, (m) => m.make(new PickleTuple([]))],
  EMPTY_DICT: [0x7d, (m) => m.make(new PickleDict())],
  BINBYTES: [0x42, (m) => m.bytes(u32(m))],
  SHORT_BINBYTES: [0x43, (m) => m.bytes(u8(m))],
  TUPLE1: [0x85, (m) => m.make(m.popTuple(1))],
  TUPLE2: [0x86, (m) => m.make(m.popTuple(2))],
  TUPLE3: [0x87, (m) => m.make(m.popTuple(3))],
  NEWTRUE: [0x88, (m) => m.push(true)],
  NEWFALSE: [0x89, (m) => m.push(false)],
  LONG1: [0x8a, (m) => m.integer(u8(m))],
  LONG4: [0x8b, (m) => m.integer(u32(m))],
  SHORT_BINUNICODE: [0x8c, (m) => m.text(u8(m))],
  BINUNICODE8: [0x8d, (m) => m.text(u64(m))],
  BINBYTES8: [0x8e, (m) => m.bytes(u64(m))],
  EMPTY_SET: [0x8f, (m) => m.make(new PickleSet())],
  ADDITEMS: [
    0x90,
    (m) => {
      const items = m.popMark()
      m.addItems(m.top(), items)
    },
  ],
  STACK_GLOBAL: [
    0x93,
    (m) => {
      const name = m.pop()
      m.global(m.pop(), name)
    },
  ],
  MEMOIZE: [0x94, (m) => m.memoize()],
  FRAME: [0x95, (m) => m.frame()],
}

const steps: readonly (readonly [name: string, step: Step] | undefined)[] = (() => {
  const byCode: (readonly [string, Step] | undefined)[] = new Array(256).fill(undefined)
  for (const [name, [code, step]] of Object.entries(table)) byCode[code] = [name, step]
  return byCode
})()

/** Instructions that exist and are not carried out, for messages. */
const refused: ReadonlyMap<number, string> = new Map([
  [0x46, 'FLOAT'],
  [0x49, 'INT'],
  [0x4c, 'LONG'],
  [0x50, 'PERSID'],
  [0x53, 'STRING'],
  [0x56, 'UNICODE'],
  [0x67, 'GET'],
  [0x69, 'INST'],
  [0x6f, 'OBJ'],
  [0x70, 'PUT'],
  [0x80, 'PROTO, a second time'],
  [0x81, 'NEWOBJ'],
  [0x82, 'EXT1'],
  [0x83, 'EXT2'],
  [0x84, 'EXT4'],
  [0x91, 'FROZENSET'],
  [0x92, 'NEWOBJ_EX'],
  [0x96, 'BYTEARRAY8'],
  [0x97, 'NEXT_BUFFER'],
  [0x98, 'READONLY_BUFFER'],
])

/**
 * Builds the value of one pickle and says where it ends. Throws `FormatError` for anything but data, with the instruction
 * or the class, and `MoreBytesNeeded` where a partial file ends too early.
 */
export function unpickle(
  where: PickleBytes,
  host: PickleHost,
  limits: Required<PickleLimits> = defaultLimits,
): { value: PickleValue; end: number } {
  const reader = new PickleReader(where)
  const value = new PickleMachine(reader, host, limits).run()
  return { value, end: reader.position }
}
