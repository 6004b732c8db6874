/** Pickles and zip archives put together by hand, right and wrong. */
import { crc32 } from '../src/crc32.ts'

export type Piece = Uint8Array | number | readonly Piece[]

/** Bytes of pieces one after another. */
export function join(...pieces: readonly Piece[]): Uint8Array {
  const flat = pieces.map((piece) => {
    if (typeof piece === 'number') return Uint8Array.of(piece)
    return piece instanceof Uint8Array ? piece : join(...piece)
  })
  const result = new Uint8Array(flat.reduce((sum, bytes) => sum + bytes.length, 0))
  let at = 0
  for (const bytes of flat) {
    result.set(bytes, at)
    at += bytes.length
  }
  return result
}

export const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0))

export function le(bytes: 2 | 4 | 8, value: number | bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true)
  return new Uint8Array(view.buffer, 0, bytes)
}

/** Instructions of a pickle by name, each as the bytes that spell it. */
export const p = {
  proto: (version = 2): Piece => [0x80, version],
  mark: 0x28,
  stop: 0x2e,
  none: 0x4e,
  yes: 0x88,
  no: 0x89,
  dict: 0x7d,
  list: 0x5d,
  set: 0x8f,
  emptyTuple: 0x29,
  tuple: 0x74,
  tuple1: 0x85,
  tuple2: 0x86,
  tuple3: 0x87,
  append: 0x61,
  appends: 0x65,
  setItem: 0x73,
  setItems: 0x75,
  reduce: 0x52,
  build: 0x62,
  persistent: 0x51,
  pop: 0x30,
  popMark: 0x31,
  dup: 0x32,
  newObj: 0x81,
  stackGlobal: 0x93,
  memoize: 0x94,
  text: (value: string): Piece => [
    0x58,
    le(4, new TextEncoder().encode(value).length),
    new TextEncoder().encode(value),
  ],
  bytes: (value: Uint8Array): Piece => [0x42, le(4, value.length), value],
  int: (value: number): Piece => [0x4a, le(4, value)],
  long: (value: bigint): Piece => [0x8a, 8, le(8, value)],
  float: (value: number): Piece => {
    const view = new DataView(new ArrayBuffer(8))
    view.setFloat64(0, value, false)
    return [0x47, new Uint8Array(view.buffer)]
  },
  global: (module: string, name: string): Piece => [0x63, ascii(`${module}\n${name}\n`)],
  put: (index: number): Piece => [0x72, le(4, index)],
  get: (index: number): Piece => [0x6a, le(4, index)],
  ints: (...values: readonly number[]): Piece => [p.mark, ...values.map(p.int), p.tuple],
} as const

/** Parts of a storage's persistent id that a test may want otherwise. */
interface StorageParts {
  readonly type?: Piece
  readonly key?: Piece
  readonly elements?: Piece
}

export const storage = ({ type, key, elements }: StorageParts = {}): Piece => [
  p.mark,
  p.text('storage'),
  type ?? p.global('torch', 'FloatStorage'),
  key ?? p.text('0'),
  p.text('cpu'),
  elements ?? p.int(4),
  p.tuple,
  p.persistent,
]

export const orderedDict: Piece = [p.global('collections', 'OrderedDict'), p.emptyTuple, p.reduce]

interface TensorParts extends StorageParts {
  readonly storage?: Piece
  readonly offset?: Piece
  readonly shape?: Piece
  readonly strides?: Piece
  readonly hooks?: Piece
}

/** A tensor of four numbers, unless a part says otherwise. */
export const tensorOf = (parts: TensorParts = {}): Piece => [
  p.global('torch._utils', '_rebuild_tensor_v2'),
  p.mark,
  parts.storage ?? storage(parts),
  parts.offset ?? p.int(0),
  parts.shape ?? p.ints(2, 2),
  parts.strides ?? p.ints(2, 1),
  p.no,
  parts.hooks ?? orderedDict,
  p.tuple,
  p.reduce,
]

/** A pickle of protocol 2 of one value. */
export const pickle = (...value: readonly Piece[]): Uint8Array => join(p.proto(), ...value, p.stop)

/** A pickle of a dict with one entry. */
export const stateOf = (value: Piece, key = 'w'): Uint8Array => pickle(p.dict, p.text(key), value, p.setItem)

/** An entry of an archive, with what its headers are to say instead of the truth. */
export interface CraftedEntry {
  readonly name: string
  readonly data: Uint8Array
  readonly local?: Partial<Fields>
  readonly central?: Partial<Fields>
  /** Appended after the contents. */
  readonly after?: Uint8Array
  /** Written in front of the local header. */
  readonly before?: Uint8Array
}

interface Fields {
  readonly name: Uint8Array
  readonly flags: number
  readonly method: number
  readonly crc: number
  readonly size: number
  readonly storedSize: number
  readonly extra: Uint8Array
  readonly offset: number
  readonly disk: number
}

interface EndFields {
  readonly entries: number
  readonly entriesHere: number
  readonly offset: number
  readonly size: number
  readonly disk: number
  readonly comment: Uint8Array
}

/** An archive of stored entries. */
export function zipOf(
  entries: readonly CraftedEntry[],
  {
    before = new Uint8Array(0),
    beforeEnd = new Uint8Array(0),
    end = {},
  }: { before?: Uint8Array; beforeEnd?: Uint8Array; end?: Partial<EndFields> } = {},
): Uint8Array {
  const pieces: Uint8Array[] = [before]
  const directory: Uint8Array[] = []
  const length = (): number => pieces.reduce((sum, piece) => sum + piece.length, 0)
  for (const { name, data, local, central, after, before: gap } of entries) {
    if (gap) pieces.push(gap)
    const truth: Fields = {
      name: new TextEncoder().encode(name),
      flags: 0x0800,
      method: 0,
      crc: crc32(data),
      size: data.length,
      storedSize: data.length,
      extra: new Uint8Array(0),
      offset: length(),
      disk: 0,
    }
    const said = (fields: Fields): Piece => [
      le(2, fields.flags),
      le(2, fields.method),
      le(4, 0x21 << 16),
      le(4, fields.crc),
      le(4, fields.storedSize),
      le(4, fields.size),
      le(2, fields.name.length),
      le(2, fields.extra.length),
    ]
    const l = { ...truth, ...local }
    const c = { ...truth, ...central }
    pieces.push(join(ascii('PK\x03\x04'), le(2, 20), said(l), l.name, l.extra, data))
    if (after) pieces.push(after)
    directory.push(
      join(
        ascii('PK\x01\x02'),
        le(2, 20),
        le(2, 20),
        said(c),
        le(2, 0),
        le(2, c.disk),
        le(2, 0),
        le(4, 0),
        le(4, c.offset),
        c.name,
        c.extra,
      ),
    )
  }
  const offset = length()
  const size = directory.reduce((sum, piece) => sum + piece.length, 0)
  const truth = { entries: entries.length, offset, size, disk: 0, comment: new Uint8Array(0) }
  const e = { entriesHere: end.entries ?? entries.length, ...truth, ...end }
  const tail = join(
    ascii('PK\x05\x06'),
    le(2, e.disk),
    le(2, e.disk),
    le(2, e.entriesHere),
    le(2, e.entries),
    le(4, e.size),
    le(4, e.offset),
    le(2, e.comment.length),
    e.comment,
  )
  return join(...pieces, ...directory, beforeEnd, tail)
}

export const fourFloats: Uint8Array<ArrayBuffer> = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)

/** The entries of a checkpoint: a pickle and storages `0`, `1`, ... */
export const recordsOf = (data: Uint8Array, ...storages: readonly Uint8Array[]): CraftedEntry[] => [
  { name: 'a/data.pkl', data },
  ...(storages.length > 0 ? storages : [fourFloats]).map((bytes, i) => ({ name: `a/data/${i}`, data: bytes })),
  { name: 'a/version', data: ascii('3\n') },
]

export const checkpointOf = (data: Uint8Array, ...storages: readonly Uint8Array[]): Uint8Array =>
  zipOf(recordsOf(data, ...storages))

interface LegacyParts {
  readonly protocol?: Piece
  readonly little?: Piece
  readonly keys?: readonly string[]
  readonly storages?: readonly (readonly [elements: number, bytes: Uint8Array])[]
  readonly after?: Uint8Array
}

/** A file of before PyTorch 1.6: pickles, then storages. */
export function legacyOf(value: Uint8Array, parts: LegacyParts = {}): Uint8Array {
  const { protocol = p.int(1001), little = p.yes, keys = ['0'], storages = [[4, fourFloats]] } = parts
  return join(
    pickle([0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]),
    pickle(protocol),
    pickle(p.dict, p.text('little_endian'), little, p.setItem),
    value,
    pickle(p.list, p.mark, ...keys.map((key) => p.text(key)), p.appends),
    ...storages.map(([elements, bytes]) => join(le(8, elements), bytes)),
    parts.after ?? new Uint8Array(0),
  )
}
