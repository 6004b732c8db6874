import { readFileSync } from 'node:fs'
import { resnet20, resnet56 } from '@convnets/models-modern'
import { noGrad, tensor, tidy } from '@convnets/tensor'
import { fill, fillValue } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'
import {
  type CheckpointValue,
  loadWeights,
  openCheckpoint,
  openWeights,
  readWeights,
  type WeightEntry,
} from '../src/index.ts'
import { fixturePath, readFixture, tinyNet } from './fixtures.ts'

async function valuesOf(entry: WeightEntry): Promise<number[]> {
  const bytes = new Uint8Array(await entry.read()).buffer
  if (entry.dtype === 'F32') return [...new Float32Array(bytes)]
  if (entry.dtype === 'I64') return [...new BigInt64Array(bytes)].map(Number)
  throw new Error(entry.dtype)
}

describe.each(['tinynet-zip', 'tinynet-legacy', 'tinynet-checkpoint-zip'])('%s.pth', (name) => {
  test('has the keys, shapes and values of the network that was saved', async () => {
    const file = await openWeights(fixturePath(`pth/${name}.pth`))
    expect([...file.entries].map(([key, { shape }]) => [key, shape])).toEqual(tinyNet)
    for (const [key, entry] of file.entries) {
      expect(entry.dtype).toBe(key.endsWith('num_batches_tracked') ? 'I64' : 'F32')
      expect(await valuesOf(entry), key).toEqual([...fillValue(key, entry.shape)])
    }
    await file.verify()
    await file.close()
  })

  test('gives tensors, from bytes as well', async () => {
    const { format, tensors } = await readWeights(readFixture(`pth/${name}.pth`))
    expect(format).toBe('pytorch')
    const conv = tensors.get('conv2.weight')!
    expect(conv.shape).toEqual([8, 4, 3, 3])
    expect(Array.from(conv.dataSync())).toEqual([...fillValue('conv2.weight', conv.shape)])
    expect(tensors.get('bn1.num_batches_tracked')!.dtype).toBe('int32')
    for (const made of tensors.values()) made.dispose()
  })
})

describe('a checkpoint with more than weights', () => {
  const map = (value: CheckpointValue | undefined): ReadonlyMap<unknown, CheckpointValue> => {
    if (!(value instanceof Map)) throw new Error('no dict')
    return value
  }

  test('shows its epoch, optimizer and arguments, tensors of all kinds among them', async () => {
    const { value, close } = await openCheckpoint(fixturePath('pth/tinynet-checkpoint-zip.pth'))
    const top = map(value)
    expect(top.get('epoch')).toBe(3)
    const [group] = map(top.get('optimizer')).get('param_groups') as readonly CheckpointValue[]
    expect(map(group).get('betas')).toEqual([0.9, 0.999])
    expect(map(group).get('params')).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(map(group).get('foreach')).toBeNull()
    expect(map(group).get('fused')).toBe(false)
    const args = map(top.get('args'))
    expect(args.get('lr')).toBe(0.1)
    const entry = (key: string): WeightEntry => args.get(key) as WeightEntry
    expect([entry('half').dtype, entry('half').shape]).toEqual(['F16', [3]])
    expect(await entry('half').read()).toEqual(Uint8Array.of(0, 0x3c, 0, 0x3c, 0, 0x3c))
    expect([entry('bf16').dtype, await entry('bf16').read()]).toEqual(['BF16', Uint8Array.of(0x80, 0x3f, 0x80, 0x3f)])
    expect(entry('view').shape).toEqual([2, 3])
    expect(await valuesOf(entry('view'))).toEqual([1, 5, 9, 2, 6, 10])
    expect(await valuesOf(entry('i64'))).toEqual([0, 1, 2])
    await close()
  })

  test('can be read elsewhere than in the usual places', async () => {
    const { tensors, metadata } = await readWeights(fixturePath('pth/tinynet-checkpoint-zip.pth'), { select: ['args'] })
    expect([...tensors.keys()]).toEqual(['half', 'bf16', 'view', 'i64'])
    expect([...metadata]).toEqual([
      ['epoch', '3'],
      ['lr', '0.1'],
    ])
    for (const made of tensors.values()) made.dispose()
    const none = openWeights(fixturePath('pth/tinynet-checkpoint-zip.pth'), { select: ['optimizer'] })
    await expect(none).rejects.toThrow('expected tensors under optimizer, got state, param_groups')
  })
})

describe('the ResNets of 2018', () => {
  interface Expected {
    readonly file: string
    readonly model: 'resnet20' | 'resnet56'
    readonly entries: number
    readonly best_prec1: number
    readonly input: { readonly name: string; readonly shape: number[]; readonly scale: number }
    readonly logits: number[]
    readonly sums: Record<string, number>
  }
  const cases = JSON.parse(readFileSync(fixturePath('cifar-resnet/expected.json'), 'utf8')) as Expected[]

  test.each(cases)('$file gives the logits that PyTorch gives', async (expected) => {
    const model = { resnet20, resnet56 }[expected.model]().eval()
    const path = fixturePath(`cifar-resnet/${expected.file}`)
    const report = await loadWeights(model, path)
    expect(report).toEqual({ missing: [], unexpected: [], mismatched: [] })
    const { name, shape, scale } = expected.input
    const logits = tidy(() =>
      noGrad(() => model.forward(tensor(fill(name, shape, scale), { shape, dtype: 'float32' })).dataSync()),
    )
    const largest = Math.max(...expected.logits.map(Math.abs))
    const error = Math.max(...expected.logits.map((value, i) => Math.abs(value - logits[i]!))) / largest
    expect(error).toBeLessThan(2e-5)
    model.dispose()
  })

  test.each(cases)('$file holds what PyTorch read from it', async (expected) => {
    const file = await openWeights(fixturePath(`cifar-resnet/${expected.file}`))
    expect(file.entries.size).toBe(expected.entries)
    expect(Number(file.metadata.get('best_prec1'))).toBe(expected.best_prec1)
    for (const [key, sum] of Object.entries(expected.sums)) {
      const values = await valuesOf(file.entries.get(key)!)
      expect(
        values.reduce((total, value) => total + value, 0),
        key,
      ).toBeCloseTo(sum, 8)
    }
    await file.close()
  })
})
