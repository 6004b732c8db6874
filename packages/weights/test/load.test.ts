import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import { BackendError, FormatError, memory, type Tensor, tensor } from '@convnets/tensor'
import { build } from 'esbuild'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadWeights, parseSafetensors, saveWeights, writeFileAtomic } from '../src/index.ts'
import { bitFlips, truncations } from './corrupt.ts'

/** A model of two parameters that remembers what it was given. */
class Toy {
  readonly weight = tensor([1, 2, 3, 4], { shape: [2, 2] })
  readonly bias = tensor([5, 6])
  loaded: { values: Map<string, number[]>; strict: boolean } | undefined

  stateDict(): Map<string, Tensor> {
    return new Map([
      ['weight', this.weight],
      ['bias', this.bias],
    ])
  }

  loadStateDict(dict: Map<string, Tensor>, { strict }: { strict: boolean }): { missing: string[] } {
    this.loaded = { values: new Map([...dict].map(([key, value]) => [key, Array.from(value.dataSync())])), strict }
    return { missing: ['nothing'] }
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

const expected = new Map([
  ['bias', [5, 6]],
  ['weight', [1, 2, 3, 4]],
])

describe('loadWeights', () => {
  test('from a path, a file URL, a text of one, bytes and a buffer', async () => {
    const path = join(folder, 'a file.safetensors')
    await saveWeights(model, path)
    const bytes = new Uint8Array(await readFile(path))
    const sources = [path, pathToFileURL(path), pathToFileURL(path).href, bytes, bytes.buffer]
    for (const source of sources) {
      model.loaded = undefined
      expect(await loadWeights(model, source)).toEqual({ missing: ['nothing'] })
      expect(model.loaded).toEqual({ values: expected, strict: true })
    }
    await loadWeights(model, path, { strict: false })
    expect(model.loaded).toMatchObject({ strict: false })
  })

  test('from a web server, which may also say no', async () => {
    await saveWeights(model, join(folder, 'm.safetensors'))
    const file = await readFile(join(folder, 'm.safetensors'))
    const server = createServer((request, response) => {
      response.statusCode = request.url === '/m.safetensors' ? 200 : 404
      response.end(file)
    }).listen(0, '127.0.0.1')
    try {
      await new Promise((resolve) => server.once('listening', resolve))
      const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      await loadWeights(model, `${base}/m.safetensors`)
      expect(model.loaded?.values).toEqual(expected)
      await expect(loadWeights(model, new URL(`${base}/no`))).rejects.toThrow(BackendError)
      await expect(loadWeights(model, new URL(`${base}/no`))).rejects.toThrow(
        `loadWeights: ${base}/no expects an answer with status 200, got 404`,
      )
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })

  test('a missing file is the error of the file system', async () => {
    const path = join(folder, 'none.safetensors')
    await expect(loadWeights(model, path)).rejects.toMatchObject({ code: 'ENOENT', path })
  })

  test('an aborted load leaves the model alone', async () => {
    await saveWeights(model, join(folder, 'm.safetensors'))
    const load = loadWeights(model, join(folder, 'm.safetensors'), { signal: AbortSignal.abort() })
    await expect(load).rejects.toMatchObject({ name: 'AbortError' })
    expect(model.loaded).toBeUndefined()
  })

  test('what the model throws comes through, and the loaded tensors are freed', async () => {
    await saveWeights(model, join(folder, 'm.safetensors'))
    const picky = {
      loadStateDict(): never {
        throw new Error('no')
      },
    }
    await expect(loadWeights(picky, join(folder, 'm.safetensors'))).rejects.toThrow('no')
  })

  test('a file that is cut or has a flipped bit never reaches the model in part', async () => {
    const path = join(folder, 'm.safetensors')
    await saveWeights(model, path)
    const file = new Uint8Array(await readFile(path))
    for (const { what, bytes } of truncations(file)) {
      await expect(loadWeights(model, bytes), what).rejects.toThrow(FormatError)
    }
    expect(model.loaded).toBeUndefined()
    for (const { what, bytes } of bitFlips(file)) {
      model.loaded = undefined
      const error = await loadWeights(model, bytes).catch((reason: unknown) => reason)
      if (error instanceof Error) {
        expect(error, what).toBeInstanceOf(FormatError)
        expect(model.loaded, what).toBeUndefined()
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
    await loadWeights(model, path)
    expect(model.loaded?.values).toEqual(expected)
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
