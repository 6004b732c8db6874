import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FormatError } from '@convnets/tensor'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openWeights, readWeights } from '../src/index.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convnets-tfjs-'))
})

afterEach(() => rm(folder, { recursive: true }))

interface Weight {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype?: string
  readonly quantization?: object
  readonly values: readonly number[]
}

/** Writes a model as TensorFlow.js does: elements one after another, cut into shards anywhere. */
async function write(weights: readonly Weight[], cuts: readonly number[] = []): Promise<string> {
  const parts = weights.map(({ values, quantization, dtype }) => {
    const stored = (quantization as { dtype?: string } | undefined)?.dtype ?? dtype
    if (stored === 'uint8') return new Uint8Array(values)
    if (stored === 'uint16' || stored === 'float16') return new Uint8Array(new Uint16Array(values).buffer)
    return new Uint8Array((stored === 'int32' ? new Int32Array(values) : new Float32Array(values)).buffer)
  })
  const bytes = Buffer.concat(parts)
  const paths: string[] = []
  for (const [i, cut] of [0, ...cuts].entries()) {
    paths.push(`group1-shard${i + 1}of${cuts.length + 1}.bin`)
    await writeFile(join(folder, paths[i]!), bytes.subarray(cut, cuts[i] ?? bytes.length))
  }
  const manifest = weights.map(({ values: _, dtype = 'float32', ...weight }) => ({ ...weight, dtype }))
  const model = { modelTopology: {}, weightsManifest: [{ paths, weights: manifest }] }
  const path = join(folder, 'model.json')
  await writeFile(path, JSON.stringify(model))
  return path
}

async function contents(path: string): Promise<Map<string, [readonly number[], number[]]>> {
  const { tensors, format } = await readWeights(path)
  expect(format).toBe('tfjs')
  const result = new Map<string, [readonly number[], number[]]>()
  for (const [name, made] of tensors) {
    result.set(name, [[...made.shape], Array.from(made.dataSync())])
    made.dispose()
  }
  return result
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i)

describe('a MobileNet of Keras', () => {
  test('gets PyTorch’s names and axes, over shards that are cut anywhere', async () => {
    const path = await write(
      [
        { name: 'conv1/kernel', shape: [1, 2, 3, 2], values: range(12) },
        { name: 'conv1_bn/gamma', shape: [2], values: [1, 2] },
        { name: 'conv1_bn/beta', shape: [2], values: [3, 4] },
        { name: 'conv1_bn/moving_mean', shape: [2], values: [5, 6] },
        { name: 'conv1_bn/moving_variance', shape: [2], values: [7, 8] },
        { name: 'conv_dw_1/depthwise_kernel', shape: [1, 2, 3, 2], values: range(12) },
        { name: 'dense/kernel', shape: [2, 3], values: range(6) },
        { name: 'dense/bias', shape: [3], values: [1, 2, 3] },
      ],
      [5, 50, 51],
    )
    expect([...(await contents(path))]).toEqual([
      // Element (h, w, i, o) of Keras is 6 w + 2 i + o.
      [
        'conv1.weight',
        [
          [2, 3, 1, 2],
          [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11],
        ],
      ],
      ['conv1_bn.weight', [[2], [1, 2]]],
      ['conv1_bn.bias', [[2], [3, 4]]],
      ['conv1_bn.running_mean', [[2], [5, 6]]],
      ['conv1_bn.running_var', [[2], [7, 8]]],
      // Filter 2 c + m of PyTorch is filter m of channel c: element 6 w + 2 c + m.
      [
        'conv_dw_1.weight',
        [
          [6, 1, 1, 2],
          [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11],
        ],
      ],
      [
        'dense.weight',
        [
          [3, 2],
          [0, 3, 1, 4, 2, 5],
        ],
      ],
      ['dense.bias', [[3], [1, 2, 3]]],
    ])
  })

  test('quantized weights are what scale and minimum make of them', async () => {
    const path = await write([
      { name: 'a/bias', shape: [3], quantization: { dtype: 'uint8', scale: 0.5, min: -1 }, values: [0, 2, 255] },
      { name: 'b/bias', shape: [2], quantization: { dtype: 'uint16', scale: 0.25, min: 1 }, values: [0, 65535] },
      { name: 'c/bias', shape: [2], quantization: { dtype: 'float16' }, values: [0x3c00, 0xc000] },
      { name: 'd/bias', shape: [1], dtype: 'int32', values: [-7] },
    ])
    expect([...(await contents(path))]).toEqual([
      ['a.bias', [[3], [-1, 0, 126.5]]],
      ['b.bias', [[2], [1, 65535 * 0.25 + 1]]],
      ['c.bias', [[2], [1, -2]]],
      ['d.bias', [[1], [-7]]],
    ])
  })
})

describe('Inception v3 of Keras', () => {
  /** Shapes (H, W, I, O) of its 94 kernels in the order of their numbers, as a published model lists them. */
  const kernels = JSON.parse(
    readFileSync(new URL('fixtures/keras-inception-v3-kernels.json', import.meta.url), 'utf8'),
  ) as [number, number, number, number][]
  const golden = JSON.parse(
    readFileSync(new URL('../../../fixtures/goldens/models/inception_v3.json', import.meta.url), 'utf8'),
  ) as { state: [string, number[]][] }

  test.each([
    ['numbered from 1', (i: number) => `_${i + 1}`],
    ['numbered from 0, the first without number', (i: number) => (i === 0 ? '' : `_${i}`)],
  ])('%s, becomes torchvision’s: every key there with its shape', async (_, number) => {
    const weights = kernels.flatMap((shape, i) => [
      { name: `conv2d${number(i)}/kernel`, shape, dtype: 'float32' },
      ...['beta', 'moving_mean', 'moving_variance'].map((leaf) => ({
        name: `batch_normalization${number(i)}/${leaf}`,
        shape: [shape[3]],
        dtype: 'float32',
      })),
    ])
    weights.push(
      { name: 'predictions/kernel', shape: [2048, 1000], dtype: 'float32' },
      { name: 'predictions/bias', shape: [1000], dtype: 'float32' },
    )
    // By name, as converters write them: batch_normalization_1, _10, _11, ...
    weights.sort((a, b) => (a.name < b.name ? -1 : 1))
    const bytes = weights.reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0)
    await writeFile(join(folder, 'w.bin'), new Uint8Array(bytes))
    const path = join(folder, 'model.json')
    await writeFile(path, JSON.stringify({ weightsManifest: [{ paths: ['w.bin'], weights }] }))

    const file = await openWeights(path)
    const got = new Map([...file.entries].map(([key, { shape }]) => [key, [...shape]]))
    const wanted = golden.state.filter(([key]) => !key.endsWith('num_batches_tracked') && !key.startsWith('AuxLogits.'))
    expect(got.size).toBe(wanted.length)
    for (const [key, shape] of wanted) expect([key, got.get(key)]).toEqual([key, shape])
    // Keras leaves the scale out where it is 1.
    const scale = await file.entries.get('Mixed_7c.branch_pool.bn.weight')!.read()
    expect([...new Float32Array(scale.buffer)]).toEqual(new Array(192).fill(1))
    await file.close()
  })
})

describe('broken models', () => {
  const bias = { name: 'a/bias', shape: [2], dtype: 'float32' }
  const manifest = (weights: unknown, paths: unknown = ['w.bin']): object => ({ weightsManifest: [{ paths, weights }] })

  test.each([
    ['another JSON', { nothing: 1 }, /JSON of something else/],
    ['no list of groups', { weightsManifest: {} }, /a list as weightsManifest/],
    ['no paths', manifest([], null), /lists of paths and weights/],
    ['a path that climbs', manifest([], ['../w.bin']), /a plain name, got "\.\.\/w\.bin"/],
    ['an absolute path', manifest([], ['/etc/passwd']), /a plain name/],
    ['a path that is an address', manifest([], ['http://x/y']), /a plain name/],
    ['a number as name', manifest([{ ...bias, name: 1 }]), /text as name/],
    ['an unknown dtype', manifest([{ ...bias, dtype: 'string' }]), /float32, int32 or bool/],
    ['a dtype named like a method', manifest([{ ...bias, dtype: 'constructor' }]), /float32, int32 or bool/],
    [
      'no object as weight',
      manifest([[1, ['x', {}, null]]]),
      /objects as weights, got \[1, \["x", an object, null\]\]/,
    ],
    ['a weight of many', manifest([range(100)]), /got \[0, 1, 2, 3, 4, 5, 6, 7, \.\.\.\]/],
    ['a negative size', manifest([{ ...bias, shape: [-2] }]), /non-negative integers as shape/],
    ['a size beyond all files', manifest([{ ...bias, shape: [2 ** 30, 2 ** 30, 2 ** 30] }]), /to end within/],
    ['a weight twice', manifest([bias, bias]), /to end within|once/],
    ['bytes too few', manifest([{ ...bias, shape: [3] }]), /to end within the 8 bytes/],
    ['bytes too many', manifest([{ ...bias, shape: [1] }]), /that fill the 8 bytes/],
    ['unknown quantization', manifest([{ ...bias, quantization: { dtype: 'uint4' } }]), /quantization to uint8/],
  ])('%s', async (_, model, message) => {
    await writeFile(join(folder, 'w.bin'), new Uint8Array(8))
    await writeFile(join(folder, 'model.json'), JSON.stringify(model))
    await expect(openWeights(join(folder, 'model.json'))).rejects.toThrow(message)
  })

  test.each([
    [
      'lists within each other for ever',
      `{"weightsManifest":[${'['.repeat(1e5)}${']'.repeat(1e5)}]}`,
      /at most 125 deep/,
    ],
    ['a key twice', '{"weightsManifest":[],"weightsManifest":[]}', /every key of an object once/],
    ['text behind the end', '{"weightsManifest":[]} x', /only padding after the JSON value, got 'x'/],
    ['more text than any list has', `{"weightsManifest":[]${' '.repeat(2 ** 23)}}`, /JSON of at most 8388608 bytes/],
  ])('%s', async (_, text, message) => {
    const error = await openWeights(new TextEncoder().encode(text)).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(FormatError)
    expect((error as Error).message).toMatch(message)
  })

  test('a key called __proto__ is a key', async () => {
    await writeFile(join(folder, 'w.bin'), new Uint8Array(8))
    const weights = [{ ...bias, name: '__proto__/constructor' }]
    await writeFile(join(folder, 'model.json'), JSON.stringify(manifest(weights)))
    const file = await openWeights(join(folder, 'model.json'))
    expect([...file.entries.keys()]).toEqual(['__proto__.constructor'])
    expect(({} as Record<string, unknown>).constructor).toBe(Object)
    await file.close()
  })

  test('bytes alone have nothing beside them', async () => {
    const bytes = new TextEncoder().encode(JSON.stringify(manifest([bias])))
    await expect(openWeights(bytes)).rejects.toThrow(FormatError)
  })
})
