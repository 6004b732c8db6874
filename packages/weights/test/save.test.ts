import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ArgumentError, type DType, type Tensor, tensor } from '@convnets/tensor'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openWeights, readWeights, saveWeights, writeWeights } from '../src/index.ts'
import { fixturePath } from './fixtures.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convnets-save-'))
})

afterEach(() => rm(folder, { recursive: true }))

const shapes: readonly (readonly [key: string, dtype: DType, shape: readonly number[]])[] = [
  ['conv.weight', 'float32', [4, 3, 2, 2]],
  ['conv.bias', 'float32', [4]],
  ['precise', 'float64', [2, 3]],
  ['bn.num_batches_tracked', 'int32', []],
  ['bytes', 'uint8', [3]],
  ['mask', 'bool', [2, 2]],
  ['empty', 'float32', [0, 5]],
  ['long', 'float32', [300, 300]],
  ['__proto__', 'float32', [1]],
  ['größe', 'float32', [1]],
]

function makeModel(): { stateDict(): Map<string, Tensor>; dispose(): void } {
  const tensors = new Map(
    shapes.map(([key, dtype, shape], k) => {
      const length = shape.reduce((product, dim) => product * dim, 1)
      const values = Float64Array.from({ length }, (_, i) => (dtype === 'bool' ? i % 2 : ((i * 7 + k) % 200) + 0.25))
      return [
        key,
        tensor(dtype === 'float32' || dtype === 'float64' ? values : values.map(Math.floor), { shape, dtype }),
      ]
    }),
  )
  return {
    stateDict: () => tensors,
    dispose: () => {
      for (const made of tensors.values()) made.dispose()
    },
  }
}

const python = promisify(execFile)

/** A Python with PyTorch, where one is installed. */
const pythonPath = await (async () => {
  for (const path of [process.env.PYTHON, '/usr/bin/python3', 'python3']) {
    if (path === undefined) continue
    const found = await python(path, [
      '-c',
      'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)',
    ]).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
})()

describe.each(['model.safetensors', 'model.pth'])('saveWeights to %s', (name) => {
  test('what is saved is what is read', async () => {
    const model = makeModel()
    const path = join(folder, name)
    await saveWeights(model, path)
    expect(await readdir(folder)).toEqual([name])
    const { tensors, format } = await readWeights(path)
    expect(format).toBe(name.endsWith('pth') ? 'pytorch' : 'safetensors')
    expect(new Set(tensors.keys())).toEqual(new Set(shapes.map(([key]) => key)))
    for (const [key, saved] of model.stateDict()) {
      const read = tensors.get(key)!
      expect([read.dtype, [...read.shape]], key).toEqual([saved.dtype, [...saved.shape]])
      expect(await read.data(), key).toEqual(await saved.data())
      read.dispose()
    }
    model.dispose()
  })

  test('in half the bytes', async () => {
    const model = makeModel()
    const path = join(folder, name)
    await saveWeights(model, path, { dtype: 'BF16' })
    const file = await openWeights(path)
    expect(file.entries.get('conv.weight')!.dtype).toBe('BF16')
    expect(file.entries.get('bytes')!.dtype).toBe('U8')
    await file.close()
    model.dispose()
  })

  test('equal contents are equal files', async () => {
    const model = makeModel()
    await saveWeights(model, join(folder, name))
    const first = await readFile(join(folder, name))
    await saveWeights(model, join(folder, name))
    expect(await readFile(join(folder, name))).toEqual(first)
    model.dispose()
  })
})

describe('a checkpoint that is saved', () => {
  test('has every storage at a multiple of 64 bytes', async () => {
    const model = makeModel()
    await saveWeights(model, join(folder, 'm.pth'))
    const bytes = await readFile(join(folder, 'm.pth'))
    let entries = 0
    for (let at = bytes.indexOf('PK\x03\x04'); at >= 0; at = bytes.indexOf('PK\x03\x04', at + 4)) {
      const start = at + 30 + bytes.readUInt16LE(at + 26) + bytes.readUInt16LE(at + 28)
      expect(start % 64).toBe(0)
      entries++
    }
    expect(entries).toBe(shapes.length + 3)
    model.dispose()
  })

  test.skipIf(pythonPath === undefined)(
    'is opened by torch.load(weights_only=True), with the same values',
    async () => {
      const model = makeModel()
      const path = join(folder, 'm.pth')
      await saveWeights(model, path)
      const code = `
import json, sys, torch
state = torch.load(sys.argv[1], weights_only=True)
assert type(state).__name__ == 'OrderedDict'
print(json.dumps([[k, str(v.dtype), list(v.shape), v.is_contiguous(), v.double().flatten().tolist()] for k, v in state.items()]))
torch.save(state, sys.argv[2])
torch.save(state, sys.argv[3], _use_new_zipfile_serialization=False)
`
      const again = join(folder, 'again.pth')
      const legacy = join(folder, 'legacy.pth')
      const { stdout } = await python(pythonPath!, ['-c', code, path, again, legacy], { maxBuffer: 2 ** 26 })
      const names = { float32: 'float32', float64: 'float64', int32: 'int32', uint8: 'uint8', bool: 'bool' }
      const expected = [...model.stateDict()].map(([key, saved]) => [
        key,
        `torch.${names[saved.dtype]}`,
        [...saved.shape],
        true,
        Array.from(saved.dataSync()),
      ])
      expect(JSON.parse(stdout)).toEqual(expected)
      for (const file of [again, legacy]) {
        const { tensors } = await readWeights(file)
        for (const [key, saved] of model.stateDict())
          expect(tensors.get(key)!.dataSync(), key).toEqual(saved.dataSync())
        for (const made of tensors.values()) made.dispose()
      }
      model.dispose()
    },
  )
})

describe('writeWeights', () => {
  test('turns one format into the other and back, with every dtype as it was', async () => {
    const source = await openWeights(fixturePath('pth/tinynet-checkpoint-zip.pth'), { select: ['args'] })
    await writeWeights(source.entries, join(folder, 'a.safetensors'), { metadata: source.metadata })
    const middle = await openWeights(join(folder, 'a.safetensors'))
    expect([...middle.metadata]).toEqual([...source.metadata])
    await writeWeights(middle.entries, join(folder, 'b.pth'))
    const last = await openWeights(join(folder, 'b.pth'))
    for (const [key, { dtype, shape, read }] of source.entries) {
      const other = last.entries.get(key)!
      expect([other.dtype, other.shape], key).toEqual([dtype, shape])
      expect(await other.read(), key).toEqual(await read())
    }
    for (const file of [source, middle, last]) await file.close()
  })

  test('a dtype or a format that there is not leaves nothing', async () => {
    const entry = { shape: [1], read: async () => new Uint8Array(2) }
    const u16 = new Map([['w', { ...entry, dtype: 'U16' as const }]])
    await expect(writeWeights(u16, join(folder, 'a.pth'))).rejects.toThrow(
      '"w" expects a dtype that PyTorch stores, got U16',
    )
    const short = new Map([['w', { ...entry, dtype: 'F32' as const }]])
    await expect(writeWeights(short, join(folder, 'a.pth'))).rejects.toThrow('"w" expects 4 bytes, got 2')
    await expect(writeWeights(u16, join(folder, 'a'), { format: 'h5' as 'pytorch' })).rejects.toThrow(ArgumentError)
    expect(await readdir(folder)).toEqual([])
  })
})
