import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import { BackendError, ConvnetsError, DTypeError, FormatError, memory, type Tensor, tensor } from '@convnets/tensor'
import { build } from 'esbuild'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  loadWeights,
  parseSafetensors,
  saveWeights,
  serializeSafetensors,
  WeightsMismatchError,
  type WithState,
  writeFileAtomic,
  writeSafetensors,
} from '../src/index.ts'
import { bitFlips, truncations } from './corrupt.ts'

/** A model of two parameters. */
class Toy {
  readonly weight = tensor([1, 2, 3, 4], { shape: [2, 2] })
  readonly bias = tensor([5, 6])

  stateDict(): Map<string, Tensor> {
    return new Map([
      ['weight', this.weight],
      ['bias', this.bias],
    ])
  }

  /** Values by key. */
  get values(): Map<string, number[]> {
    return new Map([...this.stateDict()].map(([key, value]) => [key, Array.from(value.dataSync())]))
  }

  clear(): void {
    for (const value of this.stateDict().values()) value.assign_(new Float32Array(value.size).fill(9))
  }

  dispose(): void {
    this.weight.dispose()
    this.bias.dispose()
  }
}

let folder: string
let model: Toy
let tensorsBefore: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convnets-weights-'))
  tensorsBefore = memory().tensors
  model = new Toy()
})

afterEach(async () => {
  model.dispose()
  expect(memory().tensors).toBe(tensorsBefore)
  await rm(folder, { recursive: true })
})

const saved = new Map([
  ['weight', [1, 2, 3, 4]],
  ['bias', [5, 6]],
])

const cleared = new Map([
  ['weight', [9, 9, 9, 9]],
  ['bias', [9, 9]],
])

const fits = { missing: [], unexpected: [], mismatched: [] }

describe('loadWeights', () => {
  test('from a path, a file URL, a text of one, bytes and a buffer', async () => {
    const path = join(folder, 'a file.safetensors')
    await saveWeights(model, path)
    const bytes = new Uint8Array(await readFile(path))
    const sources = [path, pathToFileURL(path), pathToFileURL(path).href, bytes, bytes.buffer, new Blob([bytes])]
    for (const source of sources) {
      model.clear()
      expect(await loadWeights(model, source)).toEqual(fits)
      expect(model.values).toEqual(saved)
    }
  })

  test('a missing file is the error of the file system', async () => {
    const path = join(folder, 'none.safetensors')
    await expect(loadWeights(model, path)).rejects.toMatchObject({ code: 'ENOENT', path })
  })

  test('an aborted load leaves the model alone', async () => {
    await saveWeights(model, join(folder, 'm.safetensors'))
    model.clear()
    const load = loadWeights(model, join(folder, 'm.safetensors'), { signal: AbortSignal.abort() })
    await expect(load).rejects.toMatchObject({ name: 'AbortError' })
    expect(model.values).toEqual(cleared)
  })

  test('what does not fit is named, and changes nothing', async () => {
    const other = tensor([1, 2, 3])
    const file = await writeSafetensors(
      new Map([
        ['weight', other],
        ['extra', other],
      ]),
    )
    other.dispose()
    model.clear()
    const error = await loadWeights(model, file).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(WeightsMismatchError)
    const report = {
      missing: ['bias'],
      unexpected: ['extra'],
      mismatched: [{ key: 'weight', expected: [2, 2], got: [3] }],
    }
    expect(error).toMatchObject({
      ...report,
      message:
        'loadWeights: the tensors of bytes do not fit, first weight, nothing was changed: missing bias; unexpected extra; ' +
        'weight expects (2, 2), got (3)',
    })
    expect(await loadWeights(model, file, { strict: false })).toEqual(report)
    expect(model.values).toEqual(cleared)
  })

  test('auxiliary heads may be absent on either side, and are reported', async () => {
    const numbers = (): Tensor => tensor([1, 2])
    const bare = new Map([['fc.weight', numbers()]])
    const full = new Map([
      ['fc.weight', numbers()],
      ['aux.weight', numbers()],
      ['aux.bias', numbers()],
    ])
    const network = (dict: ReadonlyMap<string, Tensor>): WithState => ({
      name: 'twohead',
      auxHeads: ['aux'],
      stateDict: () => dict,
    })
    const [one, all] = [await writeSafetensors(bare), await writeSafetensors(full)]
    const lacking = await loadWeights(network(full), one)
    expect(lacking).toMatchObject({ missing: ['aux.weight', 'aux.bias'], unexpected: [], mismatched: [] })
    const surplus = await loadWeights(network(bare), all)
    expect(surplus).toMatchObject({ missing: [], unexpected: ['aux.bias', 'aux.weight'], mismatched: [] })
    // Half a head is a mistake, and so is a head that the model does not call one.
    const half = await writeSafetensors(new Map([...full].filter(([key]) => key !== 'aux.bias')))
    await expect(loadWeights(network(full), half)).rejects.toThrow(
      'loadWeights: the tensors of bytes do not fit twohead, first aux.bias, nothing was changed: missing aux.bias',
    )
    await expect(loadWeights({ stateDict: () => full }, one)).rejects.toThrow(WeightsMismatchError)
    for (const t of [...bare.values(), ...full.values()]) t.dispose()
  })

  test('without strict, what fits is loaded', async () => {
    const file = await writeSafetensors(new Map([['bias', model.bias]]))
    model.clear()
    expect(await loadWeights(model, file, { strict: false })).toMatchObject({ missing: ['weight'] })
    expect(model.values).toEqual(new Map([...cleared, ['bias', [5, 6]]]))
  })

  test('a classifier for another number of classes may be left alone', async () => {
    const weight = tensor([1, 2, 3, 4, 5, 6], { shape: [3, 2] })
    const turned = weight.reshape([2, 3])
    const bias = tensor([1, 2, 3])
    const file = await writeSafetensors(
      new Map([
        ['weight', weight],
        ['bias', bias],
      ]),
    )
    const transposed = await writeSafetensors(
      new Map([
        ['weight', turned],
        ['bias', bias],
      ]),
    )
    await expect(loadWeights(model, file)).rejects.toThrow(WeightsMismatchError)
    const { mismatched } = await loadWeights(model, file, { allowClassifierMismatch: true })
    expect(mismatched.map(({ key }) => key)).toEqual(['weight', 'bias'])
    expect(model.values).toEqual(saved)
    await expect(loadWeights(model, transposed, { allowClassifierMismatch: true })).rejects.toThrow(
      WeightsMismatchError,
    )
    for (const made of [weight, turned, bias]) made.dispose()
  })

  test('mapKeys renames and leaves out', async () => {
    const file = await writeSafetensors(
      new Map([
        ['w', model.weight],
        ['b', model.bias],
        ['step', model.bias],
      ]),
    )
    model.clear()
    const names = new Map([
      ['w', 'weight'],
      ['b', 'bias'],
    ])
    expect(await loadWeights(model, file, { mapKeys: (key) => names.get(key) })).toEqual(fits)
    expect(model.values).toEqual(saved)
    await expect(loadWeights(model, file, { mapKeys: () => 'weight' })).rejects.toThrow(
      'mapKeys expects a name of its own for every key, got weight for',
    )
  })

  test('a prefix before all keys is taken off, unless that is not wanted', async () => {
    const file = await writeSafetensors(
      new Map([
        ['net.weight', model.weight],
        ['net.bias', model.bias],
      ]),
    )
    model.clear()
    expect(await loadWeights(model, file)).toEqual({ ...fits, layout: 'prefix net.' })
    expect(model.values).toEqual(saved)
    await expect(loadWeights(model, file, { mapKeys: 'none' })).rejects.toThrow(WeightsMismatchError)
  })

  test('values that the model cannot hold change nothing', async () => {
    const bytes = new Uint8Array(BigInt64Array.of(1n, 2n ** 40n).buffer)
    const file = serializeSafetensors(
      new Map([
        ['weight', { dtype: 'F32', shape: [2, 2], bytes: new Uint8Array(16) }],
        ['bias', { dtype: 'I64', shape: [2], bytes }],
      ]),
    )
    await expect(loadWeights(model, file)).rejects.toThrow(DTypeError)
    expect(model.values).toEqual(saved)
  })

  test('a file that is cut or has a flipped bit never reaches the model in part', async () => {
    const path = join(folder, 'm.safetensors')
    await saveWeights(model, path)
    const file = new Uint8Array(await readFile(path))
    for (const { what, bytes } of truncations(file)) {
      await expect(loadWeights(model, bytes), what).rejects.toThrow(FormatError)
    }
    expect(model.values).toEqual(saved)
    for (const { what, bytes } of bitFlips(file)) {
      model.clear()
      const error = await loadWeights(model, bytes).catch((reason: unknown) => reason)
      if (error instanceof Error) {
        expect(error, what).toBeInstanceOf(ConvnetsError)
        expect(model.values, what).toEqual(cleared)
      }
    }
  })

  test('messages name the file', async () => {
    const path = join(folder, 'text.safetensors')
    await writeFile(path, 'this is no such file')
    await expect(loadWeights(model, path)).rejects.toMatchObject({ name: 'FormatError', file: path, offset: 0 })
  })
})

describe('saveWeights', () => {
  test('says that keys and shapes are PyTorch’s, unless told otherwise', async () => {
    const path = join(folder, 'm.safetensors')
    await saveWeights(model, path)
    expect([...parseSafetensors(await readFile(path)).metadata]).toEqual([['format', 'pt']])
    await saveWeights(model, pathToFileURL(path), { metadata: new Map([['epoch', '3']]), dtype: 'BF16' })
    const { metadata, entries } = parseSafetensors(await readFile(path))
    expect([...metadata]).toEqual([['epoch', '3']])
    expect(entries.get('bias')?.dtype).toBe('BF16')
  })

  test('leaves one file in the folder, also over an old one', async () => {
    const path = join(folder, 'm.safetensors')
    await writeFile(path, 'old')
    await Promise.all([saveWeights(model, path), saveWeights(model, path), saveWeights(model, path)])
    expect(await readdir(folder)).toEqual(['m.safetensors'])
    model.clear()
    await loadWeights(model, path)
    expect(model.values).toEqual(saved)
  })

  test('a folder that is not there', async () => {
    await expect(saveWeights(model, join(folder, 'no', 'm.safetensors'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a model that cannot be saved leaves the old file as it was', async () => {
    const path = join(folder, 'm.safetensors')
    await saveWeights(model, path)
    const old = await readFile(path)
    const broken = { stateDict: () => new Map([['__metadata__', model.weight]]) }
    await expect(saveWeights(broken, path)).rejects.toThrow(/reserved/)
    expect(await readFile(path)).toEqual(old)
    expect(await readdir(folder)).toEqual(['m.safetensors'])
  })
})

describe('writeFileAtomic', () => {
  test('a target that cannot be replaced leaves nothing over', async () => {
    const target = join(folder, 'target')
    await writeFileAtomic(join(folder, 'inner'), Uint8Array.of(1))
    await expect(writeFileAtomic(join(folder, 'inner', 'x'), Uint8Array.of(1))).rejects.toMatchObject({
      code: 'ENOTDIR',
    })
    await mkdir(target)
    await expect(writeFileAtomic(target, Uint8Array.of(2))).rejects.toMatchObject({ syscall: 'rename' })
    expect((await readdir(folder)).sort()).toEqual(['inner', 'target'])
  })
})

describe('in a browser', () => {
  test('the package bundles without Node, and reads bytes where there is none', async () => {
    const { outputFiles } = await build({
      entryPoints: [join(import.meta.dirname, '../src/index.ts')],
      bundle: true,
      format: 'iife',
      globalName: 'weights',
      platform: 'browser',
      write: false,
      logLevel: 'silent',
    })
    await saveWeights(model, join(folder, 'm.safetensors'))
    const file = await readFile(join(folder, 'm.safetensors'))
    const page = createContext({ TextDecoder, TextEncoder, URL, WebAssembly, file })
    runInContext(outputFiles[0]!.text, page)
    expect(runInContext('[...weights.parseSafetensors(file).entries.keys()].join()', page)).toBe('bias,weight')
  })

  test('without a file system, paths are refused in words', async () => {
    const original = process.getBuiltinModule
    Object.defineProperty(process, 'getBuiltinModule', { value: undefined, configurable: true })
    try {
      await expect(loadWeights(model, 'm.safetensors')).rejects.toThrow(BackendError)
      await expect(saveWeights(model, 'm.safetensors')).rejects.toThrow(/expects a file system \(Node 20.16 or newer\)/)
    } finally {
      Object.defineProperty(process, 'getBuiltinModule', { value: original, configurable: true })
    }
  })
})
