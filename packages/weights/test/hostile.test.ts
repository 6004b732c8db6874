import { ConvnetsError } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { type OpenOptions, openCheckpoint, openWeights, readWeights } from '../src/index.ts'
import {
  ascii,
  type CraftedEntry,
  checkpointOf,
  fourFloats,
  join,
  le,
  legacyOf,
  orderedDict,
  type Piece,
  p,
  pickle,
  recordsOf,
  stateOf,
  storage,
  tensorOf,
  zipOf,
} from './craft.ts'
import { ownTime } from './patience.ts'

/** Reads everything in a file and gives the error. */
async function errorOf(bytes: Uint8Array, options: OpenOptions = {}): Promise<ConvnetsError> {
  const read = (): Promise<unknown> =>
    readWeights(bytes, options).then(
      () => new Error('the file was read'),
      (reason: unknown) => reason,
    )
  const started = performance.now()
  const error = await read()
  expect(error).toBeInstanceOf(ConvnetsError)
  expect(await ownTime(performance.now() - started, 1000, read)).toBeLessThan(1000)
  return error as ConvnetsError
}

/** The same pieces again and again, as one. */
function repeat(count: number, ...pieces: readonly Piece[]): Uint8Array {
  const one = join(...pieces)
  const all = new Uint8Array(count * one.length)
  for (let i = 0; i < count; i++) all.set(one, i * one.length)
  return all
}

const call = (module: string, name: string, ...args: readonly Piece[]): Piece => [
  p.global(module, name),
  p.mark,
  ...args,
  p.tuple,
  p.reduce,
]

test('what is hand-made is right where it is not made wrong', async () => {
  for (const bytes of [checkpointOf(stateOf(tensorOf())), legacyOf(stateOf(tensorOf()))]) {
    const { tensors } = await readWeights(bytes)
    expect(Array.from(tensors.get('w')!.dataSync())).toEqual([1, 2, 3, 4])
    tensors.get('w')!.dispose()
  }
})

describe('pickles that want to do something', () => {
  const refused: readonly (readonly [what: string, pickle: Uint8Array, message: RegExp])[] = [
    ['os.system', stateOf(call('os', 'system', p.text('true'))), /plain data \(GLOBAL\), got os\.system/],
    ['posix.system', stateOf(call('posix', 'system', p.text('true'))), /got posix\.system/],
    ['nt.system', stateOf(call('nt', 'system', p.text('dir'))), /got nt\.system/],
    ['subprocess.Popen', stateOf(call('subprocess', 'Popen', p.text('true'))), /got subprocess\.Popen/],
    ['builtins.eval', stateOf(call('builtins', 'eval', p.text('1'))), /got builtins\.eval/],
    ['__builtin__.eval', stateOf(call('__builtin__', 'eval', p.text('1'))), /got __builtin__\.eval/],
    ['builtins.exec', stateOf(call('builtins', 'exec', p.text('1'))), /got builtins\.exec/],
    ['builtins.getattr', stateOf(call('builtins', 'getattr', p.none)), /got builtins\.getattr/],
    ['builtins.__import__', stateOf(call('builtins', '__import__', p.text('os'))), /got builtins\.__import__/],
    ['importlib.import_module', stateOf(call('importlib', 'import_module', p.text('os'))), /got importlib\./],
    ['runpy', stateOf(call('runpy', '_run_code', p.text('1'))), /got runpy\._run_code/],
    ['pickle.loads in a pickle', stateOf(call('pickle', 'loads', p.bytes(pickle(p.none)))), /got pickle\.loads/],
    ['_pickle.loads', stateOf(call('_pickle', 'loads', p.bytes(pickle(p.none)))), /got _pickle\.loads/],
    ['marshal.loads', stateOf(call('marshal', 'loads', p.none)), /got marshal\.loads/],
    ['types.CodeType', stateOf(call('types', 'CodeType', p.none)), /got types\.CodeType/],
    ['functools.partial', stateOf(call('functools', 'partial', p.none)), /got functools\.partial/],
    ['operator.attrgetter', stateOf(call('operator', 'attrgetter', p.text('x'))), /got operator\.attrgetter/],
    ['copyreg._reconstructor', stateOf(call('copyreg', '_reconstructor', p.none)), /got copyreg\._reconstructor/],
    ['copy_reg._reconstructor', stateOf(call('copy_reg', '_reconstructor', p.none)), /got copy_reg\./],
    ['torch.load', stateOf(call('torch', 'load', p.text('x'))), /got torch\.load/],
    ['torch.hub.load', stateOf(call('torch.hub', 'load', p.text('x'))), /got torch\.hub\.load/],
    ['torch.jit.load', stateOf(call('torch.jit', 'load', p.text('x'))), /got torch\.jit\.load/],
    [
      'torch.storage._load_from_bytes',
      stateOf(call('torch.storage', '_load_from_bytes', p.bytes(fourFloats))),
      /got torch\.storage\._load_from_bytes/,
    ],
    [
      'a sparse tensor',
      stateOf(call('torch._utils', '_rebuild_sparse_tensor', p.none)),
      /got torch\._utils\._rebuild_sparse_tensor/,
    ],
    [
      'a quantized tensor',
      stateOf(call('torch._utils', '_rebuild_qtensor', p.none)),
      /got torch\._utils\._rebuild_qtensor/,
    ],
    ['a quantized storage', stateOf(tensorOf({ type: p.global('torch', 'QInt8Storage') })), /got torch\.QInt8Storage/],
    [
      'a whole module',
      stateOf(p.global('torch.nn.modules.linear', 'Linear')),
      /got torch\.nn\.modules\.linear\.Linear/,
    ],
    ['argparse.Namespace', stateOf(p.global('argparse', 'Namespace')), /got argparse\.Namespace/],
    [
      'NumPy’s _reconstruct',
      stateOf(p.global('numpy.core.multiarray', '_reconstruct')),
      /got numpy\.core\.multiarray\./,
    ],
    ['a name of JavaScript’s', stateOf(p.global('constructor', 'constructor')), /got constructor\.constructor/],
    ['a method of JavaScript’s in torch', stateOf(p.global('torch', 'toString')), /got torch\.toString/],
    ['__proto__ in torch', stateOf(p.global('torch', '__proto__')), /got torch\.__proto__/],
    [
      'a name by way of STACK_GLOBAL',
      stateOf([p.text('os'), p.text('system'), p.stackGlobal]),
      /\(STACK_GLOBAL\), got os\.system/,
    ],
    ['a name with dots', stateOf([p.text('torch'), p.text('os.system'), p.stackGlobal]), /got torch\.os\.system/],
    ['STACK_GLOBAL of numbers', stateOf([p.int(1), p.int(2), p.stackGlobal]), /a module and a name/],
    ['INST', stateOf([p.mark, 0x69, ascii('os\nsystem\n')]), /got INST \(0x69\)/],
    ['OBJ', stateOf([p.mark, p.global('collections', 'OrderedDict'), 0x6f]), /got OBJ \(0x6f\)/],
    ['NEWOBJ', stateOf([p.global('collections', 'OrderedDict'), p.emptyTuple, p.newObj]), /got NEWOBJ \(0x81\)/],
    ['NEWOBJ_EX', stateOf([p.global('collections', 'OrderedDict'), p.emptyTuple, p.dict, 0x92]), /got NEWOBJ_EX/],
    ['EXT1', stateOf([0x82, 1]), /got EXT1/],
    ['EXT2', stateOf([0x83, 1, 0]), /got EXT2/],
    ['EXT4', stateOf([0x84, le(4, 1)]), /got EXT4/],
    ['PERSID', stateOf([0x50, ascii('0\n')]), /got PERSID/],
    ['a number as text', stateOf([0x49, ascii('1\n')]), /got INT \(0x49\)/],
    ['text to be evaluated', stateOf([0x53, ascii("'x'\n")]), /got STRING/],
    ['buffers from elsewhere', stateOf([0x97]), /got NEXT_BUFFER/],
    ['a byte that is no instruction', stateOf([0xff]), /got the byte 0xff/],
    [
      'a call of a dtype',
      stateOf([p.global('torch', 'float32'), p.emptyTuple, p.reduce]),
      /a function that builds data \(REDUCE\), got torch\.float32/,
    ],
    [
      'a call of a storage’s class',
      stateOf([p.global('torch', 'FloatStorage'), p.emptyTuple, p.reduce]),
      /got torch\.FloatStorage/,
    ],
    ['a call of text', stateOf([p.text('eval'), p.emptyTuple, p.reduce]), /got the text "eval"/],
    ['a call with a list', stateOf([p.global('collections', 'OrderedDict'), p.list, p.reduce]), /a tuple of arguments/],
    [
      'a state for a tensor',
      stateOf([tensorOf(), p.dict, p.build]),
      /an object that takes a state \(BUILD\), got a tensor/,
    ],
    [
      'a state for a class',
      stateOf([p.global('torch', 'FloatStorage'), p.dict, p.build]),
      /an object that takes a state/,
    ],
    ['a state that is a tuple', stateOf([orderedDict, p.emptyTuple, p.build]), /an object that takes a state/],
    [
      'hooks of a tensor',
      stateOf(tensorOf({ hooks: [orderedDict, p.int(0), p.none, p.setItem] })),
      /a tensor without hooks/,
    ],
  ]

  test.each(refused)('%s', async (_, data, message) => {
    expect((await errorOf(checkpointOf(data))).message).toMatch(message)
    expect((await errorOf(legacyOf(data))).message).toMatch(message)
  })
})

describe('pickles that are broken or too large', () => {
  const huge = 2 ** 31 - 1
  const refused: [what: string, pickle: Uint8Array, message: RegExp, options?: OpenOptions][] = [
    ['nothing', new Uint8Array(0), /1 bytes of a pickle|an end/],
    ['protocol 0', join(ascii('(lp0\n.')), /a pickle of protocol 2 to 5/],
    ['protocol 6', join(p.proto(6), p.none, p.stop), /protocol 2 to 5, got 6/],
    ['a protocol in the middle', pickle(p.proto(2), p.none), /PROTO, a second time/],
    ['no end', join(p.proto(), p.none), /1 bytes of instructions, got the end of the pickle/],
    ['bytes after the end', join(pickle(p.dict), 0), /the end of the pickle, got 1 more bytes/],
    ['no value at the end', pickle(), /a value \(STOP\), got an empty stack/],
    ['two values at the end', pickle(p.none, p.none), /one value at the end/],
    ['an open container at the end', pickle(p.mark, p.none), /one value at the end/],
    ['POP of nothing', pickle(p.pop), /a value \(POP\)/],
    ['a tuple of too few', pickle(p.none, p.tuple2), /2 values \(TUPLE2\), got 1/],
    ['a tuple without beginning', pickle(p.tuple), /an open container \(TUPLE\)/],
    ['keys without value', pickle(p.dict, p.mark, p.text('a'), p.setItems), /keys with values/],
    ['items for a list', pickle(p.list, p.text('a'), p.none, p.setItem), /a dict \(SETITEM\), got a list/],
    ['appending to a tuple', pickle(p.emptyTuple, p.none, p.append), /a list \(APPEND\), got a tuple/],
    ['a tuple as key', pickle(p.dict, p.emptyTuple, p.none, p.setItem), /text, a number or None as key/],
    ['a list in a set', pickle(p.set, p.mark, p.list, 0x90), /as key \(ADDITEMS\)/],
    ['a value that was not remembered', pickle(p.get(7)), /a remembered value \(LONG_BINGET\), got number 7/],
    ['remembering nothing', pickle(p.put(0)), /a value \(LONG_BINPUT\)/],
    ['text longer than the file', pickle([0x58, le(4, 100_000), ascii('a')]), /100000 bytes of text, got the end/],
    ['text of 2^63 bytes', pickle([0x8d, le(8, 2n ** 63n)]), /at most 16777216 bytes \(BINUNICODE8\)/],
    ['text of 2^32 bytes', pickle([0x58, le(4, 0xffffffff)]), /at most 16777216 bytes/],
    ['bytes of 2^63', pickle([0x8e, le(8, 2n ** 63n)]), /at most 16777216 bytes \(BINBYTES8\)/],
    ['text that is not UTF-8', pickle([0x58, le(4, 2), 0xc3, 0x28]), /text in UTF-8/],
    ['an integer of 2^31 bytes', pickle([0x8b, le(4, huge)]), /an integer of at most 256 bytes/],
    ['a frame beyond the file', pickle([0x95, le(8, 2n ** 62n)]), /bytes of a frame/],
    ['a name without end', pickle([0x63, ascii('x'.repeat(5000))]), /a name of at most 1000 bytes/],
    ['open containers', pickle(repeat(201, p.mark)), /at most 200 open containers/],
    [
      'more instructions than allowed',
      pickle(repeat(1000, p.none, p.pop), p.dict),
      /at most 100 instructions/,
      { limits: { opcodes: 100 } },
    ],
    [
      'more memories than allowed',
      pickle(
        p.dict,
        Array.from({ length: 20 }, (_, i) => p.put(i * 1e8)),
      ),
      /at most 10 remembered values/,
      { limits: { memo: 10 } },
    ],
    [
      'more objects than allowed, left and right',
      pickle(
        p.global('collections', 'OrderedDict'),
        p.put(0),
        repeat(20, p.get(0), p.emptyTuple, p.reduce, p.pop, p.list, p.dict, p.set, p.bytes(ascii('x')), p.pop),
      ),
      /at most 100 objects/,
      { limits: { objects: 100 } },
    ],
    ['millions of empty sets', pickle(repeat(300_001, p.set)), /at most 300000 objects/],
    [
      'MEMOIZE for ever',
      pickle(p.dict, repeat(20, p.memoize)),
      /at most 10 remembered values/,
      { limits: { memo: 10 } },
    ],
    [
      'longer text than allowed',
      stateOf(p.text('x'.repeat(200))),
      /at most 100 bytes/,
      { limits: { stringBytes: 100 } },
    ],
    ['a larger tensor than allowed', stateOf(tensorOf()), /at most 3 elements/, { limits: { elements: 3 } }],
    ['a longer pickle than allowed', stateOf(tensorOf()), /at most 64 bytes/, { limits: { pickleBytes: 64 } }],
    [
      'billion laughs',
      // Ten lists, each of ten times the one before: 10^40 items if anyone counted them.
      stateOf([
        p.list,
        p.put(0),
        ...Array.from({ length: 40 }, (_, i): Piece => [p.list, p.mark, repeat(10, p.get(i)), p.appends, p.put(i + 1)]),
        repeat(40, p.tuple2),
      ]),
      /tensors, got w/,
    ],
    [
      'copies of copies',
      stateOf([
        p.list,
        p.mark,
        repeat(2000, p.none),
        p.appends,
        p.put(0),
        p.pop,
        repeat(2000, p.global('builtins', 'set'), p.get(0), p.tuple1, p.reduce, p.pop),
        p.none,
      ]),
      /every item to be copied once/,
    ],
    ['a list that contains itself', stateOf([p.list, p.dup, p.append]), /tensors, got w/],
    [
      'a dict that contains itself',
      pickle(p.dict, p.put(0), p.text('state_dict'), p.get(0), p.setItem),
      /tensors under state_dict > state_dict/,
    ],
    ['no dict', pickle(p.list), /a dict of tensors/],
    ['no tensors', stateOf(p.int(1)), /tensors, got w/],
  ]

  test.each(refused)('%s', async (_, data, message, options?: OpenOptions) => {
    expect((await errorOf(checkpointOf(data), options)).message).toMatch(message)
  })

  test('values nested deeper than a stack are not walked', async () => {
    const deep = stateOf([p.none, repeat(200_000, p.tuple1)])
    expect((await errorOf(checkpointOf(deep))).message).toMatch(/tensors, got w/)
    await expect(openCheckpoint(checkpointOf(deep))).rejects.toThrow(/values at most 200 deep/)
    await expect(openCheckpoint(checkpointOf(stateOf([p.list, p.dup, p.append])))).rejects.toThrow(/200 deep/)
  })

  test('what is shared a billion times is converted once', async () => {
    const shared = Array.from({ length: 40 }, (_, i): Piece => [p.get(i), p.get(i), p.tuple2, p.put(i + 1), p.pop])
    const { value, close } = await openCheckpoint(checkpointOf(stateOf([p.list, p.put(0), p.pop, shared, p.get(40)])))
    expect(value).toBeInstanceOf(Map)
    await close()
  })

  test('keys such as __proto__ are keys, and touch no object', async () => {
    const keys = ['__proto__', 'constructor', 'layer1.constructor.prototype', 'toString', 'hasOwnProperty']
    const data = pickle(p.dict, ...keys.map((key): Piece => [p.text(key), tensorOf(), p.setItem]))
    const { tensors } = await readWeights(checkpointOf(data))
    expect([...tensors.keys()]).toEqual(keys)
    expect(Object.keys(Object.prototype)).toEqual([])
    expect({}.toString()).toBe('[object Object]')
    for (const made of tensors.values()) made.dispose()
  })
})

describe('tensors that are not there', () => {
  const views: readonly (readonly [what: string, tensor: Piece, message: RegExp])[] = [
    ['a negative stride', tensorOf({ strides: p.ints(-2, 1) }), /non-negative integers as the strides/],
    ['a negative size', tensorOf({ shape: p.ints(-2, 2) }), /non-negative integers as the shape/],
    ['a negative offset', tensorOf({ offset: p.int(-1) }), /non-negative integers as the offset/],
    ['a view past the storage', tensorOf({ strides: p.ints(3, 1) }), /a view within the 4 elements of its storage/],
    ['an offset past the storage', tensorOf({ offset: p.int(1) }), /a view within the 4 elements/],
    ['an offset beyond all', tensorOf({ offset: p.long(2n ** 62n) }), /non-negative integers as the offset/],
    ['an offset whose sum is not exact', tensorOf({ offset: p.long(2n ** 53n - 1n) }), /a view within the 4 elements/],
    [
      'a stride of 0 that makes gigabytes',
      tensorOf({ shape: p.ints(1 << 15, 1 << 15), strides: p.ints(0, 0) }),
      /at most the 4 elements of its storage/,
    ],
    [
      'a stride of 0 that makes a little more',
      tensorOf({ shape: p.ints(3, 2), strides: p.ints(0, 1) }),
      /at most the 4 elements/,
    ],
    [
      'sizes whose product is not exact',
      tensorOf({ shape: p.ints(1 << 30, 1 << 30, 1 << 30), strides: p.ints(0, 0, 0) }),
      /tensors of at most/,
    ],
    ['strides for another rank', tensorOf({ strides: p.ints(1) }), /2 strides \(REDUCE\), got 1/],
    [
      '65 axes',
      tensorOf({ shape: [p.mark, repeat(65, p.int(1)), p.tuple], strides: [p.mark, repeat(65, p.int(1)), p.tuple] }),
      /at most 64 axes/,
    ],
    [
      'a fraction as size',
      tensorOf({ shape: [p.float(2.5), p.int(1), p.tuple2] }),
      /non-negative integers as the shape/,
    ],
    ['a truth value as size', tensorOf({ shape: [p.yes, p.int(1), p.tuple2] }), /got the truth value true/],
    ['a list as shape', tensorOf({ shape: p.list }), /a tuple as the shape/],
    [
      'text as storage',
      tensorOf({ storage: p.text('0') }),
      /a storage for a tensor, got the text "0"|a storage for a tensor \(REDUCE\)/,
    ],
    ['too few arguments', call('torch._utils', '_rebuild_tensor_v2', storage()), /6 to 7 arguments/],
    [
      'a parameter of no tensor',
      call('torch._utils', '_rebuild_parameter', p.none, p.yes, orderedDict),
      /a tensor for a parameter/,
    ],
    [
      'another kind of persistent object',
      [p.mark, p.text('module'), p.none, p.text('0'), p.text('cpu'), p.int(4), p.tuple, p.persistent],
      /'storage' as kind/,
    ],
    ['a number as persistent id', [p.int(3), p.persistent], /a tuple that names a storage/],
    ['a storage of text', tensorOf({ type: p.text('FloatStorage') }), /the class of a storage/],
    [
      'a storage of a dict’s class',
      tensorOf({ type: p.global('collections', 'OrderedDict') }),
      /the class of a storage/,
    ],
    [
      'a storage of a negative size',
      tensorOf({ elements: p.int(-4) }),
      /non-negative integers as the size of a storage/,
    ],
    [
      'a storage of bytes without dtype',
      tensorOf({ type: p.global('torch', 'UntypedStorage'), elements: p.int(16) }),
      /a storage with a dtype/,
    ],
  ]

  test.each(views)('%s', async (_, tensor, message) => {
    expect((await errorOf(checkpointOf(stateOf(tensor)))).message).toMatch(message)
    expect((await errorOf(legacyOf(stateOf(tensor)))).message).toMatch(message)
  })

  test.each([
    ['that has another size', tensorOf({ elements: p.int(5) }), /a storage of 20 bytes .*got a record of 16/],
    ['that is larger than files get', tensorOf({ elements: p.long(2n ** 52n) }), /a storage of \d+ bytes/],
    ['that is not there', tensorOf({ key: p.text('9') }), /a record of storage "9" .*got none/],
    ['that is the pickle', tensorOf({ key: p.text('../data.pkl') }), /a record of storage/],
    ['that is called __proto__', tensorOf({ key: p.text('__proto__') }), /a record of storage/],
    ['whose key is a number', tensorOf({ key: p.int(0) }), /text as key of a storage/],
  ])('a storage %s', async (_, tensor, message) => {
    expect((await errorOf(checkpointOf(stateOf(tensor)))).message).toMatch(message)
  })

  test('thousands of views of one storage', async () => {
    const data = pickle(
      p.dict,
      p.mark,
      ...Array.from({ length: 5000 }, (_, i): Piece => [p.text(`k${i}`), tensorOf()]),
      p.setItems,
    )
    expect((await errorOf(checkpointOf(data))).message).toMatch(
      /tensors of at most 8 times the 16 bytes of their storages, got 80000/,
    )
  })
})

describe('zip archives', () => {
  const good = stateOf(tensorOf())
  const [first, second, third] = recordsOf(good) as [CraftedEntry, CraftedEntry, CraftedEntry]
  const change = (entry: Partial<CraftedEntry>): Uint8Array => zipOf([first, { ...second, ...entry }, third])
  const both = (fields: NonNullable<CraftedEntry['local']>): Uint8Array => change({ local: fields, central: fields })
  const size = fourFloats.length
  const descriptor = (crc: number, length: number): Uint8Array =>
    join(ascii('PK\x07\x08'), le(4, crc), le(4, length), le(4, length))

  test.each([
    [
      'another name in front of the contents',
      change({ local: { name: ascii('a/data/1') } }),
      /the name "a\/data\/0", as in the directory/,
    ],
    [
      'a longer name in front of the contents',
      change({ local: { name: ascii('a/data/0x') } }),
      /the name "a\/data\/0"/,
    ],
    ['a wrong checksum', both({ crc: 1 }), /CRC-32 0x00000001 of entry "a\/data\/0"/],
    [
      'a wrong checksum of the pickle',
      zipOf([{ ...first, local: { crc: 1 }, central: { crc: 1 } }, second, third]),
      /CRC-32 .* of entry "a\/data\.pkl"/,
    ],
    ['two checksums', change({ local: { crc: 1 } }), /checksum and sizes of entry/],
    ['two sizes', change({ local: { size: 8, storedSize: 8 } }), /checksum and sizes of entry/],
    ['a stored entry of two lengths', both({ size: 8 }), /8 stored bytes, got 16/],
    ['an entry beyond the file', both({ size: 1e6, storedSize: 1e6 }), /to end before byte/],
    [
      'two entries in the same place',
      change({ central: { offset: 0, name: first.central?.name ?? ascii('a/data/0') } }),
      /without gap or overlap/,
    ],
    ['overlapping entries', change({ central: { offset: 10 } }), /without gap or overlap/],
    ['an offset beyond the file', change({ central: { offset: 0x7fffffff } }), /without gap or overlap|before byte/],
    ['a gap', change({ before: ascii('gap') }), /without gap or overlap/],
    ['something in front', zipOf([first, second, third], { before: ascii('PK\x03\x04') }), /without gap or overlap/],
    ['something behind the entries', zipOf([first, second, { ...third, after: ascii('xx') }]), /the directory at byte/],
    [
      'something behind the directory',
      zipOf([first, second, third], { beforeEnd: ascii('xx') }),
      /a directory that ends at byte/,
    ],
    ['encryption', both({ flags: 0x0801 }), /a plain entry "a\/data\/0", got encryption/],
    ['strong encryption', both({ flags: 0x0840 }), /got strong encryption/],
    ['an encrypted directory', both({ flags: 0x2800 }), /got an encrypted directory/],
    ['patch data', both({ flags: 0x0820 }), /got patch data/],
    ['a flag that means nothing', both({ flags: 0x8800 }), /got the flags 0x8000/],
    ['two flags', change({ local: { flags: 0 } }), /flags and method of entry/],
    ['two methods', change({ local: { method: 8 } }), /flags and method of entry/],
    ['bzip2', both({ method: 12 }), /stored or deflated, got bzip2/],
    ['LZMA', both({ method: 14 }), /got LZMA/],
    ['AES', both({ method: 99 }), /got AES encryption/],
    ['an unknown method', both({ method: 77 }), /got method 77/],
    ['a deflated storage', both({ method: 8 }), /stored records, as PyTorch writes them/],
    ['a name twice', zipOf([first, second, second, third]), /every name once, got "a\/data\/0" a second time/],
    ['a name with NUL', zipOf([first, second, { ...third, name: 'a/\0' }]), /a name without NUL/],
    ['no name', zipOf([first, second, { ...third, name: '' }]), /a name without NUL/],
    ['a name that is not UTF-8', both({ name: Uint8Array.of(0xff) }), /a name in UTF-8/],
    [
      'an extra field longer than its place',
      change({ central: { extra: Uint8Array.of(1, 0, 99, 0) } }),
      /extra fields that fit/,
    ],
    ['half an extra field', change({ central: { extra: Uint8Array.of(1, 0) } }), /extra fields that fit/],
    ['two zip64 fields', change({ central: { extra: Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0) } }), /one zip64 field/],
    [
      'a zip64 field without numbers',
      change({ central: { size: 0xffffffff, storedSize: 0xffffffff, extra: Uint8Array.of(1, 0, 0, 0) } }),
      /a zip64 field with all numbers/,
    ],
    [
      'zip64 sizes beyond all',
      both({
        size: 0xffffffff,
        storedSize: 0xffffffff,
        extra: join(le(2, 1), le(2, 16), le(8, 2n ** 63n), le(8, 2n ** 63n)),
      }),
      /to end before byte/,
    ],
    ['an entry on another disk', change({ central: { disk: 1 } }), /an entry in this file/],
    ['a part of several', zipOf([first, second, third], { end: { disk: 1 } }), /an archive in one file/],
    [
      'a comment',
      zipOf([first, second, third], { end: { comment: ascii('hello') } }),
      /end of a zip archive without comment/,
    ],
    [
      'more entries than there are',
      zipOf([first, second, third], { end: { entries: 4 } }),
      /the directory's entry 3|entries that fit/,
    ],
    [
      'fewer entries than there are',
      zipOf([first, second, third], { end: { entries: 2 } }),
      /the end of the directory/,
    ],
    ['65,535 entries', zipOf([first, second, third], { end: { entries: 0xffff } }), /entries that fit/],
    ['two counts of entries', zipOf([first, second, third], { end: { entriesHere: 1 } }), /3 entries, got 1/],
    ['a directory elsewhere', zipOf([first, second, third], { end: { offset: 0 } }), /a directory that ends at byte/],
    ['a descriptor that is not there', both({ flags: 0x0808 }), /the descriptor of entry/],
    [
      'a descriptor of something else',
      change({ local: { flags: 0x0808 }, central: { flags: 0x0808 }, after: descriptor(1, size) }),
      /the descriptor of entry/,
    ],
    ['two pickles', zipOf([first, second, third, { ...first, name: 'b/data.pkl' }]), /the entry "a\/data\.pkl"/],
    [
      'a TorchScript program',
      zipOf([first, second, third, { name: 'a/constants.pkl', data: pickle(p.emptyTuple) }]),
      /a TorchScript program/,
    ],
    [
      'big-endian tensors',
      zipOf([first, second, third, { name: 'a/byteorder', data: ascii('big') }]),
      /little-endian tensors, got "big"/,
    ],
    ['7-Zip in disguise', join(ascii('7z\xbc\xaf\x27\x1c'), new Uint8Array(100)), /got a 7-Zip archive/],
    ['tar in disguise', join(new Uint8Array(257), ascii('ustar'), new Uint8Array(250)), /got a tar archive|header/],
    ['gzip in disguise', join(0x1f, 0x8b, new Uint8Array(100)), /got a gzip file/],
    ['HDF5', join(ascii('\x89HDF\r\n\x1a\n'), new Uint8Array(100)), /an HDF5 file .*tensorflowjs_converter/],
    ['a web page', ascii('<!DOCTYPE html><html>'), /got a web page or XML/],
    ['a pointer of Git LFS', ascii('version https://git-lfs.github.com/spec/v1'), /a pointer of Git LFS/],
    ['a bare pickle', stateOf(p.none), /a pickle that torch\.save did not write/],
  ])('%s', async (_, bytes, message) => {
    expect((await errorOf(bytes)).message).toMatch(message)
  })

  test('descriptors as PyTorch writes them are right', async () => {
    const { crc32 } = await import('../src/crc32.ts')
    const flags = { flags: 0x0808 }
    const entry = {
      local: { ...flags, crc: 0, size: 0, storedSize: 0 },
      central: flags,
      after: descriptor(crc32(fourFloats), size),
    }
    const file = await openWeights(change(entry))
    expect(file.entries.size).toBe(1)
    await file.verify()
    await file.close()
  })
})

describe('files of before PyTorch 1.6', () => {
  const good = stateOf(tensorOf())

  test.each([
    ['another protocol', legacyOf(good, { protocol: p.int(1002) }), /checkpoint protocol 1001, got the number 1002/],
    ['big-endian tensors', legacyOf(good, { little: p.no }), /little-endian tensors/],
    ['no word on the order of bytes', legacyOf(good, { little: p.none }), /little-endian tensors/],
    ['no storages', legacyOf(good, { keys: [], storages: [] }), /storage "0", got none/],
    ['a storage of no tensor', legacyOf(good, { keys: ['0', '1'] }), /a tensor of storage "1"/],
    [
      'a storage twice',
      legacyOf(good, {
        keys: ['0', '0'],
        storages: [
          [4, fourFloats],
          [4, fourFloats],
        ],
      }),
      /storage "0" once/,
    ],
    [
      'a storage of another length',
      legacyOf(good, { storages: [[5, fourFloats]] }),
      /4 elements of storage "0", got 5/,
    ],
    [
      'a storage of negative length',
      legacyOf(good, { storages: [[-1, fourFloats]] }),
      /4 elements of storage "0", got -1/,
    ],
    [
      'a storage that is cut',
      legacyOf(good, { storages: [[4, fourFloats.subarray(0, 9)]] }),
      /8 bytes of length and 16 bytes/,
    ],
    ['bytes at the end', legacyOf(good, { after: ascii('x') }), /the end of the file, got 1 more bytes/],
    [
      'a storage of two dtypes',
      legacyOf(
        pickle(
          p.dict,
          p.text('a'),
          tensorOf(),
          p.setItem,
          p.text('b'),
          tensorOf({ type: p.global('torch', 'IntStorage') }),
          p.setItem,
        ),
      ),
      /to be always the same/,
    ],
    [
      'a storage larger than files get',
      legacyOf(stateOf(tensorOf({ elements: p.long(2n ** 52n) }))),
      /a storage that fits into a file|bytes of storage/,
    ],
  ])('%s', async (_, bytes, message) => {
    expect((await errorOf(bytes)).message).toMatch(message)
  })

  test('a part of a storage, as PyTorch wrote it once', async () => {
    const part = (offset: number, count: number): Piece => [
      p.mark,
      p.text('storage'),
      p.global('torch', 'FloatStorage'),
      p.text('0'),
      p.text('cuda:3'),
      p.int(4),
      p.mark,
      p.text('1'),
      p.int(offset),
      p.int(count),
      p.tuple,
      p.tuple,
      p.persistent,
    ]
    const view = (storage: Piece): Uint8Array => stateOf(tensorOf({ storage, shape: p.ints(2), strides: p.ints(1) }))
    const { tensors } = await readWeights(legacyOf(view(part(1, 2))))
    expect(Array.from(tensors.get('w')!.dataSync())).toEqual([2, 3])
    tensors.get('w')!.dispose()
    expect((await errorOf(legacyOf(view(part(3, 2))))).message).toMatch(/a part within 16 bytes/)
    expect((await errorOf(legacyOf(view(part(1, 1))))).message).toMatch(/at most the 1 elements/)
  })
})
